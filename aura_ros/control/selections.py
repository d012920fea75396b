# SPDX-License-Identifier: Apache-2.0
"""select_policy requests that wait until their switch is in effect. Executor thread only."""

import time
from dataclasses import dataclass

from rclpy.task import Future

from aura_ros.control import Policy, SwitchStatus


@dataclass(frozen=True)
class _Waiting:
    policy: Policy
    deadline: float
    answer: Future


class PendingSelections:
    """Answers each request once: in effect, replaced, or too late. Steady clock."""

    def __init__(self) -> None:
        """Wait for nothing."""
        self._waiting: list[_Waiting] = []

    def __bool__(self) -> bool:
        """Whether any request waits."""
        return bool(self._waiting)

    def wait(self, policy: Policy, timeout_s: float) -> Future:
        """Return a future that gets (success, reason); the executor must keep spinning."""
        waiting = _Waiting(policy, time.monotonic() + timeout_s, Future())
        self._waiting.append(waiting)
        return waiting.answer

    def settle(self, status: SwitchStatus) -> bool:
        """Answer what can be answered; True when a request ran out of time and has to be undone."""
        overdue = False
        for waiting in list(self._waiting):
            if status.pending_policy != waiting.policy:
                self._answer(waiting, False, f'given up: {status.reason}')
            elif status.policy == waiting.policy:
                self._answer(waiting, True, f'in effect from step {status.effective_seq}')
            elif time.monotonic() > waiting.deadline:
                overdue = True
                self._answer(waiting, False, 'given up: no chunk boundary within select_timeout_s')
        return overdue

    def give_up(self, reason: str) -> None:
        """Answer all with a failure."""
        for waiting in list(self._waiting):
            self._answer(waiting, False, reason)

    def _answer(self, waiting: _Waiting, success: bool, reason: str) -> None:
        self._waiting.remove(waiting)
        waiting.answer.set_result((success, reason))
