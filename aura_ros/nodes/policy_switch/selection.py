# SPDX-License-Identifier: Apache-2.0
"""The service select_policy: an answer when the selected policy drives, or with the reason why it does not."""

from collections.abc import Callable

from rclpy.task import Future

from aura_ros.control import PolicySwitch
from aura_ros.control.selections import MAX_WAITING, PendingSelections
from aura_ros.srv import SelectPolicy

_REASON_LENGTH = 256


class SelectionService:
    """Selects policies of one switch on request. Not thread-safe."""

    def __init__(self, switch: PolicySwitch, timeout_s: float, now_ns: Callable[[], int]) -> None:
        """Select policies of `switch` within `timeout_s` (steady clock); `now_ns` returns the time of the switch."""
        self._switch = switch
        self._timeout_s = timeout_s
        self._now_ns = now_ns
        self._pending = PendingSelections()

    def __bool__(self) -> bool:
        """Return whether any request waits."""
        return bool(self._pending)

    async def answer(self, request: SelectPolicy.Request, response: SelectPolicy.Response) -> SelectPolicy.Response:
        """Fill the response, as soon as the switch has taken effect or failed."""
        switch = self._switch
        response.old_policy = int(switch.status.policy)
        if self._pending.full:
            success, reason = False, f'{MAX_WAITING} requests wait already: wait for their answers'
        else:
            selection = switch.request(request.policy, self._now_ns())
            success, reason = selection.success, selection.reason
            if success and not selection.effective:
                waiting: Future[tuple[bool, str]] = Future()
                self._pending.wait(selection.pending_policy, self._timeout_s, waiting.set_result)
                success, reason = await waiting or (False, 'cancelled')
            response.effective_seq = int(switch.status.effective_seq)
        response.success = bool(success)
        response.new_policy = int(switch.status.policy)
        response.reason = reason[:_REASON_LENGTH]
        return response

    def settle(self) -> None:
        """Answer the requests that are decided, and undo one that has timed out."""
        if self._pending and self._pending.settle(self._switch.status):
            self._switch.request(self._switch.status.policy, self._now_ns())

    def cancel(self, reason: str) -> None:
        """Answer all requests with a failure."""
        self._pending.cancel(reason)
