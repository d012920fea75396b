# SPDX-License-Identifier: Apache-2.0
"""States that were used before, to begin training sequences from: in use nothing is reset."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class StatePool:
    """States that sequences ended with, for others to begin from.

    Args:
        used: share that begins from one of them, 0..1; the rest is empty.
        rng: for the draw.
        mixed: share of the draws that take a state of any task, 0..1; the others are of the same task.

    """

    SIZE = 128

    def __init__(self, used: float, rng: np.random.Generator, mixed: float = 0.0) -> None:
        self._used, self._rng, self._mixed = used, rng, mixed
        self._states: dict[str, deque[Tensor]] = defaultdict(lambda: deque(maxlen=self.SIZE))

    def add(self, tasks: Sequence[str], states: Tensor) -> None:
        """Keep the states [B, V, K + 1] of a batch, the newest `SIZE` of each task."""
        for task, state in zip(tasks, states.detach(), strict=True):
            self._states[task].append(state.clone())

    def draw(self, tasks: Sequence[str], empty: Tensor) -> Tensor:
        """Where sequences of these tasks begin, [B, V, K + 1]; as `empty` [V, K + 1] while there is nothing to take."""
        return torch.stack([self._draw(self._states[self._task(task)], empty) for task in tasks])

    def _task(self, own: str) -> str:
        known = list(self._states)
        return known[self._rng.integers(len(known))] if known and self._rng.random() < self._mixed else own

    def _draw(self, states: deque[Tensor], empty: Tensor) -> Tensor:
        if states and self._rng.random() < self._used:
            return states[self._rng.integers(len(states))]
        return empty
