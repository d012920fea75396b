# SPDX-License-Identifier: Apache-2.0
"""Counters of a soak, fed by the topics of the graph. Rates are in wall time: messages count when they arrive."""

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from trajectory_msgs.msg import JointTrajectory

from aura_ros.bench.robot.soak import Counters
from aura_ros.msg import GateSample, PolicyStatus, VlaStep, WriteEvent
from aura_ros.ros import qos

# Every command has to be counted, even if this process is busy for a second.
_COMMANDS = QoSProfile(depth=100)
_FAULT_WORDS = ('dropped', 'rejected', 'missed', 'gap', 'late', 'duplicate', 'failed', 'holds', 'clipped')


class SoakMeters:
    """Subscriptions that count while `counting` is true. Executor thread only."""

    def __init__(self, node: Node) -> None:
        self.counters = Counters()
        """All counts since `counting` was set."""
        self.counting = False
        """Whether the soak has begun."""
        self.in_episode = False
        """Whether an episode runs; commands and errors then count as those of the episode."""
        self._holding = True
        self._device_bytes = 0
        self._last: dict[str, tuple[str, int]] = {}
        subscribe = node.create_subscription
        subscribe(JointTrajectory, 'joint_command', self._on_command, _COMMANDS)
        subscribe(PolicyStatus, 'policy_status', self._on_status, qos.POLICY_STATUS)
        subscribe(VlaStep, 'vla_step', self._on_step, qos.step())
        subscribe(WriteEvent, 'aura/write_event', self._on_write, qos.WRITE_EVENT_LIVE)
        subscribe(DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS)
        for memory in ('aura', 'kv'):
            subscribe(GateSample, f'{memory}/gate', self._gate_callback(memory), qos.GATE)

    def _on_command(self, _: JointTrajectory) -> None:
        self.counters.commands += self.counting
        if self.counting and self.in_episode:
            self.counters.commands_in_episodes += 1
            self.counters.held += self._holding

    def _on_status(self, message: PolicyStatus) -> None:
        self._holding = message.holding

    def _on_step(self, _: VlaStep) -> None:
        self.counters.steps += self.counting
        self.counters.steps_in_episodes += self.counting and self.in_episode

    def _on_write(self, message: WriteEvent) -> None:
        if self.counting:
            self.counters.writes += 1
            self.counters.device_bytes += max(0, message.device_bytes - self._device_bytes)
        self._device_bytes = message.device_bytes

    def _gate_callback(self, memory: str) -> Callable[[GateSample], None]:
        def on_gate(message: GateSample) -> None:
            episode, seq = self._last.get(memory, ('', -1))
            before = seq if episode == message.episode_id else -1
            self._last[memory] = message.episode_id, message.seq
            if self.counting:
                self.counters.lost_steps[memory] += max(0, message.seq - before - 1)

        return on_gate

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        if not self.counting:
            return
        for status in message.status:
            for value in status.values:
                if value.value.isdecimal() and any(word in value.key for word in _FAULT_WORDS):
                    self.counters.reported[f'{status.name}: {value.key}'] = int(value.value)
            if status.level == DiagnosticStatus.ERROR and self.in_episode:
                text = f'{status.name}: {status.message}'
                self.counters.errors[text] = self.counters.errors.get(text, 0) + 1
