# SPDX-License-Identifier: Apache-2.0
"""CDR bytes to messages: each topic by its own definition, where the bag carries one.

A bag of Humble carries none, one of a later distribution carries the definition of every type. What a bag carries
counts; else the types of its distribution do, and those of this package. A definition is parsed when its topic is read,
so that one that is damaged or unknown takes no other topic with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from aura_ros.common.errors import BagError

Decoder = Callable[[bytes], Any]

# What has no distribution and no definitions was written by Humble or one before it.
_WITHOUT = Stores.ROS2_HUMBLE
# Packages whose messages are read here by field.
_USED = ('aura_ros', 'builtin_interfaces', 'geometry_msgs', 'sensor_msgs', 'std_msgs', 'trajectory_msgs')
_SEPARATOR = '=' * 80 + '\n'


@cache
def standard_types(distribution: str = '') -> Typestore:
    """Types of a ROS 2 distribution, such as 'humble', and of this package; Humble's where it is not known."""
    try:
        store = Stores(f'ros2_{distribution.lower()}')
    except ValueError:
        store = _WITHOUT
    types = get_typestore(store)
    for path in sorted(_message_folder().glob('*.msg')):
        types.register(get_types_from_msg(path.read_text(encoding='utf-8'), f'aura_ros/msg/{path.stem}'))
    return types


def _message_folder() -> Path:
    """Where the package's .msg files are: beside the sources, else share/aura_ros of an installed package."""
    prefixes = [*filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)), sys.prefix]
    folders = [Path(__file__).parents[2] / 'msg', *(Path(prefix, 'share/aura_ros/msg') for prefix in prefixes)]
    return next((folder for folder in folders if (folder / 'VlaStep.msg').exists()), folders[0])


def full_name(name: str) -> str:
    """A type's full name; early recorders left out the middle: std_msgs/String is std_msgs/msg/String."""
    return name.replace('/', '/msg/') if name.count('/') == 1 else name


def decoder(connection: Connection, distribution: str) -> Decoder:
    """What turns the bytes of one topic into messages.

    Raises:
        BagError: the type is defined neither in the bag nor in the distribution, or it is not written in CDR.
    """
    encoding = getattr(connection.ext, 'serialization_format', 'cdr')
    if encoding != 'cdr':
        raise BagError(
            f"topic {connection.topic} is written in '{encoding}': must be cdr; convert the bag with ros2 bag convert"
        )
    name, standard = full_name(connection.msgtype), standard_types(distribution)
    known = [standard] if name in standard.types else []
    reason = ''
    try:
        embedded = _embedded(connection.msgdef, name)
        if embedded is not None and name in embedded.types and _is_whole(embedded, standard):
            known.insert(0, embedded)
    except Exception as error:  # noqa: BLE001  # the parser may fail in any way on what is no definition
        reason = str(error).partition('\n')[0].rstrip(':')
    if not known and reason:
        raise BagError(
            f'topic {connection.topic}: the definition of {name} in the bag cannot be used ({reason}); '
            'leave the topic out of the mapping'
        )
    if not known:
        raise BagError(
            f'topic {connection.topic} is of type {name}, which neither the bag nor ROS 2 defines; record it with a '
            'ROS 2 that stores definitions in the bag (Iron or later, MCAP), or leave the topic out of the mapping'
        )
    return lambda data: _decode(known, data, name)


def _decode(known: Sequence[Typestore], data: bytes, name: str) -> Any:
    """Decode by the first definition that fits: rosbags refuses bytes of another length than it says."""
    for types in known[:-1]:
        try:
            return types.deserialize_cdr(data, name)
        except Exception:  # noqa: BLE001  # generated code may fail in any way; the last one raises
            continue
    return known[-1].deserialize_cdr(data, name)


def _is_whole(types: Typestore, standard: Typestore) -> bool:
    """Whether definitions of types that are read here by field have the fields."""
    for name in types.fielddefs.keys() & standard.fielddefs.keys():
        has = {field for field, _ in types.fielddefs[name][1]}
        if name.split('/')[0] in _USED and not has.issuperset(field for field, _ in standard.fielddefs[name][1]):
            return False
    return True


def _embedded(definition: MessageDefinition, name: str) -> Typestore | None:
    if definition.format == MessageDefinitionFormat.NONE or not definition.data:
        return None
    types = get_typestore(Stores.EMPTY)
    if definition.format == MessageDefinitionFormat.MSG:
        types.register(get_types_from_msg(definition.data, name))
    else:
        for part in definition.data.split(_SEPARATOR):
            _, idl = part.split('\n', 1) if part.startswith('IDL: ') else ('', part)
            if idl.strip():
                types.register(get_types_from_idl(idl))
    # A definition may lack what it builds on, for instance builtin_interfaces.
    missing = {kind for _, fields in types.fielddefs.values() for kind in _named(fields)} - types.types.keys()
    if missing:
        raise TypesysError(f'{name} needs {", ".join(sorted(missing))}')
    return types


def _named(fields: Any) -> set[str]:
    """Names of the message types that fields are of."""
    found = set()
    for _, (_, detail) in fields:
        inner = detail[0] if isinstance(detail, tuple) and isinstance(detail[0], tuple) else None
        name = inner[1] if inner is not None else detail
        if isinstance(name, str) and '/' in name:
            found.add(name)
    return found
