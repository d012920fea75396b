# SPDX-License-Identifier: Apache-2.0
"""Which steps are of the present, by the clock and by the steps applied before."""

import numpy as np
import pytest

from aura_ros.memory import Freshness, Step, StepRefused
from aura_ros.memory.step_order import StepOrder

pytestmark = pytest.mark.fault('F28')
S = 1_000_000_000
NOW = 1_700_000_000 * S
YEAR = 365 * 86_400 * S


def step(stamp_ns, episode='b', seq=0):
    return Step(episode, seq, stamp_ns, np.zeros(4, np.float32), np.zeros((2, 2), np.float32), 0.1)


def reason(stamp_ns, episode='b', seq=0, order=None, now_ns=NOW, max_age_ns=5 * S):
    """The kind of refusal, '' for a step that passes."""
    try:
        Freshness(max_age_ns, S // 2).check(step(stamp_ns, episode, seq), order or StepOrder(), now_ns)
    except StepRefused as refusal:
        assert 'allows' in str(refusal) or refusal.kind == 'old_stamp'
        return refusal.kind
    return ''


@pytest.mark.parametrize(
    ('age_ns', 'kind'),
    [
        (0, ''),
        (5 * S, ''),
        (5 * S + 1, 'stale'),
        (YEAR, 'stale'),
        (-S // 2, ''),
        (-S // 2 - 1, 'future'),
        (-YEAR, 'future'),
    ],
)
def test_a_step_is_compared_with_the_clock(age_ns, kind):
    assert reason(NOW - age_ns) == kind


def test_zero_switches_the_check_off():
    assert reason(NOW - YEAR, max_age_ns=0) == reason(NOW + YEAR, max_age_ns=0) == ''


def test_without_a_clock_no_step_passes():
    assert reason(NOW, now_ns=0) == 'future'


def applied(*steps):
    order = StepOrder()
    for each in steps:
        order.commit(*each)
    return order


def test_a_new_episode_is_later_than_the_last_step():
    order = applied(('a', 0, NOW - S))
    assert reason(NOW - S, order=order) == reason(NOW - 2 * S, order=order) == 'old_stamp'
    assert reason(NOW - S + 1, order=order) == ''


def test_an_ended_episode_stays_over_after_any_number_of_later_ones():
    order = applied(*((f'e{number}', 0, NOW - 100 + number) for number in range(100)))
    assert reason(NOW - 99, 'e0', 1, order) == 'old_stamp'


def test_a_restart_changes_nothing():
    order = StepOrder()
    order.restore('a', 7, NOW - S)
    assert reason(NOW - S, 'b', 0, order) == reason(NOW - 2 * S, 'b', 0, order) == 'old_stamp'
    assert order.look('a', 8, NOW - S).value == 'old_stamp'
    assert reason(NOW, 'b', 0, order) == ''


def test_after_the_clock_moved_back_a_new_episode_passes():
    assert reason(NOW, order=applied(('a', 0, NOW + 50 * S))) == ''


def test_the_order_gives_its_own_reasons():
    order = applied(('a', 0, NOW - YEAR), ('b', 0, NOW))
    assert reason(NOW - YEAR, 'a', 1, order) == ''  # late
    assert reason(NOW - YEAR, 'b', 0, order) == ''  # duplicate
