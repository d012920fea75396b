# SPDX-License-Identifier: Apache-2.0
"""The whole monitor, offscreen: what it tells, what one can do with it, and that it leaves nothing behind."""

import statistics
import threading
import time

import numpy as np
import pytest
from cpu_wait import CpuWait

pytest.importorskip('pyqtgraph')
pytest.importorskip('pytestqt')
from monitor_stage import Stage
from monitor_story import BEGIN_S, Story

from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.points import AURA, KV, PolicyPoint, StatePoint, WritePoint
from aura_ros.rqt.qt import Qt, QtCore
from aura_ros.rqt.style import DARK, LIGHT


@pytest.fixture
def stage(qtbot, monkeypatch):
    return Stage(qtbot, monkeypatch)


def cards(monitor) -> list[str]:
    return [card.step.text() for card in monitor.writes.cards if not card.isHidden()]


def written(seconds: float = 170.0) -> list[WritePoint]:
    return [told.point for told in Story(seconds) if isinstance(told.point, WritePoint)]


def test_it_tells_what_was_written_when_why_and_what_it_cost(stage):
    stage.hear_story()
    monitor, last = stage.monitor, written()[-1]
    story = monitor.header.story.text()
    assert story.startswith(f'Wrote {len(written())} of the 851 steps on record')
    assert f'at step {last.seq:,}, because the gate said {last.gate:.2f}, over 0.50' in story
    assert story.endswith('Carries 4,224 B; the KV-cache 218 KB.')
    assert cards(monitor) == [f'step {write.seq:,}' for write in written()]
    assert 'AURA drives' in monitor.header.policy.text() and monitor.header.control.text() == 'commands go out'
    assert monitor.header.restored.text() == 'restored: step 18204, 3.1 s old, 214 writes, CRC-32 ok'
    assert 'episode 7c1e09d4… · step 850' in monitor.header.step.text()


def test_before_anything_is_heard_it_says_so(stage):
    stage.settle()
    monitor = stage.monitor
    assert monitor.header.banner.isVisible() and 'nothing heard yet' in monitor.header.banner.text()
    assert (monitor.header.step.text(), monitor.gate.caption.text()) == ('no step yet', 'no step heard yet')
    assert monitor.writes._nothing.isVisible() and monitor.state.caption.text() == 'no state heard yet'


def test_the_banner_comes_after_a_second_of_silence_and_goes_with_the_next_word(stage):
    stage.hear_story(20.0)
    banner = stage.monitor.header.banner
    stage.hear(after_s=0.9)
    assert not banner.isVisible()
    stage.hear(after_s=0.5)
    assert banner.isVisible() and 'STALE: nothing heard for 1 s' in banner.text()
    stage.hear([told.point for told in Story(20.2)][-6:], after_s=0.3)
    stage.hear(after_s=0.3)
    assert not banner.isVisible() and stage.monitor.header.story.isVisible()


def test_a_write_has_its_card_at_the_next_tick(stage):
    told = [told.point for told in Story(60.0)]
    last = max(place for place, point in enumerate(told) if isinstance(point, WritePoint))
    stage.hear(told[:last])
    before = len(cards(stage.monitor))
    stage.hear(told[last : last + 1], after_s=0.56)
    assert len(cards(stage.monitor)) == before + 1


def test_pause_keeps_the_picture_and_what_happens_meanwhile(stage, qtbot):
    stage.hear_story(60.0)
    monitor = stage.monitor
    qtbot.mouseClick(monitor.scrubber.pause, Qt.MouseButton.LeftButton)
    seen = cards(monitor)
    stage.hear([told.point for told in Story(170.0) if told.after_s > 60.0])
    stage.settle()
    assert cards(monitor) == seen and monitor.scrubber.pause.text() == 'Go on'
    assert 'step 850' in monitor.header.step.text(), 'the header is always of now'
    qtbot.mouseClick(monitor.scrubber.live, Qt.MouseButton.LeftButton)
    stage.settle()
    assert len(cards(monitor)) > len(seen) and not monitor.model.paused


