# SPDX-License-Identifier: Apache-2.0
"""What a recording says about itself: the parameters of every node of the graph, versions and hashes of weights.

Executor thread only; answers come by callback, and a node that does not answer is asked again.
"""

import time
from functools import partial
from typing import Any

import yaml
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.task import Future

from aura_ros.bench.provenance import versions, weight_hashes

# Keys of the notes in the bag's custom data; each value is YAML.
PARAMETERS, VERSIONS, WEIGHTS = 'aura_ros/parameters', 'aura_ros/versions', 'aura_ros/weights'
POLICY_HASHES, DROPPED = 'aura_ros/policy_hashes', 'aura_ros/dropped'
# An answer that has not come by then is not waited for any more [s, steady clock].
_PATIENCE_S = 5.0


def provenance() -> dict[str, str]:
    """Notes that do not change while a recording lasts."""
    return {VERSIONS: as_text(versions('rosbags')), WEIGHTS: as_text(weight_hashes())}


def as_text(data: Any) -> str:
    """Plain data as YAML."""
    return yaml.safe_dump(data, sort_keys=True, width=120)


class ParameterSurvey:
    """Asks each node once for all of its parameters.

    Attributes:
        found: values by full name of the node and name of the parameter, of those that have answered.
    """

    def __init__(self, node: Node) -> None:
        """Ask with `node`, which is not asked itself."""
        self._node = node
        self._asked: dict[str, float] = {}
        self.found: dict[str, dict[str, Any]] = {}

    def look(self) -> None:
        """Ask the nodes that have come up since; forget those that went, for they may come again otherwise."""
        now = time.monotonic()
        own = self._node.get_fully_qualified_name()
        there = {
            f'{namespace.rstrip("/")}/{name}'
            for name, namespace in self._node.get_node_names_and_namespaces()
            if not name.startswith('_')
        } - {own}
        self._asked = {name: at for name, at in self._asked.items() if name in there}
        for name in sorted(there):
            answered = name in self._asked and name in self.found
            if not answered and now - self._asked.get(name, -_PATIENCE_S) >= _PATIENCE_S:
                self._ask(name, now)

    def _ask(self, name: str, now: float) -> None:
        lists = self._node.create_client(ListParameters, f'{name}/list_parameters')
        values = self._node.create_client(GetParameters, f'{name}/get_parameters')
        if not (lists.service_is_ready() and values.service_is_ready()):
            self._forget(lists, values)
            return
        self._asked[name] = now
        self.found.pop(name, None)
        listed = lists.call_async(ListParameters.Request())
        listed.add_done_callback(partial(self._on_names, name, lists, values))

    def _on_names(self, name: str, lists: Client, values: Client, answer: Future) -> None:
        names = [] if answer.cancelled() else list(answer.result().result.names)
        got = values.call_async(GetParameters.Request(names=names))
        got.add_done_callback(partial(self._on_values, name, names, lists, values))

    def _on_values(self, name: str, names: list[str], lists: Client, values: Client, answer: Future) -> None:
        if not answer.cancelled():
            given = map(parameter_value_to_python, answer.result().values)
            self.found[name] = {key: _plain(value) for key, value in zip(names, given, strict=False)}
        self._forget(lists, values)

    def _forget(self, *clients: Client) -> None:
        for client in clients:
            self._node.destroy_client(client)


def _plain(value: Any) -> Any:
    """A value as YAML can write it: array.array and bytes become lists."""
    return list(value) if isinstance(value, (bytes, bytearray)) or hasattr(value, 'typecode') else value
