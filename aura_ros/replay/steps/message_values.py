# SPDX-License-Identifier: Apache-2.0
"""Action targets in recorded messages."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.control.poses import rotation_vector
from aura_ros.recordings.type_names import JOINT_STATE, POSE

Floats = NDArray[np.float64]

ACTION_TYPES = {
    'joint_trajectory': 'trajectory_msgs/msg/JointTrajectory',
    'float64_multi_array': 'std_msgs/msg/Float64MultiArray',
    'joint_state': JOINT_STATE,
    'twist_stamped': 'geometry_msgs/msg/TwistStamped',
    'twist': 'geometry_msgs/msg/Twist',
    'pose_stamped': POSE,
}
"""Message type of each kind of recorded actions."""
TWIST_COLUMNS = tuple(f'{part}.{axis}' for part in ('linear', 'angular') for axis in 'xyz')
ROTATION_COLUMNS = tuple(f'rotation.{axis}' for axis in 'xyz')
POSE_COLUMNS = (*(f'position.{axis}' for axis in 'xyz'), *(f'orientation.{axis}' for axis in 'xyzw'), *ROTATION_COLUMNS)
"""Columns of a pose; `rotation` is the rotation vector, axis times angle [rad]."""


@dataclass(frozen=True)
class Target:
    """Targets of one recorded action."""

    names: tuple[str, ...]
    """Names of the columns; () if the message has no names."""
    at_s: Floats
    """Time of each row after the action's stamp, increasing [s]."""
    values: Floats
    """One row for each time, float64 [rows, columns]."""


def target(kind: str, message: Any) -> Target:
    """Return the targets of a recorded action; `kind` is one of ACTION_TYPES.

    Raises:
        InputError: there are no values, their numbers differ, or a value is not finite.
    """
    names, at_s, rows = _READERS[kind](message)
    values = np.array(rows, np.float64, ndmin=2)
    if not values.size:
        raise InputError('has no values')
    if names and values.shape[1] != len(names):
        raise InputError(f'has {values.shape[1]} values for {len(names)} names')
    if not np.isfinite(values).all():
        raise InputError(f'is not finite: {values.tolist()}')
    return Target(tuple(names), np.array(at_s, np.float64), values)


def refuse_twice(found: Target, wanted: Sequence[str]) -> None:
    """Check that each wanted name has one value, as for joints.

    Raises:
        InputError: a name has two values.
    """
    for name, count in Counter(found.names).items():
        if count > 1 and name in wanted:
            values = found.values[:, [column for column, one in enumerate(found.names) if one == name]]
            if (values != values[:, :1]).any():
                raise InputError(f'has the joint {name[:64]} twice with different values: must have every joint once')


_Rows = tuple[Sequence[str], Sequence[float], Sequence[Any]]


def _trajectory(message: Any) -> _Rows:
    points = message.points
    if any(len(point.positions) != len(message.joint_names) for point in points):
        raise InputError('has a point without a position for each joint')
    at_s = [point.time_from_start.sec + point.time_from_start.nanosec * 1e-9 for point in points]
    if any(late <= early for early, late in pairwise(at_s)):
        raise InputError('has points whose times do not increase')
    return message.joint_names, at_s, [point.positions for point in points]


def _twist(message: Any) -> _Rows:
    linear, angular = message.linear, message.angular
    return TWIST_COLUMNS, (0.0,), [(linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)]


def _pose(message: Any) -> _Rows:
    at, turn = message.pose.position, message.pose.orientation
    quaternion = (turn.x, turn.y, turn.z, turn.w)
    # A command of a position alone can leave the quaternion zero.
    rotation = rotation_vector(quaternion) if any(quaternion) else ()
    row = (at.x, at.y, at.z, *quaternion, *rotation)
    return POSE_COLUMNS[: len(row)], (0.0,), [row]


_READERS: dict[str, Callable[[Any], _Rows]] = {
    'joint_trajectory': _trajectory,
    'float64_multi_array': lambda message: ((), (0.0,), [message.data]),
    'joint_state': lambda message: (message.name, (0.0,), [message.position]),
    'twist_stamped': lambda message: _twist(message.twist),
    'twist': _twist,
    'pose_stamped': _pose,
}
