# SPDX-License-Identifier: Apache-2.0
"""The text of a robot file that is made from a URDF."""

from collections.abc import Iterator

import yaml

from aura_ros.common.text import printable
from aura_ros.tools.robot.urdf import UrdfJoint, UrdfRobot

CONTROL_HZ = 20.0
"""Control rate of a new robot file [Hz]."""
VELOCITY_FRACTION = 0.25
"""Part of the URDF's velocity limit that a new robot file allows [1]."""

_HEAD = """\
# Robot file for policy_switch_node, from the URDF of {robot} ({source}).
# Check it after every change: aura robot --check FILE
#
# From the URDF: joint names, units, position limits, base_frame. velocity_max and step_max are {percent:g} % of the
# velocity limits of the URDF. Lower them further for the first tests, and raise them once you trust the policy.
# Not in a URDF, so compare with your robot: the order of the joints, control_hz, command_type, command_topic.
{left_out}/**:
  ros__parameters:
    # Topic of the robot's controller; `ros2 control list_controllers` lists the controllers.
    command_topic: joint_trajectory_controller/joint_trajectory
    robot:
      # In the order of the policy's action vector. The URDF has no such order: these are from the base to the tip.
"""

_TAIL = """\
      # Commands per second [Hz]: the rate of the policy's actions.
      control_hz: {control_hz}
      # joint_trajectory, float64_multi_array or twist_stamped; see docs/robot.md.
      command_type: joint_trajectory
      # frame_id of every command: the root link of the URDF.
      base_frame: {base}
"""

_GRIPPER = """\
      # Joints with a controller of their own, such as a gripper, are an output of their own (docs/robot.md). Then
      # command_type and command_topic above are not used:
      # outputs: [arm, gripper]
      # arm:
      #   joint_names: [{arm}]
      #   command_type: joint_trajectory
      #   command_topic: arm_controller/joint_trajectory
      # gripper:
      #   joint_names: [{tip}]
      #   command_type: joint_trajectory
      #   command_topic: gripper_controller/joint_trajectory
"""


def robot_file(robot: UrdfRobot, source: str, fraction: float) -> str:
    """Return a robot file with a comment on the origin of each value.

    Args:
        robot: from `read_urdf`.
        source: file or topic of the URDF.
        fraction: part of the URDF's velocity limits to allow [1].
    """
    left_out = ', '.join(f'{name} ({reason})' for name, reason in robot.left_out.items())
    head = _HEAD.format(
        robot=printable(robot.name) or 'a robot without a name',
        source=printable(source),
        percent=100.0 * fraction,
        left_out=f'# Left out: {printable(left_out)}.\n' if left_out else '',
    )
    body = ''.join(f'      {line}\n' for line in _lists(robot.joints, fraction))
    tail = _TAIL.format(control_hz=CONTROL_HZ, base=_scalar(robot.base))
    *arm, tip = (_scalar(joint.name) for joint in robot.joints)
    return head + body + tail + (_GRIPPER.format(arm=', '.join(arm), tip=tip) if arm else '')


def _lists(joints: tuple[UrdfJoint, ...], fraction: float) -> Iterator[str]:
    yield 'joint_names:'
    yield from (f'- {_scalar(joint.name)}  # {joint.kind}' for joint in joints)
    yield '# rad for a revolute or continuous joint, m for a prismatic one.'
    yield f'units: [{", ".join(joint.unit for joint in joints)}]'
    yield '# Position limits of the URDF. Narrow them to fit your cell.'
    for key in ('lower', 'upper'):
        yield f'position_{key}:'
        for joint in joints:
            note = ' has no limit in the URDF; half a turn to each side' if joint.kind == 'continuous' else ''
            yield f'- {_number(getattr(joint, key))}  # {joint.name}{note} [{joint.unit}]'
    yield f'# Speed limits: {100.0 * fraction:g} % of the URDF.'
    yield 'velocity_max:'
    for joint in joints:
        speed = _rounded(fraction * joint.velocity)
        yield f'- {_number(speed)}  # {joint.name}: {100.0 * fraction:g} % of {joint.velocity:g} {joint.unit}/s'
    yield f'# Largest change from one command to the next: velocity_max at {CONTROL_HZ:g} Hz.'
    yield 'step_max:'
    for joint in joints:
        step = _rounded(_rounded(fraction * joint.velocity) / CONTROL_HZ)
        yield f'- {_number(step)}  # {joint.name} [{joint.unit}]'


def _rounded(value: float) -> float:
    return float(f'{value:.4g}')


def _number(value: float) -> str:
    # ROS reads a number without a point as an integer, and refuses a list of both kinds.
    text = repr(float(value))
    return text if 'e' not in text or '.' in text else text.replace('e', '.0e')


def _scalar(text: str) -> str:
    """Return a string as YAML, quoted where YAML or ROS would read something else."""
    return yaml.safe_dump([text], default_flow_style=True, allow_unicode=True, width=10**6).strip()[1:-1]
