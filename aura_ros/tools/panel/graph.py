# SPDX-License-Identifier: Apache-2.0
"""The panel's side of the graph: asks for policies, tasks and episodes, and listens.

Executor thread only. All time-outs are on the steady clock; stamps are only recorded.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from aura_ros.action import RunEpisode
from aura_ros.bench.robot.collector import EpisodeCollector
from aura_ros.bench.robot.records import GateRecord
from aura_ros.common.errors import AuraError
from aura_ros.common.names import POLICIES
from aura_ros.msg import GateSample, PolicyStatus, TaskEvent, WriteEvent
from aura_ros.ros import qos, waiting
from aura_ros.ros.conversions import to_ns
from aura_ros.srv import SelectPolicy, StartTask

T = TypeVar('T')

# How long one call may take, the switch's own time-out included [s].
_CALL_S = 20.0
_FIRST_CALL_S = 8.0
_RETRY_S = 0.5


class PanelError(AuraError):
    """The comparison cannot go on; the text says which node is to blame."""


class PanelGraph:
    """Clients and subscriptions of the panel.

    Attributes:
        collector: where what is heard goes.
        policy_status: the newest one, None before the first.
        vla_seq: newest step vla_node told of, -1 before the first.
    """

    def __init__(self, node: Node, executor: SingleThreadedExecutor) -> None:
        """Join the graph with `node`, which `executor` spins."""
        self._node, self._executor = node, executor
        self.collector = EpisodeCollector(())
        self.policy_status: PolicyStatus | None = None
        self.vla_seq = -1
        self._select = node.create_client(SelectPolicy, 'select_policy')
        self._start = node.create_client(StartTask, 'sim/start_task')
        self._episodes = ActionClient(node, RunEpisode, 'run_episode')
        subscribe = node.create_subscription
        self._subscriptions = [
            subscribe(TaskEvent, 'sim/event', self._on_event, qos.TASK_EVENT),
            subscribe(GateSample, 'aura/gate', self._gate_callback('aura'), qos.GATE),
            subscribe(GateSample, 'kv/gate', self._gate_callback('kv'), qos.GATE),
            subscribe(WriteEvent, 'aura/write_event', self._on_write, qos.WRITE_EVENT_LIVE),
            subscribe(PolicyStatus, 'policy_status', self._on_policy_status, qos.POLICY_STATUS),
        ]

    # What is heard. -------------------------------------------------------------------------------
    def _on_event(self, message: TaskEvent) -> None:
        stamp_ns = to_ns(message.header.stamp)
        self.collector.event(stamp_ns, message.kind, message.round, message.colour, message.last)

    def _gate_callback(self, memory: str) -> Callable[[GateSample], None]:
        def on_gate(message: GateSample) -> None:
            point = GateRecord(
                0.0, message.seq, message.gate, message.threshold, message.written, message.step_us, message.state_bytes
            )
            stamp_ns = to_ns(message.header.stamp)
            self.collector.gate(memory, message.episode_id, stamp_ns, point)

        return on_gate

    def _on_write(self, message: WriteEvent) -> None:
        self.collector.write_event(message.episode_id, message.seq)

    def _on_policy_status(self, message: PolicyStatus) -> None:
        self.policy_status = message

    def _on_feedback(self, message: Any) -> None:
        self.vla_seq = int(message.feedback.seq)

    # Waiting. -------------------------------------------------------------------------------------
    def spin(self, seconds: float) -> None:
        """Listen for a while [s]."""
        self.spin_until(lambda: False, seconds)

    def spin_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Listen until `done` or the time is over; returns whether it is done."""
        return waiting.spin_until(self._executor, done, timeout_s)

    def missing(self) -> list[str]:
        """Names of the nodes that are not there, [] when the graph is complete."""
        there = {
            'sim_node': self._start.service_is_ready(),
            'vla_node': self._episodes.server_is_ready(),
            'memory_node': self._node.count_publishers('aura/gate') > 0,
            'kv_baseline_node': self._node.count_publishers('kv/gate') > 0,
            'policy_switch_node': self._select.service_is_ready(),
        }
        return [name for name, found in there.items() if not found]

    def wait_for_graph(self, timeout_s: float) -> None:
        """Wait until all nodes are there.

        Raises:
            PanelError: names those that did not come.
        """
        if not self.spin_until(lambda: not self.missing(), timeout_s):
            names = ', '.join(self.missing())
            raise PanelError(f'{names} did not come within {timeout_s:g} s: start the whole graph')

    # Asking. --------------------------------------------------------------------------------------
    def select(self, policy: str, timeout_s: float) -> None:
        """Let `policy` drive; returns when it does.

        Raises:
            PanelError: policy_switch_node does not answer, or still refuses after `timeout_s`.
        """
        request = SelectPolicy.Request(policy=POLICIES.index(policy))
        self._insist(
            lambda: self._call(self._select, request, 'policy_switch_node'),
            lambda answer: '' if answer.success else answer.reason or 'no reason given',
            f'policy_switch_node does not let {policy} drive',
            timeout_s,
        )

    def start_task(self, task: str, split: str, seed: int, rounds: int, lockstep: bool) -> str:
        """Put the simulation at the start of an episode and return its instruction.

        Raises:
            PanelError: sim_node does not answer or refuses.
        """
        request = StartTask.Request(task=task, split=split, seed=seed, rounds=rounds, lockstep=lockstep)
        answer = self._call(self._start, request, 'sim_node')
        if not answer.success:
            raise PanelError(f'sim_node does not start {task}: {answer.reason}')
        return str(answer.instruction)

    def run_episode(self, instruction: str, timeout_s: float) -> Any:
        """Start the VLA and return the goal's handle.

        Raises:
            PanelError: vla_node does not answer, or still refuses after `timeout_s`.
        """
        self.vla_seq = -1
        goal = RunEpisode.Goal(instruction=instruction, max_steps=0)
        return self._insist(
            lambda: self._answer(self._episodes.send_goal_async(goal, self._on_feedback), 'vla_node'),
            lambda handle: '' if handle.accepted else 'its log and /diagnostics say why',
            'vla_node refuses the episode',
            timeout_s,
        )

    def end_episode(self, handle: Any, result: Any) -> RunEpisode.Result:
        """Cancel the goal of `handle` and return what came of it; `result` is its result's future.

        Raises:
            PanelError: vla_node does not answer.
        """
        if not result.done():
            self._answer(handle.cancel_goal_async(), 'vla_node')
        return self._answer(result, 'vla_node').result

    def _call(self, client: Any, request: Any, name: str) -> Any:
        """Call a service, again if need be: DDS loses answers while nodes discover each other."""
        first = client.call_async(request)
        if self.spin_until(first.done, _FIRST_CALL_S):
            return first.result()
        client.remove_pending_request(first)
        return self._answer(client.call_async(request), name)

    def _answer(self, future: Any, name: str) -> Any:
        if not self.spin_until(future.done, _CALL_S):
            raise PanelError(f'{name} did not answer within {_CALL_S:g} s')
        return future.result()

    def _insist(self, ask: Callable[[], T], refused: Callable[[T], str], text: str, timeout_s: float) -> T:
        """Ask until it is granted: a lifecycle node refuses while it is being activated."""
        end = time.monotonic() + timeout_s
        while True:
            answer = ask()
            reason = refused(answer)
            if not reason:
                return answer
            if time.monotonic() > end:
                raise PanelError(f'{text}: {reason}')
            self.spin(_RETRY_S)
