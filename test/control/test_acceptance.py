# SPDX-License-Identifier: Apache-2.0
"""Exactly once and in order: every kind of wrong step is counted under its own name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.control import Chunk, Policy, PolicySwitch, Refusal, RobotConfig

Make = Callable[..., Chunk]
TICK = 50_000_000
START = 1_700_000_000_000_000_000


def accept(switch: PolicySwitch, chunk: Chunk, delay_ns: int = 0) -> Refusal | None:
    verdict = switch.accept(chunk, chunk.stamp_ns + delay_ns)
    assert verdict.accepted == (verdict.refusal is None)
    return verdict.refusal


def test_in_order_is_accepted(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    for seq in range(5):
        for policy in Policy:
            assert accept(switch, make_chunk(policy, seq)) is None
    assert switch.status.newest_seq == (4, 4, 4)
    assert switch.status.newest_stamp_ns == (START + 16 * TICK,) * 3
    assert switch.status.rejected == 0


def test_a_gap_is_counted_and_a_duplicate_differs_from_a_late_step(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    assert accept(switch, make_chunk(0, 0)) is None
    verdict = switch.accept(make_chunk(0, 3), START + 12 * TICK)
    assert verdict.accepted and verdict.missed == 2 and '2 steps missing' in verdict.text
    assert accept(switch, make_chunk(0, 3)) is Refusal.DUPLICATE
    assert accept(switch, make_chunk(0, 0)) is Refusal.DUPLICATE
    assert accept(switch, make_chunk(0, 2)) is Refusal.OUT_OF_ORDER
    status = switch.status
    assert status.missed == {Policy.BASE: 2, Policy.AURA: 0, Policy.KV: 0}
    assert status.refused[Policy.BASE] == {Refusal.DUPLICATE: 2, Refusal.OUT_OF_ORDER: 1}
    assert status.rejected == 3


def test_a_later_step_with_an_older_stamp_is_out_of_order(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    assert accept(switch, make_chunk(0, 0)) is None
    assert accept(switch, make_chunk(0, 1, stamp_ns=START)) is Refusal.OUT_OF_ORDER
    assert accept(switch, make_chunk(0, 1)) is None


@pytest.mark.parametrize(
    ('delay_ns', 'expected'),
    [
        (-20_000_000, None),
        (-20_000_001, Refusal.FUTURE),
        (299_000_000, None),
        (301_000_000, Refusal.LATE),
        (500_000_000, Refusal.LATE),
        (500_000_001, Refusal.STALE),
    ],
)
def test_freshness_window(robot: RobotConfig, make_chunk: Make, delay_ns: int, expected: Refusal | None) -> None:
    assert accept(PolicySwitch(robot), make_chunk(1, 0), delay_ns) is expected


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'actions': np.full(24, np.nan)}, Refusal.NON_FINITE),
        ({'actions': [0.0] * 23 + [float('inf')]}, Refusal.NON_FINITE),
        ({'seconds_per_action': float('nan')}, Refusal.NON_FINITE),
        ({'seconds_per_action': 0.0}, Refusal.SHAPE),
        ({'actions': np.zeros(23)}, Refusal.SHAPE),
        ({'actions': np.zeros(0), 'chunk_size': 0}, Refusal.SHAPE),
        ({'actions': np.zeros(32), 'action_dim': 4}, Refusal.SHAPE),
        ({'policy': 3}, Refusal.POLICY),
        ({'seq': -1}, Refusal.OUT_OF_ORDER),
    ],
)
def test_bad_content_changes_nothing(
    robot: RobotConfig, make_chunk: Make, changes: dict[str, object], expected: Refusal
) -> None:
    switch = PolicySwitch(robot)
    switch.begin('episode')
    chunk = make_chunk(1, 0)
    assert accept(switch, Chunk(**(vars(chunk) | changes))) is expected  # type: ignore[arg-type]
    assert switch.status.rejected == 1
    assert accept(switch, chunk) is None


def test_an_episode_that_is_over_stays_over(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    assert accept(switch, make_chunk(0, 0)) is None
    assert accept(switch, make_chunk(0, 0, episode_id='second')) is None
    assert switch.status.episode_id == 'second'
    assert accept(switch, make_chunk(0, 1)) is Refusal.EPISODE
    switch.end('asked')
    assert accept(switch, make_chunk(0, 1, episode_id='second')) is Refusal.EPISODE
    assert switch.status.holding


@given(order=st.lists(st.integers(0, 12), min_size=1, max_size=60))
def test_every_step_is_accepted_at_most_once_and_in_order(robot: RobotConfig, order: list[int]) -> None:
    switch = PolicySwitch(robot)
    accepted: list[int] = []
    for seq in order:
        chunk = Chunk(0, 'e', seq, START + 4 * seq * TICK, np.zeros(3), 1, 3, 0.05)
        if switch.accept(chunk, chunk.stamp_ns).accepted:
            accepted.append(seq)
    assert accepted == sorted(set(accepted))
    assert len(accepted) + switch.status.rejected == len(order)
    assert len(accepted) + switch.status.missed[Policy.BASE] == accepted[-1] + 1
