# SPDX-License-Identifier: Apache-2.0
"""Subscriptions of a viewer or a recorder, which match every publisher of a topic."""

from __future__ import annotations  # the Subscription of Jazzy takes no type parameters

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from aura_ros.ros.graph import TopicView
from aura_ros.ros.newest_only import publisher_id

# Newest messages that are recognised when they arrive again [1]: more than a latched topic of the graph keeps.
_KNOWN = 2048

Policies = tuple[ReliabilityPolicy, DurabilityPolicy]


def matching_policies(publishers: Sequence[TopicEndpointInfo]) -> frozenset[Policies]:
    """Return the different reliabilities and durabilities that publishers offer; without publishers, the loosest.

    One subscription for each of them receives every message, the latched ones included, as reliably as it is sent.
    """
    offered = [end.qos_profile for end in publishers]
    found = {
        (
            ReliabilityPolicy.RELIABLE
            if one.reliability == ReliabilityPolicy.RELIABLE
            else ReliabilityPolicy.BEST_EFFORT,
            DurabilityPolicy.TRANSIENT_LOCAL
            if one.durability == DurabilityPolicy.TRANSIENT_LOCAL
            else DurabilityPolicy.VOLATILE,
        )
        for one in offered
    }
    return frozenset(found or {(ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)})


class Watch:
    """A topic whose subscriptions follow the quality of service of the publishers. Each message counts once.

    Attributes:
        publishers: number of publishers at the last `match` [1].
        damaged: messages that could not be deserialised [1].
    """

    def __init__(
        self,
        view: TopicView,
        topic: str,
        kind: Any,
        receive: Callable[[Any, int], None],
        *,
        depth: int,
        raw: bool = False,
    ) -> None:
        """Subscribe a topic.

        Args:
            view: the node that subscribes.
            topic: full name.
            kind: message class.
            receive: called with each message and its send time [ns, system clock], by the node's executor or `take`.
            depth: messages buffered while the viewer is busy.
            raw: pass serialised messages, which costs less.
        """
        self._view, self._topic, self._kind, self._receive = view, topic, kind, receive
        self._depth, self._raw = depth, raw
        self._subscriptions: dict[Policies, Subscription[Any]] = {}
        self._known: OrderedDict[tuple[bytes, int], None] = OrderedDict()
        self.publishers = self.damaged = 0
        self.match()

    def match(self, publishers: Sequence[TopicEndpointInfo] | None = None) -> None:
        """Subscribe again if the publishers now need other subscriptions; None queries the graph for them."""
        ends = self._view.publishers(self._topic) if publishers is None else publishers
        self.publishers = len(ends)
        if self._subscriptions and not ends:
            return
        wanted = matching_policies(ends)
        for policies in wanted - self._subscriptions.keys():
            self._subscriptions[policies] = self._subscribe(*policies)
        for policies in self._subscriptions.keys() - wanted:
            self._view.node.destroy_subscription(self._subscriptions.pop(policies))

    def _subscribe(self, reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> Subscription[Any]:
        return self._view.node.create_subscription(
            self._kind,
            self._topic,
            self._on_message,
            QoSProfile(depth=self._depth, reliability=reliability, durability=durability),
            raw=True,  # so that a damaged message raises here, and not in the executor
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )

    def take(self) -> None:
        """Take all waiting messages without an executor, at a tenth of its cost per message."""
        for subscription in self._subscriptions.values():
            with subscription.handle:
                while (taken := subscription.handle.take_message(self._kind, True)) is not None:
                    self._on_message(*taken)

    def _on_message(self, data: bytes, info: Any) -> None:
        sent_ns = info['source_timestamp'] or time.time_ns()
        # Another subscription may have received it, or a new subscription receives what the publisher keeps.
        key = publisher_id(info), sent_ns
        if key in self._known:
            return
        self._known[key] = None
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        try:
            message = data if self._raw else deserialize_message(data, self._kind)
        except RuntimeError:  # rclpy has no public name for it
            self.damaged += 1
            return
        self._receive(message, sent_ns)

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions.values():
            self._view.node.destroy_subscription(subscription)
        self._subscriptions.clear()
