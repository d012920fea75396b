# SPDX-License-Identifier: Apache-2.0
"""Publishers, subscriptions, services and timers with one owner that destroys them together."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration, Infinite
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from rclpy.topic_endpoint_info import TopicEndpointInfo

from aura_ros.ros.diagnostics import ERROR, OK, Status
from aura_ros.ros.newest_only import NewestOnly, publisher_id

if TYPE_CHECKING:  # names that only type checkers need, and that the rclpy of Jazzy does not have
    from rclpy.event_handler import QoSLivelinessChangedInfo
    from rclpy.subscription import MessageInfo
    from rclpy.type_support import MsgT, SrvRequestT, SrvResponseT

# Below the period of the diagnostics' checks, so that every check queries the graph. A mismatch is then reported within
# a second, discovery included. A query of twelve endpoints takes 0.3 ms.
_QUERY_EVERY_S = 0.15
# Longest time that the last messages have to reach their subscribers, all topics together [s].
_LAST_MESSAGES_S = 0.5
_MAX_TEXT = 256


@dataclass(frozen=True)
class _Endpoint:
    """One of our publishers or subscriptions."""

    topic: str
    others: Callable[[str], list[TopicEndpointInfo]]
    """Returns the endpoints on the other side of a topic."""
    mismatch: Callable[[QoSProfile], str]
    """Returns why the other side's profile is incompatible, '' if it is not."""


