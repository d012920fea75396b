# SPDX-License-Identifier: Apache-2.0
"""The `node` action: its command line, with the arguments in the order of launch_ros."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aura_ros.common.errors import ConfigError
from aura_ros.common.yaml_lines import parse_yaml
from aura_ros.tools.launch.entity import Entity
from aura_ros.tools.launch.plan import NodeProcess, Parameters
from aura_ros.tools.launch.substitution import Substituter

_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_EXECUTABLE = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.+-]*')
_NAMESPACE = re.compile(r'/|(/[A-Za-z_][A-Za-z0-9_]*)+')
# Variables with which a file could run code of its choice in every node.
_CODE = re.compile(r'LD_.*|DYLD_.*|PATH|AMENT_PREFIX_PATH|PYTHON(?!UNBUFFERED$).*|BASH_ENV|ENV|GCONV_PATH|OPENSSL_CONF')
_TYPES: dict[str, type] = {'str': str, 'int': int, 'float': float, 'bool': bool}


@dataclass(frozen=True)
class NodeScope:
    """The settings of the group around a node: namespace, `set_parameter` values, `set_env` variables."""

    substitute: Substituter
    namespace: str | None
    parameters: tuple[tuple[str, Any], ...]
    environment: Mapping[str, str]


def may_set(variable: str) -> bool:
    """Return whether a launch file may set this environment variable."""
    return _CODE.fullmatch(variable) is None


def join_namespace(entity: Entity, base: str | None, pushed: str | None) -> str | None:
    """Return the absolute namespace for the surrounding one, `base`, and the given one, `pushed`; None: not given."""
    if base is None and pushed is None:
        return None
    joined = pushed if pushed is not None else base
    assert joined is not None
    if pushed is not None and base and not pushed.startswith('/'):
        joined = f'{base.rstrip("/")}/{pushed}'
    joined = '/' + joined.strip('/')
    if not _NAMESPACE.fullmatch(joined):
        entity.fail(f"'{joined}' is not a ROS namespace: use letters, digits and _ between slashes")
    return joined


def evaluate(entity: Entity, text: str, type_name: str | None) -> Any:
    """Return the value of a substituted text, by the rules of YAML or as `type_name`."""
    if type_name == 'str' or not text:
        return text
    if type_name in ('int', 'float'):
        try:
            return _TYPES[type_name](text)
        except ValueError:
            entity.fail(f'is {text!r}, allowed: {"an integer" if type_name == "int" else "a number"}', 'value')
    if type_name == 'bool':
        text = {'1': 'true', '0': 'false'}.get(text, text)
    try:
        value = parse_yaml(text, 'value')
    except ConfigError:
        value = None
    items = value if isinstance(value, list) else [value]
    if not items or not all(type(item) is type(items[0]) and isinstance(item, (str, int, float)) for item in items):
        entity.fail(f"{text!r} is not a number, boolean or list of one kind; for a string add 'type: str'", 'value')
    if type_name == 'bool' and not isinstance(value, bool):
        entity.fail(f'is {text!r}, allowed: true, false', 'value')
    return value


def _parameter(entity: Entity, scope: NodeScope, owner: str) -> list[str | Parameters]:
    if entity.has('from') == entity.has('name'):
        entity.fail("needs either 'from' or 'name' with 'value'")
    if entity.has('from'):
        path = _text(entity, scope, 'from')
        # ROS launch only warns, and the node runs with its defaults; on a robot that is dangerous.
        if not Path(path).is_file():
            entity.fail(f"no such file: '{path}'", 'from')
        return ['--params-file', str(Path(path))]
    if not entity.has('value'):
        entity.fail("needs the key 'value' (this reader does not support nested parameters)")
    value, type_name = entity.data['value'], entity.text('type')
    if type_name is not None and type_name not in _TYPES:
        entity.fail(f"is '{type_name}', allowed: {', '.join(_TYPES)}", 'type')
    if isinstance(value, list) and any('$(' in str(item) for item in value):
        entity.fail('this reader does not support substitutions inside a list', 'value')
    # As in ROS launch, a quoted string stays a string unless it has a substitution or a `type`.
    if isinstance(value, str) and ('$(' in value or type_name is not None):
        value = evaluate(entity, _text(entity, scope, 'value'), type_name)
    elif type_name is not None and type(value) is not _TYPES[type_name]:
        entity.fail(f'is {value!r}, allowed: {type_name}', 'value')
    name = _text(entity, scope, 'name')
    return ['--params-file', Parameters({owner: {'ros__parameters': {name: value}}})]


def _text(entity: Entity, scope: NodeScope, key: str) -> str:
    try:
        return scope.substitute(entity.data[key])
    except ConfigError as error:
        entity.fail(str(error), key)


def _optional(entity: Entity, scope: NodeScope, key: str) -> str | None:
    return _text(entity, scope, key) if entity.has(key) else None


def _words(entity: Entity, scope: NodeScope, key: str) -> list[str]:
    try:
        return scope.substitute.words(entity.data[key]) if entity.has(key) else []
    except ConfigError as error:
        entity.fail(str(error), key)


def _ros_arguments(entity: Entity, scope: NodeScope) -> list[str | Parameters]:
    name = _optional(entity, scope, 'name')
    if name is not None and not _NAME.fullmatch(name):
        entity.fail(f"'{name}' is not a node name: use letters, digits and _", 'name')
    namespace = join_namespace(entity, scope.namespace, _optional(entity, scope, 'namespace'))
    line: list[str | Parameters] = ['--ros-args']
    if name is not None:
        line += ['-r', f'__node:={name}']
    if namespace is not None:
        line += ['-r', f'__ns:={namespace}']
    for key, value in scope.parameters:
        line += ['-p', f'{key}:={value}']
    known = name is not None and namespace is not None
    owner = f'{(namespace or "").rstrip("/")}/{name}' if known else '/**'
    for item in entity.entities('param'):
        line += _parameter(item, scope, owner)
    for item in entity.entities('remap'):
        line += ['-r', f'{_text(item, scope, "from")}:={_text(item, scope, "to")}']
    return line


def node_process(entity: Entity, scope: NodeScope, number: int) -> NodeProcess:
    """Return the process of one `node` action; `number` makes its label unique, such as `[sim_node-1]`.

    Raises:
        ConfigError: an attribute or a substitution is wrong or not supported.
    """
    package, executable = _text(entity, scope, 'pkg'), _text(entity, scope, 'exec')
    if not _EXECUTABLE.fullmatch(executable):
        entity.fail(f'is {executable!r}, allowed: the name of a file in lib/{package}, not a path', 'exec')
    arguments: list[str | Parameters] = [*_words(entity, scope, 'args')]
    if entity.has('ros_args'):
        arguments += ['--ros-args', *_words(entity, scope, 'ros_args')]
    arguments += _ros_arguments(entity, scope)
    output = _optional(entity, scope, 'output') or 'log'
    if output not in ('screen', 'log', 'both'):
        entity.fail(f"is '{output}', allowed: screen, log, both", 'output')
    on_exit = entity.text('on_exit')
    if on_exit not in (None, 'shutdown'):
        entity.fail(f"is '{on_exit}', allowed: shutdown", 'on_exit')
    respawn = evaluate(entity, _optional(entity, scope, 'respawn') or 'false', 'bool')
    respawn_delay_s = entity.data.get('respawn_delay', 0.0)
    return NodeProcess(
        label=f'{executable}-{number}',
        package=package,
        executable=executable,
        arguments=tuple(arguments),
        environment=scope.environment,
        shutdown_on_exit=on_exit == 'shutdown',
        respawn=bool(respawn),
        respawn_delay_s=respawn_delay_s,
        where=f'{entity.file}:{entity.line}',
    )
