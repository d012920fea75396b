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
from rclpy.duration import Duration, Infinite
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

from aura_ros.ros.diagnostics import ERROR, OK, Status

# Below the period of the diagnostics' checks, so that each of them asks: what somebody else opens is told within a
# second, discovery included. Asking about twelve ends takes 0.3 ms.
_ASK_EVERY_S = 0.15


@dataclass(frozen=True)
class _End:
    """One end of a topic, and how to ask for the others."""

    topic: str
    others: Callable[[str], list[Any]]
    # Of the other end's profile: why the two cannot talk, '' when they can.
    mismatch: Callable[[QoSProfile], str]


class EntityOwner:
    """What a node made for one configuration. Executor thread only.

    Tells through `qos_status` which topics somebody offers or wants with another quality of
    service: such a pair exchanges nothing, and DDS is silent about it. It asks the graph five
    times a second, for 0.2 % of a core; handlers of DDS's own events, one per topic, would make
    every turn of the executor 40 % slower instead (six topics, rclpy 9.1).
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
        subscription = node.create_subscription(message, topic, callback, profile, event_callbacks=events)
        self._undo.append(lambda: node.destroy_subscription(subscription))
        others = node.get_publishers_info_by_topic
        mismatch = partial(_mismatch, wanted=profile)
        self._ends.append(_End(subscription.topic_name, others, mismatch))
        return subscription

    def service(self, kind: type, name: str, callback: Callable[..., Any], group: CallbackGroup | None = None) -> None:
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
        """Report topics on which two ends cannot talk, with the policy that keeps them apart."""
        if time.monotonic() - self._asked_at > _ASK_EVERY_S:
            self._asked_at = time.monotonic()
            self._ask()
        if not self._mismatches:
            return Status(OK, 'all connections match')
        text = '; '.join(f'{topic} with {reason}' for topic, reason in self._mismatches.items())
        news = frozenset(self._mismatches.items())
        return Status(ERROR, f'nothing is exchanged on {text}', self._mismatches, news)

    def _ask(self) -> None:
        found: dict[str, list[str]] = {}
        for end in self._ends:
            for other in end.others(end.topic):
                reason = end.mismatch(other.qos_profile)
                if reason:
                    found.setdefault(end.topic, []).append(f'{other.node_name}: {reason}')
        mismatches = {topic: '; '.join(reasons) for topic, reasons in found.items()}
        for topic, reason in mismatches.items():
            if self._mismatches.get(topic) != reason:
                self._node.get_logger().error(f'nothing is exchanged on {topic} with {reason}')
        self._mismatches = mismatches


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
    manual = wanted.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC
    if manual and offered.liveliness != LivelinessPolicy.MANUAL_BY_TOPIC:
        reasons.append('liveliness: automatic is offered, manual by topic is wanted')
    for policy, duration in (('liveliness: a lease', 'liveliness_lease_duration'), ('deadline: a period', 'deadline')):
        offered_s, wanted_s = _seconds(getattr(offered, duration)), _seconds(getattr(wanted, duration))
        if offered_s > wanted_s:
            reasons.append(f'{policy} of {offered_s:g} s is offered, {wanted_s:g} s is wanted')
    return ', '.join(reasons)


def _seconds(duration: Duration) -> float:
    """Return a duration of a profile in seconds; none given is endless."""
    endless = duration == Infinite or duration.nanoseconds == 0
    return math.inf if endless else duration.nanoseconds * 1e-9
