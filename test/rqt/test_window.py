# SPDX-License-Identifier: Apache-2.0
"""The command line of the window: every error ends with an exit code and one line."""

import os
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('pyqtgraph')
pytest.importorskip('pytestqt')
from monitor_stage import Stage

from aura_ros.rqt import window


def test_after_without_save_is_refused(capsys):
    assert window.main(['--after', '3']) == 2
    assert '--after needs --save' in capsys.readouterr().err


@pytest.mark.parametrize('scale', ['0.1', '9', 'nan'])
def test_a_scale_out_of_range_is_refused(scale, capsys):
    assert window.main(['--scale', scale]) == 2
    assert 'must be a number from 0.5 to 4' in capsys.readouterr().err


@pytest.fixture
def stage(qtbot, monkeypatch):
    return Stage(qtbot, monkeypatch)


def test_a_saved_picture_is_reported(stage, tmp_path, capsys):
    stage.receive_story(5.0)
    assert window._save(stage.monitor, tmp_path / 'page.png') == 0
    assert capsys.readouterr().out == f'saved {tmp_path / "page.png"}\n' and (tmp_path / 'page.png').is_file()


def test_a_picture_that_cannot_be_saved_is_reported(stage, tmp_path, capsys):
    stage.receive_story(5.0)
    assert window._save(stage.monitor, tmp_path / 'no_folder' / 'page.png') == 1
    assert 'cannot write' in capsys.readouterr().err


def test_a_picture_without_data_is_not_saved(stage, tmp_path, capsys):
    assert window._save(stage.monitor, tmp_path / 'page.png') == 1
    assert 'no step was received' in capsys.readouterr().err and not (tmp_path / 'page.png').exists()


def test_all_panels_of_a_picture_show_one_moment(stage, tmp_path, monkeypatch):
    stage.receive_story(5.0)
    painted = []
    monkeypatch.setattr(stage.monitor.header, 'show_header', lambda *_: painted.append('header'))
    monkeypatch.setattr(stage.monitor.gate, 'show_gate', lambda *_: painted.append('gate'))
    stage.monitor.save_png(tmp_path / 'page.png')
    assert sorted(painted) == ['gate', 'header']


@pytest.mark.graph
@pytest.mark.parametrize(
    ('args', 'code'), [(['--ros-args', '-p', 'bad'], 2), (['--save', '{}/page.png', '--after', '0.2'], 1)]
)
def test_an_error_without_a_display_is_one_line(args, code, domain, tmp_path):
    away = ('DISPLAY', 'WAYLAND_DISPLAY') if '--save' not in args else ('DISPLAY', 'WAYLAND_DISPLAY', 'QT_QPA_PLATFORM')
    env = {name: value for name, value in os.environ.items() if name not in away} | {'ROS_DOMAIN_ID': str(domain)}
    program = 'import sys; from aura_ros.rqt.window import main; sys.exit(main(sys.argv[1:]))'
    given = [arg.format(tmp_path) for arg in args]
    ended = subprocess.run([sys.executable, '-c', program, *given], env=env, capture_output=True, text=True, timeout=60)
    assert ended.returncode == code and 'Traceback' not in ended.stderr
    assert sum(line.startswith('aura monitor: ') for line in ended.stderr.splitlines()) == 1