def test_a_click_on_a_card_shows_the_state_of_that_moment(stage, qtbot):
    stage.hear_story()
    monitor, wanted = stage.monitor, written()[4]
    states = [told.point for told in Story() if isinstance(told.point, StatePoint)]
    then = next(state for state in states if state.seq == wanted.seq)
    qtbot.mouseClick(monitor.writes.cards[4], Qt.MouseButton.LeftButton)
    stage.settle()
    assert np.array_equal(monitor.state._state.weights, then.weights)
    assert len(cards(monitor)) == 5 and monitor.writes.cards[4].property('chosen')
    assert monitor.gate._cursor.isVisible() and 'before' in monitor.scrubber.moment.text()
    qtbot.keyClick(monitor, 'L')
    stage.settle()
    assert np.array_equal(monitor.state._state.weights, states[-1].weights)
    assert not monitor.gate._cursor.isVisible()


def test_the_slider_goes_through_what_is_remembered(stage):
    stage.hear_story()
    monitor = stage.monitor
    monitor.scrubber.slider.setValue(500)
    assert monitor.model.cursor == pytest.approx(BEGIN_S + 85.0, abs=0.2)
    monitor.scrubber.slider.setValue(1000)
    assert monitor.model.cursor is None


def test_a_click_on_the_gate_looks_at_that_step(stage, qtbot):
    stage.hear_story()
    plot = stage.monitor.gate.plot
    box = plot.getPlotItem().getViewBox()
    place = plot.mapFromScene(box.mapViewToScene(QtCore.QPointF(-60.0, 0.5)))
    qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert stage.monitor.model.cursor == pytest.approx(BEGIN_S + 110.0, abs=0.5)


def test_policies_cannot_be_changed_unless_it_is_allowed(stage, qtbot):
    stage.hear_story(5.0)
    for button in stage.monitor.policies.buttons:
        assert not button.isEnabled() and 'allow_control' in button.toolTip()
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert stage.source.asked == []


def test_the_policy_that_is_marked_is_the_one_that_drives_not_the_one_asked_for(qtbot, monkeypatch):
    stage = Stage(qtbot, monkeypatch, allow_control=True)
    stage.hear_story(5.0)
    monitor = stage.monitor
    stage.source.answer = (False, 'kv is lost')
    qtbot.mouseClick(monitor.policies.buttons[KV], Qt.MouseButton.LeftButton)
    stage.settle()
    assert stage.source.asked == [KV] and monitor.remark.text() == 'kv is lost'
    assert [button.isChecked() for button in monitor.policies.buttons] == [False, True, False]
    stage.hear([PolicyPoint(BEGIN_S + 6.0, KV, KV, 30, True, False, '', 0, 0, 0, 'e')], after_s=0.6)
    assert [button.isChecked() for button in monitor.policies.buttons] == [False, False, True]
    assert 'KV-cache drives' in monitor.header.policy.text()


def test_another_robot_begins_with_an_empty_page(stage):
    stage.hear_story(60.0)
    monitor = stage.monitor
    assert monitor.robots.isHidden(), 'one robot is no choice'
    stage.source.names, stage.source.namespace = ['/left', '/right'], '/left'
    stage.settle()
    assert monitor.robots.isVisible() and monitor.robots.currentText() == 'left'
    monitor.robots.setCurrentIndex(1)
    monitor.robots.activated.emit(1)
    stage.settle()
    assert stage.source.namespace == '/right' and cards(monitor) == []


def test_a_bag_that_loops_begins_a_new_page(stage):
    stage.hear_story(60.0)
    stage.hear_story(30.0)
    assert stage.monitor.model.jumps == 1
    assert cards(stage.monitor) == [f'step {write.seq:,}' for write in written(30.0)]


def test_ten_thousand_points_at_once_are_painted_once(stage, monkeypatch):
    painted = []
    monkeypatch.setattr(stage.monitor.gate, 'show_gate', lambda *_: painted.append(1))
    stage.monitor.schedule = stage.monitor._schedule()
    points = [told.point for told in Story(300.0)][:10_000]
    stage.hear(points)
    assert len(points) == 10_000 and painted == [1]


