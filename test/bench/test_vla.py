# SPDX-License-Identifier: Apache-2.0
"""aura bench vla: times of a backbone and of memories on its features."""

import json

import numpy as np
import pytest

pytest.importorskip('torch')

from aura_ros.bench.cli import main
from aura_ros.bench.vla import MEMORIES


def test_the_embedded_backbone_with_every_memory(tmp_path, capsys):
    assert main(['vla', '--quick', '--output', str(tmp_path)]) == 0
    found = json.loads((tmp_path / 'vla-embedded.json').read_text())
    rows = {row['part']: row for row in found['rows']}
    assert tuple(rows) == ('backbone', *MEMORIES)
    assert all(np.isfinite(row['median_ms']) and 0 < row['median_ms'] <= row['p95_ms'] for row in rows.values())
    whole = rows['backbone']['median_ms'] + rows['aura']['median_ms']
    assert rows['aura']['share'] == pytest.approx(rows['aura']['median_ms'] / whole, rel=0.01)
    assert rows['aura']['state_bytes'] == 4224
    assert rows['kv']['state_bytes'] == 256 * (3 + 5), 'a step for each inference, and three before the timed ones'
    assert (found['gpu_peak_mib'], found['steps'], found['feature_dim']) == (None, 5, 288)
    assert '4,224' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        (['--memories', 'ssm'], "--memories: there is no 'ssm'"),
        (['--random', 'tiny', '--path', 'a.yaml'], '--random must be left out with --path or --checkpoint'),
        (['--backbone', 'lerobot', '--device', 'cpu'], "--path '': must be a YAML file with the key 'lerobot'"),
        (['--backbone', 'lerobot', '--path', 'none.yaml'], 'none.yaml'),
    ],
)
def test_wrong_use_names_the_option(arguments, reason, tmp_path, capsys):
    assert main(['vla', '--quick', '--output', str(tmp_path), *arguments]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize('chosen', [['--random', 'tiny'], ['--backbone', 'lerobot']])
def test_a_gpu_that_is_not_there(chosen, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert main(['vla', '--quick', '--output', str(tmp_path), '--device', 'cuda', *chosen]) == 2
    assert '--device cuda: torch finds no GPU' in capsys.readouterr().err


def test_a_backbone_that_has_no_device_to_choose(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    assert main(['vla', '--quick', '--output', str(tmp_path), '--device', 'cuda']) == 2
    assert 'backbone embedded chooses its device itself' in capsys.readouterr().err
