# SPDX-License-Identifier: Apache-2.0
"""YAML files of limited size, whose mappings keep the line of each key for error messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from aura_ros.common.errors import ConfigError
from aura_ros.common.limits import TEXT_BYTES, TEXT_INTEGER, TEXT_NESTING, TEXT_VALUES
from aura_ros.common.text import cut
from aura_ros.common.text_files import loading, read_text


class Map(dict[str, Any]):
    """A mapping with line numbers, from 1."""

    line: int
    """Line of the mapping."""
    lines: dict[str, int]
    """Line of each key."""


class _Limited(yaml.SafeLoader):
    """A safe loader that refuses deep nesting, and aliases that stand for too many values."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if parent is not None and self._depth > TEXT_NESTING:
            text = f'nesting is limited to {TEXT_NESTING} levels'
            raise yaml.composer.ComposerError(None, None, text, parent.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        root = super().get_single_node()
        waiting, count = [root] if root else [], 0
        while waiting:
            node = waiting.pop()
            count += 1
            if count + len(waiting) > TEXT_VALUES:
                text = f'the number of values, with aliases expanded, is limited to {TEXT_VALUES:,}'
                raise yaml.composer.ComposerError(None, None, text, node.start_mark)
            if isinstance(node, yaml.MappingNode):
                waiting.extend(part for pair in node.value for part in pair)
            elif isinstance(node, yaml.SequenceNode):
                waiting.extend(node.value)
        return root


def _integer(loader: _Limited, node: yaml.ScalarNode) -> int:
    """Return an integer. PyYAML needs quadratic time for one to the base 60, such as 1:30:00."""
    if len(node.value) > TEXT_INTEGER:
        text = f'an integer is limited to {TEXT_INTEGER} characters'
        raise yaml.constructor.ConstructorError(None, None, text, node.start_mark)
    return loader.construct_yaml_int(node)


_Limited.add_constructor('tag:yaml.org,2002:int', _integer)


class _Lines(_Limited, yaml.SafeLoader):
    """A limited loader that returns every mapping as a Map."""


def _construct(loader: _Lines, node: yaml.MappingNode) -> Map:
    result = Map()
    result.line = node.start_mark.line + 1
    result.lines = {}
    # Flattening puts the keys of merges (<<) first, and the mapping's own keys override them.
    own = {id(key_node) for key_node, _ in node.value}
    given: set[str] = set()
    loader.flatten_mapping(node)
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, str) or key in given:
            text = f'key {key!r} is given twice or is not a string'
            raise yaml.constructor.ConstructorError(None, None, text, key_node.start_mark)
        if id(key_node) in own:
            given.add(key)
        result[key] = loader.construct_object(value_node, deep=True)
        result.lines[key] = key_node.start_mark.line + 1
    return result


_Lines.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file, with every mapping as a Map.

    Raises:
        ConfigError: the file is missing, is not YAML, or exceeds a limit.
    """
    text = read_text(path)
    with _one_sentence(str(path)):
        return yaml.load(text, _Lines)


def parse_yaml(text: str, name: str) -> Any:
    """Return the content of YAML text with plain mappings; `name` appears in errors.

    Raises:
        ConfigError: the text is not YAML, or exceeds a limit.
    """
    _check_length(text, name)
    with _one_sentence(name):
        return yaml.load(text, _Limited)


def parse_mapping(text: str, name: str, expected: str) -> Map:
    """Return the mapping of YAML text; `name` and the `expected` form appear in errors.

    Raises:
        ConfigError: the text is not a mapping with different keys that are strings, or exceeds a limit.
    """
    _check_length(text, name)
    with _one_sentence(name):
        found = yaml.load(text, _Lines)
    if not isinstance(found, Map):
        raise ConfigError(f'{name} is {cut(text)!r}: must be {expected}')
    return found


def _check_length(text: str, name: str) -> None:
    if len(text) > TEXT_BYTES:
        raise ConfigError(f'{name}: has {len(text):,} characters: must be at most {TEXT_BYTES:,}')


@contextmanager
def _one_sentence(name: str) -> Iterator[None]:
    with loading(name):
        try:
            yield
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(f'{name}:{line}: not valid YAML: {error.problem}') from error
