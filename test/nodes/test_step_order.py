# SPDX-License-Identifier: Apache-2.0
"""Exactly once and in order, whatever the network does."""

from hypothesis import given
from hypothesis import strategies as st

from aura_ros.nodes.step_order import StepOrder, Verdict


def verdicts(*steps):
    order = StepOrder()
    return [order.take(episode, seq) for episode, seq in steps], order


def test_steps_in_order_are_applied():
    found, order = verdicts(('a', 0), ('a', 1), ('a', 2))
    assert found == [Verdict.NEW_EPISODE, Verdict.NEXT, Verdict.NEXT]
    assert order.missed == 0 and order.seq == 2


def test_a_duplicate_is_ignored():
    found, _ = verdicts(('a', 0), ('a', 1), ('a', 1), ('a', 0))
    assert found[2:] == [Verdict.DUPLICATE, Verdict.DUPLICATE]
    assert not found[2].apply


def test_a_gap_is_counted_and_what_was_missing_is_not_applied_later():
    found, order = verdicts(('a', 0), ('a', 3), ('a', 2), ('a', 3))
    assert found[1:] == [Verdict.AFTER_GAP, Verdict.OUT_OF_ORDER, Verdict.DUPLICATE]
    assert order.missed == 2


def test_a_step_of_an_old_episode_is_late():
    found, _ = verdicts(('a', 0), ('b', 0), ('a', 1), ('b', 1))
    assert found == [Verdict.NEW_EPISODE, Verdict.NEW_EPISODE, Verdict.LATE, Verdict.NEXT]


def test_an_episode_joined_late_counts_what_was_missed():
    found, order = verdicts(('a', 5))
    assert found == [Verdict.NEW_EPISODE]
    assert order.missed == 5


def test_a_restored_state_goes_on():
    order = StepOrder()
    order.restore('a', 7)
    assert order.take('a', 8) is Verdict.NEXT
    assert order.take('a', 7) is Verdict.DUPLICATE


@given(st.lists(st.tuples(st.sampled_from('abc'), st.integers(0, 20)), max_size=60))
def test_no_step_is_applied_twice_or_after_a_later_one(steps):
    order = StepOrder()
    applied = [step for step in steps if order.take(*step).apply]
    assert len(set(applied)) == len(applied)
    for episode in 'abc':
        numbers = [seq for name, seq in applied if name == episode]
        assert numbers == sorted(numbers)
    assert sum(order.counts.values()) == len(steps)
