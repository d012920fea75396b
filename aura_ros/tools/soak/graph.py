# SPDX-License-Identifier: Apache-2.0
"""What a soak hears of the graph, counted; and the processes whose memory it watches.

Executor thread only. Rates are in wall time: the messages are counted as they come.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from trajectory_msgs.msg import JointTrajectory

from aura_ros.bench.robot.soak import Counters
from aura_ros.msg import GateSample, PolicyStatus, VlaStep, WriteEvent
from aura_ros.ros import qos
from aura_ros.tools.panel.graph import PanelError

NODES = ('vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node', 'sim_node')
_END_S = 10.0
# A monitor that is busy for a second must still count every command.
_COMMANDS = QoSProfile(depth=100)


class SoakMeters:
    """Counts into `counters` while `counting`.

    Attributes:
        counters: what was counted so far.
        counting: whether the soak has begun.
        in_episode: whether commands and errors are those of a running episode.
    """

    def __init__(self, node: Node) -> None:
        """Listen with `node`."""
        self.counters = Counters()
        self.counting = self.in_episode = False
        self._holding = True
        self._device_bytes = 0
        self._last: dict[str, tuple[str, int]] = {}
        subscribe = node.create_subscription
        self._subscriptions = [
            subscribe(JointTrajectory, 'joint_command', self._on_command, _COMMANDS),
            subscribe(PolicyStatus, 'policy_status', self._on_status, qos.POLICY_STATUS),
            subscribe(VlaStep, 'vla_step', self._on_step, qos.step()),
            subscribe(WriteEvent, 'aura/write_event', self._on_write, qos.WRITE_EVENT_LIVE),
            subscribe(DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS),
        ]
        for memory in ('aura', 'kv'):
            topic, on_gate = f'{memory}/gate', self._gate_callback(memory)
            self._subscriptions.append(subscribe(GateSample, topic, on_gate, qos.GATE))

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

    def _gate_callback(self, memory: str) -> object:
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
                if value.value.isdecimal() and _counts_a_fault(value.key):
                    self.counters.told[f'{status.name}: {value.key}'] = int(value.value)
            if status.level == DiagnosticStatus.ERROR and self.in_episode:
                text = f'{status.name}: {status.message}'
                self.counters.errors[text] = self.counters.errors.get(text, 0) + 1


def _counts_a_fault(key: str) -> bool:
    words = ('dropped', 'rejected', 'missed', 'gap', 'late', 'duplicate', 'failed', 'holds', 'clipped')
    return any(word in key for word in words)


class SoakProcesses:
    """The graph in a process group of its own, and what its nodes use; a context manager.

    Attributes:
        log: where everything goes that the nodes say.
        times_s: when samples were taken [s, steady clock].
        resident_mb: resident memory at these times, by node [MB].
    """

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        """Start nothing yet; `arguments` are for aura launch, what the nodes say goes to `log`."""
        self._arguments, self.log = list(arguments), log
        self._launcher: subprocess.Popen[bytes] | None = None
        self._nodes: dict[str, psutil.Process] = {}
        self._began: dict[str, tuple[float, float]] = {}
        self.times_s: list[float] = []
        self.resident_mb: dict[str, list[float]] = {name: [] for name in NODES}

    def __enter__(self) -> 'SoakProcesses':
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, '-m', 'aura_ros.tools.launch', *self._arguments]
        with self.log.open('wb') as log:
            self._launcher = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._launcher is not None
        self._launcher.send_signal(signal.SIGINT)
        try:
            self._launcher.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._launcher.pid, signal.SIGKILL)
            self._launcher.wait()

    def find(self) -> list[str]:
        """Look for the nodes' processes; returns the names of those that are not there yet.

        Raises:
            PanelError: the launch has ended.
        """
        assert self._launcher is not None
        if self._launcher.poll() is not None:
            raise PanelError(f'the graph has ended, exit code {self._launcher.returncode}: {self.log} says why')
        for process in psutil.Process(self._launcher.pid).children(recursive=True):
            words = ' '.join(process.cmdline())
            for name in NODES:
                if f'/{name} ' in words and name not in self._nodes:
                    self._nodes[name] = process
        return [name for name in NODES if name not in self._nodes]

    def begin(self) -> None:
        """Count processor time from now."""
        self._began = {name: (time.monotonic(), _cpu_s(process)) for name, process in self._nodes.items()}

    def sample(self) -> None:
        """Note what each node uses now.

        Raises:
            PanelError: a node has ended.
        """
        try:
            found = {name: process.memory_info().rss * 1e-6 for name, process in self._nodes.items()}
        except psutil.NoSuchProcess as error:
            name = next(name for name, process in self._nodes.items() if process.pid == error.pid)
            raise PanelError(f'{name} has ended: {self.log} says why') from error
        self.times_s.append(time.monotonic())
        for name, value in found.items():
            self.resident_mb[name].append(value)

    def cpu(self) -> Mapping[str, float]:
        """Mean share of one core since `begin`, of the nodes that are alive [1]."""
        return {
            name: (_cpu_s(process) - self._began[name][1]) / max(1e-9, time.monotonic() - self._began[name][0])
            for name, process in self._nodes.items()
            if name in self._began and process.is_running()
        }


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
