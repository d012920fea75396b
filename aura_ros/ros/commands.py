# SPDX-License-Identifier: Apache-2.0
"""Command messages for robot controllers, made from joint targets."""

from collections.abc import Callable

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import TwistStamped
from numpy.typing import NDArray
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from aura_ros.common.errors import InputError
from aura_ros.control import RobotConfig
from aura_ros.ros.conversions import float64s, to_stamp

Target = NDArray[np.float64]
STAMPS = ('zero', 'now')
CommandMessage = JointTrajectory | TwistStamped | Float64MultiArray


def maker(robot: RobotConfig, stamp: str) -> tuple[type[CommandMessage], Callable[[Target, int], CommandMessage]]:
    """Return the message type of the robot's controller and a function that makes such a message.

    The function takes a target, float64 [J] [rad, m; for a twist m/s, rad/s], and a stamp [ns, ROS clock]. With `stamp`
    'zero' a trajectory has the stamp zero, which a JointTrajectoryController takes as "start now". It refuses a
    trajectory that ends in its past, so a stamped command must not arrive later than one control period. A twist always
    has its stamp, because MoveIt Servo refuses old ones.
    """
    if robot.command_type == 'joint_trajectory':
        if stamp == 'zero':
            return JointTrajectory, lambda target, _: _trajectory(robot, target, 0)
        return JointTrajectory, lambda target, ns: _trajectory(robot, target, ns)
    if robot.command_type == 'twist_stamped':
        return TwistStamped, lambda target, ns: _twist(robot, target, ns)
    return Float64MultiArray, lambda target, _: Float64MultiArray(data=float64s(target))


def _trajectory(robot: RobotConfig, target: Target, stamp_ns: int) -> JointTrajectory:
    message = JointTrajectory(joint_names=list(robot.joint_names))
    message.header.stamp = to_stamp(stamp_ns)
    message.header.frame_id = robot.base_frame
    # The robot has one control period: then the next command arrives.
    period = Duration(sec=robot.period_ns // 10**9, nanosec=robot.period_ns % 10**9)
    message.points = [JointTrajectoryPoint(positions=float64s(target), time_from_start=period)]
    return message


def _twist(robot: RobotConfig, target: Target, stamp_ns: int) -> TwistStamped:
    message = TwistStamped()
    message.header.stamp = to_stamp(stamp_ns)
    message.header.frame_id = robot.base_frame
    linear, angular = message.twist.linear, message.twist.angular
    linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = (float(v) for v in target)
    return message


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
