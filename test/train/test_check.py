# SPDX-License-Identifier: Apache-2.0
"""The stage `check`: the base on every task, memories on the tasks that they are trained on."""

import pytest

pytest.importorskip('mujoco')

from aura_ros.common.errors import ConfigError
from aura_ros.train.check import check
from aura_ros.train.main import main


def test_the_weights_that_ship_are_checked_task_by_task(capsys):
    assert main(['check', '--tasks', 'visible,place', '--rounds', '2']) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines] == [
        ['visible', 'base'],
        ['visible', 'aura'],
        ['visible', 'kv'],
        ['place', 'base'],
    ]
    assert all(line[2] in ('0/2', '1/2', '2/2') for line in lines)
    assert [line[-2] for line in lines] == ['0', '4224', lines[2][-2], '0'] and int(lines[2][-2]) > 4224


def test_a_mixed_episode_has_figures_for_each_hundred_rounds(capsys, monkeypatch):
    monkeypatch.setattr('aura_ros.train.check.HUNDRED', 2)
    assert main(['check', '--tasks', 'visible,recall', '--rounds', '3', '--mixed', '--policies', 'aura']) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [' '.join(line[:5]) for line in lines[:2]] == ['rounds 1 to 2 aura', 'rounds 3 to 3 aura']
    assert lines[2][:2] == ['mixed', 'aura'] and lines[2][2].endswith('/3')
    solved = [int(line[-1].split('/')[0]) for line in lines[:2]]
    assert sum(solved) == int(lines[2][2].split('/')[0])


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r'embedded\.onnx'):
        next(check(tmp_path, ('visible',), 1))
