# SPDX-License-Identifier: Apache-2.0
"""States that training sequences start from. In use nothing is reset, so training has to start from used states."""

from collections import defaultdict, deque
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class StatePool:
    """The last states of sequences, for other sequences to start from.

    Args:
        used: share of the sequences that start from such a state, 0..1; the others start empty.
        rng: random numbers of the draw.
        mixed: share of the draws from the states of all tasks, 0..1; the others take the same task.
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
        """Return first states for sequences of these tasks, [B, V, K + 1], or `empty` [V, K + 1] from an empty pool."""
        return torch.stack([self._draw(self._states[self._task(task)], empty) for task in tasks])

    def _task(self, own: str) -> str:
        known = list(self._states)
        return known[self._rng.integers(len(known))] if known and self._rng.random() < self._mixed else own

    def _draw(self, states: deque[Tensor], empty: Tensor) -> Tensor:
        if states and self._rng.random() < self._used:
            return states[self._rng.integers(len(states))]
        return empty
