# SPDX-License-Identifier: Apache-2.0
"""Limits on every command: position, step and velocity, for each joint."""

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.control.robot import RobotConfig


class ActionLimiter:
    """Clips joint targets to the limits of a robot and counts the clipped ones. Not thread-safe.

    Attributes:
        position, step, velocity: int64 [J], commands in which this limit changed this joint [1]. A joint counts once
            per command, for the tightest limit.
        clipped: commands with at least one changed joint [1].
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
        """Number of changes by limit and joint, zeros left out [1]."""
        kinds = {'position': self.position, 'step': self.step, 'velocity': self.velocity}
        return {
            kind: {name: int(n) for name, n in zip(self._names, found, strict=True) if n}
            for kind, found in kinds.items()
        }

    def apply(
        self, target: NDArray[np.floating], reference: NDArray[np.float64], elapsed_ns: int
    ) -> NDArray[np.float64]:
        """Return `target` brought within the limits, float64 [J] [rad or m].

        A reference outside the position limits is brought back in steps, never by a jump.

        Args:
            target: wanted joint targets, [J] [rad or m].
            reference: last command, or the measured joints before the first one, float64 [J].
            elapsed_ns: time since `reference` was commanded [ns]. More than a control period counts as one period, so
                that no pause allows a jump. Zero or less allows no motion: the clock stopped or moved back.

        Raises:
            InputError: the target or the reference has another shape or is not finite.
        """
        wanted = np.asarray(target, dtype=np.float64)
        for name, array in (('target', wanted), ('reference', reference)):
            if array.shape != self._lower.shape:
                raise InputError(f'{name} has shape {array.shape}: must be {self._lower.shape}')
            if not np.isfinite(array).all():
                raise InputError(f'{name} is not finite: {array.tolist()}')
        reach = self._reach(elapsed_ns)
        inside = self.inside(wanted)
        safe = _towards(inside, reference, self._change(elapsed_ns))
        self._count(wanted, inside, safe, reach)
        self.clipped += int((safe != wanted).any())
        return safe

    def approach(
        self, goal: NDArray[np.float64], reference: NDArray[np.float64], elapsed_ns: int
    ) -> NDArray[np.float64]:
        """Return the target of a motion from `reference` towards `goal`; `elapsed_ns` as in `apply`.

        This serves a hold, and counts nothing: that a moving robot cannot stop at once is not the policy's fault. The
        result equals `inside(goal)` once the goal is reached.
        """
        return _towards(self.inside(goal), reference, self._change(elapsed_ns))

    def inside(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `target` clipped to the position limits."""
        return np.asarray(np.clip(target, self._lower, self._upper))

    def out_of_reach(self, measured: NDArray[np.float64], elapsed_ns: int) -> str:
        """Return the first joint that one command cannot bring back inside its position limits; '' if none."""
        change = self._change(elapsed_ns)
        far = (measured - change > self._upper) | (measured + change < self._lower)
        if not far.any():
            return ''
        joint = int(np.flatnonzero(far)[0])
        return (
            f'{self._names[joint]} is at {measured[joint]:.4g}, outside its position limits '
            f'{self._lower[joint]:g}..{self._upper[joint]:g}: move it inside or correct the robot file'
        )

    def _reach(self, elapsed_ns: int) -> NDArray[np.float64]:
        return np.asarray(self._velocity * (min(max(elapsed_ns, 0), self._period_ns) * 1e-9))

    def _change(self, elapsed_ns: int) -> NDArray[np.float64]:
        return np.asarray(np.minimum(self._step, self._reach(elapsed_ns)))

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
