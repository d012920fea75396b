# SPDX-License-Identifier: Apache-2.0
"""Compares the distance of the backbone's steps with `n_action_steps` of the policy switch."""

from collections import deque

from aura_ros.control.chunk import Chunk

# So many steps in a row have to differ. A slow inference makes single steps late.
_STEPS = 10


class StepSpacing:
    """Measures how many actions apart the steps are. Not thread-safe."""

    def __init__(self, n_action_steps: int) -> None:
        """Compare with `n_action_steps` [1]."""
        self._expected = n_action_steps
        self._last: Chunk | None = None
        self._found: deque[int] = deque(maxlen=_STEPS)

    def problem(self, step: Chunk) -> str:
        """Take the next step; return how its backbone differs from the setting, '' if it does not."""
        last, self._last = self._last, step
        if last is None or (last.episode_id, last.seq + 1) != (step.episode_id, step.seq):
            self._found.clear()
            return ''
        self._found.append(round((step.stamp_ns - last.stamp_ns) / step.dt_ns))
        if len(self._found) < _STEPS or (least := min(self._found)) == self._expected:
            return ''
        return (
            f'the backbone makes a step every {least} actions, n_action_steps is {self._expected}: '
            f'set n_action_steps to that of the backbone'
        )
