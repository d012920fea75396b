# SPDX-License-Identifier: Apache-2.0
"""A policy with end-effector deltas for the simulated arm: it moves the tip to GOAL and closes the gripper there."""

from dataclasses import replace

import numpy as np
from fakes import FEATURES, JOINTS, SPEC, ScriptedMemory

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.state_spec import StatePart, StateSpec
from aura_ros.control.end_effector import EndEffectorConfig
from aura_ros.control.outputs import POSE_AXES
from aura_ros.vla.protocol import VlaOutput

GOAL = np.array([0.42, 0.12, 0.18])
"""Position of the tip at the end [m]."""
STEP_M = 0.01
"""Largest delta of one action [m]."""
NEAR_M = 0.01
"""Distance from GOAL at which the gripper closes [m]."""
COMPONENTS = (
    ActionComponent('translation', 3, 'ee_position', 'delta', unit='m'),
    ActionComponent('rotation', 3, 'ee_rotation', 'delta', rotation='axis_angle', unit='rad'),
    ActionComponent('gripper', 1, 'gripper', 'absolute', range=(-1.0, 1.0), binary=True, closes='high'),
)
ARM = EndEffectorConfig(
    'embedded', 'tip', tuple(f'joint{i}' for i in range(1, 8)), (0.15, -0.45, 0.02), (0.7, 0.45, 0.6), 0.5, 2.0
)
STATE = StateSpec(
    (
        StatePart('joints', len(JOINTS), 'joint'),
        StatePart('tip', 3, 'ee_position', unit='m'),
        StatePart('turn', 4, 'ee_rotation', rotation='quaternion_xyzw'),
    )
)
DELTAS = replace(
    SPEC, name='deltas', action_dim=7, components=COMPONENTS, joint_names=(*JOINTS, *POSE_AXES), state=STATE
)


class DeltaVla:
    """Sees the measured pose only. Each chunk moves the tip towards GOAL and then rests."""

    spec = DELTAS

    def __init__(self, path=None):
        pass

    def infer(self, observation):
        """Return a chunk of deltas."""
        assert abs(np.linalg.norm(observation.state['turn']) - 1.0) < 1e-5
        left = GOAL - observation.state['tip']
        distance = float(np.linalg.norm(left))
        actions = np.zeros((DELTAS.chunk_size, DELTAS.action_dim), np.float32)
        steps = DELTAS.n_action_steps
        actions[:steps, :3] = left / max(distance, 1e-9) * min(distance / steps, STEP_M)
        actions[:, 6] = 0.6 if distance < NEAR_M else -0.6
        return VlaOutput(np.full(FEATURES, distance, np.float32), actions)


class DeltaMemory(ScriptedMemory):
    """Passes the deltas on. It accepts no other actions."""

    chunk_shape = (DELTAS.chunk_size, DELTAS.action_dim)
    components = COMPONENTS


def memory(path=None, window=0):
    """Return the memory."""
    return DeltaMemory(0.0)
