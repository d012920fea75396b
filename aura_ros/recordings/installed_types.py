# SPDX-License-Identifier: Apache-2.0
"""Definitions of the message types that are installed, as text for a bag, in the form that rosbag2 stores.

The text of a type is its .msg file, followed by those of the types that it needs. A type without a .msg file has an
.idl file. The text of an action's feedback comes from the .action file. Only files in share/PACKAGE are read.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aura_ros.common.errors import BagError
from aura_ros.common.limits import DEFINITION_BYTES, DEFINITION_NESTING

_TYPE = re.compile(r'(?P<package>\w+)/(?P<folder>msg|srv|action)/(?P<name>\w+)', re.ASCII)
# A field or a constant at the start of a line: its type without array and bounds.
_MSG_FIELD = re.compile(r'^[ \t]*([A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?[ \t]+\w', re.MULTILINE | re.ASCII)
_IDL_INCLUDE = re.compile(r'^#include\s+["<](\w+/\w+/\w+)\.idl[">]', re.MULTILINE | re.ASCII)
_FEEDBACK = '_FeedbackMessage'
_UUID = 'unique_identifier_msgs/msg/UUID'
_PRIMITIVE = re.compile(r'bool|byte|char|w?string|float(32|64)|u?int(8|16|32|64)')


@dataclass(frozen=True)
class InstalledType:
    """The definition of an installed message type."""

    text: str
    """Definition with those of all types that it needs."""
    hash: str
    """Type hash RIHS01 of the installed package; '' if it has none."""


def prefixes() -> list[Path]:
    """Return the prefixes of installed packages, the first in precedence first."""
    named = filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep))
    return [Path(prefix) for prefix in dict.fromkeys([*named, sys.prefix])]


def installed_type(type_name: str) -> InstalledType | None:
    """Return the definition of a type such as sensor_msgs/msg/Image, None if no installed package has its files.

    Raises:
        BagError: the definition exceeds the limits of docs/security.md.
    """
    found = _TYPE.fullmatch(type_name)
    if found is None:
        return None
    texts = _with_needed(type_name, _msg_text, _msg_needs) or _with_needed(type_name, _file_text('.idl'), _idl_needs)
    if not texts:
        return None
    kind = 'MSG' if _msg_text(type_name) is not None else 'IDL'
    parts = [f'{"=" * 80}\n{kind}: {_written(name, kind)}\n{text}' for name, text in texts.items()]
    if kind == 'MSG':  # the first text has no separator
        parts[0] = texts[type_name]
    text = '\n'.join(parts)
    if len(text) > DEFINITION_BYTES:
        raise BagError(
            f'the definition of {type_name} has {len(text):,} characters: must have at most {DEFINITION_BYTES:,}'
        )
    return InstalledType(text, _hash(type_name, **found.groupdict()))


def _with_needed(
    type_name: str, text_of: Callable[[str], str | None], needs: Callable[[str, str], Iterator[str]]
) -> dict[str, str]:
    """Texts of a type and of all types that it needs, by name; empty if one is not installed."""
    texts: dict[str, str] = {}
    level = [type_name]
    for _ in range(DEFINITION_NESTING):
        following: list[str] = []
        for name in level:
            if name in texts:
                continue
            text = text_of(name)
            if text is None:
                return {}
            texts[name] = text
            following += needs(name, text)
        if not following:
            return texts
        level = following
    raise BagError(f'{type_name} is nested more than {DEFINITION_NESTING} deep')


def _share(package: str) -> Path:
    folders = [prefix / 'share' / package for prefix in prefixes()]
    return next((folder for folder in folders if (folder / 'package.xml').is_file()), folders[0])


def _file_text(suffix: str) -> Callable[[str], str | None]:
    def text_of(type_name: str) -> str | None:
        package, folder, name = type_name.split('/')
        return _read(_share(package) / folder / f'{name}{suffix}')

    return text_of


def _read(path: Path) -> str | None:
    try:
        with path.open(encoding='utf-8') as file:
            return file.read(DEFINITION_BYTES + 1)
    except (OSError, UnicodeDecodeError):
        return None


def _msg_text(type_name: str) -> str | None:
    package, folder, name = type_name.split('/')
    if folder != 'action':
        return _read(_share(package) / 'msg' / f'{name}.msg')
    # An action's types have no files of their own. Its feedback is the third part of the .action file.
    if name.endswith(_FEEDBACK):
        action = name.removesuffix(_FEEDBACK)
        return f'{_UUID.replace("/msg", "")} goal_id\n{package}/action/{action}_Feedback feedback\n'
    action, _, part = name.rpartition('_')
    parts = re.split(r'^---\s*$', _read(_share(package) / 'action' / f'{action}.action') or '', flags=re.MULTILINE)
    return parts[2] if part == 'Feedback' and len(parts) == 3 else None


def _msg_needs(type_name: str, text: str) -> Iterator[str]:
    package = type_name.split('/')[0]
    for name in dict.fromkeys(_MSG_FIELD.findall(text)):
        parts = name.split('/')
        if _PRIMITIVE.fullmatch(name) is None:
            first, last = (parts[0], parts[-1]) if len(parts) > 1 else (package, name)
            yield f'{first}/{parts[1] if len(parts) == 3 else "msg"}/{last}'


def _idl_needs(_: str, text: str) -> Iterator[str]:
    yield from _IDL_INCLUDE.findall(text)


def _written(name: str, kind: str) -> str:
    """The name in a separator: rosbag2 writes package/Name before a .msg text."""
    return name.replace('/msg/', '/') if kind == 'MSG' else name


def _hash(type_name: str, package: str, folder: str, name: str) -> str:
    file = name.removesuffix(_FEEDBACK) if folder == 'action' else name
    try:
        described = json.loads(_read(_share(package) / folder / f'{file}.json') or '{}')
        hashes = {one['type_name']: one['hash_string'] for one in described.get('type_hashes', ())}
    except (ValueError, TypeError, KeyError, AttributeError):
        return ''
    return str(hashes.get(type_name, ''))
