# SPDX-License-Identifier: Apache-2.0
"""The last thing a command passes: every one that leaves is near the one before, driven or held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aura_ros.control.limits import ActionLimiter, Limited
from aura_ros.control.robot import RobotConfig

# Control periods without a command after which the robot may be anywhere: moved by hand, put elsewhere
# by a simulation, or stopped by its own controller.
_FORGET_PERIODS = 10


class CommandGuard:
    """Makes commands out of actions and of holds, each within the limits from the last. One thread.

    Joints are float64 [J] [rad or m], times ns on the clock of the observations.

    To hold is to walk, within the limits, to where the robot is measured, and to stay there: a
    robot that lags behind its commands is met where it is, one wrong measurement moves it by one
    step at most, and a sagging policy is not followed. The hold of a twist is zero, at once: braking
    is not limited.
    """

    def __init__(self, robot: RobotConfig) -> None:
        self.limiter = ActionLimiter(robot)
        self._robot = robot
        self._last: NDArray[np.float64] | None = None
        self._last_ns = 0
        # Whether a hold has come to where the robot was measured.
        self._stands = False

    def forget(self) -> None:
        """Begin anew from where the robot is: what was commanded last is not where it stands."""
        self._last = None
        self._stands = False

    def resume(self, now_ns: int) -> None:
        """Begin a control period; after a long pause the robot is met where it is measured."""
        if now_ns - self._last_ns > _FORGET_PERIODS * self._robot.period_ns:
            self.forget()

    def problem(self, joints: NDArray[np.float64]) -> str:
        """Say why nothing may be commanded from here, '' when something may.

        Only before the first command: a robot that is pushed out of its limits later is commanded
        to come back, for its last command was inside.
        """
        if self._last is not None or self._robot.holds_with_zero:
            return ''
        return self.limiter.out_of_reach(joints)

    def drive(self, action: NDArray[np.float64], joints: NDArray[np.float64], now_ns: int) -> Limited:
        """Return the command nearest to `action`; `joints` are where the robot is measured."""
        if self._last is None:
            last, elapsed_ns = self._robot.hold_target(joints), self._robot.period_ns
        else:
            last, elapsed_ns = self._last, now_ns - self._last_ns
        limited = self.limiter.apply(action, last, elapsed_ns)
        self._keep(limited.target, now_ns)
        self._stands = False
        return limited

    def hold(self, joints: NDArray[np.float64] | None, now_ns: int) -> NDArray[np.float64] | None:
        """Return the command that holds; `joints` is None when they are not known.

        None before the first command when the joints are not known, or out of reach.
        """
        if joints is None or self._stands:
            target = self._last if self._last is None else self._robot.hold_target(self._last)
        elif self.problem(joints):
            return None
        elif self._robot.holds_with_zero:
            target = self._robot.hold_target(joints)
        else:
            last = joints if self._last is None else self._last
            limited = self.limiter.approach(joints, last)
            target, self._stands = limited.target, not limited.clipped
        if target is not None:
            self._keep(target, now_ns)
        return target

    def _keep(self, target: NDArray[np.float64], now_ns: int) -> None:
        self._last, self._last_ns = target.copy(), now_ns
