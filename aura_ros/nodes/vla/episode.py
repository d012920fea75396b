# SPDX-License-Identifier: Apache-2.0
"""The RunEpisode action: one episode at a time, its numbering and its end.

Executor thread only. The goal's coroutine awaits a future and so does not block the executor; rclpy
resumes it in its next turn after the future is set.
"""

import time
import uuid
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from rclpy.task import Future

from aura_ros.action import RunEpisode

_MAX_INSTRUCTION = 256
# How long the result waits for the memory's word on the last step [s, steady clock].
_SETTLE_S = 0.5


class Episode:
    """One running episode.

    Attributes:
        id: its UUID.
        instruction: what to do now, in words; may change meanwhile.
        steps: steps made so far, which is also the number of the next one [1].
        last_stamp_ns: observation of the last step [ns, ROS clock], None before the first.
        writes: writes of the AURA memory seen so far [1].
    """

    def __init__(self, instruction: str, max_steps: int, goal: Any, ended: Future) -> None:
        """Begin; `ended` receives (success, reason) once."""
        self.id = str(uuid.uuid4())
        self.instruction = instruction
        self.steps = 0
        self.last_stamp_ns: int | None = None
        self.writes = 0
        self._max_steps = max_steps
        self._goal = goal
        self._ended = ended
        self._remembered = -1
        self._completed_at = 0.0

    def stepped(self, stamp_ns: int, inference_ms: float) -> None:
        """Count a step that was published, tell the client, and begin to end after the last one."""
        self.last_stamp_ns = stamp_ns
        feedback = RunEpisode.Feedback()
        feedback.seq = int(self.steps)
        feedback.inference_ms = float(inference_ms)
        feedback.writes = int(self.writes)
        self._goal.publish_feedback(feedback)
        self.steps += 1
        if self.complete:
            self._completed_at = time.monotonic()
            self.settle()

    def remembered(self, seq: int, written: bool) -> None:
        """Note that the AURA memory has applied step `seq`, and whether it wrote."""
        self._remembered = max(self._remembered, seq)
        self.writes += int(written)
        self.settle()

    def settle(self) -> None:
        """End a complete episode once the memory has told of its last step, or is overdue."""
        if not self.complete:
            return
        told = self._remembered < 0 or self._remembered >= self.steps - 1
        if told or time.monotonic() - self._completed_at > _SETTLE_S:
            self.end(True, f'all {self.steps} steps made')

    @property
    def complete(self) -> bool:
        """Whether as many steps were made as were asked for."""
        return 0 < self._max_steps <= self.steps

    def end(self, success: bool, reason: str) -> None:
        """End it; only the first reason counts."""
        if not self._ended.done():
            self._ended.set_result((success, reason))

    @property
    def stepping(self) -> bool:
        """Whether a further step may be made."""
        return not self.complete and not self._ended.done()


class EpisodeServer:
    """Serves `run_episode` on a node.

    Attributes:
        current: the running episode, None between two.
        refusal: why the last goal was refused, '' if it was not.
    """

    def __init__(self, node: Node, ready: Callable[[], str], finished: Callable[[Episode], None]) -> None:
        """Serve goals.

        Args:
            node: owner of the action server; its executor must be set before a goal comes.
            ready: returns '' or why no episode can begin now.
            finished: told after an episode has ended, before its result is sent.
        """
        self._node = node
        self._ready = ready
        self._finished = finished
        self._accepted = False
        self._latched_instruction = ''
        self.current: Episode | None = None
        self.refusal = ''
        self._server = ActionServer(
            node, RunEpisode, 'run_episode', self._execute, goal_callback=self._on_goal, cancel_callback=self._on_cancel
        )

    def destroy(self) -> None:
        """Stop serving; end the running episode first."""
        self._server.destroy()

    def instruct(self, text: str) -> bool:
        """Take an instruction from the topic; returns whether the running episode has a new one.

        It counts for goals without one, too. An empty one leaves the episode what it has.
        """
        self._latched_instruction = given = text.strip()[:_MAX_INSTRUCTION]
        if self.current is None or given in ('', self.current.instruction):
            return False
        self.current.instruction = given
        return True

    def end(self, reason: str) -> None:
        """End the running episode from this side, if there is one."""
        if self.current is not None:
            self.current.end(False, reason)

    def _on_goal(self, goal: RunEpisode.Goal) -> GoalResponse:
        self.refusal = self._ready()
        if not self.refusal and (self.current is not None or self._accepted):
            running = self.current.id if self.current is not None else 'an accepted goal'
            self.refusal = f'episode {running} is running: cancel it first'
        if not self.refusal and not (goal.instruction.strip() or self._latched_instruction):
            self.refusal = "no instruction: give one in the goal or on topic 'instruction'"
        if self.refusal:
            # An action has no field for why it was refused, so the log and /diagnostics say it.
            self._node.get_logger().warning(f'run_episode refused: {self.refusal}')
            return GoalResponse.REJECT
        self._accepted = True
        return GoalResponse.ACCEPT

    def _on_cancel(self, _: Any) -> CancelResponse:
        # The goal becomes CANCELING after this returns: end in a later turn of the executor.
        self._node.executor.create_task(self._end_cancelled)
        return CancelResponse.ACCEPT

    def _end_cancelled(self) -> None:
        if self.current is not None:
            self.current.end(True, f'cancelled after {self.current.steps} steps')

    async def _execute(self, goal: Any) -> RunEpisode.Result:
        request = goal.request
        instruction = request.instruction.strip() or self._latched_instruction
        ended = Future()
        episode = Episode(instruction, request.max_steps, goal, ended)
        self.current, self._accepted = episode, False
        self._node.get_logger().info(f"episode {episode.id}: '{instruction}'")
        if goal.is_cancel_requested:
            episode.end(True, 'cancelled before the first step')
        success, reason = await ended
        self.current = None
        self._finished(episode)
        if goal.is_cancel_requested:
            goal.canceled()
        elif success:
            goal.succeed()
        else:
            goal.abort()
        self._node.get_logger().info(f'episode {episode.id}: {reason}')
        return _result(episode, success, reason)


def _result(episode: Episode, success: bool, reason: str) -> RunEpisode.Result:
    result = RunEpisode.Result()
    result.success = success
    result.episode_id = episode.id
    result.steps = int(episode.steps)
    result.writes = int(episode.writes)
    result.reason = reason[:256]
    return result
