# SPDX-License-Identifier: Apache-2.0
"""Lists and numbers of a robot file, with their types checked."""

import math
from array import array
from collections.abc import Sequence

from aura_ros.common.errors import ConfigError


def is_finite(value: object) -> bool:
    """Return whether a value is a finite number, and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def strings(name: str, value: object) -> tuple[str, ...]:
    """Return a list of strings as a tuple; `name` is for the text of the error.

    Raises:
        ConfigError: it is not a list, or an entry is not a string.
    """
    for entry in (entries := _sequence(name, value)):
        if not isinstance(entry, str):
            raise ConfigError(f'{name} contains {entry!r}: every entry must be a string')
    return tuple(str(entry) for entry in entries)


def numbers(name: str, value: object) -> tuple[float, ...]:
    """Return a list of numbers as a tuple of floats; `name` is for the text of the error.

    Raises:
        ConfigError: it is not a list, or an entry is not a number.
    """
    found: list[float] = []
    for entry in _sequence(name, value):
        if not isinstance(entry, int | float) or isinstance(entry, bool):
            raise ConfigError(f'{name} contains {entry!r}: every entry must be a number')
        found.append(float(entry))
    return tuple(found)


def _sequence(name: str, value: object) -> Sequence[object]:
    # ROS parameters are array.array, which is not a subclass of Sequence.
    if not isinstance(value, Sequence | array) or isinstance(value, str | bytes):
        raise ConfigError(f'{name} = {value!r}: must be a list with one entry per joint')
    return list(value)
