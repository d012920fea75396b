# SPDX-License-Identifier: Apache-2.0
"""The commands real controllers take, made from joint targets."""

from collections.abc import Callable
from typing import Any

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


def maker(robot: RobotConfig) -> tuple[type, Callable[[Target, int], Any]]:
    """Return the message type of a robot's controller and what fills it.

    The second is a function of a target, float64 [J] [rad, m; for a twist m/s, rad/s], and the
    command's stamp [ns, ROS clock].
    """
    if robot.command_type == 'joint_trajectory':
        return JointTrajectory, lambda target, ns: _trajectory(robot, target, ns)
    if robot.command_type == 'twist_stamped':
        return TwistStamped, lambda target, ns: _twist(robot, target, ns)
    return Float64MultiArray, lambda target, _: Float64MultiArray(data=float64s(target))


def _trajectory(robot: RobotConfig, target: Target, stamp_ns: int) -> JointTrajectory:
    message = JointTrajectory(joint_names=list(robot.joint_names))
    message.header.stamp = to_stamp(stamp_ns)
    message.header.frame_id = robot.base_frame
    # One period to get there: the next command arrives then.
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
    """Return the last point's positions in the order of `names`, float64 [J] [rad, m].

    Raises:
        InputError: other joints, no point, another number of positions, or values not finite.
    """
    if set(message.joint_names) != set(names) or len(message.joint_names) != len(names):
        raise InputError(
            f'command is for {", ".join(message.joint_names) or "no joint"}: must be for exactly {", ".join(names)}'
        )
    positions = message.points[-1].positions if message.points else ()
    if len(positions) != len(names):
        raise InputError(f'command has {len(positions)} positions: must be {len(names)}')
    target = np.frombuffer(positions, np.float64)
    if not np.isfinite(target).all():
        raise InputError(f'command is not finite: {target.tolist()}')
    place = {name: index for index, name in enumerate(message.joint_names)}
    return target[[place[name] for name in names]]
