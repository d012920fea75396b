# SPDX-License-Identifier: Apache-2.0
"""The whole monitor, offscreen: what it shows, how it reacts, and that it cleans up."""

import re
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
    return [timed.point for timed in Story(seconds) if isinstance(timed.point, WritePoint)]


def test_it_shows_what_was_written_when_why_and_the_cost(stage):
    stage.receive_story()
    monitor, last = stage.monitor, written()[-1]
    summary = monitor.header.summary.text()
    assert summary.startswith(f'In the 2 min 50 s that were seen, {len(written())} of 851 steps wrote')
    assert re.search(rf'at step {last.seq:,}: new cue \w+: surprise {last.surprise:.1f}, \d+x its usual\.', summary)
    assert summary.endswith('State: 4,224 B. KV-cache: 218 KB.')
    assert cards(monitor) == [f'step {write.seq:,}' for write in written()]
    assert 'AURA drives' in monitor.header.policy.text() and monitor.header.control.text() == 'commands are sent'
    assert monitor.header.restored.text() == 'restored: step 18204, 3.1 s old, 214 writes, CRC-32 ok'
    assert 'episode 7c1e09d4… · step 850' in monitor.header.step.text()


def test_it_reports_that_no_message_was_received_yet(stage):
    stage.settle()
    monitor = stage.monitor
    assert monitor.header.banner.isVisible() and 'no message received yet' in monitor.header.banner.text()
    assert (monitor.header.step.text(), monitor.gate.caption.text()) == ('no step yet', 'no step received yet')
    assert monitor.idle.isVisible() and not monitor.gate.isVisible()
    assert monitor.idle.title.text() == 'No robot found yet on ROS domain 51'
    assert 'export ROS_DOMAIN_ID=51' in monitor.idle.domain.text()
    assert './run demo' in [command.text() for command in monitor.idle.commands]
    stage.receive_story(5.0)
    assert monitor.gate.isVisible() and not monitor.idle.isVisible()


def test_the_banner_appears_after_a_second_without_messages_and_goes_with_the_next(stage):
    stage.receive_story(20.0)
    banner = stage.monitor.header.banner
    stage.receive(after_s=0.9)
    assert not banner.isVisible()
    stage.receive(after_s=0.5)
    assert banner.isVisible() and 'STALE: no message for 1 s' in banner.text()
    stage.receive([timed.point for timed in Story(20.2)][-6:], after_s=0.3)
    stage.receive(after_s=0.3)
    assert not banner.isVisible() and stage.monitor.header.summary.isVisible()


def test_a_write_has_a_card_at_the_next_tick(stage):
    points = [timed.point for timed in Story(60.0)]
    last = max(place for place, point in enumerate(points) if isinstance(point, WritePoint))
    stage.receive(points[:last])
    before = len(cards(stage.monitor))
    stage.receive(points[last : last + 1], after_s=0.56)
    assert len(cards(stage.monitor)) == before + 1


def test_pause_freezes_the_page_and_loses_nothing(stage, qtbot):
    stage.receive_story(60.0)
    monitor = stage.monitor
    qtbot.mouseClick(monitor.scrubber.pause, Qt.MouseButton.LeftButton)
    seen = cards(monitor)
    stage.receive([timed.point for timed in Story(170.0) if timed.after_s > 60.0])
    stage.settle()
    assert cards(monitor) == seen and monitor.scrubber.pause.text() == 'Resume'
    assert 'step 850' in monitor.header.step.text(), 'the header always shows the present'
    qtbot.mouseClick(monitor.scrubber.live, Qt.MouseButton.LeftButton)
    stage.settle()
    assert len(cards(monitor)) > len(seen) and not monitor.model.paused


def test_a_click_on_a_card_shows_its_state(stage, qtbot):
    stage.receive_story()
    monitor, wanted = stage.monitor, written()[4]
    states = [timed.point for timed in Story() if isinstance(timed.point, StatePoint)]
    then = next(state for state in states if state.seq == wanted.seq)
    qtbot.mouseClick(monitor.writes.cards[4], Qt.MouseButton.LeftButton)
    stage.settle()
    assert np.array_equal(monitor.state.map._state.weights, then.weights)
    assert len(cards(monitor)) == 5 and monitor.writes.cards[4].property('chosen')
    assert monitor.gate._cursor.isVisible() and monitor.scrubber.moment.text().startswith('shows ')
    qtbot.keyClick(monitor, 'L')
    stage.settle()
    assert np.array_equal(monitor.state.map._state.weights, states[-1].weights)
    assert not monitor.gate._cursor.isVisible()


def test_the_slider_covers_the_history(stage):
    stage.receive_story()
    monitor = stage.monitor
    monitor.scrubber.slider.setValue(500)
    assert monitor.model.cursor == pytest.approx(BEGIN_S + 85.0, abs=0.2)
    monitor.scrubber.slider.setValue(1000)
    assert monitor.model.cursor is None


def test_a_click_on_the_gate_shows_that_step(stage, qtbot):
    stage.receive_story()
    plot = stage.monitor.gate.plot
    box = plot.getPlotItem().getViewBox()
    place = plot.mapFromScene(box.mapViewToScene(QtCore.QPointF(-60.0, 0.5)))
    qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert stage.monitor.model.cursor == pytest.approx(BEGIN_S + 110.0, abs=0.5)


