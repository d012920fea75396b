# SPDX-License-Identifier: Apache-2.0
"""Requests for another policy that wait until the switch is in effect."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from aura_ros.common.names import Policy
from aura_ros.control.status import SwitchStatus

MAX_WAITING = 64
"""Most requests that wait at a time [1]."""

Answer = Callable[[tuple[bool, str]], None]
"""Called once with (success, reason)."""


@dataclass(frozen=True)
class _Waiting:
    policy: Policy
    deadline: float
    answer: Answer


class PendingSelections:
    """Answers each request once: in effect, replaced, or too late. Steady clock. Not thread-safe."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    def __bool__(self) -> bool:
        """Return whether any request waits."""
        return bool(self._waiting)

    @property
    def full(self) -> bool:
        """Whether no other request may wait."""
        return len(self._waiting) >= MAX_WAITING

    def wait(self, policy: Policy, timeout_s: float, answer: Answer) -> None:
        """Call `answer` once `policy` drives, is replaced by another request, or `timeout_s` has passed [s]."""
        self._waiting.append(_Waiting(policy, time.monotonic() + timeout_s, answer))

    def settle(self, status: SwitchStatus) -> bool:
        """Answer all requests that are decided; return whether one timed out and has to be undone."""
        overdue = False
        for waiting in list(self._waiting):
            if status.pending_policy != waiting.policy:
                self._answer(waiting, False, f'cancelled: {status.reason}')
            elif status.policy == waiting.policy:
                self._answer(waiting, True, f'in effect from step {status.effective_seq}')
            elif time.monotonic() > waiting.deadline:
                overdue = True
                self._answer(waiting, False, 'timed out: no chunk boundary within select_timeout_s')
        return overdue

    def cancel(self, reason: str) -> None:
        """Answer all requests with a failure."""
        for waiting in list(self._waiting):
            self._answer(waiting, False, reason)

    def _answer(self, waiting: _Waiting, success: bool, reason: str) -> None:
        self._waiting.remove(waiting)
        waiting.answer((success, reason))
