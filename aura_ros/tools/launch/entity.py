# SPDX-License-Identifier: Apache-2.0
"""YAML with line numbers: the actions of a launch file and where each of them stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from aura_ros.common.errors import ConfigError
from aura_ros.common.yaml_lines import Map, read_yaml


@dataclass(frozen=True)
class Entity:
    """One action of a launch file, or one entry of a list inside it: its kind, its data, its place.

    `data` is a mapping, or the list of actions of a group. The accessors trust that `schema.check`
    has passed.
    """

    kind: str
    data: Any
    file: Path
    line: int

    def fail(self, text: str, key: str = '') -> NoReturn:
        """Raise with file, line and, if given, the key.

        Raises:
            ConfigError: always.
        """
        line = self.data.lines.get(key, self.line) if isinstance(self.data, Map) else self.line
        where = f"'{self.kind}', key '{key}'" if key else f"'{self.kind}'"
        raise ConfigError(f'{self.file}:{line}: {where}: {text}')

    def has(self, key: str) -> bool:
        """Tell whether the attribute is there."""
        return isinstance(self.data, Mapping) and key in self.data

    def text(self, key: str) -> str | None:
        """Return a text attribute, None where it is missing."""
        value = self.data.get(key) if isinstance(self.data, Mapping) else None
        assert value is None or isinstance(value, str)
        return value

    def entities(self, key: str) -> list[Entity]:
        """Return the entries of a list attribute, such as the `param` of a node."""
        items = self.data.get(key, []) if isinstance(self.data, Mapping) else []
        return [Entity(key, item, self.file, getattr(item, 'line', self.line)) for item in items]

    def children(self) -> list[Entity]:
        """Return the actions of a group: its list, or the list under the key `children`."""
        return list(_actions(self.data['children'] if isinstance(self.data, Mapping) else self.data, self))


def _actions(items: Any, parent: Entity) -> Iterator[Entity]:
    if not isinstance(items, list):
        parent.fail(f"expected a list of '- action:' entries, got {items!r}")
    for item in items:
        line = getattr(item, 'line', parent.line)
        if not isinstance(item, Map) or len(item) != 1:
            wrong = Entity(parent.kind, None, parent.file, line)
            wrong.fail(f"expected one '- action:' with its keys indented below, got {item!r}")
        ((kind, data),) = item.items()
        yield Entity(kind, data, parent.file, line)


def load(path: Path) -> list[Entity]:
    """Return the actions of a .launch.yaml file in their order.

    Raises:
        ConfigError: the file is missing, is not YAML, or has anything at the top but `launch:`
            with a list.
    """
    data = read_yaml(path)
    if not isinstance(data, Map) or list(data) != ['launch']:
        raise ConfigError(f"{path}:1: expected one key 'launch' with a list of actions")
    return list(_actions(data['launch'], Entity('launch', data, path, 1)))
