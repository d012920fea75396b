# SPDX-License-Identifier: Apache-2.0
"""What the panel receives from the graph while an episode runs."""

from collections.abc import Callable

from rclpy.node import Node

from aura_ros.bench.robot.collector import EpisodeCollector
from aura_ros.bench.robot.records import GateRecord
from aura_ros.msg import GateSample, PolicyStatus, TaskEvent, WriteEvent
from aura_ros.ros import qos
from aura_ros.ros.conversions import to_ns


class GraphObserver:
    """Subscriptions that fill `collector`. Executor thread only."""

    def __init__(self, node: Node) -> None:
        self.collector = EpisodeCollector(())
        """Events and steps of the present episode; the panel replaces it for each episode."""
        self.policy_status: PolicyStatus | None = None
        """The newest report of policy_switch_node; None before the first."""
        subscribe = node.create_subscription
        subscribe(TaskEvent, 'sim/event', self._on_event, qos.TASK_EVENT)
        subscribe(GateSample, 'aura/gate', self._gate_callback('aura'), qos.GATE)
        subscribe(GateSample, 'kv/gate', self._gate_callback('kv'), qos.GATE)
        subscribe(WriteEvent, 'aura/write_event', self._on_write, qos.WRITE_EVENT_LIVE)
        subscribe(PolicyStatus, 'policy_status', self._on_policy_status, qos.POLICY_STATUS)

    def _on_event(self, message: TaskEvent) -> None:
        stamp_ns = to_ns(message.header.stamp)
        self.collector.add_event(stamp_ns, message.kind, message.round, message.colour, message.last, message.task)

    def _gate_callback(self, memory: str) -> Callable[[GateSample], None]:
        def on_gate(message: GateSample) -> None:
            record = GateRecord(
                0.0, message.seq, message.gate, message.threshold, message.written, message.step_us, message.state_bytes
            )
            self.collector.add_step(memory, message.episode_id, to_ns(message.header.stamp), record)

        return on_gate

    def _on_write(self, message: WriteEvent) -> None:
        self.collector.add_write_event(message.episode_id, message.seq)

    def _on_policy_status(self, message: PolicyStatus) -> None:
        self.policy_status = message
