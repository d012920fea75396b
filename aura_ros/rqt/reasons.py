# SPDX-License-Identifier: Apache-2.0
"""Why the memory wrote: how surprising the step was beside the steps before it, and what happened in the task."""

import math
from dataclasses import dataclass

import numpy as np

from aura_ros.common.names import EventKind
from aura_ros.rqt.history import History
from aura_ros.rqt.points import AURA, WritePoint

# Steps without a write that make the usual surprise, at most and at least [1].
_STEPS, _LEAST_STEPS = 300, 10
# A write belongs to an event of the task that was at most this time before it [s].
_EVENT_S = 1.0
_WORDS = {
    EventKind.CUE: 'new cue',
    EventKind.CUE_REPEAT: 'repeated cue',
    EventKind.DISTRACTOR: 'distractor',
    EventKind.RESHUFFLE: 'the blocks changed places',
    EventKind.GO: 'go sign',
}


@dataclass(frozen=True)
class Reason:
    """Why a step wrote."""

    surprise: float
    usual: float
    """Median surprise of the steps before it that did not write; NaN when too few were received."""
    event: str = ''
    """What happened in the simulated task; '' when unknown, as on every real robot."""

    @property
    def short(self) -> str:
        """Return the surprise and its ratio to the usual one."""
        ratio = self.surprise / self.usual if self.usual > 0.0 else math.nan
        text = f'surprise {self.surprise:.1f}'
        return f'{text}, {ratio:.{1 if ratio < 2 else 0}f}x' if math.isfinite(ratio) else text

    def __str__(self) -> str:
        """Return the whole reason."""
        text = f'{self.short} its usual' if self.short.endswith('x') else self.short
        return f'{self.event}: {text}' if self.event else text


def reason(history: History, write: WritePoint) -> Reason:
    """Return why a write was made, by what was received before it."""
    before = history.gates[AURA].rows(end=write.stamp_s)[-_STEPS:]
    calm = before['surprise'][~before['written'] & np.isfinite(before['surprise'])]
    usual = float(np.median(calm)) if len(calm) >= _LEAST_STEPS else math.nan
    events = [event for event in history.tasks.until(write.stamp_s, 5) if event.kind in tuple(_WORDS)]
    if not events or write.stamp_s - events[-1].stamp_s > _EVENT_S:
        return Reason(write.surprise, usual)
    newest = events[-1]
    word = _WORDS[EventKind(newest.kind)]
    return Reason(write.surprise, usual, f'{word} {newest.colour}'.strip())
