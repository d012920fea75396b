# SPDX-License-Identifier: Apache-2.0
"""The robot file as parameters of a node, with the prefix `robot.`.

The names of some parameters depend on the values of others: one group for each output and each mapped joint. They are
declared when the file is read.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from rclpy.node import Node

from aura_ros.common.errors import ConfigError
from aura_ros.control import RobotConfig
from aura_ros.control.end_effector import GROUP
from aura_ros.control.outputs import COMMAND_TYPES, MAP_PREFIX, SINGLE_COMMAND_TYPES, check_output_name
from aura_ros.control.sources import JointSources
from aura_ros.ros.parameters import ParameterSet, numbers, parameter, strings
from aura_ros.ros.topics import check_topic

PREFIX = 'robot.'


@dataclass(frozen=True)
class SourceParameters:
    """The part of the robot file that describes the measured joints; JointSources checks it."""

    joint_names: tuple[str, ...] = strings('Commanded joints, in the order of the action vector')
    joint_state_topics: tuple[str, ...] = strings(
        'Topics of joint states; each message may hold any of the joints', ('joint_states',)
    )
    joint_max_age_s: tuple[float, ...] = numbers('Oldest usable position of each joint; unset: as the node', unit='s')
    mapped_joints: tuple[str, ...] = strings('Joints with a group robot.map_JOINT, between policy and robot')


@dataclass(frozen=True)
class RobotParameters(SourceParameters):
    """The whole robot file; RobotConfig checks it."""

    units: tuple[str, ...] = strings("'rad', 'm' or '1' for each joint; 'm/s' or 'rad/s' for velocities")
    position_lower: tuple[float, ...] = numbers('Lower limit of each joint', unit='rad or m')
    position_upper: tuple[float, ...] = numbers('Upper limit of each joint', unit='rad or m')
    velocity_max: tuple[float, ...] = numbers('Largest speed of each joint', unit='rad/s or m/s')
    step_max: tuple[float, ...] = numbers('Largest change of each joint from one command to the next', unit='rad or m')
    control_hz: float = parameter(20.0, 'Commands per second', unit='Hz', low=1.0, high=1000.0)
    command_type: str = parameter(
        'joint_trajectory', 'Message type of the controller where robot.outputs is empty', choices=SINGLE_COMMAND_TYPES
    )
    base_frame: str = parameter('base_link', 'frame_id of every command')
    translation_per_unit: float = parameter(
        0.0,
        'Translation of an end-effector action with the unit 1 and the value 1; 0: such actions are refused',
        unit='m',
    )
    rotation_per_unit: float = parameter(
        0.0,
        'Rotation of an end-effector action with the unit 1 and the value 1; 0: such actions are refused',
        unit='rad',
    )
    outputs: tuple[str, ...] = strings('Command outputs with a group robot.OUTPUT each; empty: one output')


@dataclass(frozen=True)
class OutputParameters:
    """The group of one output."""

    joint_names: tuple[str, ...] = strings('Joints of this output, in the order of its command')
    command_type: str = parameter('joint_trajectory', 'Message type of the controller', choices=COMMAND_TYPES)
    command_topic: str = parameter('', 'Topic of the commands, or name of the action')
    frame_id: str = parameter('', 'frame_id of a base_twist; empty: base_frame')
    max_effort: float = parameter(0.0, 'Largest effort of gripper_command; 0 = the default of the driver', unit='N')
    state_topic: str = parameter('', 'Topic of the measured pose, for pose_stamped or a workspace')
    workspace_lower: tuple[float, ...] = numbers('Smallest x, y and z of the end effector, for twist_stamped', unit='m')
    workspace_upper: tuple[float, ...] = numbers('Largest x, y and z of the end effector, for twist_stamped', unit='m')


@dataclass(frozen=True)
class EndEffectorParameters:
    """The group of the end effector; EndEffectorConfig checks it."""

    model: str = parameter(
        '', "MJCF or URDF file for inverse kinematics, or 'embedded'; empty: no end-effector actions", at_start=True
    )
    frame: str = parameter('', 'Site, body or link of the model whose pose the actions command')
    joint_names: tuple[str, ...] = strings('Joints that move the end effector')
    workspace_lower: tuple[float, ...] = numbers('Smallest x, y and z of the end effector', unit='m')
    workspace_upper: tuple[float, ...] = numbers('Largest x, y and z of the end effector', unit='m')
    translation_velocity_max: float = parameter(0.0, 'Largest speed of the end effector', unit='m/s')
    rotation_velocity_max: float = parameter(0.0, 'Largest angular speed of the end effector', unit='rad/s')


@dataclass(frozen=True)
class MapParameters:
    """The group of one mapped joint."""

    policy: tuple[float, ...] = numbers('Two values of the policy')
    robot: tuple[float, ...] = numbers('The same two points in the unit of the driver')
    threshold: float = parameter(math.nan, 'Value of the policy between the two ends of a command; nan: linear')
    measured: str = parameter('', 'Measured joint of a value that is read and not commanded; empty: JOINT')


P = TypeVar('P', bound=SourceParameters)


class RobotFile(Generic[P]):
    """The parameters of the robot file on one node. Executor thread only."""

    def __init__(self, node: Node, schema: type[P], locked: Callable[[], bool]) -> None:
        """Declare the parameters of `schema`; `locked` returns whether the values are in use."""
        self._node, self._locked = node, locked
        self._parameters = ParameterSet(node, schema, locked, PREFIX)
        self._groups: dict[str, ParameterSet[Any]] = {}
        self._commands = issubclass(schema, RobotParameters)
        if self._commands:
            self._group(GROUP, EndEffectorParameters)

    def _mapping(self) -> dict[str, object]:
        """Return the values as in the file, with the groups that they name."""
        values: dict[str, Any] = asdict(self._parameters.read())
        for name in values.get('outputs', ()):
            check_output_name(name)
            values[name] = self._group(name, OutputParameters)
        if self._commands:
            values[GROUP] = self._group(GROUP, EndEffectorParameters)
        for joint in values['mapped_joints']:
            group = self._group(MAP_PREFIX + joint, MapParameters)
            values[MAP_PREFIX + joint] = group | {
                'threshold': None if math.isnan(group['threshold']) else group['threshold']
            }
        return values

    def _group(self, name: str, schema: type[Any]) -> dict[str, Any]:
        if name not in self._groups:
            self._groups[name] = ParameterSet(self._node, schema, self._locked, f'{PREFIX}{name}.')
        return asdict(self._groups[name].read())

    def sources(self) -> JointSources:
        """Return the sources of the measured joints; the defaults if there is no robot file.

        Raises:
            ConfigError: a value is unusable.
        """
        sources = JointSources.from_mapping(self._mapping())
        self._check_sources(sources)
        return sources

    @staticmethod
    def _check_sources(sources: JointSources) -> None:
        for topic in sources.topics:
            check_topic(f'{PREFIX}joint_state_topics', topic)

    def robot(self) -> RobotConfig:
        """Return the checked robot.

        Raises:
            ConfigError: a list is missing, a value is unusable, or a parameter is unknown.
        """
        values = self._mapping()
        if not values['joint_names']:
            raise ConfigError(
                "parameter 'robot.joint_names' is not set: must list the commanded joints; "
                'start the node with a robot file such as config/sim_arm.yaml'
            )
        self._check_names()
        robot = RobotConfig.from_mapping(values)
        self._check_sources(robot.sources)
        for output in robot.outputs:
            for key in ('command_topic', 'state_topic'):
                if topic := getattr(output, key):
                    check_topic(f'{PREFIX}{output.name}.{key}', topic)
        return robot

    def _check_names(self) -> None:
        """Refuse parameters of the robot file that no list of it names; ROS ignores them."""
        # rclpy has no public list of the given values, unless it declares all of them without a check.
        given = self._node._parameter_overrides
        unknown = [name for name in given if name.startswith(PREFIX) and not self._node.has_parameter(name)]
        if not unknown:
            return
        name = min(unknown)
        group, dot, _ = name.removeprefix(PREFIX).partition('.')
        if not dot or group in self._groups:
            fix = 'correct its name or remove it'
        elif group.startswith(MAP_PREFIX):
            fix = f'add {group.removeprefix(MAP_PREFIX)!r} to robot.mapped_joints, or remove the group'
        else:
            fix = f'add {group!r} to robot.outputs, or remove the group'
        raise ConfigError(f'parameter {name!r} is unknown: {fix}')
