# SPDX-License-Identifier: Apache-2.0
"""Pictures of the monitor, in which no text is cut off: at 1280 x 720, on a small page, and with 4K.

The pictures go to the folder in the variable AURA_SCREENSHOTS, or to a temporary folder:

    AURA_SCREENSHOTS=docs/images ./run test test/rqt/test_screenshot.py
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('pyqtgraph')
pytest.importorskip('pytestqt')
from monitor_items import ItemRun
from monitor_stage import SIZE, Stage
from monitor_story import Story

from aura_ros.rqt.points import WritePoint
from aura_ros.rqt.qt import QtGui, QtWidgets

SMALL = (767, 585)
ROOT = Path(__file__).parents[2]


def prepare(stage: Stage, scene: str) -> None:
    """Bring the monitor into the state that the picture shows."""
    if scene == 'idle':
        stage.settle()
        return
    if scene == 'items':
        stage.receive(ItemRun(851).points())
        stage.settle()
        return
    if scene == 'lost':
        stage.receive_live(112.0, away_s=(100.0, 104.0))
        return
    stage.receive_story()
    if scene == 'scrub':
        writes = [timed.point for timed in Story() if isinstance(timed.point, WritePoint)]
        stage.monitor.look_at(writes[-4].stamp_s)
        stage.settle()
    if scene == 'paused':
        stage.monitor.pause(True)
        stage.receive((timed.point for timed in Story(770.0) if timed.after_s > 170.0), after_s=600.0)
        stage.settle()
    if scene == 'dead':
        stage.receive(after_s=12.0)


def cut_off(monitor: QtWidgets.QWidget) -> list[str]:
    """Return the texts that do not fit into their labels."""
    labels = [label for label in monitor.findChildren(QtWidgets.QLabel) if label.isVisible() and label.text()]
    return [label.text() for label in labels if not label.wordWrap() and label.sizeHint().width() > label.width() + 1]


@pytest.mark.parametrize('scene', ['idle', 'light', 'dark', 'scrub', 'paused', 'lost', 'dead', 'items'])
def test_screenshot(scene, qtbot, monkeypatch, tmp_path):
    stage = Stage(qtbot, monkeypatch, dark=scene == 'dark')
    if not QtGui.QFontDatabase().families():
        pytest.skip('no fonts here: install fontconfig and a font')
    prepare(stage, scene)
    folder = Path(os.environ.get('AURA_SCREENSHOTS', tmp_path))
    path = folder / ('monitor.png' if scene == 'light' else f'monitor_{scene}.png')
    stage.monitor.save_png(path)
    picture = QtGui.QImage(str(path))
    assert (picture.width(), picture.height()) == SIZE, 'the page does not fit on a small screen'
    colours = {picture.pixel(x, y) for x in range(0, SIZE[0], 3) for y in range(0, SIZE[1], 3)}
    assert len(colours) > 200 or scene == 'idle', 'curves, maps and thumbnails are missing'
    assert cut_off(stage.monitor) == []


@pytest.mark.parametrize('scene', ['light', 'paused', 'lost', 'dead'])
def test_a_small_page_fits(scene, qtbot, monkeypatch, tmp_path):
    stage = Stage(qtbot, monkeypatch)
    stage.monitor.resize(*SMALL)
    prepare(stage, scene)
    stage.settle()
    path = Path(os.environ.get('AURA_SCREENSHOTS', tmp_path)) / f'monitor_small_{scene}.png'
    stage.monitor.save_png(path)
    picture = QtGui.QImage(str(path))
    assert (picture.width(), picture.height()) == SMALL
    assert stage.monitor.gate.plot.height() > 60 and stage.monitor.gate.plot.width() > 300


@pytest.mark.timeout(120)
def test_a_scaled_page_fills_4k(tmp_path):
    folder = os.environ.get('AURA_SCREENSHOTS', str(tmp_path))
    env = os.environ | {'QT_SCALE_FACTOR': '3', 'QT_QPA_PLATFORM': 'offscreen'}
    program = Path(__file__).parents[1] / 'support/monitor_picture.py'
    subprocess.run([sys.executable, program, f'{folder}/monitor_4k.png'], env=env, check=True)
    picture = QtGui.QImage(f'{folder}/monitor_4k.png')
    assert (picture.width(), picture.height()) == (3840, 2160)


@pytest.mark.parametrize('page', ['docs/monitor.md', 'README.md'])
def test_pages_show_existing_pictures(page):
    path = ROOT / page
    pictures = [path.parent / name for name in re.findall(r'!\[[^]]*\]\(([^)]+)\)', path.read_text(encoding='utf-8'))]
    assert pictures and all(picture.is_file() for picture in pictures), pictures
