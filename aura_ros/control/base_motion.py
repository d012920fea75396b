# SPDX-License-Identifier: Apache-2.0
"""The part of an action plan that drives a mobile base."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import ConfigError
from aura_ros.control.motion import Moment
from aura_ros.control.robot import RobotConfig


@dataclass(frozen=True)
class BaseMotion:
    """Velocities of a mobile base. The robot file limits each axis and how fast it changes."""

    columns: slice
    """Columns of the action."""
    robot: RobotConfig
    places: tuple[int, ...]
    """Columns of the robot."""
    scale: float
    """Robot units for the value 1, of an axis without a map."""

    @classmethod
    def of(cls, robot: RobotConfig, component: ActionComponent, columns: slice, places: list[int]) -> Self:
        """Return the part.

        Raises:
            ConfigError: the component is no velocity, or its unit does not fit an axis.
        """
        if component.mode != 'velocity':
            raise ConfigError(
                f'component {component.name!r} has the mode {component.mode}: must be velocity for a mobile base; '
                'convert the actions in the backbone'
            )
        for place in places:
            name, unit = robot.joint_names[place], robot.units[place]
            allowed = ('', unit, 'deg/s') if unit == 'rad/s' else ('', unit)
            if component.unit not in allowed and name not in robot.sources.maps:
                raise ConfigError(
                    f'component {component.name!r} has the unit {component.unit}, and {name} has {unit}: must be '
                    f'{" or ".join(filter(None, allowed))}, or {name} must be one of mapped_joints'
                )
        scale = math.pi / 180.0 if component.unit == 'deg/s' else 1.0
        return cls(columns, robot, tuple(places), scale)

    def fill(self, row: NDArray[np.float64], wanted: NDArray[np.float64], at: Moment) -> None:
        """Write the velocities."""
        for value, place in zip(row[self.columns], self.places, strict=True):
            joint_map = self.robot.sources.maps.get(self.robot.joint_names[place])
            wanted[place] = float(value) * self.scale if joint_map is None else joint_map.to_robot(float(value))
