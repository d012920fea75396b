# SPDX-License-Identifier: Apache-2.0
"""The teacher of a gate: the demonstrations know when what has to be remembered changes, and for how long they show it.

Each change should be written once, while it is shown. A gate that has missed the first step of a cue can still write
the second one. So the teacher judges each step by what was written before it, and writes some changes late on purpose.
A cue that shows what the same light or the parcel showed before changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aura_ros.common.names import EventKind

CUE_STEPS = 3
"""VLA steps that show a cue of half a second."""
PARCEL_STEPS = 5
"""VLA steps that show where the parcel stands."""
GO_STEPS = 4
"""First VLA steps of the go sign of *sequence* that count as a change; a touch takes longer."""

_PARCEL = 12
"""Number of the cue of the left pad, after three colours for the beacon and for each lamp."""


@dataclass(frozen=True)
class Teacher:
    """What should be written, for B sequences of T steps."""

    windows: Tensor
    """Number of the change that each step shows, 0 for none, int64 [B, T]. The steps of a change follow each other."""
    writes: Tensor
    """One step of each change, 0 or 1, [B, T]."""

    def due(self, written: Tensor) -> Tensor:
        """Return the steps that should be written, 0 or 1, [B, T].

        They show a change, and no earlier step of this change was written.

        Args:
            written: the writes of a memory, 0 or 1, [B, T].
        """
        before = written.cumsum(1) - written
        first = torch.ones_like(self.windows, dtype=torch.bool)
        first[:, 1:] = self.windows[:, 1:] != self.windows[:, :-1]
        start = torch.where(first, torch.arange(first.shape[1]), 0).cummax(1).values
        return ((self.windows > 0) & (before == before.gather(1, start))).to(written.dtype)


def teacher_of(windows: Tensor, late: float) -> Teacher:
    """Return a teacher that writes the first step of each change, or a random later one.

    Args:
        windows: see `Teacher`.
        late: share of the changes that are written at a later step, if there is one, 0..1.
    """
    steps = torch.arange(windows.shape[1])
    same = (windows[:, :, None] == windows[:, None, :]) & (windows[:, :, None] > 0)
    index = (same & (steps[None, :] < steps[:, None])).sum(-1)  # of each step in its change
    count = same.sum(-1)
    # All steps of a change have the same random numbers, those of its first step.
    first = same.int().argmax(-1)
    delayed, which = (torch.rand(windows.shape).gather(1, first) for _ in range(2))
    chosen = torch.where((delayed < late) & (count > 1), 1 + (which * (count - 1)).long(), 0)
    return Teacher(windows, ((windows > 0) & (index == chosen)).float())


def cues_of(arrays: Mapping[str, Any]) -> NDArray[np.int64]:
    """Return the cue that each frame shows, int64 [T]: 0 to 2 are the colours of the beacon, 3 to 11 those of the left,
    middle and right lamp, 12 to 14 the pads of the parcel, and -1 means none.

    Args:
        arrays: columns of an episode: scene, lamps, event.
    """
    lights = np.concatenate([arrays['scene'][:, None, 16:20], arrays['lamps']], 1)[..., 1:].reshape(-1, _PARCEL) > 0
    cue = np.where(lights.any(1), lights.argmax(1), -1)
    pads = _PARCEL + np.argmin(np.abs(arrays['scene'][:, 14:15] - 10 * np.asarray([0.19, 0.0, -0.19])), 1)
    standing = False
    for t, event in enumerate(arrays['event']):
        standing = (standing or (event == EventKind.CUE and cue[t] < 0)) and event != EventKind.RESHUFFLE
        if standing:
            cue[t] = pads[t]
    return cue.astype(np.int64)


def windows_of(task: str, event: NDArray[np.int64], cue: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the number of the change that each step shows, from 1, or 0 for none: int64 [T].

    Changes are new cues, and in *sequence* also the go sign and each right touch. The cue after a go sign is the first
    one of another round, whatever the robot did in between. The end of a round cannot serve: if the time runs out while
    the arm is at home, nothing shows it. The cues of *visible* count as well, because they look like those of *recall*
    when they appear.

    Args:
        task: name of the task.
        event: event of each step, int64 [T].
        cue: see `cues_of`; None if the demonstrations have no cues.
    """
    windows, latest = np.zeros(len(event), np.int64), dict[int, int]()
    for number, t in enumerate(np.flatnonzero(np.isin(event, (EventKind.CUE, EventKind.GO, EventKind.PART))), 1):
        if event[t] == EventKind.CUE and cue is not None:
            shown = int(cue[t])
            if shown < 0:
                continue
            known = task != 'sequence' and latest.get(shown // 3) == shown
            latest[shown // 3] = shown
            most = PARCEL_STEPS if shown >= _PARCEL else CUE_STEPS
            run = cue[t : t + most] == shown
            windows[t : t + (most if run.all() else int(run.argmin()))] = 0 if known else number
        elif task == 'sequence' and event[t] == EventKind.PART:
            windows[t] = number
        elif task == 'sequence':
            windows[t : t + GO_STEPS] = number
    return windows