class EntityOwner:
    """The entities that a node made for one configuration. Executor thread only.

    `qos_status` reports topics with incompatible quality of service: such a pair exchanges nothing, and DDS reports no
    error. It queries the graph five times a second, for 0.2 % of a core. Handlers of DDS events, one per topic, would
    make every turn of the executor 40 % slower (six topics, rclpy 9.1).
    """

    def __init__(self, node: Node) -> None:
        """Make entities on `node`; publishers of a lifecycle node publish only while it is active."""
        self._node = node
        self._undo: list[Callable[[], object]] = []
        self._publishers: list[Publisher[Any]] = []
        self._endpoints: list[_Endpoint] = []
        self._subscriptions: dict[Subscription[Any], tuple[Callable[[], object], _Endpoint]] = {}
        self._queried_at = -math.inf
        self._mismatches: dict[str, str] = {}
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)

    def publisher(self, message: type[MsgT], topic: str, profile: QoSProfile, managed: bool = True) -> Publisher[MsgT]:
        """Make a publisher; on a lifecycle node a lifecycle publisher, unless `managed` is False."""
        node, events = self._node, PublisherEventCallbacks(use_default_callbacks=False)
        if managed and isinstance(node, LifecycleNode):
            lifecycle = node.create_lifecycle_publisher(message, topic, profile, event_callbacks=events)
            self._undo.append(lambda: node.destroy_lifecycle_publisher(lifecycle))
            publisher: Publisher[MsgT] = lifecycle
        else:
            publisher = node.create_publisher(message, topic, profile, event_callbacks=events)
            self._undo.append(lambda: node.destroy_publisher(publisher))
        self._publishers.append(publisher)
        others = node.get_subscriptions_info_by_topic
        self._endpoints.append(_Endpoint(publisher.topic_name, others, partial(_mismatch, profile)))
        return publisher

    def subscription(
        self,
        message: type[MsgT],
        topic: str,
        callback: Callable[[MsgT], None],
        profile: QoSProfile,
        liveliness: Callable[[QoSLivelinessChangedInfo], None] | None = None,
        raw: bool = False,
        checked: bool = True,
    ) -> Subscription[MsgT]:
        """Make a subscription; `liveliness` is called when publishers appear, die or leave.

        With `raw` the callback receives the serialized message and its MessageInfo. `qos_status` reports mismatches of
        the subscription, unless `checked` is False.
        """
        node = self._node
        events = SubscriptionEventCallbacks(liveliness=liveliness, use_default_callbacks=False)
        subscription = node.create_subscription(message, topic, callback, profile, event_callbacks=events, raw=raw)
        undo = partial(node.destroy_subscription, subscription)
        others, mismatch = node.get_publishers_info_by_topic, partial(_mismatch, requested=profile)
        endpoint = _Endpoint(subscription.topic_name, others, mismatch)
        self._undo.append(undo)
        self._endpoints += [endpoint] if checked else []
        self._subscriptions[subscription] = undo, endpoint
        return subscription

    def destroy_subscription(self, subscription: Subscription[Any]) -> None:
        """Destroy one subscription before the others."""
        undo, endpoint = self._subscriptions.pop(subscription)
        self._undo.remove(undo)
        if endpoint in self._endpoints:
            self._endpoints.remove(endpoint)
        undo()

    def any_durability_subscription(
        self,
        message: type[MsgT],
        topic: str,
        callback: Callable[[MsgT], None],
        profile: QoSProfile,
        max_bytes: int,
        refuse: Callable[[str], object],
    ) -> None:
        """Subscribe a latched topic also to volatile publishers, which a transient local subscription does not match.

        Args:
            message: type of the messages.
            topic: name of the topic.
            callback: called once with each message.
            profile: quality of service with transient local durability.
            max_bytes: as for `limited_subscription`.
            refuse: as for `limited_subscription`.
        """

        def take(raw: bytes) -> None:
            if (found := _converted(raw, message, max_bytes, refuse)) is not None:
                callback(found)

        once = cast('Callable[[MsgT], None]', NewestOnly(take))
        volatile = copy.copy(profile)
        volatile.durability = DurabilityPolicy.VOLATILE
        self.subscription(message, topic, once, profile, raw=True, checked=False)
        self.subscription(message, topic, once, volatile, raw=True)

    def limited_subscription(
        self,
        message: type[MsgT],
        topic: str,
        callback: Callable[[MsgT, Callable[[], bytes]], None],
        profile: QoSProfile,
        max_bytes: int,
        refuse: Callable[[str], object],
        liveliness: Callable[[QoSLivelinessChangedInfo], None] | None = None,
    ) -> Subscription[MsgT]:
        """Make a subscription that checks the size of each message before it is converted.

        The conversion keeps Python's lock, so a large message would stop all threads of the process.

        Args:
            message: type of the messages.
            topic: name of the topic.
            callback: called with each message and a function that returns the global id of its publisher, empty if it
                is unknown.
            profile: quality of service.
            max_bytes: largest serialized message that is converted [B].
            refuse: called with the reason for a message that is too large or cannot be converted.
            liveliness: called when publishers appear, die or leave.
        """

        def take(raw: bytes, info: MessageInfo) -> None:
            if (found := _converted(raw, message, max_bytes, refuse)) is not None:
                callback(found, lambda: self._publisher_id(info, topic))

        return self.subscription(message, topic, cast('Callable[[MsgT], None]', take), profile, liveliness, raw=True)

    def _publisher_id(self, info: MessageInfo, topic: str) -> bytes:
        """Return the global id of the publisher that sent a message.

        Where rclpy does not report it, it is known while the topic has one publisher.
        """
        if reported := publisher_id(info):
            return reported
        found = self._node.get_publishers_info_by_topic(topic)
        return bytes(found[0].endpoint_gid) if len(found) == 1 else b''

    def service(
        self,
        kind: type,
        name: str,
        callback: Callable[[SrvRequestT, SrvResponseT], SrvResponseT | Awaitable[SrvResponseT]],
        group: CallbackGroup | None = None,
    ) -> None:
        """Make a service; a callback that awaits needs its own `group`, or other callbacks wait too."""
        # rclpy awaits a coroutine, but its types do not allow one.
        plain = cast('Callable[[SrvRequestT, SrvResponseT], SrvResponseT]', callback)
        service = self._node.create_service(kind, name, plain, callback_group=group)
        self._undo.append(lambda: self._node.destroy_service(service))

    def timer(self, period_s: float, callback: Callable[[], None]) -> Timer:
        """Make a timer on the steady clock, which simulated time cannot stop."""
        timer = self._node.create_timer(period_s, callback, clock=self._steady)
        self._undo.append(lambda: self._node.destroy_timer(timer))
        return timer

    def on_destroy(self, undo: Callable[[], object]) -> None:
        """Call `undo` in `destroy`, before earlier entities are destroyed."""
        self._undo.append(undo)

    def destroy(self) -> None:
        """Destroy everything in reverse order, after the last messages have reached their subscribers.

        A publisher that is destroyed drops what it has not sent yet, such as the last hold of the policy switch.
        """
        deadline = time.monotonic() + _LAST_MESSAGES_S
        for publisher in self._publishers:
            publisher.wait_for_all_acked(Duration(seconds=max(0.0, deadline - time.monotonic())))
        self._publishers.clear()
        while self._undo:
            self._undo.pop()()
        self._endpoints.clear()
        self._subscriptions.clear()
        self._mismatches.clear()

    def qos_status(self) -> Status:
        """Return ERROR with the topics whose endpoints have incompatible profiles, else OK."""
        if time.monotonic() - self._queried_at > _QUERY_EVERY_S:
            self._queried_at = time.monotonic()
            self._query()
        if not self._mismatches:
            return Status(OK, 'all connections match')
        text = '; '.join(f'{topic} with {reason}' for topic, reason in self._mismatches.items())
        news = frozenset(self._mismatches.items())
        return Status(ERROR, f'nothing is exchanged on {text}', self._mismatches, news)

    def _query(self) -> None:
        found: dict[str, list[str]] = {}
        for endpoint in self._endpoints:
            for other in endpoint.others(endpoint.topic):
                reason = endpoint.mismatch(other.qos_profile)
                if reason:
                    found.setdefault(endpoint.topic, []).append(f'{other.node_name}: {reason}')
        mismatches = {topic: '; '.join(reasons) for topic, reasons in found.items()}
        for topic, reason in mismatches.items():
            if self._mismatches.get(topic) != reason:
                self._node.get_logger().error(f'nothing is exchanged on {topic} with {reason}')
        self._mismatches = mismatches


