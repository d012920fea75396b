# SPDX-License-Identifier: Apache-2.0
"""States that training sequences start from. In use nothing is reset, so training has to start from used states."""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from aura_ros.train.states import join_states, sequence_states


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
        self._states: dict[str, deque[Any]] = defaultdict(lambda: deque(maxlen=self.SIZE))

    def add(self, tasks: Sequence[str], state: Any) -> None:
        """Keep the states of the sequences of a batch, the newest `SIZE` of each task. `state` is that of a scan."""
        for task, one in zip(tasks, sequence_states(state, len(tasks)), strict=True):
            self._states[task].append(one)

    def draw(self, tasks: Sequence[str], emptied: Callable[[Any], Any]) -> Any:
        """Return the first state of a batch with a sequence of each of these tasks; None if all of them start empty.

        Args:
            tasks: tasks of the sequences.
            emptied: `MemoryModule.emptied` of the memory.
        """
        drawn = [self._draw(self._states[self._task(task)]) for task in tasks]
        known = next((state for state in drawn if state is not None), None)
        if known is None:
            return None
        empty = emptied(known)
        return join_states([empty if state is None else state for state in drawn])

    def _task(self, own: str) -> str:
        known = list(self._states)
        return known[self._rng.integers(len(known))] if known and self._rng.random() < self._mixed else own

    def _draw(self, states: deque[Any]) -> Any:
        """Return a state of a batch of 1, or None for an empty one."""
        if states and self._rng.random() < self._used:
            return states[self._rng.integers(len(states))]
        return None
