# SPDX-License-Identifier: Apache-2.0
"""The command outputs of a robot: which joints a controller takes, and as which message."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from aura_ros.common.errors import ConfigError
from aura_ros.control.values import is_finite, numbers, strings

COMMAND_TYPES = (
    'joint_trajectory',
    'float64_multi_array',
    'joint_state',
    'twist_stamped',
    'base_twist',
    'pose_stamped',
    'gripper_command',
)
# Types that need no further parameters, for a robot with one output.
SINGLE_COMMAND_TYPES = COMMAND_TYPES[:5]
TWIST_AXES = ('linear_x', 'linear_y', 'linear_z', 'angular_x', 'angular_y', 'angular_z')
BASE_UNITS = {'base_linear_x': 'm/s', 'base_linear_y': 'm/s', 'base_angular_z': 'rad/s'}
"""Axes of a mobile base with their units. A base with two wheels has no base_linear_y."""
POSE_AXES = ('position_x', 'position_y', 'position_z', 'rotation_x', 'rotation_y', 'rotation_z')
ROTATION_AXES = POSE_AXES[3:]
TWIST_UNITS = ('m/s', 'm/s', 'm/s', 'rad/s', 'rad/s', 'rad/s')
POSE_UNITS = ('m', 'm', 'm', 'rad', 'rad', 'rad')
JOINT_UNITS = ('rad', 'm', '1')
_AXES = {'twist_stamped': (TWIST_AXES, TWIST_UNITS), 'pose_stamped': (POSE_AXES, POSE_UNITS)}
_BOX = ('workspace_lower', 'workspace_upper')
# Prefix of the groups that map a joint; see JointMap.
MAP_PREFIX = 'map_'


@dataclass(frozen=True)
class OutputConfig:
    """One command topic or action of a robot, checked on construction.

    A pose has the position of the end effector and its rotation vector (axis times angle) in `base_frame`. Each of the
    six has a unit in which a limit has a meaning, which the components of a quaternion have not.

    Raises:
        ConfigError: a name, type or effort is unusable.
    """

    name: str
    """Name of the group in the robot file; '' for the only output of a robot file without groups."""
    joint_names: tuple[str, ...]
    """Joints of this output, in the order of the command. TWIST_AXES for a twist, POSE_AXES for a pose, of a base
    some of BASE_UNITS."""
    command_type: str = 'joint_trajectory'
    """Message type of the controller; one of COMMAND_TYPES."""
    command_topic: str = ''
    """Topic of the commands; with gripper_command the name of the action."""
    frame_id: str = ''
    """Frame of a base_twist; '' is `base_frame` of the robot."""
    max_effort: float = 0.0
    """Largest effort of a gripper_command [N]; 0: the driver's default."""
    state_topic: str = ''
    """Topic of the measured end-effector pose (geometry_msgs/PoseStamped); with pose_stamped, or for a workspace."""
    workspace_lower: tuple[float, ...] = ()
    """Smallest x, y and z of the end effector [m]; only with twist_stamped and a state_topic, () without limits."""
    workspace_upper: tuple[float, ...] = ()
    """Largest x, y and z of the end effector [m]; as workspace_lower."""

    def __post_init__(self) -> None:
        of = f'{self.name}.' if self.name else ''
        if self.command_type not in COMMAND_TYPES:
            raise ConfigError(f'{of}command_type = {self.command_type!r}: must be one of {", ".join(COMMAND_TYPES)}')
        if not self.joint_names:
            raise ConfigError(f'{of}joint_names is empty: must name the joints of this output')
        if self.is_base:
            axes = tuple(axis for axis in BASE_UNITS if axis in self.joint_names) or tuple(BASE_UNITS)
        else:
            axes, _ = _AXES.get(self.command_type, (self.joint_names, ()))
        if self.joint_names != axes:
            raise ConfigError(
                f'{of}joint_names = {list(self.joint_names)}: with command_type {self.command_type} they must be '
                f'{", ".join(axes)}'
            )
        if self.command_type == 'gripper_command' and len(self.joint_names) != 1:
            raise ConfigError(f'{of}joint_names has {len(self.joint_names)} entries: gripper_command has one joint')
        if self.frame_id and not self.is_base:
            raise ConfigError(
                f'{of}frame_id = {self.frame_id!r}: must be empty with command_type {self.command_type}; set base_frame'
            )
        if not is_finite(self.max_effort) or self.max_effort < 0.0:
            raise ConfigError(f'{of}max_effort = {self.max_effort!r}: must be a number of 0 N or more')
        self._check_workspace(of)
        posed = self.command_type == 'pose_stamped' or bool(self.workspace_lower)
        if posed != bool(self.state_topic):
            raise ConfigError(
                f'{of}state_topic = {self.state_topic!r}: must be the topic of the measured pose with command_type '
                'pose_stamped or a workspace, and empty with others'
            )

    def _check_workspace(self, of: str) -> None:
        low, high = self.workspace_lower, self.workspace_upper
        if not low and not high:
            return
        if self.command_type != 'twist_stamped':
            raise ConfigError(
                f'{of}workspace_lower = {list(low)}: must be empty with command_type {self.command_type}; the position '
                'limits of a pose are its workspace'
            )
        if not (len(low) == len(high) == 3 and all(map(is_finite, (*low, *high)))):
            raise ConfigError(f'{of}workspace = {list(low)} to {list(high)}: must be three finite numbers each [m]')
        if any(below >= above for below, above in zip(low, high, strict=True)):
            raise ConfigError(f'{of}workspace_lower = {list(low)}: must be below workspace_upper = {list(high)}')

    @classmethod
    def from_mapping(cls, name: str, values: object) -> Self:
        """Return the output of a group of the robot file.

        Raises:
            ConfigError: the name cannot be a group, or a key or value of the group is unusable.
        """
        check_output_name(name)
        if not isinstance(values, Mapping):
            raise ConfigError(f'robot parameter {name!r} is missing: must be the group of parameters of this output')
        known = {field.name for field in fields(cls)} - {'name'}
        for key in values:
            if key not in known:
                raise ConfigError(f'robot parameter {name}.{key} is unknown: must be one of {", ".join(sorted(known))}')
        joints = strings(f'{name}.joint_names', values.get('joint_names', ()))
        topic = values.get('command_topic', '')
        if not isinstance(topic, str) or not topic:
            raise ConfigError(f'{name}.command_topic = {topic!r}: must be the topic or action of this output')
        boxes = {key: numbers(f'{name}.{key}', values[key]) for key in _BOX if key in values}
        return cls(**{**values, **boxes, 'name': name, 'joint_names': joints})

    @property
    def holds_with_zero(self) -> bool:
        """Whether the command is a velocity, whose hold is zero."""
        return self.is_base or self.command_type == 'twist_stamped'

    @property
    def is_base(self) -> bool:
        """Whether the commands drive a mobile base."""
        return self.command_type == 'base_twist'

    @property
    def holds_with_command(self) -> bool:
        """Whether a hold repeats the last command, because the measured position would loosen a grip."""
        return self.command_type == 'gripper_command'

    @property
    def default_units(self) -> tuple[str, ...]:
        """Units of the joints where the robot file gives none."""
        if self.is_base:
            return tuple(BASE_UNITS[axis] for axis in self.joint_names)
        _, units = _AXES.get(self.command_type, ((), ()))
        return units or ('rad',) * len(self.joint_names)

    def check_units(self, units: tuple[str, ...]) -> None:
        """Raise ConfigError for a unit that the controller does not take."""
        if self.is_base or self.command_type in _AXES:
            if units != self.default_units:
                raise ConfigError(
                    f'units of {", ".join(self.joint_names)} = {list(units)}: must be {", ".join(self.default_units)} '
                    f'with command_type {self.command_type}'
                )
            return
        for joint, unit in zip(self.joint_names, units, strict=True):
            if unit not in JOINT_UNITS:
                raise ConfigError(
                    f'units of {joint} = {unit!r}: must be rad or m (REP 103), or 1 for a gripper that takes a '
                    'fraction; convert other units in the driver'
                )


def check_output_name(name: str) -> None:
    """Raise ConfigError if `name` cannot be the name of a group in a robot file."""
    if not (name.isascii() and name.isidentifier()) or name.startswith(MAP_PREFIX):
        raise ConfigError(
            f'outputs contains {name!r}: every entry must be a name of letters, digits and _ that does not begin with '
            f'a digit or {MAP_PREFIX}'
        )
