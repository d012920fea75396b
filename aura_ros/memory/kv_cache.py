# SPDX-License-Identifier: Apache-2.0
"""The baseline: a key-value cache that keeps every step, 256 bytes each, unbounded or windowed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aura_ros.errors import ConfigError, StateError
from aura_ros.memory.layers import ActionHead, Encoder, Linear, unit
from aura_ros.memory.protocol import Decision, check_step
from aura_ros.memory.weights import MemoryWeights

Floats = NDArray[np.float32]


class KvCacheMemory:
    """One attention head over all past steps, with a learned penalty on age (ALiBi, arXiv 2108.12409).

    Args:
        weights: trained weights.
        window: most steps kept; 0 keeps all.

    """

    name = 'kv'

    def __init__(self, weights: MemoryWeights, window: int = 0) -> None:
        if window < 0:
            raise ConfigError(f'window must be >= 0 steps (0 keeps all), got {window}')
        arrays = weights.arrays
        self.feature_dim, self.policy_hash = weights.feature_dim, weights.sha256
        self.backbone_hash = weights.backbone_hash
        self.window, self.writes = window, 0
        self._chunk = (weights.chunk_len, weights.action_dim)
        self._encode, self._head = Encoder.of(arrays), ActionHead.of(arrays)
        self._key, self._value, self._query = (Linear.of(arrays, name) for name in ('key', 'value', 'query'))
        self._sharpness = np.float32(np.exp(arrays['log_sharpness'][0]))
        self._slope = np.float32(np.exp(arrays['log_slope'][0]))
        self._width = len(self._key.bias)
        self._cache = np.empty((64, self._width + len(self._value.bias)), np.float32)
        self.entries = 0

    @property
    def state_bytes(self) -> int:
        """Bytes of the entries held: 256 for each."""
        return self.entries * self._cache.itemsize * self._cache.shape[1]

    def reset(self) -> None:
        """Forget everything."""
        self._cache = np.empty((64, self._cache.shape[1]), np.float32)
        self.entries = self.writes = 0

    def step(self, z: Floats, base_action: Floats) -> Decision:
        """Append this step and attend over all that is kept; see `Memory.step`."""
        check_step(z, base_action, self.feature_dim, self._chunk)
        u, x = self._encode(z)
        self._append(np.concatenate([unit(self._key(x)), self._value(x)]))
        held = self._cache[:self.entries]
        age = np.arange(self.entries - 1, -1, -1, dtype=np.float32)
        logits = self._sharpness * (held[:, :self._width] @ unit(self._query(x))) - self._slope * age
        weights = np.exp(logits - logits.max())
        readout = np.asarray((weights / weights.sum()) @ held[:, self._width:], dtype=np.float32)
        action = self._head(self._head.prepare(u, base_action), readout, base_action)
        self.writes += 1
        return Decision(action, 1.0, 0.0, True, 0.0, 0.0, 0.0)

    def _append(self, entry: Floats) -> None:
        if self.window and self.entries == self.window:
            self._cache[:self.entries - 1] = self._cache[1:self.entries]
            self.entries -= 1
        if self.entries == len(self._cache):
            grown = np.empty((2 * self.entries, self._cache.shape[1]), np.float32)
            grown[:self.entries] = self._cache
            self._cache = grown
        self._cache[self.entries] = entry
        self.entries += 1

    def export(self) -> bytes:
        """All entries, oldest first: key then value, little endian."""
        return self._cache[:self.entries].astype('<f4').tobytes()

    def restore(self, data: bytes) -> None:
        """Take what `export` gave; see `Memory.restore`."""
        width = self._cache.shape[1]
        if len(data) % (4 * width):
            raise StateError(f'a cache of whole entries of {4 * width} bytes is expected, got {len(data)} bytes')
        values = np.frombuffer(data, '<f4').reshape(-1, width)
        if not np.isfinite(values).all():
            raise StateError('the cache holds values that are not finite')
        kept = values[-self.window:] if self.window else values
        self._cache = np.empty((max(64, len(kept)), width), np.float32)
        self._cache[:len(kept)] = kept
        self.entries = len(kept)
