# SPDX-License-Identifier: Apache-2.0
"""Exactly once and in order, whatever the network does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_ros.memory.step_order import StepOrder, Verdict


def verdicts(*steps):
    """Take steps (episode, number), each observed when its number says."""
    order = StepOrder()
    return [order.take(episode, seq, 1 + seq) for episode, seq in steps], order


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
    assert order.take('a', 8, 1) is Verdict.NEXT
    assert order.take('a', 7, 2) is Verdict.DUPLICATE


@pytest.mark.parametrize(
    ('stamp_ns', 'verdict'),
    [
        (300, Verdict.OLD_STAMP),
        (200, Verdict.OLD_STAMP),
        (0, Verdict.UNSTAMPED),
        (-1, Verdict.UNSTAMPED),
        (301, Verdict.AFTER_GAP),
    ],
)
def test_a_stamp_is_applied_once_under_whatever_number(stamp_ns, verdict):
    order = StepOrder()
    order.take('a', 0, 300)
    assert order.take('a', 2, stamp_ns) is verdict
    assert verdict.why and order.seq == (2 if verdict.apply else 0)
    # In another episode time may begin anew: a simulation was reset, a bag is played again.
    assert order.take('b', 0, 100) is Verdict.NEW_EPISODE


@pytest.mark.fault('F7')
def test_no_step_and_no_stamp_is_applied_twice_or_after_a_later_one(measured):
    total = {'steps': 0, 'applied': 0}

    @settings(max_examples=300)
    @given(st.lists(st.tuples(st.sampled_from('abc'), st.integers(0, 20), st.integers(-1, 20)), max_size=60))
    def anything(steps):
        order = StepOrder()
        applied = [step for step in steps if order.take(*step).apply]
        for episode in 'abc':
            for of_each in zip(*((seq, stamp) for name, seq, stamp in applied if name == episode), strict=True):
                assert list(of_each) == sorted(set(of_each))
        assert sum(order.counts.values()) == len(steps)
        assert order.counts[Verdict.UNSTAMPED] == sum(stamp <= 0 for _, _, stamp in steps)
        total['steps'] += len(steps)
        total['applied'] += len(applied)

    anything()
    refused = total['steps'] - total['applied']
    measured(f'{total["steps"]} steps in any order: none applied twice, {refused} ignored, each under its reason')
