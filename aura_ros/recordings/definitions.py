# SPDX-License-Identifier: Apache-2.0
"""Message definitions that a bag carries, parsed up to a limit and checked before code is generated from them."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat, Nodetype
from rosbags.interfaces.typing import FieldDesc, Typesdict
from rosbags.typesys import TypesysError, get_types_from_idl, get_types_from_msg

from aura_ros.common.limits import ARRAY_BYTES, DEFINITION_BYTES, DEFINITION_CALLS, DEFINITION_NESTING, MESSAGE_VALUES

_SEPARATOR = '=' * 80 + '\n'
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
# Arithmetic in IDL. The parser takes exponential time for parentheses, and a shift can need any memory.
_ARITHMETIC = re.compile(r'(?<!\w)\s*\(\s*\(|\[\s*\(|[=<,|&^~+*/%-]\s*\(|<<|>>|\*')
_NAME = re.compile(r'[A-Za-z]\w*(/[A-Za-z]\w*)*', re.ASCII)
_TEXTS = ('string', 'wstring')


def parse(definition: MessageDefinition, name: str) -> Typesdict:
    """Return the types of a definition, `name` and those that it needs.

    Raises:
        TypesysError: the definition exceeds a limit; the parser raises anything on a damaged one.
    """
    if len(definition.data) > DEFINITION_BYTES:
        raise TypesysError(f'it has more than {DEFINITION_BYTES:,} characters')
    found: Typesdict = {}
    with _limited_calls(min(DEFINITION_CALLS, 200_000 + 1000 * len(definition.data))):
        if definition.format == MessageDefinitionFormat.MSG:
            found |= get_types_from_msg(definition.data, name)
        else:
            for part in definition.data.split(_SEPARATOR):
                _, idl = part.split('\n', 1) if part.startswith('IDL: ') else ('', part)
                if _ARITHMETIC.search(_QUOTED.sub(' ', idl)):
                    raise TypesysError('it has arithmetic in a constant or a size')
                if idl.strip():
                    found |= get_types_from_idl(idl)
    sizes: dict[str, int] = {}
    for kind in found:
        _count(kind, found, sizes, ())
    return found


@contextmanager
def _limited_calls(limit: int) -> Iterator[None]:
    """Raise TypesysError after `limit` calls of Python functions, because some texts take a parser years."""
    left = limit

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal left
        left -= event == 'call'
        if left < 0:
            raise TypesysError('parsing it takes too many steps')

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)


def _count(kind: str, found: Typesdict, sizes: dict[str, int], outer: tuple[str, ...]) -> int:
    """Return the number of values that a message has at least.

    Raises:
        TypesysError: the message contains itself, or names or sizes are not allowed.
    """
    if kind in outer or len(outer) > DEFINITION_NESTING:
        raise TypesysError(f'{kind[:100]} contains itself, or is nested more than {DEFINITION_NESTING} deep')
    if kind not in found or kind in sizes:
        return sizes.get(kind, 1)
    constants, fields = found[kind]
    for name in (kind, *(one[0] for one in constants), *(one[0] for one in fields)):
        if not _NAME.fullmatch(name):
            raise TypesysError(f'the name {name[:100]!r} is not allowed')
    total = sum(_values(field, found, sizes, (*outer, kind)) for _, field in fields)
    if total > MESSAGE_VALUES:
        raise TypesysError(f'{kind[:100]} has more than {MESSAGE_VALUES:,} values')
    sizes[kind] = total
    return total


def _values(field: FieldDesc, found: Typesdict, sizes: dict[str, int], outer: tuple[str, ...]) -> int:
    node, detail = field
    if node == Nodetype.BASE:
        _size(detail[1], ARRAY_BYTES)
        return 1
    if node == Nodetype.NAME:
        return _count(str(detail), found, sizes, outer)
    inner: Any = detail[0]
    size = _size(detail[1], ARRAY_BYTES)
    # numpy reads an array of numbers at once; a message or a text is read one by one.
    if inner[0] == Nodetype.BASE and inner[1][0] not in _TEXTS:
        _size(inner[1][1], ARRAY_BYTES)
        return 1
    each = _values(inner, found, sizes, outer)
    return each * size if node == Nodetype.ARRAY else each


def _size(value: object, limit: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= limit:
        raise TypesysError(f'the size {str(value)[:40]!r} is not in 0..{limit:,}')
    return value
