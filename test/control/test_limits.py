# SPDX-License-Identifier: Apache-2.0
"""What leaves the limiter is finite and inside every limit, whatever comes in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.common.errors import InputError
from aura_ros.control import ActionLimiter, RobotConfig

Values = Callable[..., dict[str, object]]
TICK = 50_000_000
any_number = st.floats(-1e6, 1e6)
triples = st.tuples(any_number, any_number, any_number)
EPS = 1e-9


@given(
    targets=st.lists(triples, min_size=1, max_size=20),
    start=st.tuples(*[st.floats(-1.0, 1.0)] * 3),
    elapsed=st.integers(-(10**12), 10**12),
)
def test_limits_are_never_exceeded(
    robot_values: Values, targets: list[tuple[float, ...]], start: tuple[float, ...], elapsed: int
) -> None:
    robot = RobotConfig.from_mapping(robot_values(velocity_max=[2.0, 6.0, 1.0]))
    limiter = ActionLimiter(robot)
    last, clipped = np.array(start), 0
    for target in targets:
        safe = limiter.apply(np.array(target), last, elapsed)
        change = np.abs(safe - last)
        assert np.isfinite(safe).all()
        assert (safe >= -1.0 - EPS).all() and (safe <= 1.0 + EPS).all()
        assert (change <= 0.2 + EPS).all()
        assert (change <= np.array(robot.velocity_max) * 0.05 + EPS).all()
        clipped += int((safe != np.array(target)).any())
        assert limiter.clipped == clipped
        last = safe


@given(target=triples, start=triples)
def test_a_reference_outside_the_bounds_returns_in_steps(
    robot: RobotConfig, target: tuple[float, ...], start: tuple[float, ...]
) -> None:
    limiter = ActionLimiter(robot)
    last = np.array(start)
    safe = limiter.apply(np.array(target), last, TICK)
    step = 0.1 + 1e-9 * np.abs(last)
    assert (np.abs(safe - last) <= step).all()
    outside = np.maximum(np.abs(last) - 1.0, 0.0)
    assert (np.maximum(np.abs(safe) - 1.0, 0.0) <= outside).all()


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_non_finite_is_refused(robot: RobotConfig, bad: float) -> None:
    limiter = ActionLimiter(robot)
    with pytest.raises(InputError, match='target is not finite'):
        limiter.apply(np.array([0.0, bad, 0.0]), np.zeros(3), TICK)
    with pytest.raises(InputError, match='reference is not finite'):
        limiter.apply(np.zeros(3), np.array([0.0, bad, 0.0]), TICK)


def test_another_shape_is_refused(robot: RobotConfig) -> None:
    with pytest.raises(InputError, match='shape'):
        ActionLimiter(robot).apply(np.zeros(4), np.zeros(3), TICK)


def test_counts_the_limit_that_acted(robot_values: Values) -> None:
    values = robot_values(velocity_max=[2.0, 100.0, 100.0], step_max=[0.2, 0.2, 5.0])
    limiter = ActionLimiter(RobotConfig.from_mapping(values))
    limited = limiter.apply(np.array([0.9, 0.9, 3.0]), np.zeros(3), TICK)
    assert limited.tolist() == pytest.approx([0.1, 0.2, 1.0])
    assert limiter.velocity.tolist() == [1, 0, 0]
    assert limiter.step.tolist() == [0, 1, 0]
    assert limiter.position.tolist() == [0, 0, 1]
    assert limiter.clipped == 1
    limiter.apply(limited, limited, TICK)
    assert limiter.clipped == 1


def test_a_pause_allows_no_jump(robot: RobotConfig) -> None:
    limited = ActionLimiter(robot).apply(np.ones(3), np.zeros(3), 10 * 10**9)
    assert limited.tolist() == pytest.approx([0.1] * 3)
    half = ActionLimiter(robot).apply(np.ones(3), np.zeros(3), TICK // 2)
    assert half.tolist() == pytest.approx([0.05] * 3)
