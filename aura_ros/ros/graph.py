# SPDX-License-Identifier: Apache-2.0
"""What a viewer needs of the ROS graph: which names there are, and subscriptions that match."""

from __future__ import annotations

import difflib
import importlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import rclpy
from rclpy.action import get_action_names_and_types
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.exceptions import NoTypeSupportImportedException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rclpy.topic_or_service_is_hidden import topic_or_service_is_hidden
from rclpy.type_support import check_for_type_support

from aura_ros.common.errors import AuraError
from aura_ros.ros import waiting

# Discovery takes 0.1 s, at times 3 s.
DISCOVERY_S = 5.0
# All is found when nothing new has come for so long [s].
_QUIET_S = 1.0
# Hidden, as ros2's own nodes are.
_NODE_NAME = '_aura_topics_'


# Every node has these; they are not what a list of services is read for.
_PACKAGES_OF_EVERY_NODE = ('lifecycle_msgs/', 'rcl_interfaces/', 'type_description_interfaces/')


class TopicError(AuraError):
    """A topic, service or action that is not there or cannot be used."""


class TopicGraph:
    """The topics of the others on this ROS domain. One thread."""

    def __init__(self, node: Node, executor: SingleThreadedExecutor) -> None:
        """Look from `node`, which `executor` spins."""
        self.node = node
        self._executor = executor

    @property
    def where(self) -> str:
        """Domain and discovery range, for an error."""
        reach = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
        return f'ROS domain {self.node.context.get_domain_id()}, discovery range {reach}'

    def spin(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Let messages come in for a while, or until `done`; returns whether it is done."""
        return waiting.spin_until(self._executor, done, seconds)

    def topics(self, *, hidden: bool = False) -> dict[str, list[str]]:
        """Return each topic that another node publishes or subscribes, with its types."""
        return {
            name: types
            for name, types in sorted(self.node.get_topic_names_and_types())
            if (hidden or not topic_or_service_is_hidden(name)) and self._of_others(name)
        }

    def publishers(self, topic: str) -> list[TopicEndpointInfo]:
        """Return the endpoint infos of a topic's publishers, without those of viewers."""
        return self._foreign(self.node.get_publishers_info_by_topic(topic))

    def _of_others(self, topic: str) -> bool:
        return bool(self.publishers(topic) or self._foreign(self.node.get_subscriptions_info_by_topic(topic)))

    @staticmethod
    def _foreign(ends: Sequence[TopicEndpointInfo]) -> list[TopicEndpointInfo]:
        # two viewers must not keep a topic alive for each other
        return [end for end in ends if not end.node_name.startswith(_NODE_NAME)]

    def discover(self) -> dict[str, list[str]]:
        """Return the topics when no more come, after `DISCOVERY_S` at the latest.

        Raises:
            TopicError: there are none.
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
        """Return all of a kind with their types; of services and actions also who only calls."""
        if what == 'topic':
            return self.topics(hidden=True)
        if what == 'service':
            return dict(sorted(self.node.get_service_names_and_types()))
        return dict(sorted(get_action_names_and_types(self.node)))

    def nothing_there(self, what: str = 'topic') -> str:
        """Say that no topic is to be seen, and what to look at."""
        return (
            f'no {what}s on {self.where}: is the graph running, and on the same ROS_DOMAIN_ID? '
            '`./run shell` opens a shell on that of `./run demo`'
        )

    def resolve(self, name: str, what: Literal['topic', 'service', 'action'] = 'topic') -> tuple[str, str]:
        """Wait for a topic, service or action; returns its full name and its type name.

        Raises:
            TopicError: it does not come up within `DISCOVERY_S`, or has several types.
        """
        full = name if name.startswith('/') else f'/{name}'
        end = time.monotonic() + DISCOVERY_S
        while not (types := (found := self.named(what)).get(full)):
            if time.monotonic() > end:
                raise TopicError(self._unknown(what, full, found))
            self.spin(waiting.TURN_S)
        if len(types) > 1:
            raise TopicError(f'{full} has several types, it must have one: {", ".join(types)}')
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
        others = f'{len(found)} others are there: aura topics list'
        if what != 'topic':
            others = f'there are {", ".join(found)}'
        return f'no {what} {full} after {DISCOVERY_S:.0f} s on {self.where}{hint} ({others})'


@contextmanager
def open_graph() -> Iterator[TopicGraph]:
    """Join the ROS domain of the environment as a hidden node; leaves it at the end.

    Signals stay Python's: KeyboardInterrupt ends a `spin` within a turn.
    """
    context = rclpy.Context()
    rclpy.init(context=context, args=[], signal_handler_options=SignalHandlerOptions.NO)
    # with as little of its own as can be in the graph it looks at
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
    """Import the class of a type: `sensor_msgs/msg/Image`, likewise of a service or an action.

    Raises:
        TopicError: it is not installed here; says what to install.
    """
    package, _, rest = type_name.partition('/')
    folder, _, name = rest.rpartition('/')
    try:
        kind = getattr(importlib.import_module(f'{package}.{folder.replace("/", ".")}'), name)
        check_for_type_support(kind)
    except (ImportError, AttributeError, NoTypeSupportImportedException) as error:
        wheel = f'ros-{package.replace("_", "-")}'
        raise TopicError(
            f'type {type_name} is not installed here: `pip install {wheel}` if it is one of '
            f"ROS's own, else build {package} and source its workspace ({error})"
        ) from error
    return kind


def matching_profile(publishers: Sequence[Any], depth: int) -> QoSProfile:
    """Return the strictest profile that all publishers can serve; without any, the loosest.

    Args:
        publishers: endpoint infos.
        depth: messages buffered while the viewer is busy.
    """
    profiles = [end.qos_profile for end in publishers]
    reliable = profiles and all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles)
    kept = profiles and all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles)
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if kept else DurabilityPolicy.VOLATILE,
    )


class TopicViewer(Protocol):
    """Whoever subscribes by `Watch`: its node, and which publishers of a topic count."""

    node: Node

    def publishers(self, topic: str) -> list[TopicEndpointInfo]: ...


class Watch:
    """A subscription whose quality of service follows the publishers.

    Attributes:
        publishers: how many there were at the last `match`.
    """

    def __init__(
        self,
        graph: TopicViewer,
        topic: str,
        kind: Any,
        heard: Callable[[Any, int], None],
        *,
        depth: int,
        raw: bool = False,
    ) -> None:
        """Tell `heard` each message and when it was sent [ns, system clock].

        Args:
            graph: where to subscribe.
            topic: full name.
            kind: message class.
            heard: called by `graph.spin`.
            depth: see `matching_profile`.
            raw: tell the serialised message, which costs less than a message.
        """
        self._graph, self._topic, self._kind, self._heard = graph, topic, kind, heard
        self._depth, self._raw = depth, raw
        self._subscription: Any = None
        self._asked: Any = None
        self._newest_ns = self._known_ns = 0
        self.publishers = 0
        self.match()

    def match(self) -> None:
        """Subscribe anew if the publishers now want or can serve another profile."""
        ends = self._graph.publishers(self._topic)
        self.publishers = len(ends)
        profile = matching_profile(ends, self._depth)
        if profile == self._asked or (self._asked and not ends):
            return
        self.close()
        # A new subscription is told the past again: what was heard is known.
        self._asked, self._known_ns = profile, self._newest_ns
        self._subscription = self._graph.node.create_subscription(
            self._kind,
            self._topic,
            self._on_message,
            profile,
            raw=self._raw,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )

    def take(self) -> None:
        """Tell what has come, where no executor spins: a tenth of its work for each message."""
        subscription = self._subscription
        if subscription is None:
            return
        with subscription.handle:
            while (taken := subscription.handle.take_message(self._kind, self._raw)) is not None:
                self._on_message(*taken)

    def _on_message(self, message: Any, info: Any) -> None:
        sent_ns = info['source_timestamp'] or time.time_ns()
        if sent_ns > self._known_ns:
            self._newest_ns = max(sent_ns, self._newest_ns)
            self._heard(message, sent_ns)

    def close(self) -> None:
        """Subscribe no longer."""
        if self._subscription is not None:
            self._graph.node.destroy_subscription(self._subscription)
            self._subscription = None
