# SPDX-License-Identifier: Apache-2.0
"""Loss, reset and restore of the memory are events of their own, with a mark in every panel, and no writes."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('pyqtgraph')
pytest.importorskip('pytestqt')
from monitor_stage import Stage
from monitor_story import BEGIN_S, Story

from aura_ros.rqt.memory_log import MemoryEventKind
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.points import AURA, DURABLE, DiagnosticPoint, GatePoint, StatePoint, WritePoint
from aura_ros.rqt.views import units

AWAY = (100.0, 104.0)
FIRST, SECOND = 'episode-1', 'episode-2'


@pytest.fixture
def stage(qtbot, monkeypatch):
    return Stage(qtbot, monkeypatch)


def gate(seq, *, episode=FIRST, at=0.0):
    return GatePoint(100.0 + 0.2 * seq + at, episode, seq, 0.2, 0.5, False, 1.0, 40.0, 4224, AURA, 0.02)


def write(seq, writes, *, episode=FIRST, at=0.0):
    stamp_s = 100.0 + 0.2 * seq + at
    return WritePoint(stamp_s, episode, seq, AURA, 0.9, 0.5, 2.0, 0.1, 0.3, writes, 4224, 8192, 0.0, 1, DURABLE)


def state(seq, fill, age, *, episode=FIRST, at=0.0):
    weights = np.full((32, 32), fill, np.float32)
    vector, ages = np.zeros(32, np.float32), np.full(32, age, np.uint64)
    return StatePoint(100.0 + 0.2 * seq + at, episode, seq, weights, vector, ages, 1)


def report(check, message, **values):
    return DiagnosticPoint(f'memory_node: {check}', 0, message, values)


def feed(*points, model=None, now_s=0.0):
    model = MonitorModel() if model is None else model
    for point in points:
        model.ingest(point, now_s)
    return model


def events(model):
    return [(event.kind, round(event.stamp_s, 3)) for event in model.memory_events()]


def test_a_memory_that_is_empty_after_missed_steps_was_lost():
    model = feed(*(gate(seq) for seq in range(10)), state(9, 1.0, 3), *(gate(seq) for seq in range(20, 23)))
    feed(state(22, 0.0, 3), model=model)
    assert events(model) == [(MemoryEventKind.LOST, 104.0)]
    assert model.memory_events()[0].reason == 'memory_node was away, 10 steps missed'
    assert (model.memory().empty, model.raster().seq.tolist()) == (True, [6]), 'a loss is no write'


def test_a_memory_that_was_away_without_missed_steps_was_lost():
    model = feed(*(gate(seq) for seq in range(10)), state(9, 1.0, 3), report('state', 'kept'), now_s=1.0)
    feed(report('state', 'kept'), model=model, now_s=5.0)
    feed(*(gate(seq) for seq in range(10, 13)), state(12, 0.0, 3), model=model, now_s=5.5)
    assert [kind for kind, _ in events(model)] == [MemoryEventKind.LOST]


def test_a_node_that_was_not_configured_has_lost_its_memory():
    model = feed(*(gate(seq) for seq in range(10)), state(9, 1.0, 3), report('lifecycle', '', state='unconfigured'))
    feed(*(gate(seq) for seq in range(10, 13)), state(12, 0.0, 3), model=model)
    assert [kind for kind, _ in events(model)] == [MemoryEventKind.LOST]


def test_a_memory_that_is_empty_without_a_gap_was_reset():
    model = feed(*(gate(seq) for seq in range(13)), state(9, 1.0, 3), state(12, 0.0, 2))
    assert events(model) == [(MemoryEventKind.RESET, 102.2)], 'two steps before the state, at step 11'


def test_a_new_episode_that_empties_the_memory_is_a_reset():
    model = feed(*(gate(seq) for seq in range(10)), state(9, 1.0, 3))
    feed(
        *(gate(seq, episode=SECOND, at=5.0) for seq in range(4)), state(3, 0.0, 4, episode=SECOND, at=5.0), model=model
    )
    assert events(model) == [(MemoryEventKind.RESET, 105.0)]
    assert model.memory_events()[0].reason == 'a new episode began'


def test_a_count_of_writes_that_begins_again_shows_a_loss_before_the_first_write():
    model = feed(*(gate(seq) for seq in range(10)), write(3, 1), write(6, 2), state(9, 1.0, 3))
    feed(*(gate(seq) for seq in range(20, 23)), write(21, 1), state(22, 2.0, 1), model=model)
    assert events(model) == [(MemoryEventKind.LOST, 104.0)]
    status = model.memory()
    assert (status.empty, status.writes_since) == (False, 1)
    raster = model.raster()
    assert raster.seq.tolist() == [6, 21]
    assert raster.amount[:, 1] == pytest.approx(2.0 * 32**0.5), 'compared with the empty memory'


def test_a_memory_that_was_empty_before_cannot_be_lost():
    model = feed(*(gate(seq) for seq in range(10)), state(9, 0.0, 10), *(gate(seq) for seq in range(20, 23)))
    assert events(feed(state(22, 0.0, 3), model=model)) == []


def test_a_restored_memory_is_an_event_and_what_was_restored_before_the_monitor_began_is_not():
    texts = ('step 4 of episode x, 3 s old', 'step 4 of episode x, 3 s old', 'step 9 of episode x, 1 s old')
    model = feed(*(gate(seq) for seq in range(10)))
    for text in texts:
        feed(report('state', 'kept on storage', restored=text), model=model)
    assert events(model) == [(MemoryEventKind.RESTORED, 101.8)]
    assert not model.memory().empty and model.memory_events()[0].reason == texts[-1]


def test_a_late_monitor_knows_of_no_loss():
    late = [gate(seq) for seq in range(50, 60)]
    assert events(feed(write(40, 1), *late, state(59, 0.0, 10), report('state', 'kept', restored='step 3'))) == []


def test_pause_cursor_and_a_clock_that_goes_back_apply_to_events():
    model = feed(*(gate(seq) for seq in range(13)), state(9, 1.0, 3))
    model.paused = True
    feed(state(12, 0.0, 2), model=model)
    assert events(model) == []
    model.paused = False
    model.cursor = 101.0
    assert model.memory().event is None
    model.cursor = 102.4
    assert model.memory().empty
    model.clock_jumped(101.0)
    assert events(model) == []


def test_a_lost_memory_is_marked_in_every_panel(stage):
    stage.receive_live(112.0, away_s=AWAY)
    monitor, (event,) = stage.monitor, stage.monitor.model.memory_events()
    assert event.stamp_s == pytest.approx(BEGIN_S + AWAY[1])
    at = units.moment(event.stamp_s)
    assert monitor.header.restored.text() == f'MEMORY EMPTY since {at}: lost'
    x = event.stamp_s - monitor.painting._window.end_s
    for view in (monitor.gate, monitor.raster, monitor.cost):
        assert view.events._lines[MemoryEventKind.LOST].getData()[0] == pytest.approx([x, x]), view
    assert [name.toPlainText() for name in monitor.gate.events._names] == ['memory lost']
    last = [card for card in monitor.writes.cards if not card.isHidden()][-1]
    assert (last.image.text(), last.write) == ('MEMORY\nLOST', None)
    assert monitor.state.map.caption.text().endswith('empty: memory lost')
    assert (np.abs(monitor.model.raster().t - event.stamp_s) > 1.0).all(), 'no write'


def test_the_header_names_a_loss_until_it_leaves_the_history(stage):
    stage.receive_live(170.0, away_s=AWAY)
    text = stage.monitor.header.restored.text()
    assert text.startswith('memory lost at 14:15:04') and text.endswith('writes since')


def test_while_the_node_is_away_its_memory_is_unknown(stage):
    stage.receive_live(103.9, away_s=AWAY)
    header = stage.monitor.header
    assert header.restored.text() == 'memory unknown: memory_node is silent'
    assert 'no report from memory_node' in header.banner.text()


def test_a_click_on_a_loss_shows_its_moment(stage):
    stage.receive_live(112.0, away_s=AWAY)
    monitor, (event,) = stage.monitor, stage.monitor.model.memory_events()
    [card for card in monitor.writes.cards if not card.isHidden()][-1].mousePressEvent(None)
    stage.settle()
    assert monitor.model.cursor == event.stamp_s
    assert monitor.header.restored.text().startswith('MEMORY EMPTY since')
    monitor.look_at(event.stamp_s - 10.0)
    stage.settle()
    assert monitor.header.restored.text() == ''


def test_a_reset_comes_before_the_write_of_the_same_step(stage):
    stage.receive([*(gate(seq) for seq in range(10)), write(3, 1), state(9, 1.0, 3)])
    stage.receive([*(gate(seq, episode=SECOND, at=5.0) for seq in range(4)), write(0, 1, episode=SECOND, at=5.0)])
    stage.settle()
    shown = [card for card in stage.monitor.writes.cards if not card.isHidden()]
    assert [card.write is None for card in shown] == [False, True, False]
    assert shown[1].event_shown.stamp_s == shown[2].write.stamp_s == 105.0


def test_a_story_without_a_loss_has_no_events(stage):
    stage.receive_story()
    assert stage.monitor.model.memory_events() == ()
    writes = [timed.point for timed in Story() if isinstance(timed.point, WritePoint)]
    again = replace(writes[-1], stamp_s=BEGIN_S + 171.0, seq=855, writes=writes[-1].writes + 1)
    stage.receive([again])
    assert stage.monitor.model.memory_events() == ()
