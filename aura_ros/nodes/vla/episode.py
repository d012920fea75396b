# SPDX-License-Identifier: Apache-2.0
"""The RunEpisode action: one episode at a time, from its goal to its result.

Executor thread only. The coroutine of a goal awaits a future and so does not block the executor. rclpy resumes it in
the turn after the future is set.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import TypeAlias

from rclpy.action.server import ActionServer, CancelResponse, GoalResponse, ServerGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from aura_ros.action import RunEpisode
from aura_ros.nodes.vla.execution import Execution
from aura_ros.nodes.vla.operator import OperatorLease
from aura_ros.vla.instruction import usable_instruction

# How long the result waits until the memory has applied and the switch executed the last step [s, steady clock].
_SETTLE_S = 0.5

GoalHandle: TypeAlias = 'ServerGoalHandle[RunEpisode.Goal, RunEpisode.Result, RunEpisode.Feedback]'


class Episode:
    """The running episode.

    Attributes:
        id: its UUID.
        instruction: current task in words; may change during the episode.
        steps: steps made so far, which is also the number of the next one [1].
        last_stamp_ns: observation stamp of the last step [ns, ROS clock], None before the first.
        writes: writes of the AURA memory so far [1].
        execution: what the policy switch executed of the episode.
    """

    def __init__(self, instruction: str, max_steps: int, goal: GoalHandle, ended: Future[tuple[bool, str]]) -> None:
        """Begin; `ended` receives (success, reason) once."""
        self.id = str(uuid.uuid4())
        self.instruction = instruction
        self.execution = Execution(self.id)
        self.steps = 0
        self.last_stamp_ns: int | None = None
        self.writes = 0
        self._max_steps = max_steps
        self._goal = goal
        self._ended = ended
        self._remembered = -1
        self._completed_at = 0.0

    def add_step(self, stamp_ns: int, inference_ms: float) -> None:
        """Count a published step and send feedback; begin to end after the last step."""
        self.last_stamp_ns = stamp_ns
        feedback = RunEpisode.Feedback()
        feedback.seq = int(self.steps)
        feedback.inference_ms = float(inference_ms)
        feedback.writes = int(self.writes)
        self._goal.publish_feedback(feedback)  # type: ignore[arg-type]  # rclpy wants the feedback, not its message
        self.steps += 1
        if self.complete:
            self._completed_at = time.monotonic()
            self.settle()

    def add_gate(self, seq: int, written: bool) -> None:
        """Record that the AURA memory applied step `seq`, and whether it wrote."""
        self._remembered = max(self._remembered, seq)
        self.writes += int(written)
        self.settle()

    def settle(self) -> None:
        """End a complete episode once its last step is applied and executed, or overdue.

        It is a success only if a policy switch executed the steps.
        """
        if not self.complete:
            return
        remembered = self._remembered < 0 or self._remembered >= self.steps - 1
        done = remembered and self.execution.through(self.steps)
        if done or time.monotonic() - self._completed_at > _SETTLE_S:
            self._conclude(f'all {self.steps} steps made')

    def cancel(self) -> None:
        """End the episode because its client asked for it."""
        self._conclude(f'cancelled after {self.steps} steps')

    def _conclude(self, text: str) -> None:
        problem = self.execution.problem(self.steps)
        self.end(not problem, f'{text}; {problem}' if problem else text)

    @property
    def complete(self) -> bool:
        """Whether the requested number of steps was made."""
        return 0 < self._max_steps <= self.steps

    def end(self, success: bool, reason: str) -> None:
        """End the episode; only the first call counts."""
        if not self._ended.done():
            self._ended.set_result((success, reason))

    @property
    def stepping(self) -> bool:
        """Whether another step may be made."""
        return not self.complete and not self._ended.done()


class EpisodeServer:
    """Serves `run_episode` on a node.

    Attributes:
        current: the running episode, None between episodes.
        refusal: why the last goal was refused, '' if it was accepted.
    """

    def __init__(
        self,
        node: Node,
        problem: Callable[[], str],
        finished: Callable[[], None],
        operator: OperatorLease,
        in_force: Callable[[str], None],
    ) -> None:
        """Serve goals.

        Args:
            node: owner of the action server.
            problem: returns why no episode can begin now, '' if one can.
            finished: called after an episode has ended, before its result is sent.
            operator: lease of each episode.
            in_force: called with the instruction when an episode begins, and when its instruction changes.
        """
        self._node = node
        self._problem = problem
        self._finished = finished
        self._operator = operator
        self._in_force = in_force
        self._accepted = False
        self._latched_instruction = ''
        self.current: Episode | None = None
        self.refusal = ''
        self._server: ActionServer[RunEpisode.Goal, RunEpisode.Result, RunEpisode.Feedback] = ActionServer(
            node,
            RunEpisode,
            'run_episode',
            self._execute,  # type: ignore[arg-type]  # rclpy awaits a coroutine, but its types do not allow one
            goal_callback=self._on_goal,
            cancel_callback=self._on_cancel,
        )

    def destroy(self) -> None:
        """Stop serving; end the running episode first."""
        self._server.destroy()

    def instruct(self, text: str) -> bool:
        """Set the instruction from the topic; return whether it changes the running episode.

        It also serves later goals without an instruction. An empty text leaves the running episode unchanged.
        """
        given = usable_instruction(text)
        if len(given) < len(text.strip()) and given != self._latched_instruction:
            self._node.get_logger().warning(
                f'the instruction has {len(text.strip())} characters: only the first {len(given)} are used'
            )
        self._latched_instruction = given
        if self.current is None or given in ('', self.current.instruction):
            return False
        self.current.instruction = given
        self._in_force(given)
        return True

    def end(self, reason: str) -> None:
        """End the running episode, if any, as a failure."""
        if self.current is not None:
            self.current.end(False, reason)

    def poll(self) -> None:
        """End the running episode if it is complete or its operator has left."""
        if self.current is not None:
            self.current.settle()
            if reason := self._operator.expired():
                self.end(reason)

    def _on_goal(self, goal: RunEpisode.Goal) -> GoalResponse:
        self.refusal = self._problem()
        if not self.refusal and (self.current is not None or self._accepted):
            running = self.current.id if self.current is not None else 'an accepted goal'
            self.refusal = f'episode {running} is running: cancel it first'
        if not self.refusal and not (goal.instruction.strip() or self._latched_instruction):
            self.refusal = "no instruction: give one in the goal or on topic 'instruction'"
        if self.refusal:
            # An action has no field for the reason of a refusal. The log and /diagnostics show it.
            self._node.get_logger().warning(f'run_episode refused: {self.refusal}')
            return GoalResponse.REJECT
        self._accepted = True
        return GoalResponse.ACCEPT

    def _on_cancel(self, _: object) -> CancelResponse:
        # The goal becomes CANCELING after this returns, so the episode ends in a later turn of the executor.
        if self._node.executor is not None:
            self._node.executor.create_task(self._end_cancelled)
        return CancelResponse.ACCEPT

    def _end_cancelled(self) -> None:
        if self.current is not None:
            self.current.cancel()

    async def _execute(self, goal: GoalHandle) -> RunEpisode.Result:
        request = goal.request
        instruction = request.instruction.strip() or self._latched_instruction
        ended: Future[tuple[bool, str]] = Future()
        episode = Episode(instruction, request.max_steps, goal, ended)
        self.current, self._accepted = episode, False
        self._operator.begin()
        self._in_force(instruction)
        self._node.get_logger().info(f"episode {episode.id}: '{instruction}'")
        if goal.is_cancel_requested:
            episode.end(True, 'cancelled before the first step')
        success, reason = await ended or (False, 'cancelled')
        self.current = None
        self._operator.end()
        self._finished()
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