def test_the_policy_cannot_be_changed_without_allow_control(stage, qtbot):
    stage.receive_story(5.0)
    for button in stage.monitor.policies.buttons:
        assert not button.isEnabled() and '--allow-control' in button.toolTip()
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert stage.source.requested == []


def test_the_buttons_mark_the_policy_that_drives_not_the_requested_one(qtbot, monkeypatch):
    stage = Stage(qtbot, monkeypatch, allow_control=True)
    stage.receive_story(5.0)
    monitor = stage.monitor
    stage.source.answer = (False, 'kv is lost')
    qtbot.mouseClick(monitor.policies.buttons[KV], Qt.MouseButton.LeftButton)
    stage.settle()
    assert stage.source.requested == [KV] and monitor.status.text() == 'kv is lost'
    assert [button.isChecked() for button in monitor.policies.buttons] == [False, True, False]
    stage.receive([PolicyPoint(BEGIN_S + 6.0, KV, KV, 30, True, False, '', 0, 0, 0, 'e')], after_s=0.6)
    assert [button.isChecked() for button in monitor.policies.buttons] == [False, False, True]
    assert 'KV-cache drives' in monitor.header.policy.text()


def test_another_robot_starts_with_an_empty_page(stage):
    stage.receive_story(60.0)
    monitor = stage.monitor
    assert monitor.robots.isHidden(), 'there is only one robot'
    stage.source.names, stage.source.namespace = ['/left', '/right'], '/left'
    stage.settle()
    assert monitor.robots.isVisible() and monitor.robots.currentText() == 'left'
    monitor.robots.setCurrentIndex(1)
    monitor.robots.activated.emit(1)
    stage.settle()
    assert stage.source.namespace == '/right' and cards(monitor) == []


def test_a_bag_that_loops_starts_a_new_page(stage):
    stage.receive_story(60.0)
    stage.now_s += 2.0
    stage.receive_story(30.0)
    assert stage.monitor.model.jumps == 1
    assert cards(stage.monitor) == [f'step {write.seq:,}' for write in written(30.0)]


def test_ten_thousand_points_at_once_are_painted_once(stage, monkeypatch):
    painted = []
    monkeypatch.setattr(stage.monitor.gate, 'show_gate', lambda *_: painted.append(1))
    stage.monitor.show_window(120.0)
    points = [timed.point for timed in Story(300.0)][:10_000]
    stage.receive(points)
    assert len(points) == 10_000 and painted == [1]


def test_hidden_monitor_receives_but_does_not_paint(stage, monkeypatch):
    stage.monitor.hide()
    monkeypatch.setattr(stage.monitor.header, 'show_header', lambda *_: pytest.fail('painted'))
    stage.receive_story(20.0)
    assert len(stage.monitor.model.writes()) == len(written(20.0))


def test_pictures_and_tables_are_saved(stage, tmp_path):
    stage.receive_story(30.0)
    stage.monitor.save_png(tmp_path / 'page.png')
    assert (tmp_path / 'page.png').read_bytes().startswith(b'\x89PNG')
    stage.monitor.save_csv(tmp_path / 'page.csv')
    rows = (tmp_path / 'page_writes.csv').read_text(encoding='utf-8').splitlines()
    assert len(rows) == 1 + len(written(30.0))
    with pytest.raises(OSError, match='no_folder'):
        stage.monitor.save_png(tmp_path / 'no_folder' / 'page.png')


def test_a_file_that_cannot_be_written_is_reported(stage, tmp_path, monkeypatch):
    stage.receive_story(5.0)
    target = str(tmp_path / 'no_folder' / 'page.csv')
    monkeypatch.setattr('aura_ros.rqt.monitor.QtWidgets.QFileDialog.getSaveFileName', lambda *_: (target, ''))
    stage.monitor._ask_csv()
    assert 'no_folder' in stage.monitor.status.toolTip()


def test_colours_can_be_dark(stage):
    stage.receive_story(20.0)
    stage.monitor.apply_theme(DARK)
    stage.settle()
    picture = stage.monitor.grab().toImage()
    assert picture.pixelColor(2, 2).name() == DARK.window
    stage.monitor.apply_theme(LIGHT)
    assert stage.monitor.grab().toImage().pixelColor(2, 2).name() == LIGHT.window


@pytest.mark.graph
def test_a_live_write_is_visible_within_a_fifth_of_a_second_and_closing_cleans_up(graph, qtbot, monkeypatch):
    """From the publisher to the card over DDS; after closing, no thread and no subscription is left."""
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
        qtbot.wait(600)  # a stream of writes would be painted together
    # Only the faster half counts, because the machine may be busy.
    assert statistics.median(sorted(delays)[:6]) < 0.2, delays
    monitor.stop()
    bridge.close()
    graph.until(lambda: not writes.get_subscription_count() and not gates.get_subscription_count(), 'unsubscribed')
    assert not {thread for thread in threading.enumerate() if thread.is_alive()} - threads
