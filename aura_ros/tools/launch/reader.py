# SPDX-License-Identifier: Apache-2.0
"""Read the part of .launch.yaml that aura_ros uses, and refuse the rest with file, line and key.

The reader exists because no package registry offers ROS launch. Its subset is `schema.SCHEMA`. Every attribute has
the meaning of the YAML front end of ROS launch (Jazzy and Kilted):

    arg                 name, default, description, choice: [{value}]
    let                 name, value
    set_env             name, value: for the nodes after it in the same group
    set_parameter       name, value (a scalar): for the nodes after it in the same group
    push_ros_namespace  namespace: for the nodes after it in the same group
    group               a list of actions, or `children` beside a condition; always scoped
    include             file (a .launch.yaml), arg: [{name, value}]
    node                pkg, exec, name, namespace, args, ros_args, remap: [{from, to}],
                        param: [{from} or {name, value, type: str, int, float or bool}],
                        output (screen, log or both; this reader shows everything),
                        on_exit: shutdown, respawn, respawn_delay

Every action takes `if` or `unless`. Substitutions: $(var NAME), $(find-pkg-share PACKAGE), $(env NAME [DEFAULT]),
$(dirname), $(not-equals A B) and $(and A B); A and B are words or one of the first four. `let` of `sigterm_timeout`
and `sigkill_timeout` at the top of a file sets the time [s] before a node is ended by force.

The reader is deliberately stricter than ROS launch: undeclared arguments, missing parameter files, relative includes,
an `exec` outside the package, and variables that decide what code a program loads are errors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aura_ros.common.arguments import near
from aura_ros.common.errors import ConfigError
from aura_ros.tools.launch.entity import Entity, load
from aura_ros.tools.launch.node_action import NodeScope, evaluate, join_namespace, may_set, node_process
from aura_ros.tools.launch.plan import Argument, Plan
from aura_ros.tools.launch.schema import LONGEST_TIME_S, check
from aura_ros.tools.launch.substitution import Substituter

_TIMEOUTS = ('sigterm_timeout', 'sigkill_timeout')


@dataclass
class _Scope:
    """The values that earlier actions set; a group works on a copy."""

    values: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    namespace: str | None = None
    parameters: list[tuple[str, Any]] = field(default_factory=list)

    def copy(self) -> _Scope:
        return _Scope(dict(self.values), dict(self.environment), self.namespace, list(self.parameters))

    def substituter(self, entity: Entity) -> Substituter:
        return Substituter(self.values, {**os.environ, **self.environment}, entity.file.parent)

    def text(self, entity: Entity, key: str) -> str:
        """Return a string attribute with its substitutions performed."""
        try:
            return self.substituter(entity)(entity.data[key])
        except ConfigError as error:
            entity.fail(str(error), key)


class _Reader:
    """Executes the actions in order; `arguments_only` collects the arguments and requires none."""

    def __init__(self, arguments_only: bool) -> None:
        self.plan = Plan()
        self._arguments_only = arguments_only

    def file(self, path: Path, scope: _Scope, fixed: frozenset[str] = frozenset()) -> None:
        """Read one file; `fixed` are arguments that the including file sets and the user cannot."""
        entities = load(path)
        for entity in entities:
            check(entity)
        for entity in entities:
            self._action(entity, scope, fixed)

    def _action(self, entity: Entity, scope: _Scope, fixed: frozenset[str]) -> None:
        if not self._arguments_only and not _wanted(entity, scope):
            return
        if entity.kind == 'arg':
            self._arg(entity, scope, fixed)
        elif entity.kind == 'include':
            self._include(entity, scope, fixed)
        elif entity.kind == 'let':
            self._let(entity, scope)
        elif entity.kind == 'group':
            inner = scope.copy()
            for child in entity.children():
                self._action(child, inner, fixed)
        elif not self._arguments_only:
            self._node_or_setting(entity, scope)

    def _arg(self, entity: Entity, scope: _Scope, fixed: frozenset[str]) -> None:
        name = entity.data['name']
        default = scope.text(entity, 'default') if entity.has('default') else None
        choices = tuple(choice.data['value'] for choice in entity.entities('choice'))
        description = entity.text('description') or ''
        if name not in fixed:
            argument = Argument(name, default, description, choices, entity.file)
            self.plan.arguments.setdefault(name, argument)
        if name not in scope.values:
            if default is None and not self._arguments_only:
                entity.fail(f"argument '{name}' is required; give {name}:=VALUE ({description})")
            scope.values[name] = f'<{name}>' if default is None else default
        if choices and not self._arguments_only and scope.values[name] not in choices:
            entity.fail(f"argument '{name}' is '{scope.values[name]}', allowed: {', '.join(choices)}")

    def _let(self, entity: Entity, scope: _Scope) -> None:
        name, value = scope.text(entity, 'name'), scope.text(entity, 'value')
        scope.values[name] = value
        if name in _TIMEOUTS:
            seconds = evaluate(entity, value, 'float')
            if not 0.0 <= seconds <= LONGEST_TIME_S:
                entity.fail(f"'{name}' is {value!r}, allowed: 0.0 to {LONGEST_TIME_S:g} seconds", 'value')
            setattr(self.plan, f'{name}_s', seconds)

    def _include(self, entity: Entity, scope: _Scope, fixed: frozenset[str]) -> None:
        path = Path(scope.text(entity, 'file'))
        if not path.is_absolute():  # it would name a file of the working folder
            entity.fail(f"'{path}' is a relative path; write $(dirname)/{path}", 'file')
        if not path.name.endswith('.launch.yaml'):
            entity.fail(f"only .launch.yaml files can be included, got '{path.name}'", 'file')
        given = {scope.text(item, 'name'): scope.text(item, 'value') for item in entity.entities('arg')}
        scope.values.update(given)  # not scoped, as in ROS launch
        self.file(path, scope, fixed | given.keys())

    def _node_or_setting(self, entity: Entity, scope: _Scope) -> None:
        if entity.kind == 'node':
            settings = NodeScope(
                scope.substituter(entity), scope.namespace, tuple(scope.parameters), dict(scope.environment)
            )
            self.plan.nodes.append(node_process(entity, settings, number=len(self.plan.nodes) + 1))
        elif entity.kind == 'push_ros_namespace':
            scope.namespace = join_namespace(entity, scope.namespace, scope.text(entity, 'namespace'))
        elif entity.kind == 'set_env':
            name = scope.text(entity, 'name')
            if not may_set(name):
                entity.fail(f"'{name}' decides what code a program loads; set it in the shell that starts the launch")
            scope.environment[name] = scope.text(entity, 'value')
        else:
            value = evaluate(entity, scope.text(entity, 'value') or "''", None)
            if isinstance(value, list):
                entity.fail('this reader does not support lists here', 'value')
            scope.parameters.append((scope.text(entity, 'name'), value))


def _wanted(entity: Entity, scope: _Scope) -> bool:
    for key in ('if', 'unless'):
        if entity.has(key):
            value = scope.text(entity, key).strip().lower()
            if value not in ('true', '1', 'false', '0'):
                entity.fail(f'is {value!r}, allowed: true, 1, false, 0', key)
            return (value in ('true', '1')) is (key == 'if')
    return True


def describe(path: Path) -> dict[str, Argument]:
    """Return the arguments of a launch file and its includes, by name and in order.

    Raises:
        ConfigError: a file has something that is not supported.
    """
    reader = _Reader(arguments_only=True)
    reader.file(path, _Scope({}))
    return reader.plan.arguments


def read(path: Path, given: Mapping[str, str]) -> Plan:
    """Return the processes that a launch file starts.

    Args:
        path: a .launch.yaml file.
        given: values by argument name, as on the command line.

    Raises:
        ConfigError: an argument is unknown, missing or not among its choices, or a file has something that is
            not supported; the text names file, line and key.
    """
    known = describe(path)
    for name in given:
        if name not in known:
            allowed = ', '.join(sorted(known)) or 'none'
            hint = near(name, known)
            then = f'{hint} Allowed' if hint else ', allowed'
            raise ConfigError(f"{path.name} has no argument '{name}'{then}: {allowed}")
    reader = _Reader(arguments_only=False)
    reader.file(path, _Scope(dict(given)))
    return reader.plan
