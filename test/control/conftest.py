# SPDX-License-Identifier: Apache-2.0
"""A small robot and its chunks for the tests of the policy switch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aura_ros.control import Chunk, RobotConfig

TICK = 50_000_000
START = 1_700_000_000_000_000_000


@pytest.fixture(scope='session')
def robot_values() -> Callable[..., dict[str, object]]:
    """Valid robot files, with changes."""

    def values(joints: int = 3, **changes: object) -> dict[str, object]:
        return {
            'joint_names': [f'joint{i + 1}' for i in range(joints)],
            'position_lower': [-1.0] * joints,
            'position_upper': [1.0] * joints,
            'velocity_max': [2.0] * joints,
            'step_max': [0.2] * joints,
            'control_hz': 20.0,
            'command_type': 'joint_trajectory',
        } | changes

    return values


@pytest.fixture(scope='session')
def robot(robot_values: Callable[..., dict[str, object]]) -> RobotConfig:
    """Three joints, 0.1 rad per command by velocity, 0.2 rad by step, +-1 rad."""
    return RobotConfig.from_mapping(robot_values())


@pytest.fixture(scope='session')
def make_chunk() -> Callable[..., Chunk]:
    """Chunks of 8 actions of 3 joints, stamped 4 ticks apart, all values `value`."""

    def make(policy: int, seq: int, value: float = 0.0, **changes: object) -> Chunk:
        fields: dict[str, object] = {
            'policy': policy,
            'episode_id': 'episode',
            'seq': seq,
            'stamp_ns': START + 4 * seq * TICK,
            'actions': np.full(24, value, dtype=np.float32),
            'chunk_size': 8,
            'action_dim': 3,
            'seconds_per_action': float(np.float32(0.05)),
        }
        fields.update(changes)
        return Chunk(**fields)  # type: ignore[arg-type]

    return make
