# SPDX-License-Identifier: Apache-2.0
"""The end effector of a robot whose controllers take joints: model for the inverse kinematics, workspace and limits."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError
from aura_ros.control.values import is_finite, numbers, strings

Floats = NDArray[np.float64]
GROUP = 'end_effector'
"""Group of the robot file."""
_AXES = 3


@dataclass(frozen=True)
class Pose:
    """A pose of the end effector in the frame of the robot's base."""

    position: Floats
    """Float64 [3] [m]."""
    rotation: Floats
    """Matrix, float64 [3, 3]."""


class Kinematics(Protocol):
    """Forward and inverse kinematics of the joints of one end effector."""

    def pose(self, joints: Floats) -> Pose:
        """Return the pose of the end effector at joint positions, float64 [J] [rad, m]."""

    def solve(self, start: Floats, goal: Pose) -> Floats | None:
        """Return joint positions near `start` that reach `goal` as far as possible, float64 [J] [rad, m].

        The result is None if there is no finite solution.
        """


@dataclass(frozen=True)
class EndEffectorConfig:
    """How end-effector actions become joint targets, and their limits; checked on construction.

    The limits apply to every command, before the limits of the joints: no pose outside the workspace is a goal, and
    no command moves or turns the end effector faster.

    Raises:
        ConfigError: a value is unusable. The text gives the value, the allowed range and the fix.
    """

    model: str
    """MJCF or URDF file of the arm, or 'embedded' for the simulated arm."""
    frame: str
    """Site, body or link of the model whose pose the actions command."""
    joint_names: tuple[str, ...]
    """Joints that move the end effector; joints of the robot, with the same names in the model."""
    workspace_lower: tuple[float, ...]
    """Smallest x, y and z of the end effector [m]."""
    workspace_upper: tuple[float, ...]
    """Largest x, y and z of the end effector [m]."""
    translation_velocity_max: float
    """Largest speed of the end effector [m/s]."""
    rotation_velocity_max: float
    """Largest angular speed of the end effector [rad/s]."""

    def __post_init__(self) -> None:
        for name in ('model', 'frame'):
            if not isinstance(value := getattr(self, name), str) or not value:
                raise ConfigError(f'{GROUP}.{name} = {value!r}: must be the name of a file or frame; add it')
        if not self.joint_names or len(set(self.joint_names)) != len(self.joint_names):
            raise ConfigError(
                f'{GROUP}.joint_names = {list(self.joint_names)}: must be different names of joints; '
                'list the joints from the base to the tool'
            )
        for name in ('workspace_lower', 'workspace_upper'):
            box = getattr(self, name)
            if len(box) != _AXES or not all(map(is_finite, box)):
                raise ConfigError(
                    f'{GROUP}.{name} = {list(box)}: must be three finite numbers, x, y, z [m]; correct it'
                )
        for axis, low, high in zip('xyz', self.workspace_lower, self.workspace_upper, strict=True):
            if low >= high:
                raise ConfigError(
                    f'{GROUP}.workspace_lower of {axis} = {low:g}: must be below {high:g}; correct the box'
                )
        for name in ('translation_velocity_max', 'rotation_velocity_max'):
            if not is_finite(value := getattr(self, name)) or value <= 0.0:
                raise ConfigError(f'{GROUP}.{name} = {value!r}: must be > 0; begin with a low speed')

    @classmethod
    def from_mapping(cls, values: object) -> Self | None:
        """Return the end effector of the group of a robot file; None if it names no model.

        Raises:
            ConfigError: a key is unknown or missing, or a value is unusable.
        """
        if values is None or (isinstance(values, Mapping) and values.get('model', '') == ''):
            return None
        if not isinstance(values, Mapping):
            raise ConfigError(f'robot parameter {GROUP!r} = {values!r}: must be a group of parameters')
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise ConfigError(f'robot parameter {GROUP}.{key} is unknown: must be one of {", ".join(known)}')
        if missing := [name for name in known if name not in values]:
            raise ConfigError(f'robot parameter {GROUP}.{missing[0]} is missing: must be given with a model; add it')
        lists = {'joint_names': strings(f'{GROUP}.joint_names', values['joint_names'])}
        boxes = {name: numbers(f'{GROUP}.{name}', values[name]) for name in ('workspace_lower', 'workspace_upper')}
        return cls(**{**values, **lists, **boxes})

    def check_joints(self, joint_names: tuple[str, ...], converted: tuple[str, ...]) -> None:
        """Raise ConfigError if a joint is not one of the robot, or one of those with a unit that the model has not."""
        for name in self.joint_names:
            if name not in joint_names:
                raise ConfigError(f'{GROUP}.joint_names contains {name!r}: must be one of robot.joint_names')
            if name in converted:
                raise ConfigError(
                    f'{GROUP}.joint_names contains {name!r}: must be a joint in rad or m that is not in mapped_joints, '
                    'because the model has these units'
                )
