# SPDX-License-Identifier: Apache-2.0
"""The measured position of the robot, from joint_states that are in order, fresh, finite and complete.

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
    """Keeps the newest joint positions of a robot and reports every message that it rejects.

    Attributes:
        stamp_ns: stamp of the newest message, even if its positions were rejected [ns]; None before the first.
    """

    def __init__(
        self, robot: RobotConfig, max_age_s: float, tolerance_s: float, fault: Callable[[str, str], None]
    ) -> None:
        """Set the checks.

        Args:
            robot: names the joints; with a twist only stamps are used.
            max_age_s: oldest usable positions [s].
            tolerance_s: how far a stamp may be ahead of now [s].
            fault: called with the kind of a fault and a sentence.
        """
        self._robot = robot
        self._max_age_s = max_age_s
        self._tolerance_s = tolerance_s
        self._fault = fault
        self._positions: NDArray[np.float64] | None = None
        self._was_fresh = False
        self.stamp_ns: int | None = None

    def take(self, message: JointState, now_ns: int) -> bool:
        """Keep the positions of a message; return False if it is unstamped or not the newest."""
        stamp_ns, newest_ns = conversions.to_ns(message.header.stamp), self.stamp_ns
        if stamp_ns <= 0:
            self._fault('joint_states unstamped', 'stamp is zero: the driver must stamp its messages')
            return False
        # A newest stamp from the future is the sender's mistake, or the clock moved back. It must not block later
        # messages.
        if newest_ns is not None and stamp_ns < newest_ns and (newest_ns - now_ns) * 1e-9 <= self._tolerance_s:
            late_s = (newest_ns - stamp_ns) * 1e-9
            self._fault('joint_states out_of_order', f'stamp is {late_s:.3f} s before that of the previous message')
            return False
        self.stamp_ns = stamp_ns
        try:
            self._positions = self._read(message)
        except InputError as error:
            self._positions = None
            self._fault('joint_states', str(error))
        return True

    def fresh(self, now_ns: int) -> NDArray[np.float64] | None:
        """Return the positions, float64 [J] [rad, m]; None if they are unknown or too old."""
        if self._positions is None or self.stamp_ns is None:
            return None
        age_s = (now_ns - self.stamp_ns) * 1e-9
        is_fresh = -self._tolerance_s <= age_s <= self._max_age_s
        if self._was_fresh and not is_fresh:
            text = f'newest is {age_s:.3f} s old: must be {-self._tolerance_s:g}..{self._max_age_s:g} s'
            self._fault('joint_states future' if age_s < 0.0 else 'joint_states stale', text)
        self._was_fresh = is_fresh
        return self._positions if is_fresh else None

    def _read(self, message: JointState) -> NDArray[np.float64]:
        if self._robot.holds_with_zero:  # its 'joints' are the axes of a twist
            return np.zeros(self._robot.size)
        return conversions.joints_from_msg(message, self._robot.joint_names)
