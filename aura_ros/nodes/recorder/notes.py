# SPDX-License-Identifier: Apache-2.0
"""What a recording says about itself: the parameters of every node of the graph, versions and hashes of weights.

Executor thread only; answers come by callback, and a node that does not answer is asked again.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import yaml
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.task import Future

from aura_ros.common.provenance import versions, weight_hashes

# Keys of the notes in the bag's custom data; each value is YAML.
PARAMETERS, VERSIONS, WEIGHTS = 'aura_ros/parameters', 'aura_ros/versions', 'aura_ros/weights'
BACKBONE_HASHES, DROPPED = 'aura_ros/backbone_hashes', 'aura_ros/dropped'
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
        self._talks: dict[str, _Talk] = {}
        self.found: dict[str, dict[str, Any]] = {}

    def look(self) -> None:
        """Ask the nodes that have come up since; one that went is asked again when it is back."""
        own = self._node.get_fully_qualified_name()
        there = {
            f'{namespace.rstrip("/")}/{name}'
            for name, namespace in self._node.get_node_names_and_namespaces()
            if not name.startswith('_')
        } - {own}
        for name in [*self._talks]:
            if name not in there or self._talks[name].overdue:
                self._talks.pop(name).end()
        for name in sorted(there):
            if name not in self._talks:
                # asked at the next look: by then the node knows, too, whom to answer
                self._talks[name] = _Talk(self._node, name, partial(self.found.__setitem__, name))
            else:
                self._talks[name].begin()

    def end(self) -> None:
        """Wait for no answer any more."""
        for talk in self._talks.values():
            talk.end()
        self._talks.clear()


class _Talk:
    """The names of a node's parameters, then their values."""

    def __init__(self, node: Node, name: str, told: Callable[[dict[str, Any]], None]) -> None:
        self._node, self._told = node, told
        self._names: list[str] = []
        self._asked_at: float | None = None
        self._done = False
        self._lists = node.create_client(ListParameters, f'{name}/list_parameters')
        self._values = node.create_client(GetParameters, f'{name}/get_parameters')

    @property
    def overdue(self) -> bool:
        """Whether an answer was lost."""
        asked = self._asked_at is not None and not self._done
        return asked and time.monotonic() - self._asked_at > _PATIENCE_S

    def begin(self) -> None:
        """Ask, once, as soon as the node answers such questions."""
        if self._asked_at is None and self._lists.service_is_ready() and self._values.service_is_ready():
            self._asked_at = time.monotonic()
            self._lists.call_async(ListParameters.Request()).add_done_callback(self._on_names)

    def _on_names(self, answer: Future) -> None:
        if not answer.cancelled() and self._lists is not None:
            self._names = list(answer.result().result.names)
            request = GetParameters.Request(names=self._names)
            self._values.call_async(request).add_done_callback(self._on_values)

    def _on_values(self, answer: Future) -> None:
        if not answer.cancelled() and self._lists is not None:
            given = map(parameter_value_to_python, answer.result().values)
            self._told({key: _plain(value) for key, value in zip(self._names, given, strict=False)})
            self._done = True
            self.end()

    def end(self) -> None:
        """Ask nothing more."""
        if self._lists is not None:
            self._node.destroy_client(self._lists)
            self._node.destroy_client(self._values)
            self._lists = self._values = None


def _plain(value: Any) -> Any:
    """A value as YAML can write it: array.array and bytes become lists."""
    return list(value) if isinstance(value, (bytes, bytearray)) or hasattr(value, 'typecode') else value
