# SPDX-License-Identifier: Apache-2.0
"""The robot file: joints, units, limits, control rate and command type."""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError

COMMAND_TYPES = ('joint_trajectory', 'float64_multi_array', 'twist_stamped')
TWIST_AXES = ('linear_x', 'linear_y', 'linear_z', 'angular_x', 'angular_y', 'angular_z')
JOINT_UNITS = ('rad', 'm')
TWIST_UNITS = ('m/s', 'm/s', 'm/s', 'rad/s', 'rad/s', 'rad/s')
CONTROL_HZ_RANGE = (1.0, 1000.0)
MAX_JOINTS = 64


@dataclass(frozen=True)
class RobotConfig:
    """Joints and limits of a robot; every limit is checked on construction.

    Each list has one entry per commanded joint, in the order of the policy's action vector. With `twist_stamped` the
    six 'joints' are the axes of `TWIST_AXES` and the commanded value is a velocity. `velocity_max` then bounds its rate
    of change, and the hold command is zero.

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
    """Message type of the robot's controller; one of COMMAND_TYPES."""
    units: tuple[str, ...] = ()
    """'rad' or 'm' per joint (REP 103); empty: 'rad' for all, or the units of a twist."""
    base_frame: str = 'base_link'
    """Frame of a twist, and frame_id of every command."""

    def __post_init__(self) -> None:
        if self.command_type not in COMMAND_TYPES:
            raise ConfigError(f'command_type = {self.command_type!r}: must be one of {", ".join(COMMAND_TYPES)}')
        self._check_names()
        self._check_units()
        low, high = CONTROL_HZ_RANGE
        if not _is_finite(self.control_hz) or not low <= self.control_hz <= high:
            raise ConfigError(
                f'control_hz = {self.control_hz!r}: must be {low:g}..{high:g} Hz; '
                "set the rate of the robot's controller"
            )
        if not isinstance(self.base_frame, str) or not self.base_frame:
            raise ConfigError(f'base_frame = {self.base_frame!r}: must be a frame name, such as base_link')
        self._check_limits()

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """Return the robot of a mapping whose keys are the fields; lists become tuples.

        Raises:
            ConfigError: an unknown or missing key, a value of the wrong type, or a bad limit.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f'robot parameter {unknown[0]!r} is unknown: must be one of {", ".join(sorted(known))}')
        needed = ('joint_names', 'position_lower', 'position_upper', 'velocity_max', 'step_max')
        for name in needed:
            if name not in values:
                raise ConfigError(f'robot parameter {name!r} is missing: give one entry per joint')
        converted: dict[str, object] = dict(values)
        for name in ('joint_names', 'units'):
            if name in values:
                converted[name] = _strings(name, values[name])
        for name in needed[1:]:
            converted[name] = _numbers(name, values[name])
        return cls(**converted)  # type: ignore[arg-type]  # __post_init__ checks the rest

    @property
    def size(self) -> int:
        """Commanded joints [1]."""
        return len(self.joint_names)

    @property
    def period_ns(self) -> int:
        """Time between two commands [ns]."""
        return round(1e9 / self.control_hz)

    @property
    def holds_with_zero(self) -> bool:
        """Whether the hold command is zero (velocities) instead of a position."""
        return self.command_type == 'twist_stamped'

    def hold_target(self, measured: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the command that stays at `measured`; both float64 [J] [rad or m], the result a copy."""
        if self.holds_with_zero:
            return np.zeros(self.size)
        return measured.astype(np.float64, copy=True)

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
        if self.command_type == 'twist_stamped' and names != TWIST_AXES:
            raise ConfigError(
                f'joint_names = {list(names)}: with command_type twist_stamped they must be {", ".join(TWIST_AXES)}'
            )

    def _check_units(self) -> None:
        twist = self.command_type == 'twist_stamped'
        if not self.units:
            default = TWIST_UNITS if twist else ('rad',) * len(self.joint_names)
            object.__setattr__(self, 'units', default)
        if len(self.units) != len(self.joint_names):
            raise ConfigError(f'units has {len(self.units)} entries: must be {len(self.joint_names)}, one per joint')
        if twist and self.units != TWIST_UNITS:
            raise ConfigError(
                f'units = {list(self.units)}: must be {", ".join(TWIST_UNITS)} with command_type twist_stamped'
            )
        for name, unit in zip(self.joint_names, self.units, strict=True):
            if not twist and unit not in JOINT_UNITS:
                raise ConfigError(
                    f'units of {name} = {unit!r}: must be rad or m (REP 103); convert other units in the driver'
                )

    def _check_limits(self) -> None:
        for field in ('position_lower', 'position_upper', 'velocity_max', 'step_max'):
            values = getattr(self, field)
            if len(values) != self.size:
                raise ConfigError(f'{field} has {len(values)} entries: must be {self.size}, one per joint_names entry')
            for name, value in zip(self.joint_names, values, strict=True):
                if not _is_finite(value):
                    raise ConfigError(f'{field} of {name} = {value!r}: must be a finite number')
                if field in ('velocity_max', 'step_max') and value <= 0.0:
                    raise ConfigError(
                        f"{field} of {name} = {value!r}: must be > 0; take it from the robot's data sheet"
                    )
        for name, low, high in zip(self.joint_names, self.position_lower, self.position_upper, strict=True):
            if low >= high:
                raise ConfigError(f'position_lower of {name} = {low!r}: must be below position_upper = {high!r}')
            if self.holds_with_zero and not low <= 0.0 <= high:
                raise ConfigError(
                    f'position limits of {name} = {low!r}..{high!r}: must include 0, the command that stops a twist'
                )


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _sequence(name: str, value: object) -> Sequence[object]:
    # ROS parameters are array.array, which is not a subclass of Sequence.
    if not isinstance(value, Sequence | array) or isinstance(value, str | bytes):
        raise ConfigError(f'{name} = {value!r}: must be a list with one entry per joint')
    return list(value)


def _strings(name: str, value: object) -> tuple[str, ...]:
    entries = _sequence(name, value)
    for entry in entries:
        if not isinstance(entry, str):
            raise ConfigError(f'{name} contains {entry!r}: every entry must be a string')
    return tuple(str(entry) for entry in entries)


def _numbers(name: str, value: object) -> tuple[float, ...]:
    entries = _sequence(name, value)
    numbers: list[float] = []
    for entry in entries:
        if not isinstance(entry, int | float) or isinstance(entry, bool):
            raise ConfigError(f'{name} contains {entry!r}: every entry must be a number')
        numbers.append(float(entry))
    return tuple(numbers)
