# SPDX-License-Identifier: Apache-2.0
"""A monitor that starts late draws no begin of an episode, and counts only what it saw."""

import pytest

pytest.importorskip('pyqtgraph')
pytest.importorskip('pytestqt')
from monitor_stage import Stage
from monitor_story import BEGIN_S, Story

from aura_ros.rqt.points import WritePoint
from aura_ros.rqt.qt import QtWidgets

LATE_S = 140.0


@pytest.fixture
def stage(qtbot, monkeypatch):
    """A monitor that starts 30 s before the end of a story, and receives the latched writes before it."""
    made, story = Stage(qtbot, monkeypatch), list(Story())
    latched = [timed.point for timed in story if timed.after_s < LATE_S and isinstance(timed.point, WritePoint)]
    made.receive([*latched, *(timed.point for timed in story if timed.after_s >= LATE_S)])
    made.settle()
    return made


def seen() -> list[WritePoint]:
    points = (timed.point for timed in Story() if timed.after_s >= LATE_S)
    return [point for point in points if isinstance(point, WritePoint)]


def test_it_draws_no_begin_of_an_episode(stage):
    assert stage.monitor.model.episodes().t == ()
    assert not len(stage.monitor.gate._begins.getData()[0])
    assert 'episode 7c1e09d4' in stage.monitor.header.step.text()


def test_a_begin_that_was_seen_is_drawn(qtbot, monkeypatch):
    stage = Stage(qtbot, monkeypatch)
    stage.receive_story(20.0)
    assert stage.monitor.model.episodes().t == (BEGIN_S,)


def test_it_counts_only_what_it_saw(stage):
    monitor, count = stage.monitor, len(seen())
    assert 0 < count < 5
    assert monitor.header.summary.text().startswith(f'In the 30 s that were seen, {count} of 151 steps wrote')
    assert monitor.gate.caption.text().endswith(f'{count} writes in 30 s')
    assert monitor.scrubber._span[0] == BEGIN_S + LATE_S


def test_it_shows_the_earlier_writes_that_it_received(stage):
    cards = [card for card in stage.monitor.findChildren(QtWidgets.QFrame) if getattr(card, 'write', None) is not None]
    assert len(cards) == len([timed for timed in Story() if isinstance(timed.point, WritePoint)])
    assert stage.monitor.model.memory_events() == ()
