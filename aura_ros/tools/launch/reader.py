# SPDX-License-Identifier: Apache-2.0
"""Reads the part of .launch.yaml that aura_ros uses, and refuses the rest by file, line and key.

The subset is `schema.SCHEMA`. Every attribute means what it means in the YAML front end of ROS
launch (Jazzy and Kilted):

    arg                 name, default, description, choice: [{value}]
    let                 name, value
    set_env             name, value: for the nodes after it in the same group
    set_parameter       name, value (a scalar): for the nodes after it in the same group
    push_ros_namespace  namespace: for the nodes after it in the same group
    group               a list of actions, or `children` beside a condition; always scoped
    include             file (a .launch.yaml), arg: [{name, value}]
    node                pkg, exec, name, namespace, args, ros_args, remap: [{from, to}],
                        param: [{from} or {name, value, type: str, int, float or bool}],
                        output (screen, log or both; here all of it is shown),
                        on_exit: shutdown, respawn, respawn_delay

and `if` or `unless` with any of them. Substitutions: $(var NAME), $(find-pkg-share PACKAGE),
$(env NAME [DEFAULT]), $(dirname), and $(not-equals A B), $(and A B) of words and of these. The values
`sigterm_timeout` and `sigkill_timeout`, set by `let` at the top of a file, say in seconds how soon a
node that does not end by itself is ended.

Stricter than ROS launch on purpose: an argument that no file declares and a parameter file that is
missing are errors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aura_ros.common.errors import ConfigError
from aura_ros.tools.launch.entity import Entity, load
from aura_ros.tools.launch.node_action import NodeScope, evaluate, join_namespace, node_process
from aura_ros.tools.launch.plan import Argument, Plan
from aura_ros.tools.launch.schema import check
from aura_ros.tools.launch.substitution import Substituter

_TIMEOUTS = ('sigterm_timeout', 'sigkill_timeout')


@dataclass
class _Scope:
    """What the actions so far have set; a group works on a copy."""

    values: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    namespace: str | None = None
    parameters: list[tuple[str, Any]] = field(default_factory=list)

    def copy(self) -> _Scope:
        return _Scope(dict(self.values), dict(self.environment), self.namespace, list(self.parameters))

    def substituter(self, entity: Entity) -> Substituter:
        return Substituter(self.values, {**os.environ, **self.environment}, entity.file.parent)

    def text(self, entity: Entity, key: str) -> str:
        """Perform the substitutions of a text attribute that is there."""
        try:
            return self.substituter(entity)(entity.data[key])
        except ConfigError as error:
            entity.fail(str(error), key)


class _Reader:
    """Goes through the actions in order; `arguments_only`: to list them, asking for none."""

    def __init__(self, arguments_only: bool) -> None:
        self.plan = Plan()
        self._arguments_only = arguments_only

    def file(self, path: Path, scope: _Scope, fixed: frozenset[str] = frozenset()) -> None:
        """Read one file; `fixed`: arguments that the including file gives and nobody else may."""
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
                entity.fail(f"argument '{name}' has no default; fix: give {name}:=VALUE ({description})")
            scope.values[name] = f'<{name}>' if default is None else default
        if choices and not self._arguments_only and scope.values[name] not in choices:
            entity.fail(f"argument '{name}' is '{scope.values[name]}', allowed: {', '.join(choices)}")

    def _let(self, entity: Entity, scope: _Scope) -> None:
        name, value = scope.text(entity, 'name'), scope.text(entity, 'value')
        scope.values[name] = value
        if name in _TIMEOUTS:
            seconds = evaluate(entity, value, 'float')
            setattr(self.plan, f'{name}_s', seconds)

    def _include(self, entity: Entity, scope: _Scope, fixed: frozenset[str]) -> None:
        path = Path(scope.text(entity, 'file'))
        if not path.name.endswith('.launch.yaml'):
            entity.fail(f"only .launch.yaml files can be included, got '{path.name}'", 'file')
        given = {scope.text(item, 'name'): scope.text(item, 'value') for item in entity.entities('arg')}
        scope.values.update(given)  # not scoped: so it is in the real launch
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
            scope.environment[scope.text(entity, 'name')] = scope.text(entity, 'value')
        else:
            value = evaluate(entity, scope.text(entity, 'value') or "''", None)
            if isinstance(value, list):
                entity.fail('lists are not known to this reader here', 'value')
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
    """Return the arguments of a launch file and of those it includes, by name, in their order.

    Raises:
        ConfigError: a file has anything that is not in the subset.
    """
    reader = _Reader(arguments_only=True)
    reader.file(path, _Scope({}))
    return reader.plan.arguments


def read(path: Path, given: Mapping[str, str]) -> Plan:
    """Return the processes that a launch file starts with these arguments.

    Args:
        path: a .launch.yaml file.
        given: values by argument name, as on the command line.

    Raises:
        ConfigError: an argument is unknown, missing or not among its choices, or a file has
            anything that is not in the subset; names file, line and key.
    """
    known = describe(path)
    for name in given:
        if name not in known:
            allowed = ', '.join(sorted(known)) or 'none'
            raise ConfigError(f"{path.name} has no argument '{name}', allowed: {allowed}")
    reader = _Reader(arguments_only=False)
    reader.file(path, _Scope(dict(given)))
    return reader.plan
