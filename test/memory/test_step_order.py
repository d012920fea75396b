# SPDX-License-Identifier: Apache-2.0
"""Exactly once and in order, whatever the network does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_ros.memory.step_order import StepOrder, StepVerdict


def take(order, episode, seq, stamp_ns):
    """Look at a step, and commit it if it may be applied."""
    verdict = order.look(episode, seq, stamp_ns)
    if verdict.apply:
        order.commit(episode, seq, stamp_ns)
    return verdict


def verdicts(*steps):
    """Take steps (episode, number), each stamped with its number."""
    order = StepOrder()
    return [take(order, episode, seq, 1 + seq) for episode, seq in steps], order


def test_steps_in_order_are_applied():
    found, order = verdicts(('a', 0), ('a', 1), ('a', 2))
    assert found == [StepVerdict.NEW_EPISODE, StepVerdict.NEXT, StepVerdict.NEXT]
    assert order.missed == 0 and order.seq == 2


def test_a_look_changes_nothing():
    order = StepOrder()
    take(order, 'a', 0, 1)
    before = dict(vars(order))
    for episode, seq, stamp_ns in (('a', 1, 2), ('a', 5, 6), ('b', 0, 7), ('a', 0, 1), ('a', 1, 0)):
        order.look(episode, seq, stamp_ns)
    assert vars(order) == before


def test_a_duplicate_is_ignored():
    found, _ = verdicts(('a', 0), ('a', 1), ('a', 1), ('a', 0))
    assert found[2:] == [StepVerdict.DUPLICATE, StepVerdict.DUPLICATE]
    assert not found[2].apply


def test_a_gap_is_counted_and_missing_steps_are_not_applied_later():
    found, order = verdicts(('a', 0), ('a', 3), ('a', 2), ('a', 3))
    assert found[1:] == [StepVerdict.AFTER_GAP, StepVerdict.OUT_OF_ORDER, StepVerdict.DUPLICATE]
    assert order.missed == 2


def test_a_step_of_an_old_episode_is_late():
    found, _ = verdicts(('a', 0), ('b', 0), ('a', 1), ('b', 1))
    assert found == [StepVerdict.NEW_EPISODE, StepVerdict.NEW_EPISODE, StepVerdict.LATE, StepVerdict.NEXT]


def test_an_episode_joined_late_counts_the_steps_before():
    order = StepOrder()
    assert order.look('a', 5, 1) is StepVerdict.NEW_EPISODE
    assert order.commit('a', 5, 1) == order.missed == 5


def test_a_restored_state_continues():
    order = StepOrder()
    order.restore('a', 7)
    assert take(order, 'a', 8, 1) is StepVerdict.NEXT
    assert take(order, 'a', 7, 2) is StepVerdict.DUPLICATE


@pytest.mark.parametrize(
    ('stamp_ns', 'verdict'),
    [
        (300, StepVerdict.OLD_STAMP),
        (200, StepVerdict.OLD_STAMP),
        (0, StepVerdict.UNSTAMPED),
        (-1, StepVerdict.UNSTAMPED),
        (301, StepVerdict.AFTER_GAP),
    ],
)
def test_a_stamp_is_applied_once_under_whatever_number(stamp_ns, verdict):
    order = StepOrder()
    take(order, 'a', 0, 300)
    assert take(order, 'a', 2, stamp_ns) is verdict
    assert verdict.why and order.seq == (2 if verdict.apply else 0)
    # In another episode time may start again: a simulation was reset, a bag is played again.
    assert take(order, 'b', 0, 100) is StepVerdict.NEW_EPISODE


@pytest.mark.fault('F7')
def test_no_step_and_no_stamp_is_applied_twice_or_after_a_later_one(measured):
    total = {'steps': 0, 'applied': 0}

    @settings(max_examples=300)
    @given(st.lists(st.tuples(st.sampled_from('abc'), st.integers(0, 20), st.integers(-1, 20)), max_size=60))
    def anything(steps):
        order = StepOrder()
        found = [(take(order, *step), *step) for step in steps]
        applied = [step for verdict, *step in found if verdict.apply]
        for episode in 'abc':
            for of_each in zip(*((seq, stamp) for name, seq, stamp in applied if name == episode), strict=True):
                assert list(of_each) == sorted(set(of_each))
        assert all((verdict is StepVerdict.UNSTAMPED) == (stamp <= 0) for verdict, _, _, stamp in found)
        total['steps'] += len(steps)
        total['applied'] += len(applied)

    anything()
    refused = total['steps'] - total['applied']
    measured(f'{total["steps"]} steps in any order: none applied twice, {refused} ignored, each under its reason')
