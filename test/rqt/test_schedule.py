# SPDX-License-Identifier: Apache-2.0
"""The schedule of the views, without a GUI."""

from aura_ros.rqt.schedule import Due, Schedule


def done(kinds_at: list[tuple[float, set[type]]], **due) -> list[float]:
    """When something is done that hears these types at these times."""
    times: list[float] = []
    now = [0.0]
    schedule = Schedule(Due(lambda: times.append(now[0]), **due))
    for now[0], kinds in kinds_at:
        schedule.run(kinds, now[0])
    return times


def test_a_cause_is_followed_once_and_not_before_the_period_is_over():
    heard = [(0.0, set()), (0.1, {int}), (0.2, set()), (1.0, set()), (1.1, set()), (2.5, {str})]
    assert done(heard, period_s=1.0, causes={int}) == [0.0, 1.0]


def test_an_urgent_one_is_followed_at_once():
    heard = [(0.0, set()), (0.3, {str}), (0.4, {int}), (0.6, set())]
    assert done(heard, period_s=1.0, causes={int}, urgent={str}) == [0.0, 0.3]


def test_a_stream_of_urgent_ones_is_followed_twice_a_second_and_to_its_end():
    heard = [(at / 32, {str} if at < 32 else set()) for at in range(64)]
    assert done(heard, period_s=10.0, causes=set(), urgent={str}) == [0.0, 0.5, 1.0]


def test_an_urgent_one_does_not_wait_for_the_period_that_has_just_begun():
    heard = [(0.0, set()), (1.0, {int}), (1.1, {str}), (1.2, {str}), (1.6, set())]
    assert done(heard, period_s=1.0, causes={int}, urgent={str}) == [0.0, 1.0, 1.1, 1.6]


def test_without_a_cause_time_alone_counts():
    assert done([(at / 4, set()) for at in range(9)], period_s=1.0) == [0.0, 1.0, 2.0]


def test_haste_makes_all_due_once():
    times: list[int] = []
    schedule = Schedule(Due(lambda: times.append(1), 10.0, {int}), Due(lambda: times.append(2), 10.0))
    schedule.run(set(), 0.0)
    schedule.hasten()
    schedule.run(set(), 0.1)
    schedule.run(set(), 0.2)
    assert times == [1, 2, 1, 2]
