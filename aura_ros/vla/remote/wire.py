# SPDX-License-Identifier: Apache-2.0
"""The messages of openpi's websocket protocol: msgpack, with numpy arrays as small maps of bytes, type and shape.

An array becomes `{b'__ndarray__': True, b'data': bytes, b'dtype': text, b'shape': list}`, and a numpy number becomes
`{b'__npgeneric__': True, b'data': number, b'dtype': text}`. openpi-client packs the same way. Only booleans, integers
and floating-point numbers pass, so that data never becomes an object or code.
"""

import math
from typing import Any

import numpy as np

from aura_ros.common.errors import InputError

DIMENSIONS = 8
"""Largest number of dimensions of an array [1]."""
VALUES = 10_000
"""Largest number of entries of one list or map [1]; an array counts as one map."""
NESTING = 32
"""Largest nesting of lists and maps [1]."""
_KINDS = 'biuf'
_ARRAY, _NUMBER = b'__ndarray__', b'__npgeneric__'


def pack(message: object) -> bytes:
    """Return a message as bytes.

    Args:
        message: None, booleans, numbers, text, bytes, numpy arrays, and lists and dicts of these.

    Raises:
        InputError: a part has another type.
    """
    import msgpack

    try:
        data: bytes = msgpack.packb(message, default=_packed)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f'the message cannot be packed: {error}') from error
    return data


def unpack(data: bytes) -> Any:
    """Return the message in some bytes; arrays are read-only views of them.

    Raises:
        InputError: the bytes are no such message, or it is beyond a limit.
    """
    import msgpack

    try:
        message = msgpack.unpackb(
            data, object_hook=_unpacked, max_array_len=VALUES, max_map_len=VALUES, max_ext_len=0, strict_map_key=False
        )
        _check_nesting(message)
    except InputError:
        raise
    # The pure Python version of msgpack raises many types for bytes that are cut or nested too deeply.
    except Exception as error:
        raise InputError(f'the message is not msgpack: {type(error).__name__}: {error}') from error
    return message


def _packed(part: object) -> object:
    if isinstance(part, np.ndarray | np.generic):
        if part.dtype.kind not in _KINDS:
            raise InputError(f'an array of {part.dtype} cannot be sent: must be booleans, integers or floats')
        if isinstance(part, np.ndarray):
            return {_ARRAY: True, b'data': part.tobytes(), b'dtype': part.dtype.str, b'shape': part.shape}
        return {_NUMBER: True, b'data': part.item(), b'dtype': part.dtype.str}
    raise InputError(f'a {type(part).__name__} cannot be sent: must be a number, text, bytes, array, list or dict')


def _unpacked(part: dict[Any, Any]) -> Any:
    if _ARRAY in part:
        return _array(part)
    if _NUMBER in part:
        value = part.get(b'data')
        if not isinstance(value, bool | int | float):
            raise InputError(f'a number has the data {type(value).__name__}: must be a number')
        return _dtype(part).type(value)
    return part


def _array(part: dict[Any, Any]) -> np.ndarray[Any, Any]:
    data, shape, dtype = part.get(b'data'), part.get(b'shape'), _dtype(part)
    if not isinstance(data, bytes):
        raise InputError(f'an array has the data {type(data).__name__}: must be bytes')
    if not isinstance(shape, list) or len(shape) > DIMENSIONS:
        raise InputError(f'an array has the shape {shape!r:.100}: must be a list of at most {DIMENSIONS} sizes')
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape):
        raise InputError(f'an array has the shape {shape!r:.100}: sizes must be integers >= 0')
    needed = math.prod(shape) * dtype.itemsize
    if len(data) != needed:
        raise InputError(f'an array of {dtype} {tuple(shape)} has {len(data)} bytes: must be {needed}')
    return np.frombuffer(data, dtype).reshape(shape)


def _dtype(part: dict[Any, Any]) -> np.dtype[Any]:
    name = part.get(b'dtype')
    if isinstance(name, bytes):
        name = name.decode('ascii', 'replace')
    # '<f4' and the like: one letter and the bytes of one value, never a structure.
    if not isinstance(name, str) or len(name) > 4 or name.lstrip('<>|=')[:1] not in tuple(_KINDS):
        raise InputError(f'an array has the dtype {name!r:.50}: must be booleans, integers or floats such as <f4')
    try:
        return np.dtype(name)
    except TypeError as error:
        raise InputError(f'an array has the dtype {name!r}: numpy does not know it') from error


def _check_nesting(message: Any) -> None:
    """Refuse what is nested too deeply; iterative, because the message is from outside."""
    level, parts = 0, [message]
    while parts:
        if level > NESTING:
            raise InputError(f'the message is nested more than {NESTING} levels deep')
        inner: list[Any] = []
        for part in parts:
            inner.extend(part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())
        level, parts = level + 1, inner
