# SPDX-License-Identifier: Apache-2.0
"""A scripted expert with privileged state: it reads the goal and the poses of the blocks from the simulation.

Its action depends only on the present state and not on internal phases, so a policy that sees the scene can learn
it by behaviour cloning.
"""

import numpy as np
from numpy.typing import NDArray

from aura_ros.sim.kinematics import InverseKinematics
from aura_ros.sim.tasks import GRASP_TASKS, Simulation
from aura_ros.sim.tasks.stage import Goal
from aura_ros.sim.world import FINGER_OPEN, HOME_TIP, PARCEL

Floats = NDArray[np.float64]

MAX_TIP_STEP = 0.030
"""Largest movement of the tip in one control tick [m]."""
TOUCH_HEIGHT = 0.040
GRASP_HEIGHT = 0.022
CARRY_HEIGHT = 0.10
ALIGNED = 0.012


class Expert:
    """Joint targets that solve every task; one call per control tick."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._world = simulation.world
        self._kinematics = InverseKinematics(simulation.world)

    def act(self) -> Floats:
        """Return the joint targets for the next control tick and the present goal, float64 [8] [rad, m]."""
        return self.act_for(self._simulation.goal)

    def act_for(self, goal: Goal | None) -> Floats:
        """Return the joint targets for the next control tick and a goal, float64 [8] [rad, m]; None goes home."""
        tip = self._world.tip
        if goal is not None and goal.touch is not None:
            waypoint, finger = self._touch(self._world.block_position(goal.touch), tip), 0.0
        elif goal is not None and goal.pad is not None:
            waypoint, finger = self._carry(np.asarray(goal.pad), tip)
        else:
            waypoint = np.asarray(HOME_TIP)
            if tip[2] < 0.12:  # rise before moving sideways, so that the tip pushes no block
                waypoint = np.array([tip[0], tip[1], 0.20])
            finger = FINGER_OPEN if self._simulation.task in GRASP_TASKS else 0.0
        way = waypoint - tip
        length = float(np.linalg.norm(way))
        if length > MAX_TIP_STEP:
            way *= MAX_TIP_STEP / length
        joints = self._kinematics.solve(self._world.joint_positions[:7], tip + way)
        return np.append(joints, finger)

    def preview(self, count: int) -> Floats:
        """Return the next `count` targets for an undisturbed scene and the present goal: float64 [count, 8].

        The world returns to its state before the call.
        """
        targets = []
        with self._world.preview():
            for _ in range(count):
                targets.append(self.act())
                self._world.step(targets[-1])
        return np.asarray(targets)

    @staticmethod
    def _touch(block: Floats, tip: Floats) -> Floats:
        """Approach from above: the height falls with the distance."""
        distance = float(np.hypot(*(block[:2] - tip[:2])))
        return np.array([block[0], block[1], TOUCH_HEIGHT + min(2.0 * max(distance - 0.01, 0.0), 0.10)])

    def _carry(self, pad: Floats, tip: Floats) -> tuple[Floats, float]:
        block = self._world.block_position(PARCEL)
        width = self._world.joint_positions[7]
        to_block = float(np.hypot(*(block[:2] - tip[:2])))
        near = to_block < 0.02 and abs(block[2] - tip[2]) < 0.03
        holding = near and width < 0.032 and PARCEL in self._world.touched()
        to_pad = float(np.hypot(*(pad - block[:2])))
        if to_pad < 0.02 and block[2] < 0.03:
            return np.array([tip[0], tip[1], tip[2] if width < 0.034 else 0.20]), FINGER_OPEN
        if holding:
            if to_pad < ALIGNED:
                return np.array([*pad, GRASP_HEIGHT]), 0.0
            over = tip[:2] if tip[2] < 0.06 else pad  # lift before moving sideways
            return np.array([*over, CARRY_HEIGHT]), 0.0
        if to_block < ALIGNED and tip[2] < GRASP_HEIGHT + 0.008:
            return np.array([*block[:2], GRASP_HEIGHT]), 0.0
        height = GRASP_HEIGHT if to_block < ALIGNED else min(CARRY_HEIGHT, GRASP_HEIGHT + 0.05 + to_block)
        return np.array([*block[:2], height]), FINGER_OPEN
