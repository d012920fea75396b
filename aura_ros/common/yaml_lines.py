# SPDX-License-Identifier: Apache-2.0
"""YAML files whose mappings keep the line of each key, for error messages."""

from pathlib import Path
from typing import Any

import yaml

from aura_ros.common.errors import ConfigError


class Map(dict[str, Any]):
    """A mapping with line numbers, from 1."""

    line: int
    """Line of the mapping."""
    lines: dict[str, int]
    """Line of each key."""


class _Loader(yaml.SafeLoader):
    pass


def _construct(loader: _Loader, node: yaml.MappingNode) -> Map:
    result = Map()
    result.line = node.start_mark.line + 1
    result.lines = {}
    loader.flatten_mapping(node)
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, str) or key in result:
            text = f'key {key!r} is given twice or is not a string'
            raise yaml.constructor.ConstructorError(None, None, text, key_node.start_mark)
        result[key] = loader.construct_object(value_node, deep=True)
        result.lines[key] = key_node.start_mark.line + 1
    return result


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file, with every mapping as a Map.

    Raises:
        ConfigError: the file is missing or is not YAML.
    """
    try:
        return yaml.load(path.read_text(encoding='utf-8'), _Loader)
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}') from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f'{path}:{line}: not valid YAML: {error.problem}') from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'{path}:1: not UTF-8 text: {error}') from error
