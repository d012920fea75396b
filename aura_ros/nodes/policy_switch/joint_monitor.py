# SPDX-License-Identifier: Apache-2.0
"""The measured position of each joint of the robot, from messages that are in order, fresh and finite.

Executor thread only. Stamps and ages are on the ROS clock.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from aura_ros.common.errors import InputError
from aura_ros.control import RobotConfig
from aura_ros.ros import conversions
from aura_ros.ros.commands import pose_from_msg
from aura_ros.vla.joints import MAX_JOINT_NAMES, joint_values

# A joint that no message has named for so long after the first one is reported [ns].
_PATIENCE_NS = 1_000_000_000
_MAX_NAMES = 8


class JointMonitor:
    """Keeps the newest position of each joint and reports every message that it rejects.

    A message may name any of the joints. Each joint has its own stamp and its own age. The velocities of a twist are
    not measured: their stamp is that of any message. With a workspace, the measured pose is in their place.

    Attributes:
        stamp_ns: newest stamp of a message, even if its positions were rejected [ns]; None before the first.
        unknown: joints without a fresh position when `fresh` was last called.
    """

    def __init__(
        self, robot: RobotConfig, max_age_s: float, tolerance_s: float, fault: Callable[[str, str], None]
    ) -> None:
        """Set the checks.

        Args:
            robot: names the joints, and the largest ages that differ from `max_age_s`.
            max_age_s: oldest usable position [s].
            tolerance_s: how far a stamp may be ahead of now [s].
            fault: called with the kind of a fault and a sentence.
        """
        self._robot = robot
        self._column = {name: column for column, name in enumerate(robot.joint_names)}
        # The axes of each measured pose; those of a twist hold the pose, for its workspace.
        self._axes = {output.state_topic: output.joint_names for output in robot.outputs if output.state_topic}
        posed = {name for names in self._axes.values() for name in names}
        self._velocities = [
            name for name in robot.joint_names if robot.is_velocity[self._column[name]] and name not in posed
        ]
        self._measured = tuple(name for name in robot.joint_names if name not in self._velocities)
        ages_s = [robot.sources.max_age_s.get(name, max_age_s) for name in robot.joint_names]
        self._max_age_ns = np.array([round(age_s * 1e9) for age_s in ages_s], np.int64)
        self._tolerance_ns = round(tolerance_s * 1e9)
        self._fault = fault
        self._positions = np.full(robot.size, np.nan)
        self._stamps_ns = np.zeros(robot.size, np.int64)
        self._was_fresh = np.zeros(robot.size, np.bool_)
        self._first_ns: int | None = None
        self._never = set(self._column)
        self.stamp_ns: int | None = None
        self.unknown: tuple[str, ...] = ()

    def take(self, message: JointState, now_ns: int, topic: str = 'joint_states') -> bool:
        """Keep the positions of a message; return False if it is unstamped, or not the newest for any joint."""
        stamp_ns = conversions.to_ns(message.header.stamp)
        if stamp_ns <= 0 and not message.name:  # some drivers begin with an empty message
            return False
        problem = ''
        try:
            positions = joint_values(message.name, message.position, self._measured) if self._measured else {}
        except InputError as error:
            named = set(message.name[:MAX_JOINT_NAMES]).intersection(self._measured)
            positions, problem = dict.fromkeys(named, np.nan), f'{topic} {error}'
        taken = self._keep(positions, stamp_ns, now_ns, topic)
        if problem and (taken or not positions):
            self._fault('joint_states', problem)
        if taken and self._never and self._first_ns is not None and stamp_ns - self._first_ns > _PATIENCE_NS:
            self._fault('joint_states missing', f'no message has {self._names(self._never)}')
        return taken

    def take_pose(self, message: PoseStamped, now_ns: int, topic: str) -> bool:
        """Keep the measured pose of the end effector; return as `take`."""
        stamp_ns, axes = conversions.to_ns(message.header.stamp), self._axes[topic]
        try:
            self._check_frame(message)
            values = pose_from_msg(message)
        except InputError as error:
            taken = self._keep(dict.fromkeys(axes, np.nan), stamp_ns, now_ns, topic)
            if taken:
                self._fault('joint_states', f'{topic} {error}')
            return taken
        return self._keep(dict(zip(axes, values, strict=True)), stamp_ns, now_ns, topic)

    def _check_frame(self, message: PoseStamped) -> None:
        """Raise InputError for a pose in another frame, where its numbers mean another place."""
        if message.header.frame_id != self._robot.base_frame:
            raise InputError(
                f'has the frame {message.header.frame_id[:64]!r}: must be robot.base_frame = {self._robot.base_frame!r}'
            )

    def _keep(self, positions: Mapping[str, float], stamp_ns: int, now_ns: int, topic: str) -> bool:
        """Keep the position of each joint for which the stamp is in order; NaN is an unknown position."""
        if not positions and not self._velocities:  # a message of other joints
            return False
        if stamp_ns <= 0:
            self._fault('joint_states unstamped', f'stamp of {topic} is zero: its driver must stamp its messages')
            return False
        late = [name for name in positions if self._is_late(self._column[name], stamp_ns, now_ns)]
        if late:
            late_s = (max(int(self._stamps_ns[self._column[name]]) for name in late) - stamp_ns) * 1e-9
            self._fault(
                'joint_states out_of_order',
                f'stamp of {topic} is {late_s:.3f} s before that of the previous message with {self._names(late)}',
            )
        newer = {name: position for name, position in positions.items() if name not in late}
        # Any message shows that the robot is there, so that the stamps of velocities need no fault of their own.
        newer |= {name: 0.0 for name in self._velocities if not self._is_late(self._column[name], stamp_ns, now_ns)}
        for name, position in newer.items():
            self._positions[self._column[name]] = position
            self._stamps_ns[self._column[name]] = stamp_ns
        self._never.difference_update(newer)
        if newer:
            self._first_ns = stamp_ns if self._first_ns is None else self._first_ns
            self.stamp_ns = int(self._stamps_ns.max())
        return bool(newer)

    def _is_late(self, column: int, stamp_ns: int, now_ns: int) -> bool:
        """Return whether a joint has a later stamp already.

        A stamp from the future does not count: it is the sender's mistake, or the clock moved back. It must not block
        later messages.
        """
        return stamp_ns < int(self._stamps_ns[column]) <= now_ns + self._tolerance_ns

    def fresh(self, now_ns: int) -> NDArray[np.float64] | None:
        """Return the positions, float64 [J] [rad, m]; None if one is unknown or too old, which `unknown` names."""
        ages_ns = now_ns - self._stamps_ns
        in_time = (ages_ns >= -self._tolerance_ns) & (ages_ns <= self._max_age_ns)
        stale = self._was_fresh & ~in_time
        if stale.any():
            self._report_stale(stale, ages_ns)
        self._was_fresh = in_time
        good = in_time & np.isfinite(self._positions)
        self.unknown = tuple(name for name, column in self._column.items() if not good[column])
        return None if self.unknown else self._robot.within_turn(self._positions.copy())

    def _report_stale(self, stale: NDArray[np.bool_], ages_ns: NDArray[np.int64]) -> None:
        names = [name for name, column in self._column.items() if stale[column]]
        column = self._column[names[0]]
        age_s, limit_s = ages_ns[column] * 1e-9, self._max_age_ns[column] * 1e-9
        kind = 'joint_states future' if age_s < 0.0 else 'joint_states stale'
        allowed = f'{-self._tolerance_ns * 1e-9:g}..{limit_s:g} s'
        self._fault(kind, f'{self._names(names)}: newest is {age_s:.3f} s old: must be {allowed}')

    def _names(self, names: Iterable[str]) -> str:
        """Return names as text, in the order of the robot file; `all joints` for all."""
        found = sorted(names, key=self._column.__getitem__)
        if len(found) == len(self._column):
            return 'all joints'
        more = f' and {len(found) - _MAX_NAMES} more' if len(found) > _MAX_NAMES else ''
        return ', '.join(found[:_MAX_NAMES]) + more
