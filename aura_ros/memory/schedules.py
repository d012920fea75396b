# SPDX-License-Identifier: Apache-2.0
"""Fixed write schedules for fast weights: always, at random, or periodic."""

from typing import Protocol

import numpy as np

from aura_ros.common.errors import ConfigError
from aura_ros.memory.layers import Floats


class WriteSchedule(Protocol):
    """Scores a write. The fast weights are written if the score is above the threshold."""

    threshold: float

    def reset(self) -> None:
        """Start an episode."""

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """Return the score of a write in 0..1.

        Args:
            code: x of the observation, float32 [code_dim].
            error: e, float32 [value_dim].
            surprise: |e|.
        """


class Always:
    """Writes at every step: the memory without a gate."""

    threshold = 0.0

    def reset(self) -> None:
        """Do nothing: there is no state."""

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """Return 1."""
        return 1.0


class Random:
    """Writes at each step with the same probability.

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
        """Restart the same random sequence."""
        self._rng = np.random.default_rng(self._seed)

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """Return 1 with probability `rate`, else 0."""
        return float(self._rng.random() < self._rate)


class Periodic:
    """Writes every 1/rate steps, as evenly as whole steps allow, starting with the first.

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
        """Restart with the first step."""
        self._step = 0

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """Return 1 on the steps at which ceil(step * rate) increases, else 0."""
        due = np.ceil((self._step + 1) * self._rate) > np.ceil(self._step * self._rate)
        self._step += 1
        return float(due)
