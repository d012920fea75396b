# SPDX-License-Identifier: Apache-2.0
"""The actions of a launch file, each with its file and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from aura_ros.common.errors import ConfigError
from aura_ros.common.yaml_lines import Map, read_yaml


@dataclass(frozen=True)
class Entity:
    """One action of a launch file, or one entry of a list inside it. Its methods rely on an earlier `schema.check`."""

    kind: str
    """Name of the action, or key of the list."""
    data: Any
    """A mapping, or the list of actions of a group."""
    file: Path
    line: int
    """Line in `file`, from 1."""

    def fail(self, text: str, key: str = '') -> NoReturn:
        """Raise an error that names file, line and key.

        Raises:
            ConfigError: always.
        """
        line = self.data.lines.get(key, self.line) if isinstance(self.data, Map) else self.line
        where = f"'{self.kind}', key '{key}'" if key else f"'{self.kind}'"
        raise ConfigError(f'{self.file}:{line}: {where}: {text}')

    def has(self, key: str) -> bool:
        """Return whether the attribute is given."""
        return isinstance(self.data, Mapping) and key in self.data

    def text(self, key: str) -> str | None:
        """Return a string attribute, or None."""
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
        ConfigError: the file is missing, is not YAML, or its top level is not `launch:` with a list.
    """
    data = read_yaml(path)
    if not isinstance(data, Map) or list(data) != ['launch']:
        raise ConfigError(f"{path}:1: expected one key 'launch' with a list of actions")
    return list(_actions(data['launch'], Entity('launch', data, path, 1)))
