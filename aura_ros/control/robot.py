# SPDX-License-Identifier: Apache-2.0
"""The robot file: joints, units, limits, control rate and command type."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError
from aura_ros.control.end_effector import GROUP, EndEffectorConfig
from aura_ros.control.outputs import MAP_PREFIX, ROTATION_AXES, SINGLE_COMMAND_TYPES, OutputConfig
from aura_ros.control.poses import nearest_rotation
from aura_ros.control.sources import JointSources
from aura_ros.control.values import is_finite, numbers, strings

CONTROL_HZ_RANGE = (1.0, 1000.0)
MAX_JOINTS = 64
# Between these limits and the rotations where the nearest vector changes its sign, this angle is left [rad].
_TURN_MARGIN = 0.2
_LIMITS = ('position_lower', 'position_upper', 'velocity_max', 'step_max')
# Keys of a robot file that JointSources and OutputConfig read.
_SOURCE_KEYS = ('joint_state_topics', 'joint_max_age_s', 'mapped_joints')
_GROUP_KEYS = ('outputs', GROUP, *_SOURCE_KEYS)


@dataclass(frozen=True)
class RobotConfig:
    """Joints, limits, sources and outputs of a robot; every value is checked on construction.

    Each list has one entry per commanded joint, in the order of the policy's action vector. Limits are in the units of
    the robot and apply to what is sent. With `twist_stamped` six 'joints' are the axes of `TWIST_AXES`, and the
    commanded value is a velocity. `velocity_max` then bounds its rate of change, and the hold command is zero. With
    `base_twist` two or three 'joints' are the velocities of a mobile base, with the same limits and hold. With
    `pose_stamped` six 'joints' are the `POSE_AXES` of the end effector.

    Raises:
        ConfigError: a name, length or limit is unusable. The text gives the value, the allowed range and the fix.
    """

    joint_names: tuple[str, ...]
    position_lower: tuple[float, ...]
    """Lower bound of the commanded value [rad or m]."""
    position_upper: tuple[float, ...]
    """Upper bound of the commanded value [rad or m]."""
    velocity_max: tuple[float, ...]
    """Largest rate of change of the commanded value [rad/s or m/s]."""
    step_max: tuple[float, ...]
    """Largest change from one command to the next [rad or m]."""
    control_hz: float = 20.0
    """Commands per second [Hz]."""
    command_type: str = 'joint_trajectory'
    """Message type of the controller where there are no `outputs`; one of SINGLE_COMMAND_TYPES."""
    units: tuple[str, ...] = ()
    """'rad', 'm' or '1' per joint (REP 103); empty: 'rad' for joints, and the units of a twist or pose."""
    base_frame: str = 'base_link'
    """Frame of a twist or pose, and frame_id of every command."""
    outputs: tuple[OutputConfig, ...] = ()
    """Command outputs; each joint belongs to one. Empty: one output with all joints and `command_type`."""
    sources: JointSources = field(default_factory=JointSources)
    """Topics of the measured joints, and the maps between the units of robot and policy."""
    translation_per_unit: float = 0.0
    """Translation of an end-effector action with the unit 1 and the value 1 [m]; 0 refuses such actions."""
    rotation_per_unit: float = 0.0
    """Rotation of an end-effector action with the unit 1 and the value 1 [rad]; 0 refuses such actions."""
    end_effector: EndEffectorConfig | None = None
    """Inverse kinematics and limits for end-effector actions of a robot whose outputs take joints; None without."""

    def __post_init__(self) -> None:
        self._check_names()
        if not self.outputs:
            if self.command_type not in SINGLE_COMMAND_TYPES:
                raise ConfigError(
                    f'command_type = {self.command_type!r}: must be one of {", ".join(SINGLE_COMMAND_TYPES)}; '
                    'describe an output of another type as a group of robot.outputs'
                )
            object.__setattr__(self, 'outputs', (OutputConfig('', self.joint_names, self.command_type),))
        self._check_outputs()
        self._check_units()
        low, high = CONTROL_HZ_RANGE
        if not is_finite(self.control_hz) or not low <= self.control_hz <= high:
            raise ConfigError(
                f'control_hz = {self.control_hz!r}: must be {low:g}..{high:g} Hz; '
                "set the rate of the robot's controller"
            )
        if not isinstance(self.base_frame, str) or not self.base_frame:
            raise ConfigError(f'base_frame = {self.base_frame!r}: must be a frame name, such as base_link')
        for name in ('translation_per_unit', 'rotation_per_unit'):
            if not is_finite(value := getattr(self, name)) or value < 0.0:
                raise ConfigError(f'{name} = {value!r}: must be 0 or more; take it from the controller of the policy')
        self._check_limits()
        if self.end_effector is not None:
            mapped = [name for name, unit in zip(self.joint_names, self.units, strict=True) if unit == '1']
            self.end_effector.check_joints(self.joint_names, (*mapped, *self.sources.maps))

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """Return the robot of the mapping in a robot file; lists become tuples.

        The keys are those of the fields, those of JointSources, the group of the end effector, and one group for each
        output and each mapped joint.

        Raises:
            ConfigError: an unknown or missing key, a value of the wrong type, or a bad limit.
        """
        plain = {entry.name for entry in fields(cls)} - {'outputs', 'sources', GROUP}
        names = strings('outputs', values.get('outputs', ()))
        sources = JointSources.from_mapping(values)
        known = plain.union(_GROUP_KEYS, names, (MAP_PREFIX + joint for joint in sources.maps))
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f'robot parameter {unknown[0]!r} is unknown: must be one of {", ".join(sorted(known))}')
        for name in ('joint_names', *_LIMITS):
            if name not in values:
                raise ConfigError(f'robot parameter {name!r} is missing: give one entry per joint')
        if clash := plain.union(_GROUP_KEYS).intersection(names):
            raise ConfigError(f'outputs contains {min(clash)!r}: must not be the name of another robot parameter')
        converted: dict[str, object] = {name: value for name, value in values.items() if name in plain}
        for name in ('joint_names', 'units'):
            if name in values:
                converted[name] = strings(name, values[name])
        for name in _LIMITS:
            converted[name] = numbers(name, values[name])
        outputs = tuple(OutputConfig.from_mapping(name, values.get(name)) for name in names)
        effector = EndEffectorConfig.from_mapping(values.get(GROUP))
        return cls(**converted, outputs=outputs, sources=sources, end_effector=effector)  # type: ignore[arg-type]

    @property
    def size(self) -> int:
        """Commanded joints [1]."""
        return len(self.joint_names)

    @property
    def period_ns(self) -> int:
        """Time between two commands [ns]."""
        return round(1e9 / self.control_hz)

    @cached_property
    def is_velocity(self) -> NDArray[np.bool_]:
        """Whether the commanded value of each joint is a velocity, whose hold is zero; bool [J]."""
        axes = {name for output in self.outputs if output.holds_with_zero for name in output.joint_names}
        return np.array([name in axes for name in self.joint_names])

    @cached_property
    def keeps_command(self) -> NDArray[np.bool_]:
        """Whether a hold keeps the last command of each joint, because it presses on an object; bool [J]."""
        grips = {name for output in self.outputs if output.holds_with_command for name in output.joint_names}
        return np.array([name in grips for name in self.joint_names])

    def columns(self, output: OutputConfig) -> list[int]:
        """Return the places of the output's joints among `joint_names`."""
        return [self.joint_names.index(name) for name in output.joint_names]

    def hold_target(self, measured: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the command that stays at `measured`; both float64 [J] [rad or m], the result a copy."""
        return np.where(self.is_velocity, 0.0, measured)

    def to_robot(self, action: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return an action of a policy, [J], in the units of the robot, float64 [J]."""
        return self.within_turn(self.sources.to_robot(action, self.joint_names))

    def within_turn(self, target: NDArray[np.floating], near: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return a copy of `target`, float64 [J], with the rotation vector of a pose replaced by an equal one.

        It is the one nearest to that of `near`, [J], or to the middle of the limits without `near`.
        """
        found, rotation = np.array(target, np.float64), self._rotation
        # The limiter refuses an array of another shape.
        if rotation and found.shape == (self.size,):
            middle = np.array(self.rotation_middle) if near is None else near[rotation]
            found[rotation] = nearest_rotation(found[rotation], middle)
        return found

    @cached_property
    def rotation_middle(self) -> tuple[float, ...]:
        """Middle of the limits of a pose's rotation vector [rad]; () without a pose."""
        return tuple((self.position_lower[at] + self.position_upper[at]) / 2.0 for at in self._rotation)

    @cached_property
    def _rotation(self) -> list[int]:
        """Places of the rotation vector of a pose; empty without a pose."""
        names = self.joint_names
        return [names.index(axis) for axis in ROTATION_AXES if axis in names]

    def _check_names(self) -> None:
        names = self.joint_names
        if not 1 <= len(names) <= MAX_JOINTS:
            raise ConfigError(f'joint_names has {len(names)} entries: must be 1..{MAX_JOINTS}')
        for name in names:
            if not isinstance(name, str) or not name:
                raise ConfigError(f'joint_names contains {name!r}: every entry must be a name')
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f'joint_names contains {twice!r} twice: name every joint once')

    def _check_outputs(self) -> None:
        """Check that each joint belongs to one output, and that outputs differ."""
        for word, values in (
            ('outputs contains', [output.name for output in self.outputs]),
            ('the outputs have the command_topic', [output.command_topic for output in self.outputs]),
        ):
            if twice := [value for value, count in Counter(values).items() if count > 1]:
                raise ConfigError(f'{word} {twice[0]!r} twice: must be different for each output')
        for output in self.outputs:
            if output.command_type == 'joint_state' and output.command_topic in self.sources.topics:
                raise ConfigError(
                    f'{output.name}.command_topic = {output.command_topic!r}: must not be one of joint_state_topics, '
                    'because the commands would be read as measured positions; use another topic'
                )
        placed = Counter(name for output in self.outputs for name in output.joint_names)
        for output in self.outputs:
            for name in output.joint_names:
                if name not in self.joint_names:
                    raise ConfigError(f'{output.name}.joint_names contains {name!r}: must be one of robot.joint_names')
        for name in self.joint_names:
            if placed[name] != 1:
                raise ConfigError(f'{name} belongs to {placed[name]} outputs: every joint must belong to one')

    def _check_units(self) -> None:
        if not self.units:
            default = {
                name: unit
                for output in self.outputs
                for name, unit in zip(output.joint_names, output.default_units, strict=True)
            }
            object.__setattr__(self, 'units', tuple(default[name] for name in self.joint_names))
        if len(self.units) != len(self.joint_names):
            raise ConfigError(f'units has {len(self.units)} entries: must be {len(self.joint_names)}, one per joint')
        for output in self.outputs:
            output.check_units(tuple(self.units[column] for column in self.columns(output)))

    def _check_limits(self) -> None:
        for limit in _LIMITS:
            values = getattr(self, limit)
            if len(values) != self.size:
                raise ConfigError(f'{limit} has {len(values)} entries: must be {self.size}, one per joint_names entry')
            for name, value in zip(self.joint_names, values, strict=True):
                if not is_finite(value):
                    raise ConfigError(f'{limit} of {name} = {value!r}: must be a finite number')
                if limit in ('velocity_max', 'step_max') and value <= 0.0:
                    raise ConfigError(
                        f"{limit} of {name} = {value!r}: must be > 0; take it from the robot's data sheet"
                    )
        velocities = self.is_velocity
        for name, low, high, is_velocity in zip(
            self.joint_names, self.position_lower, self.position_upper, velocities, strict=True
        ):
            if low >= high:
                raise ConfigError(f'position_lower of {name} = {low!r}: must be below position_upper = {high!r}')
            if is_velocity and not low <= 0.0 <= high:
                raise ConfigError(
                    f'position limits of {name} = {low!r}..{high!r}: must include 0, the command that stops a twist'
                )
        self._check_turn()

    def _check_turn(self) -> None:
        """Check that the rotations within the limits are far from those where the nearest vector changes its sign."""
        spans = [self.position_upper[place] - self.position_lower[place] for place in self._rotation]
        half, most = math.hypot(*spans) / 2.0, math.pi - _TURN_MARGIN
        if half > most:
            raise ConfigError(
                f'position limits of {", ".join(ROTATION_AXES)} span {[round(span, 3) for span in spans]} rad: half '
                f'their diagonal is {half:.3f} and must be {most:.3f} rad at most; narrow position_lower and '
                'position_upper to the rotations of the task'
            )
