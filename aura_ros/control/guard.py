# SPDX-License-Identifier: Apache-2.0
"""The last check of every command: each one stays within the limits of the one before."""

import numpy as np
from numpy.typing import NDArray

from aura_ros.control.limits import ActionLimiter
from aura_ros.control.robot import RobotConfig

# After so many control periods without a command the robot may have been moved: by hand, by a simulation that was
# reset, or by its own controller.
_FORGET_PERIODS = 10


class CommandGuard:
    """Turns actions and holds into commands, each within the limits from the last one. Not thread-safe.

    Joints are float64 [J] [rad or m]. Times are ns on a clock that never jumps: the steady clock, or in lock-step the
    time of the simulation. Every command, a hold included, moves by no more than the time since the last one allows.

    A hold moves within the limits to the measured position and then stays there. So a robot that lags behind its
    commands stops where it is, and one wrong measurement moves it by one step at most. A robot that sags afterwards is
    not followed. The hold of a velocity is zero at once: braking is not limited. A gripper that takes goals keeps its
    last command, because it presses on an object while its target is beyond the measured position. So does every
    gripper whose arm moves by deltas or velocities.
    """

    def __init__(self, robot: RobotConfig) -> None:
        self.limiter = ActionLimiter(robot)
        # Whether a hold keeps the last command of each joint.
        self._keeps = robot.keeps_command
        self._robot = robot
        self._last: NDArray[np.float64] | None = None
        # The time of the last command, kept by `forget`; None before the first command.
        self._last_ns: int | None = None
        # Whether a hold has reached the measured position.
        self._settled = False

    def forget(self) -> None:
        """Forget the last command; the next one starts at the measured position."""
        self._last = None
        self._settled = False

    @property
    def commanded(self) -> bool:
        """Whether there is a last command, which the next one starts from."""
        return self._last is not None

    def resume(self, now_ns: int) -> None:
        """Begin a control period; forget the last command if it is too old."""
        if self._elapsed_ns(now_ns) > _FORGET_PERIODS * self._robot.period_ns:
            self.forget()

    def problem(self, joints: NDArray[np.float64], now_ns: int) -> str:
        """Return why no first command is possible from `joints`, '' if one is.

        Only the first command is checked. A robot that is pushed out of its limits later may move back, because its
        last command was inside.
        """
        if self._last is not None:
            return ''
        return self.limiter.out_of_reach(self._robot.hold_target(joints), self._elapsed_ns(now_ns))

    def keep_in_hold(self, columns: NDArray[np.bool_]) -> None:
        """Keep the last command of these joints in the holds to come, bool [J]."""
        self._keeps = columns

    def start(self, joints: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where the next command starts: the last command, or the measured `joints` before the first one."""
        return self._robot.hold_target(joints) if self._last is None else self._last.copy()

    def elapsed_s(self, now_ns: int) -> float:
        """Return the time for which the next command may move, one control period at most [s]."""
        return min(max(self._elapsed_ns(now_ns), 0), self._robot.period_ns) * 1e-9

    def drive(self, action: NDArray[np.float64], joints: NDArray[np.float64], now_ns: int) -> NDArray[np.float64]:
        """Return the allowed command nearest to `action`; `joints` is the measured position."""
        last = self.start(joints)
        self._settled = False
        # Near the last command a rotation vector cannot change its sign, which would move the robot the long way round.
        action = self._robot.within_turn(action, self._last)
        return self._keep(self.limiter.apply(action, last, self._elapsed_ns(now_ns)), now_ns)

    def hold(self, joints: NDArray[np.float64] | None, now_ns: int) -> NDArray[np.float64] | None:
        """Return the command that holds; `joints` is None when the position is unknown.

        The result is None before the first command when the position is unknown or out of reach.
        """
        if joints is None or self._settled:
            target = self._last if self._last is None else self._robot.hold_target(self._last)
        elif self.problem(joints, now_ns):
            return None
        else:
            goal = self._robot.within_turn(self._robot.hold_target(joints), self._last)
            if self._last is not None:
                goal = np.where(self._keeps, self._last, goal)
            reference = goal if self._last is None else self._last
            near = self.limiter.approach(goal, reference, self._elapsed_ns(now_ns))
            target = np.where(self._robot.is_velocity, goal, near)
            self._settled = np.array_equal(target, self.limiter.inside(goal))
        return target if target is None else self._keep(target, now_ns)

    def _elapsed_ns(self, now_ns: int) -> int:
        """Return the time since the last command, many periods before the first one [ns]."""
        if self._last_ns is None:
            return 2 * _FORGET_PERIODS * self._robot.period_ns
        return now_ns - self._last_ns

    def _keep(self, target: NDArray[np.float64], now_ns: int) -> NDArray[np.float64]:
        self._last, self._last_ns = target.copy(), now_ns
        return target
