# SPDX-License-Identifier: Apache-2.0
"""Decoders from bytes (CDR, or those of ROS 1) to messages: each topic by its own definition if the bag carries one.

Bags of Iron and later carry the definition of every type; bags of Humble carry none. The definition in the bag has
precedence over the types of the distribution and of this package. A definition is parsed when its topic is read, so
that one damaged definition affects no other topic. Old names become today's names (`old_names`).
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat
from rosbags.interfaces.typing import FieldDesc, Typesdict
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from aura_ros.common.errors import BagError
from aura_ros.recordings.definitions import parse
from aura_ros.recordings.installed_types import prefixes
from aura_ros.recordings.old_names import ADDED_FIELDS, current_field, current_type

_TIMES = ('builtin_interfaces/msg/Time', 'builtin_interfaces/msg/Duration')
Decoder = Callable[[bytes], Any]

# A bag without a distribution and without definitions comes from Humble or an earlier one.
_WITHOUT = Stores.ROS2_HUMBLE
# Packages whose messages this package reads by field.
_USED = ('aura_ros', 'builtin_interfaces', 'geometry_msgs', 'sensor_msgs', 'std_msgs', 'trajectory_msgs')


@cache
def standard_types(distribution: str = '') -> Typestore:
    """Return the types of a ROS 2 distribution, for example 'humble', and of this package.

    An unknown distribution gets the types of Humble.
    """
    try:
        store = Stores(f'ros2_{distribution.lower()}')
    except ValueError:
        store = _WITHOUT
    types = get_typestore(store)
    for path in sorted(_message_folder().glob('*.msg')):
        types.register(get_types_from_msg(path.read_text(encoding='utf-8'), f'aura_ros/msg/{path.stem}'))
    return types


def _message_folder() -> Path:
    """The folder of the package's .msg files: beside the sources, or share/aura_ros of an installed package."""
    folders = [Path(__file__).parents[2] / 'msg', *(prefix / 'share/aura_ros/msg' for prefix in prefixes())]
    return next((folder for folder in folders if (folder / 'VlaStep.msg').exists()), folders[0])


def current_name(recorded: str) -> str:
    """Return today's full name of a recorded type: std_msgs/String of early recorders is std_msgs/msg/String."""
    return current_type(_full_name(recorded))


def _full_name(name: str) -> str:
    return name.replace('/', '/msg/') if name.count('/') == 1 else name


def decoder(connection: Connection, distribution: str) -> Decoder:
    """Return the function that decodes the bytes of one topic.

    Raises:
        BagError: neither the bag nor the distribution defines the type, or the encoding is not supported.
    """
    encoding = getattr(connection.ext, 'serialization_format', 'cdr')
    if encoding not in ('cdr', 'ros1'):
        raise BagError(
            f"topic {connection.topic} is written in '{encoding}', which is not supported: must be cdr or ros1; "
            'record the topic with ROS 2, or remove it from the mapping'
        )
    ros1 = encoding == 'ros1'
    name, standard = current_name(connection.msgtype), _ros1_types() if ros1 else standard_types(distribution)
    known = [standard] if name in standard.types else []
    if name in ADDED_FIELDS and not ros1:
        known.append(_before_additions(distribution))
    reason = ''
    try:
        embedded = _embedded(connection.msgdef, _full_name(connection.msgtype), standard if ros1 else None)
        if embedded is not None and name in embedded.types and _is_whole(embedded, standard):
            known.insert(0, embedded)
    except Exception as error:  # noqa: BLE001  # the parser can raise anything on a damaged definition
        reason = str(error).partition('\n')[0].rstrip(':')[:200]
    if not known and reason:
        raise BagError(
            f'topic {connection.topic}: the definition of {name} in the bag cannot be used ({reason}); '
            'remove the topic from the mapping'
        )
    if not known:
        raise BagError(
            f'topic {connection.topic} is of type {name}, which neither the bag nor ROS 2 defines; record it with a '
            'ROS 2 that stores definitions in the bag (Iron or later, MCAP), or remove the topic from the mapping'
        )
    decoders = [partial(types.deserialize_ros1 if ros1 else types.deserialize_cdr, typename=name) for types in known]
    if name in ADDED_FIELDS:
        return lambda data: _completed(_decode(decoders, data), name, standard)
    return lambda data: _decode(decoders, data)


@cache
def _before_additions(distribution: str) -> Typestore:
    """Return the types of a distribution without the fields that version 0.1.0 did not have."""
    types, store = standard_types(distribution), get_typestore(Stores.EMPTY)
    store.register(
        {
            name: (constants, [field for field in fields if field[0] not in ADDED_FIELDS.get(name, ())])
            for name, (constants, fields) in types.fielddefs.items()
        }
    )
    return store


def _completed(message: Any, name: str, types: Typestore) -> Any:
    """Return a message with empty lists for the fields that version 0.1.0 did not have."""
    if all(hasattr(message, field) for field in ADDED_FIELDS[name]):
        return message
    fields = [field for field, _ in types.fielddefs[name][1]]
    return types.types[name](**{field: getattr(message, field, []) for field in fields})


@cache
def _ros1_types() -> Typestore:
    return get_typestore(Stores.ROS1_NOETIC)


def _decode(decoders: Sequence[Decoder], data: bytes) -> Any:
    """Decode by the first definition that fits: rosbags refuses bytes of a different length."""
    for decode in decoders[:-1]:
        try:
            return decode(data)
        except Exception:  # noqa: BLE001  # generated code can raise anything; the last attempt raises to the caller
            continue
    return decoders[-1](data)


def _is_whole(types: Typestore, standard: Typestore) -> bool:
    """Whether the definitions have every field that this package reads, besides those added after version 0.1.0."""
    for name in types.fielddefs.keys() & standard.fielddefs.keys():
        has = {field for field, _ in types.fielddefs[name][1]}
        wanted = {field for field, _ in standard.fielddefs[name][1]}.difference(ADDED_FIELDS.get(name, ()))
        if name.split('/')[0] in _USED and not has >= wanted:
            return False
    return True


def _embedded(definition: MessageDefinition, name: str, builtin: Typestore | None = None) -> Typestore | None:
    """The types that a bag defines for one topic, with today's names; None without a definition.

    The types of `builtin` complete the definition. In ROS 1, the types of times have no definition.
    """
    if definition.format == MessageDefinitionFormat.NONE or not definition.data:
        return None
    found = parse(definition, name)
    if builtin is not None:
        found = {one: builtin.fielddefs[one] for one in _TIMES} | found
    types = get_typestore(Stores.EMPTY)
    types.register(_with_current_names(found))
    # A definition can lack the types of its fields, for example builtin_interfaces.
    missing = {kind for _, fields in types.fielddefs.values() for kind in _nested_types(fields)} - types.types.keys()
    if missing:
        raise TypesysError(f'{name} needs {", ".join(sorted(missing))}')
    return types


def _with_current_names(found: Typesdict) -> Typesdict:
    renamed: Typesdict = {}
    for recorded, (constants, fields) in found.items():
        name = current_type(recorded)
        renamed[name] = (
            [(current_field(name, constant), kind, value) for constant, kind, value in constants],
            [(current_field(name, field), kind) for field, kind in fields],
        )
    return renamed


def _nested_types(fields: Sequence[tuple[str, FieldDesc]]) -> set[str]:
    """Names of the message types of fields."""
    found = set()
    for _, (_, detail) in fields:
        inner = detail[0] if isinstance(detail, tuple) and isinstance(detail[0], tuple) else None
        name = inner[1] if inner is not None else detail
        if isinstance(name, str) and '/' in name:
            found.add(name)
    return found
