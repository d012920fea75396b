# SPDX-License-Identifier: Apache-2.0
"""The supported subset of .launch.yaml: actions, attributes and the kinds of their values."""

from collections.abc import Mapping
from typing import Any

from aura_ros.common.errors import ConfigError
from aura_ros.common.yaml_lines import Map
from aura_ros.tools.launch.entity import Entity
from aura_ros.tools.launch.substitution import check_syntax

TEXT = 'a string (put quotes around numbers and booleans)'
PLAIN = 'a string without substitutions (put quotes around numbers and booleans)'
LONGEST_TIME_S = 3600.0
"""Largest value of a timeout or a delay [s]."""
NUMBER = f'a number from 0.0 to {LONGEST_TIME_S} with a decimal point'
VALUE = 'a number, a string, a boolean or a non-empty list of one of these'
ACTIONS = 'a list of actions'

Kind = str | dict[str, Any]  # one of the above, or the attributes of each entry of a list
_CONDITION: dict[str, Kind] = {'if': TEXT, 'unless': TEXT}
_NAMED: dict[str, Kind] = {'name!': TEXT, 'value!': TEXT}

# A '!' marks a required attribute.
SCHEMA: dict[str, dict[str, Kind]] = {
    'arg': {**_CONDITION, 'name!': PLAIN, 'default': TEXT, 'description': PLAIN, 'choice': {'value!': PLAIN}},
    'let': {**_CONDITION, **_NAMED},
    'set_env': {**_CONDITION, **_NAMED},
    'set_parameter': {**_CONDITION, **_NAMED},
    'push_ros_namespace': {**_CONDITION, 'namespace!': TEXT},
    'group': {**_CONDITION, 'children!': ACTIONS},
    'include': {**_CONDITION, 'file!': TEXT, 'arg': _NAMED},
    'node': {
        **_CONDITION,
        'pkg!': TEXT,
        'exec!': TEXT,
        'name': TEXT,
        'namespace': TEXT,
        'args': TEXT,
        'ros_args': TEXT,
        'output': TEXT,
        'param': {'from': TEXT, 'name': TEXT, 'value': VALUE, 'type': PLAIN},
        'remap': {'from!': TEXT, 'to!': TEXT},
        'on_exit': PLAIN,
        'respawn': TEXT,
        'respawn_delay': NUMBER,
    },
}


def check(entity: Entity) -> None:
    """Check one action and everything inside it, without regard to conditions.

    Raises:
        ConfigError: an action, attribute, value or substitution is not supported; the text names file, line and key.
    """
    if entity.kind not in SCHEMA:
        entity.fail(f'this reader does not support this action; supported: {", ".join(SCHEMA)}')
    if entity.kind != 'group' or isinstance(entity.data, Mapping):
        _check_attributes(entity, SCHEMA[entity.kind])
    if entity.has('if') and entity.has('unless'):
        entity.fail("'if' and 'unless' exclude each other", 'unless')
    if entity.kind == 'group':
        for child in entity.children():
            check(child)


def _check_attributes(entity: Entity, attributes: Mapping[str, Kind]) -> None:
    if not isinstance(entity.data, Map):
        entity.fail(f"expected 'key: value' lines, got {entity.data!r}")
    known = {key.rstrip('!'): kind for key, kind in attributes.items()}
    for key in entity.data:
        if key not in known:
            entity.fail(f'this reader does not support this key; supported: {", ".join(sorted(known))}', key)
        _check_value(entity, key, known[key])
    for key in attributes:
        if key.endswith('!') and key.rstrip('!') not in entity.data:
            entity.fail(f"needs the key '{key.rstrip('!')}'")


def _check_value(entity: Entity, key: str, kind: Kind) -> None:
    value = entity.data[key]
    if isinstance(kind, dict):
        if not isinstance(value, list) or not value:
            entity.fail(f"expected a list of '- key: value' entries, got {value!r}", key)
        for item in entity.entities(key):
            _check_attributes(item, kind)
        return
    items = value if isinstance(value, list) else [value]
    one_kind = bool(items) and all(type(item) is type(items[0]) for item in items)
    right = {
        TEXT: isinstance(value, str),
        PLAIN: isinstance(value, str) and '$(' not in value,
        NUMBER: isinstance(value, float) and 0.0 <= value <= LONGEST_TIME_S,
        VALUE: one_kind and isinstance(items[0], (str, int, float)),
        ACTIONS: isinstance(value, list),
    }
    if not right[kind]:
        entity.fail(f'expected {kind}, got {value!r}', key)
    for item in items if kind in (TEXT, VALUE) else []:
        if isinstance(item, str):
            try:
                check_syntax(item)
            except ConfigError as error:
                entity.fail(str(error), key)
