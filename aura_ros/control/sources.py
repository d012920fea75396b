# SPDX-License-Identifier: Apache-2.0
"""Where a robot's measured joints come from, and in which unit a policy reads them."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError
from aura_ros.control.outputs import MAP_PREFIX
from aura_ros.control.values import is_finite, numbers, strings

# Bounds that keep every mapped float32 finite.
_LEAST_RANGE, _LARGEST = 1e-6, 1e6
_MAX_TOPICS = 16
_MAP_KEYS = ('policy', 'robot', 'threshold', 'measured')


@dataclass(frozen=True)
class JointMap:
    """The linear map between the unit of a policy and that of the robot for one joint, given by two points.

    For a gripper: `policy` (0, 1) and `robot` (0.0, 0.04) open the fingers by up to 4 cm. Swapped ends invert it.

    With `measured` it is the map of a value that a policy reads and does not command, such as the second finger of a
    gripper with one joint.

    Raises:
        ConfigError: the two points do not define a line, or the threshold is not between them or has no command.
    """

    joint: str
    policy: tuple[float, ...]
    """Two values of the policy."""
    robot: tuple[float, ...]
    """The same two points in the unit of the driver."""
    threshold: float | None = None
    """Value of the policy that the second point begins with: a command is one of the two points; None: linear."""
    measured: str = ''
    """Measured joint that gives the value; '' is `joint`, which is commanded too."""

    def __post_init__(self) -> None:
        for name in ('policy', 'robot'):
            ends, key = getattr(self, name), f'{MAP_PREFIX}{self.joint}.{name}'
            if len(ends) != 2 or not all(is_finite(end) and abs(end) <= _LARGEST for end in ends):
                raise ConfigError(f'{key} = {list(ends)}: must be two numbers within ±{_LARGEST:g}')
            if abs(ends[1] - ends[0]) < _LEAST_RANGE:
                raise ConfigError(f'{key} = {list(ends)}: must be two numbers that differ by {_LEAST_RANGE:g} or more')
        if not isinstance(self.measured, str):
            raise ConfigError(f'{MAP_PREFIX}{self.joint}.measured = {self.measured!r}: must be the name of a joint')
        if self.measured and self.threshold is not None:
            raise ConfigError(
                f'{MAP_PREFIX}{self.joint}.threshold = {self.threshold!r}: must be left out with measured = '
                f'{self.measured!r}, because nothing commands {self.joint}'
            )
        low, high = sorted(self.policy)
        if self.threshold is not None and not (is_finite(self.threshold) and low <= self.threshold <= high):
            raise ConfigError(
                f'{MAP_PREFIX}{self.joint}.threshold = {self.threshold!r}: must be within policy = {list(self.policy)}'
            )

    @classmethod
    def from_mapping(cls, joint: str, values: object) -> Self:
        """Return the map of a group of the robot file.

        Raises:
            ConfigError: the group is missing, or a key or value of it is unusable.
        """
        name = MAP_PREFIX + joint
        if not isinstance(values, Mapping):
            raise ConfigError(f'robot parameter {name!r} is missing: must be a group with policy and robot')
        for key in values:
            if key not in _MAP_KEYS:
                raise ConfigError(f'robot parameter {name}.{key} is unknown: must be one of {", ".join(_MAP_KEYS)}')
        ends = {key: numbers(f'{name}.{key}', values.get(key, ())) for key in ('policy', 'robot')}
        return cls(joint, ends['policy'], ends['robot'], values.get('threshold'), values.get('measured', ''))

    @property
    def source(self) -> str:
        """Measured joint that gives the value."""
        return self.measured or self.joint

    def to_policy(self, value: float) -> float:
        """Return a measured position in the unit of the policy."""
        share = (value - self.robot[0]) / (self.robot[1] - self.robot[0])
        return self.policy[0] + share * (self.policy[1] - self.policy[0])

    @property
    def slope(self) -> float:
        """Change in the unit of the robot for a change of 1 in that of the policy."""
        return (self.robot[1] - self.robot[0]) / (self.policy[1] - self.policy[0])

    def to_robot(self, value: float) -> float:
        """Return an action in the unit of the robot."""
        share = (value - self.policy[0]) / (self.policy[1] - self.policy[0])
        if self.threshold is not None:
            rises = self.policy[1] > self.policy[0]
            share = float(value >= self.threshold if rises else value <= self.threshold)
        # In this form both ends are exact.
        return self.robot[0] * (1.0 - share) + self.robot[1] * share


@dataclass(frozen=True)
class JointSources:
    """Topics of a robot's joint states, how old each joint may be, and the maps between robot and policy.

    Raises:
        ConfigError: no topic, a topic twice, or an age that is not above zero.
    """

    topics: tuple[str, ...] = ('joint_states',)
    """Topics of sensor_msgs/JointState; each message may hold any subset of the joints."""
    max_age_s: Mapping[str, float] = field(default_factory=dict)
    """Oldest usable position by joint [s], for joints that differ from the parameter of the node."""
    maps: Mapping[str, JointMap] = field(default_factory=dict)
    """Map of each joint whose unit differs between robot and policy."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.topics) <= _MAX_TOPICS or not all(self.topics):
            raise ConfigError(f'joint_state_topics = {list(self.topics)}: must be 1..{_MAX_TOPICS} names of topics')
        if len(set(self.topics)) != len(self.topics):
            raise ConfigError(f'joint_state_topics = {list(self.topics)}: must name every topic once')
        for name, age_s in self.max_age_s.items():
            if not is_finite(age_s) or not 0.001 <= age_s <= 60.0:
                raise ConfigError(f'joint_max_age_s of {name} = {age_s!r}: must be 0.001..60 s')

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """Return the sources in the mapping of a robot file, whose other keys are ignored.

        Raises:
            ConfigError: a value has the wrong type or is unusable.
        """
        joints = strings('joint_names', values.get('joint_names', ()))
        topics = strings('joint_state_topics', values.get('joint_state_topics', ('joint_states',)))
        ages_s = numbers('joint_max_age_s', values.get('joint_max_age_s', ()))
        if ages_s and len(ages_s) != len(joints):
            raise ConfigError(
                f'joint_max_age_s has {len(ages_s)} entries: must be {len(joints)}, one per joint_names entry, or empty'
            )
        mapped = strings('mapped_joints', values.get('mapped_joints', ()))
        maps: dict[str, JointMap] = {}
        for name in mapped:
            group = values.get(MAP_PREFIX + name)
            measured = group.get('measured') if isinstance(group, Mapping) else ''
            if name not in joints and not measured:
                raise ConfigError(
                    f'mapped_joints contains {name!r}: must be one of joint_names {list(joints)}, or have '
                    f'{MAP_PREFIX}{name}.measured, the joint that gives its value'
                )
            if name in joints and measured:
                raise ConfigError(
                    f'{MAP_PREFIX}{name}.measured = {measured!r}: must be left out, because {name} is one of '
                    'joint_names and gives its own value'
                )
            maps[name] = JointMap.from_mapping(name, group)
        return cls(topics, dict(zip(joints, ages_s, strict=False)), maps)

    def source(self, joint: str) -> str:
        """Return the measured joint that gives the value of a joint of the policy."""
        return self.maps[joint].source if joint in self.maps else joint

    def to_policy(
        self, positions: Mapping[str, float], joints: Iterable[str], in_degrees: Collection[str] = ()
    ) -> dict[str, float]:
        """Return the values of those `joints` of the policy that measured positions give, in its units.

        Positions are converted from float32. A replay sends them as float32, and has to give the same values.

        Args:
            positions: measured positions by joint [rad, m].
            joints: names of the policy.
            in_degrees: joints that the policy reads in degrees; a map precedes it.
        """
        found = {}
        for name in joints:
            if (source := self.source(name)) not in positions:
                continue
            value = float(np.float32(positions[source]))
            if name in self.maps:
                value = self.maps[name].to_policy(value)
            elif name in in_degrees:
                value = math.degrees(value)
            found[name] = value
        return found

    def columns_to_policy(self, values: NDArray[np.float64], joints: Sequence[str]) -> NDArray[np.float64]:
        """Return commands, [rows, J] with the columns `joints`, in the units of the policy."""
        found = values.copy()
        for column, joint in enumerate(joints):
            if joint in self.maps:
                found[:, column] = [self.maps[joint].to_policy(value) for value in values[:, column]]
        return found

    def to_robot(self, action: NDArray[np.floating], joints: tuple[str, ...]) -> NDArray[np.float64]:
        """Return an action of a policy, [J] in the order of `joints`, in the units of the robot, float64 [J]."""
        found = np.array(action, np.float64)
        for column, joint in enumerate(joints):
            if joint in self.maps:
                found[column] = self.maps[joint].to_robot(float(found[column]))
        return found
