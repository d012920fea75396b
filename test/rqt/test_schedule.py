# SPDX-License-Identifier: Apache-2.0
"""When views are painted, without a GUI."""

from aura_ros.rqt.schedule import PaintSchedule, PaintTask


def painted(kinds_at: list[tuple[float, set[type]]], **task) -> list[float]:
    """Times at which a task is painted that receives these types at these times."""
    times: list[float] = []
    now = [0.0]
    schedule = PaintSchedule(PaintTask(lambda: times.append(now[0]), **task))
    for now[0], kinds in kinds_at:
        schedule.run(kinds, now[0])
    return times


def test_a_cause_is_painted_once_after_the_period():
    received = [(0.0, set()), (0.1, {int}), (0.2, set()), (1.0, set()), (1.1, set()), (2.5, {str})]
    assert painted(received, period_s=1.0, causes={int}) == [0.0, 1.0]


def test_an_urgent_cause_is_painted_at_once():
    received = [(0.0, set()), (0.3, {str}), (0.4, {int}), (0.6, set())]
    assert painted(received, period_s=1.0, causes={int}, urgent={str}) == [0.0, 0.3]


def test_a_stream_of_urgent_causes_is_painted_twice_a_second_and_to_its_end():
    received = [(at / 32, {str} if at < 32 else set()) for at in range(64)]
    assert painted(received, period_s=10.0, causes=set(), urgent={str}) == [0.0, 0.5, 1.0]


def test_an_urgent_cause_does_not_wait_for_the_period():
    received = [(0.0, set()), (1.0, {int}), (1.1, {str}), (1.2, {str}), (1.6, set())]
    assert painted(received, period_s=1.0, causes={int}, urgent={str}) == [0.0, 1.0, 1.1, 1.6]


def test_a_task_without_causes_is_painted_in_each_period():
    assert painted([(at / 4, set()) for at in range(9)], period_s=1.0) == [0.0, 1.0, 2.0]


def test_repaint_paints_everything_once():
    times: list[int] = []
    schedule = PaintSchedule(PaintTask(lambda: times.append(1), 10.0, {int}), PaintTask(lambda: times.append(2), 10.0))
    schedule.run(set(), 0.0)
    schedule.repaint()
    schedule.run(set(), 0.1)
    schedule.run(set(), 0.2)
    assert times == [1, 2, 1, 2]
