# SPDX-License-Identifier: Apache-2.0
"""The substitutions of a launch file: $(var), $(find-pkg-share), $(env), $(dirname), $(not-equals) and $(and)."""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from aura_ros.common.errors import ConfigError

_SIMPLE = r'\$\([^()$]*\)'
_CALL = re.compile(rf'\$\(((?:[^()$]|{_SIMPLE})*)\)')
_WORD = re.compile(rf'(?:{_SIMPLE}|[^\s()$])+')
# Smallest and largest number of words after the name.
_KNOWN = {
    'var': (1, 1),
    'find-pkg-share': (1, 1),
    'env': (1, 2),
    'dirname': (0, 0),
    'not-equals': (2, 2),
    'and': (2, 2),
}
# Substitutions that may contain substitutions.
_OF_SUBSTITUTIONS = ('not-equals', 'and')
_USAGE = (
    '$(var NAME), $(find-pkg-share PACKAGE), $(env NAME [DEFAULT]), $(dirname), $(not-equals A B), $(and A B), '
    'where A and B may be one of the first four'
)
_PRIVATE_USE = 0xE000
_TRUTHS = {'true': True, '1': True, 'false': False, '0': False}


def _split(text: str) -> list[str | tuple[str, ...]]:
    """Split into plain strings and substitutions; a substitution is the tuple of its words."""
    if '\\' in text:
        raise ConfigError(f'{text!r}: this reader does not support backslash escapes')
    found: list[str | tuple[str, ...]] = []
    position = 0
    for match in _CALL.finditer(text):
        found += [text[position : match.start()], tuple(_WORD.findall(match[1]))]
        position = match.end()
    found.append(text[position:])
    for part in found:
        if isinstance(part, str) and '$(' in part:
            raise ConfigError(f'{text!r}: this reader does not support nested, quoted or unclosed substitutions')
        if not isinstance(part, str):
            low, high = _KNOWN.get(part[0], (1, 0)) if part else (1, 0)
            if not low <= len(part) - 1 <= high:
                raise ConfigError(f'this reader does not support $({" ".join(part)}); supported: {_USAGE}')
            _check_words(text, part)
    return [part for part in found if part != '']


def _check_words(text: str, words: tuple[str, ...]) -> None:
    for word in words[1:]:
        if words[0] in _OF_SUBSTITUTIONS:
            _split(word)
        elif '$(' in word:
            raise ConfigError(f'{text!r}: this reader does not support a nested substitution in $({words[0]})')


def check_syntax(text: str) -> None:
    """Check that all substitutions are supported.

    Raises:
        ConfigError: an unknown, nested or unclosed substitution, or an escape.
    """
    _split(text)


@dataclass(frozen=True)
class Substituter:
    """Performs the substitutions of one file."""

    values: Mapping[str, str]
    """Launch arguments by name."""
    environment: Mapping[str, str]
    """os.environ and the variables of `set_env`."""
    directory: Path
    """Folder of the file."""

    def __call__(self, text: str) -> str:
        """Return the text with every substitution performed.

        Raises:
            ConfigError: an unknown substitution, argument, package or environment variable.
        """
        return ''.join(part if isinstance(part, str) else self._perform(*part) for part in _split(text))

    def words(self, text: str) -> list[str]:
        """Split a command line at its blanks; substituted values are not split.

        Raises:
            ConfigError: as for a call, or an unclosed quotation mark.
        """
        values: list[str] = []
        template = ''
        for part in _split(text):
            if isinstance(part, str):
                template += part
            else:
                template += chr(_PRIVATE_USE + len(values))  # a placeholder while the text is split
                values.append(self._perform(*part))
        try:
            words = shlex.split(template)
        except ValueError as error:
            raise ConfigError(f'{text!r}: {error}') from error
        return [re.sub('[\ue000-\uf8ff]', lambda m: values[ord(m[0]) - _PRIVATE_USE], word) for word in words]

    def _perform(self, name: str, *words: str) -> str:
        if name == 'dirname':
            return str(self.directory)
        if name in _OF_SUBSTITUTIONS:
            left, right = (self(word) for word in words)
            true = not _equal(left, right) if name == 'not-equals' else _truth(left) and _truth(right)
            return str(true).lower()
        if name == 'var':
            if words[0] not in self.values:
                known = ', '.join(sorted(self.values)) or 'none'
                raise ConfigError(f'$(var {words[0]}): no such argument; available: {known}')
            return self.values[words[0]]
        if name == 'env':
            value = self.environment.get(*words)
            if value is None:
                raise ConfigError(f'$(env {words[0]}): not set; set it, or write $(env {words[0]} DEFAULT)')
            return value
        try:
            return get_package_share_directory(words[0])
        except (PackageNotFoundError, OSError, ValueError) as error:
            raise ConfigError(f'$(find-pkg-share {words[0]}): no such package under AMENT_PREFIX_PATH') from error


def _equal(left: str, right: str) -> bool:
    """Compare as ROS launch does: booleans and numbers by value, everything else as text."""
    if left.lower() in _TRUTHS and right.lower() in _TRUTHS:
        return _TRUTHS[left.lower()] is _TRUTHS[right.lower()]
    try:
        return math.isclose(float(left), float(right))
    except ValueError:
        return left == right


def _truth(text: str) -> bool:
    if text.lower() not in ('true', 'false'):
        raise ConfigError(f'$(and): {text!r} is not a boolean, allowed: true, false')
    return text.lower() == 'true'
