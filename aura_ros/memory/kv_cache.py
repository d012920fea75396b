# SPDX-License-Identifier: Apache-2.0
"""The baseline: a key-value cache of every step, 256 bytes each, unbounded or windowed."""

from typing import Any

import numpy as np

from aura_ros.common.errors import ConfigError, StateError
from aura_ros.memory.cell import Cell, Transition
from aura_ros.memory.layers import Floats, Linear, Weights, unit
from aura_ros.memory.recurrent import RecurrentMemory
from aura_ros.memory.weights import MemoryWeights


class KvCache(Cell):
    """One attention head over all past steps, with a learned penalty on age (ALiBi, arXiv 2108.12409)."""

    def __init__(self, weights: Weights, window: int = 0) -> None:
        if window < 0:
            raise ConfigError(f'window must be >= 0 steps (0 keeps all), got {window}')
        self.window, self.entries = window, 0
        self._key, self._value, self._query = (Linear.of(weights, name) for name in ('key', 'value', 'query'))
        self._sharpness = np.float32(np.exp(weights['log_sharpness'][0]))
        self._slope = np.float32(np.exp(weights['log_slope'][0]))
        self._width = len(self._key.bias)
        self._cache = np.empty((64, self._width + len(self._value.bias)), np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of the entries: 256 each."""
        return self.entries * self._cache.itemsize * self._cache.shape[1]

    @property
    def layout(self) -> str:
        """Dtype and width of an entry; the number of entries grows."""
        return f'<f4[*,{self._cache.shape[1]}]'

    def reset(self) -> None:
        """Remove all entries."""
        self._cache = np.empty((64, self._cache.shape[1]), np.float32)
        self.entries = 0

    def keep(self) -> tuple[Any, ...]:
        """Return the entries; see `Cell.keep`. Only a full window overwrites its array, so only that is copied."""
        full = self.window and self.entries == self.window
        return self._cache.copy() if full else self._cache, self.entries

    def undo(self, kept: tuple[Any, ...]) -> None:
        """Take back one step and a reset before it."""
        self._cache, self.entries = kept

    def step(self, x: Floats) -> Transition:
        """Append this step and attend over all entries."""
        self._append(np.concatenate([unit(self._key(x)), self._value(x)]))
        entries = self._cache[: self.entries]
        age = np.arange(self.entries - 1, -1, -1, dtype=np.float32)
        logits = self._sharpness * (entries[:, : self._width] @ unit(self._query(x))) - self._slope * age
        weights = np.exp(logits - logits.max())
        return Transition(np.asarray((weights / weights.sum()) @ entries[:, self._width :], dtype=np.float32))

    def _append(self, entry: Floats) -> None:
        if self.window and self.entries == self.window:
            self._cache[: self.entries - 1] = self._cache[1 : self.entries]
            self.entries -= 1
        if self.entries == len(self._cache):
            grown = np.empty((2 * self.entries, self._cache.shape[1]), np.float32)
            grown[: self.entries] = self._cache
            self._cache = grown
        self._cache[self.entries] = entry
        self.entries += 1

    def export(self) -> bytes:
        """Return all entries, oldest first: key then value, little endian."""
        return self._cache[: self.entries].astype('<f4').tobytes()

    def restore(self, data: bytes) -> None:
        """Load entries from `export`; see `Cell.restore`."""
        width = self._cache.shape[1]
        if len(data) % (4 * width):
            raise StateError(f'a cache of whole entries of {4 * width} bytes is expected, got {len(data)} bytes')
        values = np.frombuffer(data, '<f4').reshape(-1, width)
        if not np.isfinite(values).all():
            raise StateError('the cache has values that are not finite')
        kept = values[-self.window :] if self.window else values
        self._cache = np.empty((max(64, len(kept)), width), np.float32)
        self._cache[: len(kept)] = kept
        self.entries = len(kept)


class KvCacheMemory(RecurrentMemory[KvCache]):
    """A key-value cache behind the memory protocol.

    Args:
        weights: trained weights.
        window: most steps kept; 0 keeps all.
    """

    def __init__(self, weights: MemoryWeights, window: int = 0) -> None:
        super().__init__('kv', weights, KvCache(weights.arrays, window))

    @property
    def window(self) -> int:
        """Most steps kept; 0 keeps all."""
        return self.cell.window

    @property
    def entries(self) -> int:
        """Number of steps kept."""
        return self.cell.entries
