# SPDX-License-Identifier: Apache-2.0
"""Where the robot is, as far as that can be believed: joint_states in order, of now, finite and whole.

Executor thread only. Stamps and ages are on the ROS clock.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from aura_ros.common.errors import InputError
from aura_ros.control import RobotConfig
from aura_ros.ros import conversions


class JointMonitor:
    """The newest joint positions of one robot; tells of every one that it does not take, and why."""

    def __init__(
        self, robot: RobotConfig, max_age_s: float, tolerance_s: float, fault: Callable[[str, str], None]
    ) -> None:
        """Know nothing yet.

        Args:
            robot: names the joints; a twist has none, and only stamps count.
            max_age_s: oldest positions that tell where the robot is [s].
            tolerance_s: how far a stamp may be ahead of now [s].
            fault: told the kind and a sentence.
        """
        self._robot = robot
        self._max_age_s = max_age_s
        self._tolerance_s = tolerance_s
        self._fault = fault
        self._positions: NDArray[np.float64] | None = None
        self._was_fresh = False
        # Of the newest message, even if its positions could not be used [ns]; None before the first.
        self.stamp_ns: int | None = None

    def take(self, message: JointState, now_ns: int) -> bool:
        """Take what was measured; False when the message is not the newest or not stamped."""
        stamp_ns = conversions.to_ns(message.header.stamp)
        if stamp_ns <= 0:
            self._fault('joint_states unstamped', 'stamp is zero: the driver must stamp what it measures')
            return False
        if self._overtaken(stamp_ns, now_ns):
            late_s = (self.stamp_ns - stamp_ns) * 1e-9
            self._fault('joint_states out_of_order', f'came after one stamped {late_s:.3f} s later')
            return False
        self.stamp_ns = stamp_ns
        try:
            self._positions = self._read(message)
        except InputError as error:
            self._positions = None
            self._fault('joint_states', str(error))
        return True

    def fresh(self, now_ns: int) -> NDArray[np.float64] | None:
        """Return the positions, float64 [J] [rad, m], None when they are unknown or not of now."""
        if self._positions is None or self.stamp_ns is None:
            return None
        age_s = (now_ns - self.stamp_ns) * 1e-9
        is_fresh = -self._tolerance_s <= age_s <= self._max_age_s
        if self._was_fresh and not is_fresh:
            text = f'newest is {age_s:.3f} s old: allowed {-self._tolerance_s:g}..{self._max_age_s:g} s'
            self._fault('joint_states future' if age_s < 0.0 else 'joint_states stale', text)
        self._was_fresh = is_fresh
        return self._positions if is_fresh else None

    def _overtaken(self, stamp_ns: int, now_ns: int) -> bool:
        if self.stamp_ns is None or stamp_ns >= self.stamp_ns:
            return False
        # A newest one from the future is the sender's mistake, or the clock went back: it must not
        # keep out what is measured now.
        return (self.stamp_ns - now_ns) * 1e-9 <= self._tolerance_s

    def _read(self, message: JointState) -> NDArray[np.float64]:
        if self._robot.holds_with_zero:  # its 'joints' are the axes of a twist
            return np.zeros(self._robot.size)
        return conversions.joints_from_msg(message, self._robot.joint_names)
