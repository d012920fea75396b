# SPDX-License-Identifier: Apache-2.0
"""Limits on what leaves for the robot: position, step and velocity, per joint, always on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.control.robot import RobotConfig


@dataclass(frozen=True)
class Limited:
    """A target inside the limits."""

    # float64 [J] [rad or m]
    target: NDArray[np.float64]
    # Whether any joint was changed.
    clipped: bool


class ActionLimiter:
    """Clips joint targets to a robot's limits and counts what it clipped. One thread.

    Attributes:
        position, step, velocity: int64 [J], commands in which this limit was the one that changed
            this joint; a joint is counted once per command, for the tightest limit.
        clipped: commands with at least one joint changed [1].
    """

    def __init__(self, robot: RobotConfig) -> None:
        self._names = robot.joint_names
        self._lower = np.array(robot.position_lower)
        self._upper = np.array(robot.position_upper)
        self._step = np.array(robot.step_max)
        self._velocity = np.array(robot.velocity_max)
        self._period_ns = robot.period_ns
        self.position = np.zeros(robot.size, dtype=np.int64)
        self.step = np.zeros(robot.size, dtype=np.int64)
        self.velocity = np.zeros(robot.size, dtype=np.int64)
        self.clipped = 0

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How often each limit changed each joint, zeros left out."""
        kinds = {'position': self.position, 'step': self.step, 'velocity': self.velocity}
        return {
            kind: {name: int(n) for name, n in zip(self._names, found, strict=True) if n}
            for kind, found in kinds.items()
        }

    def apply(self, target: NDArray[np.floating], reference: NDArray[np.float64], elapsed_ns: int) -> Limited:
        """Bring `target` within the limits.

        Args:
            target: wanted joint targets, [J] [rad or m].
            reference: last command, or the measured joints before the first one, float64 [J].
            elapsed_ns: time since `reference` was commanded [ns]. Longer than a control period
                counts as one period: a pause is no licence to jump. With zero or less, the clock
                stands or moved back, nothing moves: the robot could not have followed.

        A reference outside the position limits is brought back in steps, never by a jump.

        Raises:
            InputError: a target or the reference has another shape or is not finite.
        """
        wanted = np.asarray(target, dtype=np.float64)
        for name, array in (('target', wanted), ('reference', reference)):
            if array.shape != self._lower.shape:
                raise InputError(f'{name} has shape {array.shape}: must be {self._lower.shape}')
            if not np.isfinite(array).all():
                raise InputError(f'{name} is not finite: {array.tolist()}')
        reach = self._reach(elapsed_ns)
        inside = np.clip(wanted, self._lower, self._upper)
        safe = _towards(inside, reference, np.minimum(self._step, reach))
        self._count(wanted, inside, safe, reach)
        changed = bool((safe != wanted).any())
        self.clipped += int(changed)
        return Limited(safe, changed)

    def approach(self, goal: NDArray[np.float64], reference: NDArray[np.float64]) -> Limited:
        """Move from `reference` towards `goal` by what one control period allows; counts nothing.

        For a hold, which aims at where the robot is measured: however often it is commanded, it
        only meets the robot; and that a moving robot cannot stop at once is no fault of any policy.
        `clipped` tells whether the goal, brought inside the position limits, is not reached yet.
        """
        inside = np.clip(goal, self._lower, self._upper)
        safe = _towards(inside, reference, self._period_change())
        return Limited(safe, bool((safe != inside).any()))

    def out_of_reach(self, measured: NDArray[np.float64]) -> str:
        """Name a joint that one step cannot bring back inside its position limits, '' if none."""
        change = self._period_change()
        far = (measured - change > self._upper) | (measured + change < self._lower)
        if not far.any():
            return ''
        joint = int(np.flatnonzero(far)[0])
        return (
            f'{self._names[joint]} is at {measured[joint]:.4g}, outside its position limits '
            f'{self._lower[joint]:g}..{self._upper[joint]:g}: move it inside or correct the limits'
        )

    def _reach(self, elapsed_ns: int) -> NDArray[np.float64]:
        return np.asarray(self._velocity * (min(max(elapsed_ns, 0), self._period_ns) * 1e-9))

    def _period_change(self) -> NDArray[np.float64]:
        return np.asarray(np.minimum(self._step, self._reach(self._period_ns)))

    def _count(
        self,
        wanted: NDArray[np.float64],
        inside: NDArray[np.float64],
        safe: NDArray[np.float64],
        reach: NDArray[np.float64],
    ) -> None:
        too_far = safe != inside
        by_velocity = too_far & (reach < self._step)
        self.velocity += by_velocity
        self.step += too_far & ~by_velocity
        self.position += ~too_far & (inside != wanted)


def _towards(
    inside: NDArray[np.float64], reference: NDArray[np.float64], change: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(np.clip(inside, reference - change, reference + change))
