# SPDX-License-Identifier: Apache-2.0
"""The facade that a user scripts against."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.action.client import ActionClient
from rclpy.client import Client

from aura_ros.action import RunEpisode
from aura_ros.client.connection import RETRY_S, GraphConnection
from aura_ros.client.episode import Episode
from aura_ros.client.values import EpisodeResult, GraphError, Progress, RobotStatus, SavedState
from aura_ros.common.errors import ConfigError
from aura_ros.common.names import POLICIES, TASKS, names_in
from aura_ros.msg import PolicyStatus
from aura_ros.ros import qos
from aura_ros.srv import ResetMemory, SaveState, SelectPolicy, StartTask

MEMORIES = {'aura': 'memory_node', 'kv': 'kv_baseline_node'}
"""Memories that can be reset, with their nodes."""


class AuraClient(GraphConnection):
    """A client of one robot's graph. Not thread-safe; messages arrive only inside its methods.

    Args:
        namespace: namespace of the robot, for example '/left'.
        timeout_s: longest wait for a node to appear, and for its response [s, steady clock].
        node_name: name of the client in the graph.
        arguments: ROS arguments, for example ['--ros-args', '-p', 'use_sim_time:=true'].

    Raises:
        ConfigError: the namespace is not a valid ROS name.
    """

    def __init__(
        self,
        namespace: str = '',
        *,
        timeout_s: float = 20.0,
        node_name: str = 'aura_client',
        arguments: Sequence[str] = (),
    ) -> None:
        super().__init__(namespace, timeout_s, node_name, arguments)
        make = self.node.create_client
        self._select: Client[Any, Any] = make(SelectPolicy, 'select_policy')
        self._start: Client[Any, Any] = make(StartTask, 'sim/start_task')
        self._save: Client[Any, Any] = make(SaveState, 'aura/save_state')
        self._reset: dict[str, Client[Any, Any]] = {
            memory: make(ResetMemory, f'{memory}/reset_memory') for memory in MEMORIES
        }
        self._action_client: ActionClient[Any, Any, Any] | None = None
        self._statuses = 0
        self._status: PolicyStatus | None = None
        self.node.create_subscription(PolicyStatus, 'policy_status', self._on_status, qos.POLICY_STATUS)

        self._ready = {
            'vla_node': lambda: self._episodes.server_is_ready(),
            'memory_node': self._reset['aura'].service_is_ready,
            'kv_baseline_node': self._reset['kv'].service_is_ready,
            'policy_switch_node': self._select.service_is_ready,
            'sim_node': self._start.service_is_ready,
        }

    def close(self) -> None:
        """Leave the graph."""
        if self._action_client is not None:
            self._action_client.destroy()
        super().close()

    @property
    def _episodes(self) -> ActionClient[Any, Any, Any]:
        # Made at its first use, because vla_node ends an episode when a client of run_episode leaves.
        if self._action_client is None:
            self._action_client = ActionClient(self.node, RunEpisode, 'run_episode')
        return self._action_client

    def select_policy(self, policy: str, *, retry_s: float = 0.0) -> None:
        """Let `policy` drive the robot; return when the switch is in effect.

        Args:
            policy: base, aura or kv.
            retry_s: repeat a refused request for this long [s]; a node refuses while it is being activated.

        Raises:
            ConfigError: there is no such policy.
            GraphError: policy_switch_node is missing, does not respond or refuses.
        """
        _check('policy', policy, POLICIES)
        request = SelectPolicy.Request(policy=POLICIES.index(policy))
        self.request(self._select, request, 'policy_switch_node', f'select {policy}', retry_s)

    def start_task(
        self, task: str, *, split: str = 'evaluation', seed: int = 0, rounds: int = 1, lockstep: bool = False
    ) -> str:
        """Put the simulator at the start of a task and return the instruction in words.

        Args:
            task: recall, put_back, visible, place, sequence, both or many, or several of them, comma-separated. Of
                several, the task of each round is drawn.
            split: seeds to choose from: train, validation or evaluation.
            seed: index of the seed within the split.
            rounds: rounds of the task, >= 1.
            lockstep: True makes the simulation wait for the graph; False runs it in real time.

        Raises:
            ConfigError: there is no such task.
            GraphError: sim_node is missing, does not respond or refuses.
        """
        names_in(task, TASKS, f'task = {task!r}')
        request = StartTask.Request(task=task, split=split, seed=seed, rounds=rounds, lockstep=lockstep)
        response = self.request(self._start, request, 'sim_node', f'start {task}')
        return str(response.instruction)

    def run_episode(
        self,
        instruction: str,
        max_steps: int = 0,
        *,
        feedback: Callable[[Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> EpisodeResult:
        """Run an episode to its end. An exception, for instance Ctrl-C, cancels the episode.

        Args:
            instruction: what the robot is to do, in words.
            max_steps: VLA steps after which the episode ends; 0 runs until it is cancelled.
            feedback: called with every step.
            timeout_s: longest duration of the episode [s]; None sets no limit.

        Raises:
            GraphError: vla_node is missing, does not respond or refuses, or the time is over.
        """
        episode = self.start_episode(instruction, max_steps, feedback=feedback)
        try:
            return episode.wait(timeout_s)
        except BaseException:
            if not self.missing('vla_node'):
                episode.cancel()
            raise

    def start_episode(
        self,
        instruction: str,
        max_steps: int = 0,
        *,
        feedback: Callable[[Progress], None] | None = None,
        retry_s: float = 0.0,
    ) -> Episode:
        """Start an episode and return without waiting for its end; `wait` or `cancel` it later.

        Args:
            instruction, max_steps, feedback: as in `run_episode`.
            retry_s: repeat a refused request for this long [s]; a node refuses while it is being activated.

        Raises:
            GraphError: vla_node is missing, does not respond or refuses.
        """
        episode = Episode(self, feedback)
        self.wait_for('vla_node')
        goal = RunEpisode.Goal(instruction=instruction, max_steps=max_steps)
        end = time.monotonic() + retry_s
        while True:
            handle = self.wait_for_response(self._episodes.send_goal_async(goal, episode.on_feedback), 'vla_node')
            if handle.accepted:
                episode.accepted(handle)
                return episode
            if time.monotonic() >= end:
                raise GraphError('vla_node refuses the episode; its log and /diagnostics give the reason')
            self.spin(RETRY_S)

    def reset_memory(self, memory: str = 'aura') -> int:
        """Clear a memory and return the last step that it had applied.

        Args:
            memory: aura or kv.

        Raises:
            ConfigError: there is no such memory.
            GraphError: the node of the memory is missing, does not respond or refuses.
        """
        _check('memory', memory, tuple(MEMORIES))
        response = self.request(self._reset[memory], ResetMemory.Request(), MEMORIES[memory], 'reset its memory')
        return int(response.seq)

    def save_state(self) -> SavedState:
        """Write the AURA memory to the file of memory_node's parameter `state_file`.

        Raises:
            GraphError: memory_node is missing, does not respond or refuses.
        """
        response = self.request(self._save, SaveState.Request(), 'memory_node', 'save its state')
        return SavedState(response.path, int(response.seq), int(response.state_crc32))

    def status(self) -> RobotStatus:
        """Return the next report of policy_switch_node, which publishes at least twice a second.

        Raises:
            GraphError: no report arrives within `timeout_s`.
        """
        seen = self._statuses
        if not self.spin_until(lambda: self._statuses > seen, self.timeout_s) or self._status is None:
            raise GraphError(self.absent(['policy_switch_node'], self.timeout_s))
        found = self._status
        return RobotStatus(
            policy=POLICIES[found.policy],
            pending_policy=POLICIES[found.pending_policy],
            control_enabled=found.control_enabled,
            holding=found.holding,
            reason=found.reason,
            episode_id=found.episode_id,
            newest_steps={name: int(step) for name, step in zip(POLICIES, found.newest_seq, strict=True)},
            clipped=int(found.clipped),
            rejected=int(found.rejected),
            holds=int(found.holds),
        )

    def _on_status(self, message: PolicyStatus) -> None:
        self._status, self._statuses = message, self._statuses + 1


def _check(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f'{name} = {value!r} is unknown, allowed: {", ".join(allowed)}')
