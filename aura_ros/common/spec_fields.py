# SPDX-License-Identifier: Apache-2.0
"""Checks that the specs of actions and states share. An error names the field, its value and the allowed values."""

import math
from collections.abc import Mapping, Sequence

from aura_ros.common.errors import ConfigError

KINDS = ('joint', 'ee_position', 'ee_rotation', 'gripper', 'base')
"""What a group of numbers describes; `ee` is the end effector."""
ROTATIONS = {'axis_angle': 3, 'euler_xyz': 3, 'quaternion_xyzw': 4, 'rot6d': 6}
"""Numbers of each form of a rotation [1].

`axis_angle` is the rotation vector [rad]. `euler_xyz` are angles about the fixed axes x, y, z, applied in this order
[rad]. `rot6d` are the first two columns of the rotation matrix, one after the other.
"""
FRAMES = ('base', 'end_effector')
"""Frames of end-effector values: that of the robot's base, and that of the tool itself."""
UNITS = ('rad', 'm', 'deg', '1', 'rad/s', 'm/s', 'deg/s')
"""Units; '' is the unit of the robot file, '1' a value without a unit."""
MAX_COMPONENTS = 16
"""Largest number of components or parts of a spec [1]."""
MAX_DIMS = 64
"""Largest number of values of a component or part [1]."""
NAME_CHARS = 32
"""Largest length of a name [characters]."""


def one_of(where: str, value: object, allowed: Sequence[str], fix: str) -> None:
    """Raise ConfigError if `value` is not one of `allowed`; `where` names the field, `fix` says what to do."""
    if not isinstance(value, str) or value not in allowed:
        shown = ', '.join(entry or "''" for entry in allowed)
        raise ConfigError(f'{where} = {value!r}: must be one of {shown}; {fix}')


def check_name(where: str, value: object) -> None:
    """Raise ConfigError if `value` is not a name of 1 to NAME_CHARS printable ASCII characters."""
    if not (isinstance(value, str) and 1 <= len(value) <= NAME_CHARS and value.isascii() and value.isprintable()):
        raise ConfigError(
            f'{where} = {value!r}: must be 1..{NAME_CHARS} printable ASCII characters; shorten or correct the name'
        )


def check_count(where: str, value: object, low: int, high: int) -> None:
    """Raise ConfigError if `value` is not a whole number in low..high."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f'{where} = {value!r}: must be a whole number in {low}..{high}; correct it')


def is_number(value: object) -> bool:
    """Return whether a value is a finite number, and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_rotation(where: str, kind: str, rotation: object, dims: int) -> None:
    """Raise ConfigError if the form of a rotation does not fit the kind and the number of values."""
    if kind != 'ee_rotation':
        one_of(f'{where}.rotation', rotation, ('',), f'leave it out with kind {kind}')
        return
    one_of(f'{where}.rotation', rotation, tuple(ROTATIONS), 'name the form of the rotation')
    if dims != ROTATIONS[str(rotation)]:
        raise ConfigError(
            f'{where}.dims = {dims}: must be {ROTATIONS[str(rotation)]} with rotation {rotation}; correct it'
        )


def check_dims(where: str, kind: str, dims: object) -> None:
    """Raise ConfigError if a kind cannot have so many values."""
    low, high = {'ee_position': (3, 3), 'ee_rotation': (3, 6), 'gripper': (1, 2)}.get(kind, (1, MAX_DIMS))
    check_count(f'{where}.dims', dims, low, high)


def check_names(where: str, names: Sequence[str]) -> None:
    """Raise ConfigError if there is no name, there are too many, or a name occurs twice."""
    check_count(f'number of {where}', len(names), 1, MAX_COMPONENTS)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f'{where} contains the name {twice!r} twice: must be different names; rename one')


def mapping_of(where: str, value: object, known: Sequence[str], needed: Sequence[str]) -> Mapping[str, object]:
    """Return `value` if it is a mapping with no other keys than `known`, and with all of `needed`.

    Raises:
        ConfigError: it is no mapping, or a key is unknown or missing.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f'{where} = {value!r}: must be a mapping with {", ".join(needed)}; correct it')
    if unknown := sorted(str(key) for key in value if key not in known):
        raise ConfigError(f'{where}.{unknown[0]} is unknown: must be one of {", ".join(known)}; correct or remove it')
    if missing := [key for key in needed if key not in value]:
        raise ConfigError(f'{where}.{missing[0]} is missing: must be given; add it')
    return value


def list_of(where: str, value: object) -> list[object]:
    """Return a list or tuple as a list.

    Raises:
        ConfigError: it is neither.
    """
    if not isinstance(value, list | tuple):
        raise ConfigError(f'{where} = {value!r}: must be a list; correct it')
    return list(value)
