# SPDX-License-Identifier: Apache-2.0
"""Notes in a recording: the parameters of every node, versions, and hashes of weights.

Executor thread only. Answers arrive by callback. A node that does not answer is asked again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import yaml
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.task import Future

from aura_ros.common.provenance import versions, weight_hashes

# Keys of the notes in the bag's custom data; each value is YAML.
VERSIONS, WEIGHTS = 'aura_ros/versions', 'aura_ros/weights'
BACKBONE_HASHES, DROPPED = 'aura_ros/backbone_hashes', 'aura_ros/dropped'
# Longest wait for an answer before the node is asked again [s, steady clock].
_PATIENCE_S = 5.0

Values = dict[str, object]
"""Parameter values by name."""


def provenance() -> dict[str, str]:
    """Return the notes that do not change during a recording."""
    return {VERSIONS: as_text(versions('rosbags')), WEIGHTS: as_text(weight_hashes())}


def as_text(data: object) -> str:
    """Return plain data as YAML."""
    return str(yaml.safe_dump(data, sort_keys=True, width=120))


class ParameterSurvey:
    """Asks each node once for all of its parameters.

    Attributes:
        found: parameter values by full name of the node, for the nodes that have answered.
    """

    def __init__(self, node: Node) -> None:
        """Ask through `node`, which is not asked itself."""
        self._node = node
        self._queries: dict[str, ParameterQuery] = {}
        self.found: dict[str, Values] = {}

    def look(self) -> None:
        """Ask the nodes that are new, or that have returned."""
        own = self._node.get_fully_qualified_name()
        present = {
            f'{namespace.rstrip("/")}/{name}'
            for name, namespace in self._node.get_node_names_and_namespaces()
            if not name.startswith('_')
        } - {own}
        for name in [*self._queries]:
            if name not in present or self._queries[name].overdue:
                self._queries.pop(name).end()
        for name in sorted(present):
            if name not in self._queries:
                # The query begins at the next look, when the node has discovered this client.
                self._queries[name] = ParameterQuery(self._node, name, partial(self.found.__setitem__, name))
            else:
                self._queries[name].begin()

    def end(self) -> None:
        """Drop the queries that have no answer yet."""
        for query in self._queries.values():
            query.end()
        self._queries.clear()


class ParameterQuery:
    """Asks one node for the names of its parameters, then for their values."""

    def __init__(self, node: Node, name: str, on_values: Callable[[Values], None]) -> None:
        """Create the clients; `on_values` receives the answer of the node `name`."""
        self._node, self._on_values = node, on_values
        self._found: Values = {}
        self._left: list[list[str]] = []
        self._asked_at: float | None = None
        self._answered = self._ended = False
        self._lists: Client[Any, Any] = node.create_client(ListParameters, f'{name}/list_parameters')
        self._values: Client[Any, Any] = node.create_client(GetParameters, f'{name}/get_parameters')

    @property
    def overdue(self) -> bool:
        """Whether an answer was lost."""
        waiting = self._asked_at is not None and not self._answered
        return waiting and time.monotonic() - (self._asked_at or 0.0) > _PATIENCE_S

    def begin(self) -> None:
        """Ask once, as soon as the services of the node are ready."""
        if self._ended or self._asked_at is not None:
            return
        if self._lists.service_is_ready() and self._values.service_is_ready():
            self._asked_at = time.monotonic()
            self._lists.call_async(ListParameters.Request()).add_done_callback(self._take_names)

    def _take_names(self, answer: Future[Any]) -> None:
        response = answer.result()
        if response is not None and not self._ended:
            self._left.append(list(response.result.names))
            self._ask()

    def _ask(self) -> None:
        """Ask for the next values. One question at a time: a service keeps ten of them and loses the others."""
        names = self._left.pop()
        self._asked_at = time.monotonic()
        request = GetParameters.Request(names=names)
        self._values.call_async(request).add_done_callback(partial(self._take_values, names))

    def _take_values(self, names: list[str], answer: Future[Any]) -> None:
        response = answer.result()
        if response is None or self._ended:
            return
        if len(response.values) == len(names):
            values = map(parameter_value_to_python, response.values)
            self._found |= {key: _plain(value) for key, value in zip(names, values, strict=True)}
        elif len(names) > 1:
            # rclpy answers with no values at all if one parameter has none. Halves find the others.
            half = len(names) // 2
            self._left += [names[half:], names[:half]]
        if self._left:
            self._ask()
        else:
            self._on_values(self._found)
            self._answered = True
            self.end()

    def end(self) -> None:
        """Destroy the clients."""
        if not self._ended:
            self._ended = True
            self._node.destroy_client(self._lists)
            self._node.destroy_client(self._values)


def _plain(value: Any) -> object:
    """A value that YAML can write: array.array and bytes become lists."""
    return list(value) if isinstance(value, (bytes, bytearray)) or hasattr(value, 'typecode') else value
