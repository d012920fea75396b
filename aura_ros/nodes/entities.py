# SPDX-License-Identifier: Apache-2.0
"""Publishers, subscriptions, services and timers with one owner, who destroys them together."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Infinite
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from aura_ros.nodes.diagnostics import ERROR, OK, Status

_ASK_EVERY_S = 1.0


@dataclass(frozen=True)
class _End:
    """One end of a topic, and how to ask for the others."""

    topic: str
    others: Callable[[str], list[Any]]
    # Of the other end's profile: why the two cannot talk, '' when they can.
    mismatch: Callable[[QoSProfile], str]


class Entities:
    """What a node made for one configuration. Executor thread only.

    Tells through `qos_status` which topics somebody offers or wants with another quality of
    service: such a pair exchanges nothing, and DDS is silent about it. It asks the graph once a
    second; an event handler per topic would make every turn of the executor slower instead.
    """

    def __init__(self, node: Node) -> None:
        """Make entities on `node`; publishers of a lifecycle node are silent until it is active."""
        self._node = node
        self._undo: list[Callable[[], object]] = []
        self._ends: list[_End] = []
        self._asked_at = -math.inf
        self._mismatches: dict[str, str] = {}
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)

    def publisher(self, message: type, topic: str, profile: QoSProfile) -> Any:
        """Make a publisher; a lifecycle one where the node is a lifecycle node."""
        node, events = self._node, PublisherEventCallbacks(use_default_callbacks=False)
        if isinstance(node, LifecycleNode):
            make, destroy = node.create_lifecycle_publisher, node.destroy_lifecycle_publisher
        else:
            make, destroy = node.create_publisher, node.destroy_publisher
        publisher = make(message, topic, profile, event_callbacks=events)
        self._undo.append(lambda: destroy(publisher))
        others = node.get_subscriptions_info_by_topic
        self._ends.append(_End(publisher.topic_name, others, partial(_mismatch, profile)))
        return publisher

    def subscription(
        self,
        message: type,
        topic: str,
        callback: Callable[[Any], None],
        profile: QoSProfile,
        liveliness: Callable[[Any], None] | None = None,
    ) -> Any:
        """Make a subscription; `liveliness` is told when publishers appear, die or go."""
        node = self._node
        events = SubscriptionEventCallbacks(liveliness=liveliness, use_default_callbacks=False)
        subscription = node.create_subscription(
            message, topic, callback, profile, event_callbacks=events
        )
        self._undo.append(lambda: node.destroy_subscription(subscription))
        others = node.get_publishers_info_by_topic
        mismatch = partial(_mismatch, wanted=profile)
        self._ends.append(_End(subscription.topic_name, others, mismatch))
        return subscription

    def service(
        self,
        kind: type,
        name: str,
        callback: Callable[..., Any],
        group: CallbackGroup | None = None,
    ) -> None:
        """Make a service; one that awaits needs a `group` of its own, or all else waits."""
        service = self._node.create_service(kind, name, callback, callback_group=group)
        self._undo.append(lambda: self._node.destroy_service(service))

    def timer(self, period_s: float, callback: Callable[[], None]) -> Any:
        """Make a timer on the steady clock, which no jump of simulated time can stop."""
        timer = self._node.create_timer(period_s, callback, clock=self._steady)
        self._undo.append(lambda: self._node.destroy_timer(timer))
        return timer

    def on_destroy(self, undo: Callable[[], object]) -> None:
        """Call `undo` in `destroy`, before what was made earlier is destroyed."""
        self._undo.append(undo)

    def destroy(self) -> None:
        """Destroy everything, last made first."""
        while self._undo:
            self._undo.pop()()
        self._ends.clear()
        self._mismatches.clear()

    def qos_status(self) -> Status:
        """Report topics on which two ends cannot talk; asks the graph at most once a second."""
        if time.monotonic() - self._asked_at > _ASK_EVERY_S:
            self._asked_at = time.monotonic()
            self._ask()
        if not self._mismatches:
            return Status(OK, 'all connections match')
        text = '; '.join(f'{topic} with {reason}' for topic, reason in self._mismatches.items())
        return Status(ERROR, f'nothing is exchanged on {text}', self._mismatches)

    def _ask(self) -> None:
        found: dict[str, str] = {}
        for end in self._ends:
            for other in end.others(end.topic):
                reason = end.mismatch(other.qos_profile)
                if reason:
                    found[end.topic] = f'{other.node_name}: {reason}'
        for topic in found.keys() - self._mismatches.keys():
            text = f'nothing is exchanged on {topic} with {found[topic]}'
            self._node.get_logger().error(text)
        self._mismatches = found


def _mismatch(offered: QoSProfile, wanted: QoSProfile) -> str:
    """Name the policies that keep a publisher and a subscription apart, '' when none does.

    rclpy's qos_check_compatible takes the endless lease of a discovered end for a finite one.
    """
    reasons = []
    best_effort = offered.reliability == ReliabilityPolicy.BEST_EFFORT
    if best_effort and wanted.reliability == ReliabilityPolicy.RELIABLE:
        reasons.append('reliability: best effort is offered, reliable is wanted')
    volatile = offered.durability == DurabilityPolicy.VOLATILE
    if volatile and wanted.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        reasons.append('durability: volatile is offered, transient local is wanted')
    if _lease_s(offered) > _lease_s(wanted):
        leases = f'{_lease_s(offered):g} s is offered, {_lease_s(wanted):g} s is wanted'
        reasons.append(f'liveliness: a lease of {leases}')
    return ', '.join(reasons)


def _lease_s(profile: QoSProfile) -> float:
    lease = profile.liveliness_lease_duration
    endless = lease == Infinite or lease.nanoseconds == 0
    return math.inf if endless else lease.nanoseconds * 1e-9
