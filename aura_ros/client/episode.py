# SPDX-License-Identifier: Apache-2.0
"""A running episode."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.action.client import ClientGoalHandle
from rclpy.task import Future

from aura_ros.client.connection import RETRY_S, GraphConnection
from aura_ros.client.values import EpisodeResult, GraphError, Progress


class Episode:
    """A running episode; `AuraClient.start_episode` returns it."""

    def __init__(self, connection: GraphConnection, feedback: Callable[[Progress], None] | None) -> None:
        self._connection, self._feedback = connection, feedback
        self._handle: ClientGoalHandle[Any, Any, Any]
        self._result: Future[Any]
        self.progress: Progress | None = None
        """The newest step received; None before the first."""

    def on_feedback(self, message: Any) -> None:
        """Take one feedback message of the action."""
        found = message.feedback
        self.progress = Progress(int(found.seq), float(found.inference_ms), int(found.writes))
        if self._feedback is not None:
            self._feedback(self.progress)

    def accepted(self, handle: ClientGoalHandle[Any, Any, Any]) -> None:
        """Follow the goal that vla_node accepted."""
        self._handle, self._result = handle, handle.get_result_async()

    @property
    def done(self) -> bool:
        """Whether the episode has ended. The value changes only while the client spins."""
        return self._result.done()

    def wait(self, timeout_s: float | None = None) -> EpisodeResult:
        """Wait for the end of the episode and return its result.

        Args:
            timeout_s: longest wait [s]; None waits without a limit.

        Raises:
            GraphError: the episode still runs after `timeout_s`, or vla_node is gone.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._connection.spin_until(lambda: self.done, RETRY_S):
            if end is not None and time.monotonic() > end:
                raise GraphError(f'the episode still runs after {timeout_s:g} s')
            if self._connection.missing('vla_node'):
                raise GraphError('vla_node ended during the episode; see its log')
        message = self._connection.wait_for_response(self._result, 'vla_node').result
        return EpisodeResult(
            bool(message.success), message.episode_id, int(message.steps), int(message.writes), message.reason
        )

    def cancel(self) -> EpisodeResult:
        """End the episode now and return its result.

        Raises:
            GraphError: vla_node does not respond.
        """
        if not self.done:
            self._connection.wait_for_response(self._handle.cancel_goal_async(), 'vla_node')
        return self.wait(self._connection.timeout_s)
