# SPDX-License-Identifier: Apache-2.0
"""The parts of an action plan: joints and grippers, twists, poses, and an end effector with inverse kinematics."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import ConfigError, InputError
from aura_ros.common.rotations import from_matrix, to_matrix
from aura_ros.control.end_effector import EndEffectorConfig, Floats, Kinematics, Pose
from aura_ros.control.outputs import OutputConfig
from aura_ros.control.robot import RobotConfig

_DEGREE = math.pi / 180.0
_METRES, _RADIANS = ('', 'm', 'm/s'), ('', 'rad', 'rad/s', 'deg', 'deg/s')


@dataclass(frozen=True)
class Moment:
    """Where the last command was, and how long the next one moves."""

    last: Floats
    """Last command, or the measured joints before the first one, float64 [J]."""
    elapsed_s: float
    """Time since the last command, one control period at most [s]."""
    action_s: float
    """Time between two actions [s]."""
    measured: Floats | None = None
    """Measured joints, float64 [J]; in the columns of a twist with a workspace the measured pose."""

    def share(self, component: ActionComponent) -> float:
        """Return the factor of a motion for one command: part of a delta [1], or time of a velocity [s]."""
        return self.elapsed_s if component.mode == 'velocity' else self.elapsed_s / self.action_s

    def rate(self, component: ActionComponent) -> float:
        """Return the factor that makes a motion a velocity [1, 1/s]."""
        return 1.0 if component.mode == 'velocity' else 1.0 / self.action_s


@dataclass(frozen=True)
class Placed:
    """A component of the end effector and its place in the action."""

    component: ActionComponent
    columns: slice
    """Columns of the action."""
    scale: float = 1.0
    """Metres or radians for the value 1."""

    @classmethod
    def of(cls, robot: RobotConfig, component: ActionComponent, columns: slice) -> Self:
        """Return the component with its scale.

        Raises:
            ConfigError: the component is relative to the state, or its unit has no scale.
        """
        if component.mode == 'state_relative':
            raise ConfigError(f'component {component.name!r} is relative to the state: a backbone has to add its state')
        turns = component.kind == 'ee_rotation'
        if component.rotation in ('quaternion_xyzw', 'rot6d') and component.unit in ('', '1'):
            return cls(component, columns)
        if component.unit == '1':
            name = 'rotation_per_unit' if turns else 'translation_per_unit'
            scale: float = getattr(robot, name)
            if not scale:
                raise ConfigError(
                    f'component {component.name!r} has the unit 1: set robot.{name} to what its controller moves for '
                    'the value 1'
                )
            return cls(component, columns, scale)
        if component.unit not in (allowed := _RADIANS if turns else _METRES):
            raise ConfigError(
                f'component {component.name!r} has the unit {component.unit}: must be one of '
                f'{", ".join(filter(None, allowed))}'
            )
        return cls(component, columns, _DEGREE if component.unit.startswith('deg') else 1.0)

    def values(self, row: NDArray[np.float64]) -> Floats:
        """Return a position [m] or a rotation vector [rad] of an action, float64 [3]; per second for a velocity."""
        values = row[self.columns] * self.scale
        if self.component.rotation in ('', 'axis_angle'):
            return values
        return from_matrix('axis_angle', to_matrix(self.component.rotation, values))


@dataclass(frozen=True)
class JointMotion:
    """Joints or grippers: targets, or motions from the last command."""

    component: ActionComponent
    columns: slice
    """Columns of the action."""
    robot: RobotConfig
    places: tuple[int, ...]
    """Columns of the robot."""

    @classmethod
    def of(cls, robot: RobotConfig, component: ActionComponent, columns: slice, places: list[int]) -> Self:
        """Return the part.

        Raises:
            ConfigError: mode or unit of the component does not fit the joints.
        """
        if component.mode == 'state_relative':
            raise ConfigError(f'component {component.name!r} is relative to the state: a backbone has to add its state')
        for place in places:
            name, unit = robot.joint_names[place], component.unit.removesuffix('/s')
            known = {'': True, 'deg': robot.units[place] == 'rad'}.get(unit, unit == robot.units[place])
            if not known and name not in robot.sources.maps:
                raise ConfigError(
                    f'component {component.name!r} has the unit {component.unit}, and {name} has {robot.units[place]}: '
                    f'must be equal, or {name} must be one of mapped_joints'
                )
            if robot.is_velocity[place]:
                raise ConfigError(f'component {component.name!r} commands {name}, an axis of a twist: must not')
        return cls(component, columns, robot, tuple(places))

    def fill(self, row: Floats, wanted: Floats, at: Moment) -> None:
        """Write the command of these joints."""
        for value, place in zip(row[self.columns], self.places, strict=True):
            joint_map = self.robot.sources.maps.get(self.robot.joint_names[place])
            scale = _DEGREE if self.component.unit.startswith('deg') and joint_map is None else 1.0
            if self.component.moves:
                slope = scale if joint_map is None else joint_map.slope
                wanted[place] = at.last[place] + float(value) * slope * at.share(self.component)
            else:
                wanted[place] = float(value) * scale if joint_map is None else joint_map.to_robot(float(value))


@dataclass(frozen=True)
class TwistMotion:
    """An end effector whose controller takes velocities in the frame of the base."""

    position: Placed | None
    rotation: Placed | None
    places: tuple[int, ...]
    output: OutputConfig
    period_s: float
    """Control period [s]."""
    counts: Counter[str]
    """Counter of the limits that act; shared."""

    @classmethod
    def of(
        cls,
        robot: RobotConfig,
        output: OutputConfig,
        position: Placed | None,
        rotation: Placed | None,
        counts: Counter[str],
    ) -> Self:
        """Return the part.

        Raises:
            ConfigError: a component is no motion in the frame of the base.
        """
        for component in (placed.component for placed in (position, rotation) if placed is not None):
            if not component.moves or component.frame == 'end_effector':
                raise ConfigError(
                    f'component {component.name!r} is {component}: must be a delta or velocity in the frame of the '
                    'base for an output twist_stamped'
                )
        return cls(position, rotation, tuple(robot.columns(output)), output, robot.period_ns * 1e-9, counts)

    def fill(self, row: Floats, wanted: Floats, at: Moment) -> None:
        """Write the velocities."""
        linear = angular = np.zeros(3)
        if self.position is not None:
            linear = self.position.values(row) * at.rate(self.position.component)
        if self.rotation is not None:
            angular = self.rotation.values(row) * at.rate(self.rotation.component)
        wanted[list(self.places)] = np.concatenate([self._inside(linear, at), angular])

    def _inside(self, linear: Floats, at: Moment) -> Floats:
        """Return a velocity that does not leave the workspace within one control period.

        Outside the workspace, only the way back is left.
        """
        if not self.output.workspace_lower or at.measured is None:
            return linear
        place = at.measured[list(self.places[:3])]
        least = np.minimum((np.array(self.output.workspace_lower) - place) / self.period_s, 0.0)
        most = np.maximum((np.array(self.output.workspace_upper) - place) / self.period_s, 0.0)
        found = np.clip(linear, least, most)
        self.counts['workspace'] += int((found != linear).any())
        return np.asarray(found)


@dataclass(frozen=True)
class PoseMotion:
    """An end effector whose controller takes poses; the robot file limits each axis."""

    position: Placed | None
    rotation: Placed | None
    places: tuple[int, ...]

    @classmethod
    def of(cls, robot: RobotConfig, output: OutputConfig, position: Placed | None, rotation: Placed | None) -> Self:
        """Return the part."""
        return cls(position, rotation, tuple(robot.columns(output)))

    def fill(self, row: Floats, wanted: Floats, at: Moment) -> None:
        """Write the position and the rotation vector."""
        places = list(self.places)
        last = at.last[places]
        pose = Pose(last[:3], to_matrix('axis_angle', last[3:]))
        goal = next_pose(pose, self.position, self.rotation, row, at)
        wanted[places[:3]] = goal.position
        if self.rotation is not None:
            wanted[places[3:]] = from_matrix('axis_angle', goal.rotation)


class EndEffectorMotion:
    """An end effector whose joints follow by inverse kinematics, within its workspace and speeds.

    Attributes:
        columns: columns of the robot that it fills.
    """

    def __init__(
        self, robot: RobotConfig, config: EndEffectorConfig, kinematics: Kinematics, counts: Counter[str]
    ) -> None:
        self.columns = [robot.joint_names.index(name) for name in config.joint_names]
        self._counts = counts
        self._config, self._kinematics = config, kinematics
        self._lower, self._upper = np.array(config.workspace_lower), np.array(config.workspace_upper)

    def part(self, position: Placed | None, rotation: Placed | None) -> '_SolvedPose':
        """Return the part of a plan."""
        return _SolvedPose(self, position, rotation)

    def joints(self, last: Floats, position: Placed | None, rotation: Placed | None, row: Floats, at: Moment) -> Floats:
        """Return the joint targets of one command.

        Raises:
            InputError: the action is no rotation, or there is no solution.
        """
        pose = self._kinematics.pose(last)
        goal = self.limited(pose, next_pose(pose, position, rotation, row, at), at.elapsed_s)
        found = self._kinematics.solve(last, goal)
        if found is None:
            raise InputError('the inverse kinematics has no solution for the pose of the end effector')
        return found

    def limited(self, pose: Pose, goal: Pose, elapsed_s: float) -> Pose:
        """Return a goal within the workspace that `elapsed_s` from `pose` allows, and count each limit that acts.

        An end effector outside the workspace comes back in steps, never by a jump.
        """
        inside = np.clip(goal.position, self._lower, self._upper)
        step, reach = inside - pose.position, self._config.translation_velocity_max * elapsed_s
        length = float(np.linalg.norm(step))
        turn = from_matrix('axis_angle', goal.rotation @ pose.rotation.T)
        angle, most = float(np.linalg.norm(turn)), self._config.rotation_velocity_max * elapsed_s
        self._counts['workspace'] += int((inside != goal.position).any())
        self._counts['translation'] += int(length > reach)
        self._counts['rotation'] += int(angle > most)
        position = pose.position + step * min(1.0, reach / length) if length > 0.0 else pose.position
        rotation = goal.rotation if angle <= most else to_matrix('axis_angle', turn * (most / angle)) @ pose.rotation
        return Pose(position, rotation)


@dataclass(frozen=True)
class _SolvedPose:
    """The part of an end effector with inverse kinematics."""

    motion: EndEffectorMotion
    position: Placed | None
    rotation: Placed | None

    def fill(self, row: Floats, wanted: Floats, at: Moment) -> None:
        """Write the joint targets."""
        columns = self.motion.columns
        wanted[columns] = self.motion.joints(at.last[columns], self.position, self.rotation, row, at)


def next_pose(pose: Pose, position: Placed | None, rotation: Placed | None, row: Floats, at: Moment) -> Pose:
    """Return the pose that an action asks for, from the pose of the last command.

    A component that is missing keeps its part of the pose. A motion in the frame of the end effector is along its
    axes.

    Raises:
        InputError: the action is no rotation.
    """
    place, turn = pose.position, pose.rotation
    if position is not None:
        component, place = position.component, position.values(row)
        if component.moves:
            step = place * at.share(component)
            place = pose.position + (pose.rotation @ step if component.frame == 'end_effector' else step)
    if rotation is not None:
        component, vector = rotation.component, rotation.values(row)
        turn = to_matrix('axis_angle', vector * at.share(component) if component.moves else vector)
        if component.moves:
            turn = pose.rotation @ turn if component.frame == 'end_effector' else turn @ pose.rotation
    return Pose(np.asarray(place, np.float64), turn)