def test_what_is_hidden_is_not_painted_but_goes_on_hearing(stage, monkeypatch):
    stage.monitor.hide()
    monkeypatch.setattr(stage.monitor.header, 'show_header', lambda *_: pytest.fail('painted'))
    stage.hear_story(20.0)
    assert len(stage.monitor.model.writes()) == len(written(20.0))


def test_picture_and_tables_are_saved(stage, tmp_path):
    stage.hear_story(30.0)
    stage.monitor.save_png(tmp_path / 'page.png')
    assert (tmp_path / 'page.png').read_bytes().startswith(b'\x89PNG')
    stage.monitor.save_csv(tmp_path / 'page.csv')
    rows = (tmp_path / 'page_writes.csv').read_text(encoding='utf-8').splitlines()
    assert len(rows) == 1 + len(written(30.0))
    with pytest.raises(OSError, match='no_folder'):
        stage.monitor.save_png(tmp_path / 'no_folder' / 'page.png')


def test_a_file_that_cannot_be_written_is_told_and_not_raised(stage, tmp_path, monkeypatch):
    stage.hear_story(5.0)
    target = str(tmp_path / 'no_folder' / 'page.csv')
    monkeypatch.setattr('aura_ros.rqt.monitor.QtWidgets.QFileDialog.getSaveFileName', lambda *_: (target, ''))
    stage.monitor._ask_csv()
    assert 'no_folder' in stage.monitor.remark.toolTip()


def test_the_light_can_be_turned_down(stage):
    stage.hear_story(20.0)
    stage.monitor.paint_in(DARK)
    stage.settle()
    picture = stage.monitor.grab().toImage()
    assert picture.pixelColor(2, 2).name() == DARK.window
    stage.monitor.paint_in(LIGHT)
    assert stage.monitor.grab().toImage().pixelColor(2, 2).name() == LIGHT.window


@pytest.mark.graph
def test_live_a_write_is_seen_within_a_fifth_of_a_second_and_closing_leaves_nothing(graph, qtbot, monkeypatch):
    """From the publisher to the card, over DDS; then no thread and no subscription is left."""
    pytest.importorskip('rclpy')
    from aura_ros.msg import GateSample, WriteEvent

    from aura_ros.ros import conversions, qos
    from aura_ros.rqt.bridge import OwnBridge
    from aura_ros.rqt.monitor import Monitor

    def stamped(kind, seq):
        message = kind(episode_id='e', seq=seq, policy=AURA, gate=0.9, threshold=0.5)
        message.header.stamp = conversions.to_stamp((100 + seq) * 10**9)
        return message

    threads = set(threading.enumerate())
    writes = graph.node.create_publisher(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    gates = graph.node.create_publisher(GateSample, 'aura/gate', qos.GATE)
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    bridge = OwnBridge()
    monitor = Monitor(MonitorModel(), bridge)
    qtbot.addWidget(monitor)
    monitor.show()
    qtbot.waitUntil(lambda: writes.get_subscription_count() and gates.get_subscription_count(), timeout=30_000)
    delays = []
    for seq in range(12):
        began, wait = time.monotonic(), CpuWait()
        gates.publish(stamped(GateSample, seq))
        writes.publish(stamped(WriteEvent, seq))
        qtbot.waitUntil(lambda seq=seq: f'step {seq}' in cards(monitor), timeout=10_000)
        delays.append(time.monotonic() - began - wait.seconds)
        qtbot.wait(600)  # writes are seldom: those of a stream are painted together
    # of the better half, for others work on this machine too
    assert statistics.median(sorted(delays)[:6]) < 0.2, delays
    monitor.stop()
    bridge.close()
    graph.until(lambda: not writes.get_subscription_count() and not gates.get_subscription_count(), 'unsubscribed')
    assert not {thread for thread in threading.enumerate() if thread.is_alive()} - threads
