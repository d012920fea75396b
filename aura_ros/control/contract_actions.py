# SPDX-License-Identifier: Apache-2.0
"""The actions of a Rosetta contract: joints and axes, units and limits, as far as a robot file has them."""

import math
from collections.abc import Iterator

from aura_ros.common.errors import ConfigError
from aura_ros.common.spec_fields import is_number, mapping_of
from aura_ros.control.contract import EXTRA, Contract, Source
from aura_ros.control.outputs import BASE_UNITS

JOINT_STATE = 'sensor_msgs/msg/JointState'
TWIST = 'geometry_msgs/msg/TwistStamped'
COMMAND_TYPES = {
    'trajectory_msgs/msg/JointTrajectory': 'joint_trajectory',
    'std_msgs/msg/Float64MultiArray': 'float64_multi_array',
    JOINT_STATE: 'joint_state',
    TWIST: 'base_twist',
}
"""Command type for each message type of an action."""
_AXES = {f'twist.{axis.removeprefix("base_").replace("_", ".")}': axis for axis in BASE_UNITS}
_FIELDS = ('position', 'positions', 'velocity', 'velocities', 'acceleration', 'accelerations', 'effort')
OPERATORS = ('rad2deg', 'clamp')


def commanded(contract: Contract) -> dict[str, Source]:
    """Return the action of each joint, in the order of the action vector."""
    found: dict[str, Source] = {}
    for source in contract.actions:
        for joint in joints_of(source):
            if joint in found:
                raise ConfigError(
                    f'{source.where} commands {joint}, and {found[joint].where} as well: must be one only; the joints '
                    'of two arms need different names in their drivers'
                )
            found[joint] = source
    if not found:
        raise ConfigError('actions is empty: must have an action with the joints of the robot; add one')
    return found


def joints_of(source: Source) -> Iterator[str]:
    """Yield the joints of an action, after a check of all that a robot file has to express."""
    if source.code:
        raise ConfigError(
            f'{source.where}: encoder = {source.code!r}: must be left out, because functions named in a contract are '
            f'not run; use one of the types {", ".join(COMMAND_TYPES)}'
        )
    if source.type not in COMMAND_TYPES:
        raise ConfigError(
            f'{source.where}: type = {source.type!r}: must be one of {", ".join(COMMAND_TYPES)}; a robot file has no '
            'output of this type, so use another controller'
        )
    if source.kind not in ('continuous', 'binary'):
        raise ConfigError(f'{source.where}.kind = {source.kind!r}: must be continuous or binary for joints; correct it')
    _check_safety(source)
    if not source.names:
        raise ConfigError(f'{source.where}: select is missing: must name the joints; add [position.JOINT, ...]')
    if units_and_limits(source)[0] and source.type == TWIST:
        raise ConfigError(
            f"{source.where}: apply contains 'rad2deg': must be left out for velocities of a base; remove it"
        )
    find = _axis if source.type == TWIST else _joint
    yield from (find(source, name) for name in source.names)


def _check_safety(source: Source) -> None:
    if source.type == TWIST:
        if source.safety == 'hold':
            raise ConfigError(
                f"{source.where}: safety = 'hold': must be zeros or none for velocities, because a repeated velocity "
                'would move a base that has to stop; correct it'
            )
    elif source.safety == 'zeros':
        raise ConfigError(
            f"{source.where}: safety = 'zeros': must be hold or none for joints, because zeros would drive them to "
            'position 0; correct it'
        )


def _axis(source: Source, name: str) -> str:
    if name not in _AXES:
        raise ConfigError(
            f'{source.where}: select contains {name!r}: must be one of {", ".join(_AXES)}, the axes of a mobile base; '
            'correct it'
        )
    return _AXES[name]


def _joint(source: Source, name: str) -> str:
    part, dot, joint = name.partition('.')
    if not dot or part not in _FIELDS:
        return name
    if part not in ('position', 'positions'):
        raise ConfigError(
            f'{source.where}: select contains {name!r}: must be position.JOINT, because commands are positions; '
            'remove it'
        )
    return joint


def units_and_limits(source: Source) -> tuple[bool, float, float]:
    """Return whether the policy has degrees where the message has radians, and the limits of a clamp in the message.

    Raises:
        ConfigError: an operator is unknown or unusable.
    """
    degrees, low, high = False, -math.inf, math.inf
    for name, arguments in source.apply:
        if name not in OPERATORS or (name == 'rad2deg' and degrees):
            raise ConfigError(
                f'{source.where}: apply contains {name!r}: must be {" and ".join(OPERATORS)}, rad2deg at most once; '
                f'describe another unit as mapped_joints under {EXTRA}'
            )
        if name == 'rad2deg':
            degrees = True
            continue
        ends = mapping_of(f'{source.where}.apply.clamp', arguments, ('min', 'max'), ('min', 'max'))
        if not all(map(is_number, ends.values())):
            raise ConfigError(f'{source.where}.apply.clamp = {dict(ends)}: must be two finite numbers; correct it')
        scale = math.pi / 180.0 if degrees else 1.0
        low, high = max(low, float(ends['min']) * scale), min(high, float(ends['max']) * scale)  # type: ignore[arg-type]
    return degrees, low, high
