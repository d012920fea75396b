# SPDX-License-Identifier: Apache-2.0
"""The ROS graph for viewers: names and types."""

import difflib
import importlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import rclpy
from rclpy.action.graph import get_action_names_and_types
from rclpy.exceptions import NoTypeSupportImportedException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rclpy.topic_or_service_is_hidden import topic_or_service_is_hidden
from rclpy.type_support import check_for_type_support

from aura_ros.common.errors import AuraError
from aura_ros.ros import waiting

# Discovery takes 0.1 s, sometimes 3 s.
DISCOVERY_S = 5.0
# Discovery is complete when nothing new was found for so long [s].
_QUIET_S = 1.0
# Hidden, as the nodes of the ros2 command are.
_NODE_NAME = '_aura_topics_'

# Every node has these services; a list of services leaves them out.
_PACKAGES_OF_EVERY_NODE = ('lifecycle_msgs/', 'rcl_interfaces/', 'type_description_interfaces/')


class TopicError(AuraError):
    """A topic, service or action that does not exist or cannot be used."""


class TopicView:
    """The topics that a node sees. Not thread-safe."""

    def __init__(self, node: Node) -> None:
        """View the graph from `node`."""
        self.node = node

    def topics(self, *, hidden: bool = False) -> dict[str, list[str]]:
        """Return each topic that another node publishes or subscribes, with its types."""
        return {
            name: types
            for name, types in sorted(self.node.get_topic_names_and_types())
            if (hidden or not topic_or_service_is_hidden(name)) and self._of_others(name)
        }

    def publishers(self, topic: str) -> list[TopicEndpointInfo]:
        """Return the publishers of a topic, without those of viewers."""
        return self._foreign(self.node.get_publishers_info_by_topic(topic))

    def _of_others(self, topic: str) -> bool:
        return bool(self.publishers(topic) or self._foreign(self.node.get_subscriptions_info_by_topic(topic)))

    @staticmethod
    def _foreign(ends: Sequence[TopicEndpointInfo]) -> list[TopicEndpointInfo]:
        # Otherwise two viewers keep a topic alive for each other.
        return [end for end in ends if not end.node_name.startswith(_NODE_NAME)]


class TopicGraph(TopicView):
    """The topics, services and actions on this ROS domain, with the executor to wait for them. Not thread-safe."""

    def __init__(self, node: Node, executor: SingleThreadedExecutor) -> None:
        """View the graph from `node`, which `executor` spins."""
        super().__init__(node)
        self._executor = executor

    @property
    def where(self) -> str:
        """Domain and discovery range, for an error message."""
        reach = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
        return f'ROS domain {self.node.context.get_domain_id()}, discovery range {reach}'

    def spin(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Take messages for a while, or until `done`; return whether it is done."""
        return waiting.spin_until(self._executor, done, seconds)

    def discover(self) -> dict[str, list[str]]:
        """Return the topics once no more are found, after `DISCOVERY_S` at the latest.

        Raises:
            TopicError: there are no topics.
        """
        found: dict[str, list[str]] = {}
        end = time.monotonic() + DISCOVERY_S
        quiet_from = time.monotonic()
        while (now := time.monotonic()) < end and not (found and now - quiet_from > _QUIET_S):
            self.spin(waiting.TURN_S)
            if (topics := self.topics()) != found:
                found, quiet_from = topics, time.monotonic()
        if not found:
            raise TopicError(self.nothing_there())
        return found

    def named(self, what: Literal['topic', 'service', 'action']) -> dict[str, list[str]]:
        """Return all names of a kind with their types, those with clients only included."""
        if what == 'topic':
            return self.topics(hidden=True)
        if what == 'service':
            return dict(sorted(self.node.get_service_names_and_types()))
        return dict(sorted(get_action_names_and_types(self.node)))

    def nothing_there(self, what: str = 'topic') -> str:
        """Return the error text for an empty graph."""
        return (
            f'no {what}s on {self.where}: is the graph running, and on the same ROS_DOMAIN_ID? '
            '`./run shell` opens a shell with the domain of `./run demo`'
        )

    def resolve(self, name: str, what: Literal['topic', 'service', 'action'] = 'topic') -> tuple[str, str]:
        """Wait for a topic, service or action; return its full name and its type name.

        Raises:
            TopicError: it does not appear within `DISCOVERY_S`, or has several types.
        """
        full = name if name.startswith('/') else f'/{name}'
        end = time.monotonic() + DISCOVERY_S
        while not (types := (found := self.named(what)).get(full)):
            if time.monotonic() > end:
                raise TopicError(self._unknown(what, full, found))
            self.spin(waiting.TURN_S)
        if len(types) > 1:
            raise TopicError(f'{full} has several types, must have one: {", ".join(types)}')
        return full, types[0]

    def _unknown(self, what: str, full: str, found: dict[str, list[str]]) -> str:
        if what != 'topic':
            found = {
                name: types
                for name, types in found.items()
                if not topic_or_service_is_hidden(name) and not types[0].startswith(_PACKAGES_OF_EVERY_NODE)
            }
        if not found:
            return self.nothing_there(what)
        last = full.rsplit('/', 1)[-1]
        alike = [name for name in found if last and name.endswith(f'/{last}')]
        alike += difflib.get_close_matches(full, found)
        hint = f'; did you mean {" or ".join(dict.fromkeys(alike))}?' if alike else ''
        others = f'{len(found)} others exist: aura topics list'
        if what != 'topic':
            others = f'found {", ".join(found)}'
        return f'no {what} {full} after {DISCOVERY_S:.0f} s on {self.where}{hint} ({others})'


@contextmanager
def open_graph() -> Iterator[TopicGraph]:
    """Join the ROS domain of the environment as a hidden node, and leave it at the end.

    Python keeps its signal handlers: KeyboardInterrupt ends a `spin` within one turn.
    """
    context = rclpy.Context()
    rclpy.init(context=context, args=[], signal_handler_options=SignalHandlerOptions.NO)
    # with as few entities of its own as possible in the graph that it views
    node = Node(
        f'{_NODE_NAME}{os.getpid()}',
        context=context,
        start_parameter_services=False,
        enable_rosout=False,
        use_global_arguments=False,
    )
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield TopicGraph(node, executor)
    finally:
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        context.try_shutdown()


def message_class(type_name: str) -> Any:
    """Import the class of a message, service or action type such as `sensor_msgs/msg/Image`.

    Raises:
        TopicError: it is not installed; the text says what to install.
    """
    package, _, rest = type_name.partition('/')
    folder, _, name = rest.rpartition('/')
    try:
        kind = getattr(importlib.import_module(f'{package}.{folder.replace("/", ".")}'), name)
        check_for_type_support(kind)
    except (ImportError, AttributeError, NoTypeSupportImportedException) as error:
        wheel = f'ros-{package.replace("_", "-")}'
        raise TopicError(
            f'type {type_name} is not installed: run `pip install {wheel}` if it is part of ROS, else build {package} '
            f'and source its workspace ({error})'
        ) from error
    return kind
