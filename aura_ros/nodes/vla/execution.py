# SPDX-License-Identifier: Apache-2.0
"""What the policy switch executed of the running episode, from `policy_status`."""

import time

from aura_ros.msg import PolicyStatus

# The switch publishes its status twice a second. One that is silent for longer is gone.
_SILENT_S = 2.0
# Steps at the end that a busy machine may hold instead of executing.
_SLACK = 4


class Execution:
    """Follows the policy switch during one episode. Executor thread only. Steady clock."""

    def __init__(self, episode_id: str) -> None:
        """Follow the episode `episode_id`."""
        self._episode_id = episode_id
        self._executed = -1
        self._received_at: float | None = None
        self._reason = ''

    def take(self, status: PolicyStatus) -> None:
        """Take a status of the switch; one of another episode shows only that the switch runs."""
        self._received_at = time.monotonic()
        self._reason = status.reason
        if status.episode_id == self._episode_id and not status.holding:
            self._executed = max(self._executed, int(status.newest_seq[status.policy]))

    def through(self, steps: int) -> bool:
        """Return whether the switch executed all `steps`."""
        return self._executed >= steps - 1

    def problem(self, steps: int) -> str:
        """Return why the `steps` made so far do not count as executed, '' if they do."""
        silent_s = None if self._received_at is None else time.monotonic() - self._received_at
        if steps and (silent_s is None or silent_s > _SILENT_S):
            since = 'at all' if silent_s is None else f'for {silent_s:.1f} s'
            return f'no policy switch executes the steps: no policy_status {since}'
        if steps and self._executed < max(0, steps - 1 - _SLACK):
            return f'the policy switch executed {self._executed + 1} of {steps} steps: {self._reason}'
        return ''
