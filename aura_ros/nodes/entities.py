# SPDX-License-Identifier: Apache-2.0
"""Publishers, subscriptions, services and timers with one owner, who destroys them together."""

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_policy_name_from_kind

from aura_ros.nodes.diagnostics import ERROR, OK, Status


class Entities:
    """What a node made for one configuration. Executor thread only.

    Tells through `qos_status` which topics somebody offers or wants with another quality of
    service: such a pair exchanges nothing, and DDS is silent about it.
    """

    def __init__(self, node: Node) -> None:
        """Make entities on `node`; publishers of a lifecycle node are silent until it is active."""
        self._node = node
        self._undo: list[Callable[[], object]] = []
        self._incompatible: dict[str, str] = {}
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)

    def publisher(self, message: type, topic: str, profile: QoSProfile) -> Any:
        """Make a publisher; a lifecycle one where the node is a lifecycle node."""
        events = PublisherEventCallbacks(
            incompatible_qos=lambda event: self._mismatch(topic, event), use_default_callbacks=False
        )
        if isinstance(self._node, LifecycleNode):
            publisher = self._node.create_lifecycle_publisher(
                message, topic, profile, event_callbacks=events
            )
            self._undo.append(lambda: self._node.destroy_lifecycle_publisher(publisher))
        else:
            publisher = self._node.create_publisher(message, topic, profile, event_callbacks=events)
            self._undo.append(lambda: self._node.destroy_publisher(publisher))
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
        events = SubscriptionEventCallbacks(
            incompatible_qos=lambda event: self._mismatch(topic, event),
            liveliness=liveliness,
            use_default_callbacks=False,
        )
        subscription = self._node.create_subscription(
            message, topic, callback, profile, event_callbacks=events
        )
        self._undo.append(lambda: self._node.destroy_subscription(subscription))
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
        self._incompatible.clear()

    def qos_status(self) -> Status:
        """Report topics on which two ends cannot talk."""
        if not self._incompatible:
            return Status(OK, 'all connections match')
        text = ', '.join(f'{topic} ({policy})' for topic, policy in self._incompatible.items())
        message = f'incompatible quality of service, nothing is exchanged: {text}'
        return Status(ERROR, message, self._incompatible)

    def _mismatch(self, topic: str, event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        self._incompatible[topic] = policy
        self._node.get_logger().error(
            f"another node uses topic '{topic}' with an incompatible {policy}: "
            'nothing is exchanged with it'
        )
