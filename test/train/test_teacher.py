# SPDX-License-Identifier: Apache-2.0
"""The teacher of a gate: which steps show a change, and which of them are due after what was written."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from aura_ros.common.names import EventKind  # noqa: E402
from aura_ros.train.teacher import GO_STEPS, PARCEL_STEPS, Teacher, cues_of, teacher_of, windows_of  # noqa: E402

CUE, GO, PART, LOST = EventKind.CUE, EventKind.GO, EventKind.PART, EventKind.ROUND_FAILURE


def events(steps, **given):
    """Return -1, and an event at each step that is named: events(9, s2=PART) is PART at step 2."""
    found = np.full(steps, -1)
    for name, kind in given.items():
        found[int(name[1:])] = kind
    return found


def test_a_change_is_due_until_it_is_written():
    windows = torch.tensor([[0, 1, 1, 1, 2, 2, 0, 3]])
    teacher = Teacher(windows, torch.zeros(1, 8))
    for written, due in [
        ([], [1, 2, 3, 4, 5, 7]),
        ([0, 1], [1, 4, 5, 7]),
        ([2], [1, 2, 4, 5, 7]),
        ([3, 4], [1, 2, 3, 4, 7]),
        ([2, 3, 5, 6, 7], [1, 2, 4, 5, 7]),
    ]:
        made = torch.zeros(1, 8)
        made[0, written] = 1
        assert teacher.due(made)[0].nonzero().flatten().tolist() == due, written


@pytest.mark.parametrize('late', [0.0, 0.4, 1.0])
def test_each_change_is_written_once_and_some_late(late):
    torch.manual_seed(0)
    windows = torch.tensor([0, 1, 1, 1, 2, 2, 2, 0, 3, 0]).expand(4000, -1)
    writes = teacher_of(windows, late).writes
    for number, steps in ((1, [1, 2, 3]), (2, [4, 5, 6]), (3, [8])):
        assert (writes[:, steps].sum(1) == 1).all(), number
    assert writes[:, [0, 7, 9]].sum() == 0
    first = writes.mean(0)
    for step in (1, 4):
        assert first[step] == pytest.approx(1 - late, abs=0.04)
        assert first[step + 1] == pytest.approx(late / 2, abs=0.04)
    assert first[8] == 1, 'a change of one step cannot be late'
    both = (writes[:, 1] * writes[:, 4]).mean()
    assert both == pytest.approx((1 - late) ** 2, abs=0.04), 'each change has a delay of its own'


def test_a_new_cue_is_a_change_while_it_shows_and_a_known_one_is_none():
    cue = np.array([2, 2, -1, 2, 2, -1, 0, 0, 0, 0, -1])
    event = events(11, s0=CUE, s3=CUE, s6=CUE)
    assert windows_of('recall', event, cue).tolist() == [1, 1, 0, 0, 0, 0, 3, 3, 3, 0, 0]
    assert windows_of('sequence', event, cue).tolist() == [1, 1, 0, 2, 2, 0, 3, 3, 3, 0, 0], 'a colour again is new'


def test_each_lamp_and_the_parcel_have_cues_of_their_own():
    cue = np.array([4, -1, 7, -1, 4, -1, 12, 12, 12, 12, 12, 12])
    event = events(12, s0=CUE, s2=CUE, s4=CUE, s6=CUE)
    found = windows_of('many', event, cue)
    assert found.tolist() == [1, 0, 2, 0, 0, 0, *[4] * PARCEL_STEPS, 0]


def test_go_signs_and_touches_change_a_sequence_only():
    event = events(12, s1=GO, s7=PART, s10=LOST)
    assert windows_of('sequence', event, None).tolist() == [0, *[1] * GO_STEPS, 0, 0, 2, 0, 0, 0, 0]
    assert not windows_of('both', event, None).any()


def test_cues_are_read_from_the_scene():
    scene, lamps = np.zeros((8, 25), np.float32), np.zeros((8, 3, 4), np.float32)
    scene[:, 16], lamps[..., 0] = 1, 1
    scene[0, 16:20] = np.eye(4)[1 + 2]
    lamps[1, 2] = np.eye(4)[1 + 1]
    scene[3:, 14] = -1.9
    event = events(8, s3=CUE, s5=EventKind.RESHUFFLE, s6=EventKind.DISTRACTOR)
    found = cues_of({'scene': scene, 'lamps': lamps, 'event': event})
    assert found.tolist() == [2, 10, -1, 14, 14, -1, -1, -1]