def _converted(raw: bytes, message: type[MsgT], max_bytes: int, refuse: Callable[[str], object]) -> MsgT | None:
    """Return a serialized message as `message`; None after `refuse` was called with the reason."""
    if len(raw) > max_bytes:
        refuse(f'message has {len(raw)} bytes: must have {max_bytes} at most')
        return None
    try:
        return deserialize_message(raw, message)
    except (RuntimeError, ValueError) as error:  # cut, or with sizes that do not match the content
        refuse(f'message cannot be converted: {error!r}'[:_MAX_TEXT])
        return None


def _mismatch(offered: QoSProfile, requested: QoSProfile) -> str:
    """Return why a publisher and a subscription are incompatible, '' if they are not.

    rclpy's qos_check_compatible is not used: it mistakes the infinite lease of a discovered endpoint for a finite one.
    """
    reasons = []
    best_effort = offered.reliability == ReliabilityPolicy.BEST_EFFORT
    if best_effort and requested.reliability == ReliabilityPolicy.RELIABLE:
        reasons.append('reliability: best effort is offered, reliable is requested')
    volatile = offered.durability == DurabilityPolicy.VOLATILE
    if volatile and requested.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        reasons.append('durability: volatile is offered, transient local is requested')
    manual = requested.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC
    if manual and offered.liveliness != LivelinessPolicy.MANUAL_BY_TOPIC:
        reasons.append('liveliness: automatic is offered, manual by topic is requested')
    for name, duration in (('liveliness: a lease', 'liveliness_lease_duration'), ('deadline: a period', 'deadline')):
        offered_s, requested_s = _seconds(getattr(offered, duration)), _seconds(getattr(requested, duration))
        if offered_s > requested_s:
            reasons.append(f'{name} of {offered_s:g} s is offered, {requested_s:g} s is requested')
    return ', '.join(reasons)


def _seconds(duration: Duration) -> float:
    """Return a duration of a profile [s]; unset means infinite."""
    infinite = duration == Infinite or duration.nanoseconds == 0
    return math.inf if infinite else duration.nanoseconds * 1e-9
