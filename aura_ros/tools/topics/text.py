# SPDX-License-Identifier: Apache-2.0
"""Messages as text, and fields by their paths (no rclpy)."""

import importlib
import json
import re
from collections.abc import Sequence
from typing import Any

from aura_ros.common.errors import InputError
from aura_ros.common.text import cut, printable_lines

WHOLE_LENGTH = 16
"""Longer lists are cut to FIRST_ENTRIES."""
FIRST_ENTRIES = 8
WHOLE_TEXT = 10_000
"""Longer texts are cut to this number of characters."""

LIST_TYPE = re.compile(r'sequence<(?P<of>.*?)(, (?P<most>\d+))?>|(?P<of_array>.+)\[(?P<length>\d+)\]')
_STEP = re.compile(r'(?P<name>\w+)(?P<indices>(\[\d+\])*)')
# Fields of aura_ros whose constants belong to another message or have no common prefix.
_CONSTANTS_OF = {
    **dict.fromkeys(('policy', 'pending_policy', 'old_policy', 'new_policy'), ('ActionChunk', 'POLICY_')),
    'kind': ('TaskEvent', ''),
}


class NoEntryError(LookupError):
    """A path leads to an entry beyond the end of a list in this message."""


def element_type(list_type: str) -> str:
    """Return the element type of a list type such as `sequence<float>` or `double[36]`."""
    match = LIST_TYPE.fullmatch(list_type)
    return (match['of'] or match['of_array']) if match else list_type


def select(message: Any, path: str) -> tuple[Any, str]:
    """Return the value and the type name of a field, for example of `points[0].positions`.

    Raises:
        InputError: the path is malformed, or the message has no such field.
        NoEntryError: the list is shorter in this message.
    """
    value, kind = message, ''
    for part in path.split('.'):
        step = _STEP.fullmatch(part)
        if step is None:
            raise InputError(f"field '{path}' is malformed; expected for example points[0].positions")
        value, kind = _field(value, kind, step['name'], path)
        for index in map(int, re.findall(r'\d+', step['indices'])):
            value, kind = _entry(value, kind, index, path)
    return value, kind


def _field(value: Any, kind: str, name: str, path: str) -> tuple[Any, str]:
    if not is_message(value):
        raise InputError(f"field '{path}': {kind} has no fields, so it has no '{name}'")
    fields = value.get_fields_and_field_types()
    if name not in fields:
        raise InputError(f"field '{path}': {type(value).__name__} has no '{name}', it has {', '.join(fields)}")
    return getattr(value, name), fields[name]


def _entry(value: Any, kind: str, index: int, path: str) -> tuple[Any, str]:
    if element_type(kind) == kind:
        raise InputError(f"field '{path}': {kind} is not a list, so it has no entry [{index}]")
    if index >= len(value):
        raise NoEntryError(f'no entry [{index}] in {path}: this message has {len(value)}')
    return value[index], element_type(kind)


def is_message(value: Any) -> bool:
    """Return whether a value is a message."""
    return hasattr(value, 'get_fields_and_field_types')


def constants(message: Any, field: str) -> dict[Any, str]:
    """Return the names of the constants of a field by value; empty for a field without constants.

    The constants of a field begin with its name: DURABILITY_RAM belongs to `durability`.
    """
    kind, prefix = type(message), f'{field.upper()}_'
    if kind.__module__.startswith('aura_ros.') and field in _CONSTANTS_OF:
        other, prefix = _CONSTANTS_OF[field]
        kind = getattr(importlib.import_module('aura_ros.msg'), other)
    # The metaclass of a generated class holds its constants, beside the defaults of the fields.
    names = [name for name in vars(type(kind)) if name.isupper() and name.startswith(prefix)]
    return {getattr(kind, name): name for name in names if not name.startswith('_') and not name.endswith('__DEFAULT')}


def as_text(value: Any, kind: str = '', *, whole: bool = False) -> str:
    """Return a message or a value in the style of YAML, one field per line.

    Args:
        value: message, list or plain value.
        kind: type name of the field; a float32 is shown with fewer digits than a float64.
        whole: show long lists and long texts in full.
    """
    return '\n'.join(_block(value, kind, whole))


def _block(value: Any, kind: str, whole: bool) -> list[str]:
    """Return the lines of a value that begins a line."""
    if is_message(value):
        lines = []
        for name, of in value.get_fields_and_field_types().items():
            inner = getattr(value, name)
            lines += _named(name, inner, of, whole)
            if isinstance(inner, int) and (constant := constants(value, name).get(inner)):
                lines[-1] += f'  # {constant}'
        return lines
    if not _is_list(value):
        return [_scalar(value, kind, whole)]
    of = element_type(kind)
    shown = value if whole or len(value) <= WHOLE_LENGTH else value[:FIRST_ENTRIES]
    if not len(shown) or not is_message(shown[0]):
        texts = [_scalar(entry, of, whole) for entry in shown]
        return [f'[{", ".join(texts + _rest(value, shown))}]']
    lines = []
    for entry in shown:
        first, *others = _block(entry, of, whole)
        lines += [f'- {first}', *(f'  {line}' for line in others)]
    return lines + [f'- {rest}' for rest in _rest(value, shown)]


def _named(name: str, value: Any, kind: str, whole: bool) -> list[str]:
    lines = _block(value, kind, whole)
    if is_message(value):
        return [f'{name}:', *(f'  {line}' for line in lines)]
    if _is_list(value) and len(value) and is_message(value[0]):
        return [f'{name}:', *lines]
    return [f'{name}: {lines[0]}']


def _rest(value: Sequence[Any], shown: Sequence[Any]) -> list[str]:
    return [] if len(shown) == len(value) else [f'... {len(value)} entries']


def _is_list(value: Any) -> bool:
    """Return whether a value is a list, array.array or NumPy array; an octet is bytes and is not a list."""
    return hasattr(value, '__len__') and not isinstance(value, str | bytes)


def _scalar(value: Any, kind: str, whole: bool) -> str:
    if isinstance(value, bytes):
        return f'0x{value.hex()}'
    if isinstance(value, str):
        kept = value if whole else cut(value, WHOLE_TEXT)
        # Quoted and escaped if it could move the cursor or break the line; YAML reads these escapes.
        return kept if kept and kept.isprintable() else printable_lines(json.dumps(kept, ensure_ascii=False))
    if isinstance(value, bool):
        return 'true' if value else 'false'
    # A float32 has 7 significant digits; more of them come from the conversion to float64.
    return f'{value:.7g}' if kind == 'float' else str(value)
