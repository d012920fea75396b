# SPDX-License-Identifier: Apache-2.0
"""`aura launch`: arguments, output and errors."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_ros.ros import share as share_of
from aura_ros.tools.launch.main import main

ROOT = Path(__file__).parents[2]
Captured = pytest.CaptureFixture[str]


def test_help_teaches(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as end:
        main(['--help'])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert 'examples:' in text and 'exit code:' in text


def test_no_arguments_are_an_error_that_names_the_help(capsys: Captured) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.endswith('See aura launch --help.\n')


@pytest.mark.parametrize('words', [['demo.launch.yaml'], ['demo'], ['aura_ros', 'demo.launch.yaml']])
def test_finds_launch_files_of_the_package(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, '--show-args']) == 0
    text = capsys.readouterr().out
    assert 'Arguments of demo.launch.yaml' in text
    assert "default '12'" in text and 'allowed: train, validation, evaluation' in text
    assert 'kv_window [arguments.launch.yaml]' in text


def test_finds_them_in_share_without_a_source_tree(
    capsys: Captured, stand_ins: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    share = stand_ins / 'share/aura_ros'
    for folder in ('launch', 'config'):
        shutil.copytree(ROOT / folder, share / folder, dirs_exist_ok=True)
    monkeypatch.setattr(share_of, '__file__', str(tmp_path / 'aura_ros/ros/share.py'))
    assert main(['sim.launch.yaml', '--print-command']) == 0
    assert f'{share}/launch/../config/real_time.yaml' in capsys.readouterr().out


def test_prints_commands(capsys: Captured, stand_ins: Path) -> None:
    assert main(['demo', 'rounds:=3', '-p']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[5].startswith(f'[panel-6] {stand_ins}/lib/aura_ros/panel --ros-args')
    assert '{/**: {ros__parameters: {rounds: 3}}}' in lines[5]


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['demo', 'ronuds:=3'], "no argument 'ronuds', did you mean rounds? Allowed: allow_fresh_start, aura_weights,"),
        (['demo', 'split:=test'], "'split' is 'test', allowed: train, validation, evaluation"),
        (['demo', 'rounds:=few'], "'few', allowed: an integer"),
        (['demo', 'tasks:=recll'], "tasks:=recll: there is no 'recll', did you mean recall?"),
        (['demo', 'rounds:=0'], "rounds:=0: '0': must be an integer in 1..10000"),
        (['no_such.launch.yaml'], "no launch file 'no_such.launch.yaml'"),
        (['no_such_package', 'x.launch.yaml'], "package 'no_such_package' not found"),
        (['a', 'b', 'c'], 'expected [PACKAGE] FILE'),
        (['rounds:=3'], 'expected [PACKAGE] FILE'),
        (['demo.launch.py', '--force-own'], 'demo.launch.py needs ROS launch'),
    ],
)
def test_refuses_in_one_line(capsys: Captured, stand_ins: Path, words: list[str], message: str) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1


@pytest.mark.fault('F35')
@pytest.mark.parametrize('name', ['demo.launch.yaml', 'demo', 'sim.launch.yaml'])
def test_a_file_here_does_not_hide_one_of_the_package(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, measured: Callable[[str], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text('launch: []\n')
    assert main([name, '--show-args']) == 2
    error = capsys.readouterr().err
    assert f"'{name}' is a file here and in {ROOT}/launch; write ./{name}" in error
    assert f'or aura_ros {name} for' in error
    assert main(['aura_ros', name, '--show-args']) == 0
    assert 'kv_window' in capsys.readouterr().out
    measured(f'{name} here and in the package: refused, with both')


@pytest.mark.fault('F35')
def test_a_file_with_another_name_or_a_path_is_used(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in ('mine.launch.yaml', './demo.launch.yaml', str(tmp_path / 'demo.launch.yaml')):
        Path(words).write_text('launch: []\n')
        assert main([words, '--print-command']) == 0
        assert capsys.readouterr().out == ''
    monkeypatch.chdir(ROOT / 'launch')
    assert main(['demo.launch.yaml', '--show-args']) == 0
    assert 'kv_window' in capsys.readouterr().out


@pytest.mark.fault('F35')
def test_run_refuses_a_name_that_means_two_files(tmp_path: Path) -> None:
    (tmp_path / 'demo.launch.yaml').write_text('launch: []\n')
    command = [str(ROOT / 'run'), 'launch', 'demo.launch.yaml']
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode != 0
    assert f"'demo.launch.yaml' is a file here and in {ROOT}/launch" in ended.stderr
