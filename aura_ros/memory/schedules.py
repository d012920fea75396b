# SPDX-License-Identifier: Apache-2.0
"""When fast weights are written if no gate was learned: always, at random, by the clock, or as a list says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError

Floats = NDArray[np.float32]


class WriteSchedule(Protocol):
    """Scores a write; the fast weights are written when the score is above the threshold."""

    threshold: float

    def reset(self) -> None:
        """Begin a new episode."""
        ...

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """Score a write in 0..1.

        Args:
            code: x of the observation, float32 [code_dim].
            error: e, float32 [value_dim].
            surprise: |e|.

        """
        ...


class Always:
    """Every step: the ungated memory."""

    threshold = 0.0

    def reset(self) -> None:
        """Nothing to begin."""

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """1."""
        return 1.0


class Random:
    """Each step with the same probability.

    Raises:
        ConfigError: if `rate` is outside 0..1.

    """

    threshold = 0.5

    def __init__(self, rate: float, seed: int = 0) -> None:
        if not 0.0 <= rate <= 1.0:
            raise ConfigError(f'rate must be 0..1 writes per step, got {rate}')
        self._rate, self._seed = rate, seed
        self.reset()

    def reset(self) -> None:
        """Begin the same sequence again."""
        self._rng = np.random.default_rng(self._seed)

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """1 with probability `rate`, else 0."""
        return float(self._rng.random() < self._rate)


class Periodic:
    """Every 1/rate steps, as evenly as whole steps allow, beginning with the first.

    Raises:
        ConfigError: if `rate` is outside 0..1.

    """

    threshold = 0.5

    def __init__(self, rate: float) -> None:
        if not 0.0 <= rate <= 1.0:
            raise ConfigError(f'rate must be 0..1 writes per step, got {rate}')
        self._rate = rate
        self.reset()

    def reset(self) -> None:
        """The next step is the first again."""
        self._step = 0

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """1 on the steps at which ceil(step * rate) moves on, else 0."""
        due = np.ceil((self._step + 1) * self._rate) > np.ceil(self._step * self._rate)
        self._step += 1
        return float(due)


class Listed:
    """As a list says, one entry a step: the oracle of a benchmark, which knows what each step is.

    Raises:
        IndexError: from the step after the last entry on.

    """

    threshold = 0.5

    def __init__(self, writes: Sequence[bool]) -> None:
        self._writes = writes
        self.reset()

    def reset(self) -> None:
        """Back to the first entry."""
        self._step = 0

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """1 where the list says so, else 0."""
        written = self._writes[self._step]
        self._step += 1
        return float(written)
