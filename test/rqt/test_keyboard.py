# SPDX-License-Identifier: Apache-2.0
"""The monitor can be used with the keyboard alone, and and its slider, crosshair and files do what they promise."""

import pytest

pytest.importorskip('pyqtgraph')
pytest.importorskip('pytestqt')
from monitor_stage import Stage
from monitor_story import BEGIN_S, Story

from aura_ros.rqt.points import KV, WritePoint
from aura_ros.rqt.qt import Qt, QtCore, QtWidgets
from aura_ros.rqt.style import DARK

_TAB = Qt.FocusPolicy.TabFocus, Qt.FocusPolicy.StrongFocus, Qt.FocusPolicy.WheelFocus


@pytest.fixture
def stage(qtbot, monkeypatch):
    made = Stage(qtbot, monkeypatch, allow_control=True)
    made.receive_story()
    made.monitor.activateWindow()
    made.monitor.setFocus()
    return made


def press(qtbot, stage, *keys):
    """Press keys on the widget that has the focus."""
    for key in keys:
        qtbot.keyClick(stage.monitor.focusWidget() or stage.monitor, key)
    stage.settle()


def focus_chain(monitor) -> list[QtWidgets.QWidget]:
    """Return the widgets that Tab visits, in order."""
    found, widget = [], monitor.nextInFocusChain()
    while widget is not monitor:
        if widget.isVisible() and widget.isEnabled() and widget.focusPolicy() in _TAB:
            found.append(widget)
        widget = widget.nextInFocusChain()
    return found


def writes() -> list[float]:
    return [timed.point.stamp_s for timed in Story() if isinstance(timed.point, WritePoint)]


def test_space_pauses_and_resumes(stage, qtbot):
    press(qtbot, stage, Qt.Key.Key_Space)
    assert stage.monitor.model.paused
    press(qtbot, stage, Qt.Key.Key_Space)
    assert not stage.monitor.model.paused


def test_arrows_move_by_a_step_and_p_and_n_by_a_write(stage, qtbot):
    model = stage.monitor.model
    press(qtbot, stage, Qt.Key.Key_Left, Qt.Key.Key_Left)
    assert model.cursor == pytest.approx(BEGIN_S + 169.6)
    press(qtbot, stage, Qt.Key.Key_P, Qt.Key.Key_P)
    assert model.cursor == writes()[-2]
    press(qtbot, stage, Qt.Key.Key_N)
    assert model.cursor == writes()[-1]
    press(qtbot, stage, Qt.Key.Key_N)
    assert model.cursor is None, 'there is no later write: back to the present'
    press(qtbot, stage, Qt.Key.Key_Home)
    assert model.cursor == BEGIN_S
    press(qtbot, stage, Qt.Key.Key_Left)
    assert model.cursor == BEGIN_S
    press(qtbot, stage, Qt.Key.Key_L)
    assert model.cursor is None


def test_arrows_mean_the_same_on_the_slider(stage, qtbot):
    stage.monitor.scrubber.slider.setFocus()
    press(qtbot, stage, Qt.Key.Key_Left)
    assert stage.monitor.model.cursor == pytest.approx(BEGIN_S + 169.8)


def test_tab_reaches_every_button_and_card(stage):
    monitor, chain = stage.monitor, focus_chain(stage.monitor)
    scrubber = monitor.scrubber
    wanted = [scrubber.pause, scrubber.slider, monitor.window_choice, *monitor.buttons.values()]
    wanted += [*monitor.policies.buttons, *(card for card in monitor.writes.cards if card.isVisible())]
    assert [widget for widget in wanted if widget not in chain] == []


@pytest.mark.parametrize('key', [Qt.Key.Key_Space, Qt.Key.Key_Return])
def test_a_focused_button_is_pressed(stage, qtbot, key):
    stage.monitor.buttons['◐'].setFocus()
    press(qtbot, stage, key)
    assert stage.monitor.theme is DARK and not stage.monitor.model.paused
    stage.monitor.policies.buttons[KV].setFocus()
    press(qtbot, stage, key)
    assert stage.source.requested == [KV]


def test_a_focused_card_shows_its_write(stage, qtbot):
    card = stage.monitor.writes.cards[4]
    card.setFocus()
    press(qtbot, stage, Qt.Key.Key_Return)
    assert stage.monitor.model.cursor == writes()[4]


def border(widget) -> list[str]:
    """Return the colours of the left edge of a widget."""
    picture = widget.grab().toImage()
    return [picture.pixelColor(x, picture.height() // 2).name() for x in (0, 1)]


def test_the_focus_is_visible(stage, qtbot):
    text = stage.monitor.theme.text
    for widget in (stage.monitor.buttons['CSV'], stage.monitor.writes.cards[-9], stage.monitor.scrubber.slider):
        assert border(widget) != [text, text]
        widget.setFocus()
        qtbot.waitUntil(lambda widget=widget: widget.hasFocus())
        assert border(widget) == [text, text], widget


def test_the_slider_jumps_to_where_it_is_clicked(stage, qtbot):
    slider = stage.monitor.scrubber.slider
    place = QtCore.QPoint(slider.width() // 4, slider.height() // 2)
    qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, pos=place)
    assert stage.monitor.model.cursor == pytest.approx(BEGIN_S + 42.5, abs=1.5)


def test_a_crosshair_links_all_panels_and_its_readout_has_a_fixed_place(stage, qtbot):
    monitor = stage.monitor
    monitor.gate.plot.pointed.emit(-60.0)
    lines = [(view.end_s + line.value(), line.isVisible()) for view, line in monitor.crosshair._lines]
    assert lines == [(pytest.approx(BEGIN_S + 110.0), True)] * 3
    text = monitor.readout.text()
    assert text.startswith('14:15:10.0 UTC · step 550 · gate 0.') and 'no write' in text
    assert 'state 4,224 B, KV-cache 141 KB · policy aura' in text
    monitor.gate.plot.pointed.emit(writes()[-1] - monitor.gate.end_s)
    assert 'wrote 32 rows of W' in monitor.readout.text()
    monitor.gate.plot.pointed.emit(None)
    assert monitor.readout.text().startswith('Point at a curve')
    assert not any(line.isVisible() for _, line in monitor.crosshair._lines)


def test_the_readout_shows_the_selected_moment(stage, qtbot):
    press(qtbot, stage, Qt.Key.Key_P)
    assert 'wrote 32 rows of W' in stage.monitor.readout.text()


def test_a_picture_gets_its_ending(stage, tmp_path):
    assert stage.monitor.save_png(tmp_path / 'page') == tmp_path / 'page.png'
    assert (tmp_path / 'page.png').read_bytes().startswith(b'\x89PNG')
