# SPDX-License-Identifier: Apache-2.0
"""Command messages for robot controllers, made from joint targets."""

import math
from collections.abc import Callable

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import PoseStamped, TwistStamped
from numpy.typing import NDArray
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from aura_ros.common.errors import InputError
from aura_ros.common.rotations import from_matrix
from aura_ros.control import OutputConfig, RobotConfig
from aura_ros.control.poses import rotation_vector
from aura_ros.ros.conversions import float64s, to_stamp

Target = NDArray[np.float64]
STAMPS = ('zero', 'now')
CommandMessage = JointTrajectory | JointState | TwistStamped | PoseStamped | Float64MultiArray
# Below this angle a rotation has no axis [rad].
_NO_TURN = 1e-12


def maker(
    robot: RobotConfig, output: OutputConfig, stamp: str
) -> tuple[type[CommandMessage], Callable[[Target, int], CommandMessage]]:
    """Return the message type of an output's controller and a function that makes such a message.

    The function takes the target of the output's joints, float64 [J] [rad, m; for a twist m/s, rad/s], and a stamp [ns,
    ROS clock]. With `stamp` 'zero' a trajectory has the stamp zero, which a JointTrajectoryController takes as "start
    now". It refuses a trajectory that ends in its past, so a stamped command must not arrive later than one control
    period. The others with a header always have their stamp, because MoveIt Servo refuses old ones.
    """
    if output.command_type == 'joint_trajectory':
        if stamp == 'zero':
            return JointTrajectory, lambda target, _: _trajectory(robot, output, target, 0)
        return JointTrajectory, lambda target, ns: _trajectory(robot, output, target, ns)
    if output.command_type == 'joint_state':
        return JointState, lambda target, ns: _joint_state(robot, output, target, ns)
    if output.command_type == 'twist_stamped':
        return TwistStamped, lambda target, ns: _twist(robot, target, ns)
    if output.is_base:
        return TwistStamped, lambda target, ns: _base_twist(robot, output, target, ns)
    if output.command_type == 'pose_stamped':
        return PoseStamped, lambda target, ns: _pose(robot, target, ns)
    return Float64MultiArray, lambda target, _: Float64MultiArray(data=float64s(target))


def _trajectory(robot: RobotConfig, output: OutputConfig, target: Target, stamp_ns: int) -> JointTrajectory:
    message = JointTrajectory(joint_names=list(output.joint_names))
    message.header.stamp = to_stamp(stamp_ns)
    message.header.frame_id = robot.base_frame
    # The robot has one control period: then the next command arrives.
    period = Duration(sec=robot.period_ns // 10**9, nanosec=robot.period_ns % 10**9)
    message.points = [JointTrajectoryPoint(positions=float64s(target), time_from_start=period)]
    return message


def _joint_state(robot: RobotConfig, output: OutputConfig, target: Target, stamp_ns: int) -> JointState:
    message = JointState(name=list(output.joint_names), position=float64s(target))
    message.header.stamp = to_stamp(stamp_ns)
    message.header.frame_id = robot.base_frame
    return message


def _twist(robot: RobotConfig, target: Target, stamp_ns: int) -> TwistStamped:
    message = TwistStamped()
    message.header.stamp = to_stamp(stamp_ns)
    message.header.frame_id = robot.base_frame
    linear, angular = message.twist.linear, message.twist.angular
    linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = (float(v) for v in target)
    return message


def _base_twist(robot: RobotConfig, output: OutputConfig, target: Target, stamp_ns: int) -> TwistStamped:
    message = TwistStamped()
    message.header.stamp = to_stamp(stamp_ns)
    message.header.frame_id = output.frame_id or robot.base_frame
    for axis, value in zip(output.joint_names, target, strict=True):
        _, part, direction = axis.split('_')  # such as base_linear_x
        setattr(getattr(message.twist, part), direction, float(value))
    return message


def pose_to_msg(position: Target, rotation: Target, stamp_ns: int, frame: str) -> PoseStamped:
    """Return a pose: position, float64 [3] [m], and rotation matrix, float64 [3, 3], in `frame`."""
    return _pose_msg(np.concatenate([position, from_matrix('axis_angle', rotation)]), stamp_ns, frame)


def _pose(robot: RobotConfig, target: Target, stamp_ns: int) -> PoseStamped:
    return _pose_msg(target, stamp_ns, robot.base_frame)


def _pose_msg(target: Target, stamp_ns: int, frame: str) -> PoseStamped:
    message = PoseStamped()
    message.header.stamp = to_stamp(stamp_ns)
    message.header.frame_id = frame
    at, turn = message.pose.position, message.pose.orientation
    at.x, at.y, at.z = (float(value) for value in target[:3])
    angle = math.hypot(*target[3:])
    # sin(a/2)/a tends to 1/2.
    share = 0.5 if angle < _NO_TURN else math.sin(angle / 2) / angle
    turn.x, turn.y, turn.z = (float(value * share) for value in target[3:])
    turn.w = math.cos(angle / 2)
    return message


def pose_from_msg(message: PoseStamped) -> Target:
    """Return the position [m] and the rotation vector [rad] of a pose, float64 [6].

    The rotation vector is the shorter of the two that a quaternion has, with an angle of at most pi.

    Raises:
        InputError: a value is not finite, or the quaternion has no direction.
    """
    at, turn = message.pose.position, message.pose.orientation
    position = np.array([at.x, at.y, at.z])
    if not np.isfinite(position).all():
        raise InputError(f'has an unusable position: {position.tolist()} must be finite')
    return np.concatenate([position, rotation_vector((turn.x, turn.y, turn.z, turn.w))])


def target_from_trajectory(message: JointTrajectory, names: tuple[str, ...]) -> Target:
    """Return the positions of the last point in the order of `names`, float64 [J] [rad, m].

    Raises:
        InputError: other joints, no point, a wrong number of positions, or values that are not finite.
    """
    if set(message.joint_names) != set(names) or len(message.joint_names) != len(names):
        raise InputError(
            f'command has the joints {", ".join(message.joint_names) or "(none)"}: must be exactly {", ".join(names)}'
        )
    target = np.frombuffer(message.points[-1].positions, np.float64) if message.points else np.empty(0)
    if len(target) != len(names):
        raise InputError(f'command has {len(target)} positions: must be {len(names)}')
    if not np.isfinite(target).all():
        raise InputError(f'command is not finite: {target.tolist()}')
    place = {name: index for index, name in enumerate(message.joint_names)}
    return target[[place[name] for name in names]]
