# SPDX-License-Identifier: Apache-2.0
"""The reasons of writes."""

import pytest

from aura_ros.common.names import EventKind
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.points import AURA, DURABLE, GatePoint, TaskPoint, WritePoint


def write(stamp_s, surprise):
    return WritePoint(stamp_s, 'e', 50, AURA, 0.97, 0.5, surprise, 0.1, 0.3, 1, 4224, 8192, 0.0, 1, DURABLE)


def model(steps, *events):
    made = MonitorModel()
    for seq in range(steps):
        made.ingest(GatePoint(100.0 + 0.2 * seq, 'e', seq, 0.2, 0.5, seq == 5, 5.0 + seq % 2, 40.0, 4224, AURA), 0.0)
    for event in events:
        made.ingest(event, 0.0)
    return made


def test_a_reason_compares_the_surprise_with_that_of_the_steps_before():
    assert str(model(51).reason(write(110.0, 16.4))) == 'surprise 16.4, 3x its usual'
    assert model(51).reason(write(110.0, 7.5)).short == 'surprise 7.5, 1.5x'


def test_a_reason_without_steps_before_has_no_usual_surprise():
    assert str(model(5).reason(write(100.8, 16.4))) == 'surprise 16.4'


@pytest.mark.parametrize(
    ('kind', 'text'),
    [
        (EventKind.CUE, 'new cue red'),
        (EventKind.CUE_REPEAT, 'repeated cue red'),
        (EventKind.DISTRACTOR, 'distractor red'),
    ],
)
def test_a_reason_names_the_event_of_the_task_at_the_write(kind, text):
    event = TaskPoint(109.8, kind, 'recall', 0, 'red')
    assert str(model(51, event).reason(write(110.0, 16.4))) == f'{text}: surprise 16.4, 3x its usual'
    assert model(60, event).reason(write(111.5, 16.4)).event == '', 'too long ago'
    assert model(51, TaskPoint(109.9, EventKind.ROUND_SUCCESS, 'recall', 0, '')).reason(write(110.0, 9.0)).event == ''
