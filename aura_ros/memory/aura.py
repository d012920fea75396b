# SPDX-License-Identifier: Apache-2.0
"""AURA-Mem (arXiv 2606.02775): gated fast weights of 4,224 bytes beside a frozen VLA, one step at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aura_ros.memory.fast_weights import FastWeights
from aura_ros.memory.gate import THRESHOLD, Gate
from aura_ros.memory.layers import ActionHead, Encoder, Linear, sigmoid, unit
from aura_ros.memory.protocol import Decision, check_step
from aura_ros.memory.weights import MemoryWeights

Floats = NDArray[np.float32]


class AuraMemory:
    """Encode, look whether it is known, write if the gate opens, read, act.

    `row_age` counts the steps since each row of W last changed; it is for monitors and no part of the state.
    """

    name = 'aura'

    def __init__(self, weights: MemoryWeights, threshold: float = THRESHOLD) -> None:
        arrays = weights.arrays
        self.feature_dim, self.policy_hash = weights.feature_dim, weights.sha256
        self.backbone_hash = weights.backbone_hash
        self._chunk = (weights.chunk_len, weights.action_dim)
        self._threshold = threshold
        self._encode = Encoder.of(arrays)
        self._key, self._value, self._query, self._rate = (
            Linear.of(arrays, name) for name in ('key', 'value', 'query', 'rate'))
        self._key_scale = np.float32(np.exp(arrays['log_key_scale'][0]))
        self._gate, self._head = Gate.of(arrays), ActionHead.of(arrays)
        self._state = FastWeights(len(self._value.bias), len(self._key.bias))
        self.row_age = np.zeros(len(self._value.bias), np.uint64)
        self.writes = 0

    @property
    def state_bytes(self) -> int:
        """4,224, measured from the arrays that are carried."""
        return self._state.nbytes

    @property
    def fast_weights(self) -> Floats:
        """W, a read-only view, float32 [32, 32]: rows are values, columns keys."""
        return _read_only(self._state.W)

    @property
    def vector(self) -> Floats:
        """b, a read-only view, float32 [32]."""
        return _read_only(self._state.b)

    def reset(self) -> None:
        """Forget everything."""
        self._state.reset()
        self.row_age[:] = 0
        self.writes = 0

    def step(self, z: Floats, base_action: Floats) -> Decision:
        """Apply one step; see `Memory.step`."""
        check_step(z, base_action, self.feature_dim, self._chunk)
        u, x = self._encode(z)
        key = unit(self._key(x)) * self._key_scale
        query = unit(self._query(x)) * self._key_scale
        error = self._value(x) - self._state.read(key)
        surprise = float(np.sqrt(error @ error))
        score = self._gate(x, error, surprise)
        prepared = self._head.prepare(u, base_action)
        self.row_age += np.uint64(1)
        if score <= self._threshold:
            action = self._head(prepared, self._state.read(query), base_action)
            return Decision(action, score, self._threshold, False, surprise, 0.0, 0.0)
        before = self._head(prepared, self._state.read(query), base_action)
        delta = self._state.write(key, error, sigmoid(float(self._rate(x)[0])))
        self.writes += 1
        self.row_age[np.abs(delta).max(axis=1) > 0] = 0
        action = self._head(prepared, self._state.read(query), base_action)
        change = float(np.abs(action - before).max())
        return Decision(action, score, self._threshold, True, surprise, change, float(np.linalg.norm(delta)))

    def export(self) -> bytes:
        """W, then b: 4,224 bytes."""
        return self._state.export()

    def restore(self, data: bytes) -> None:
        """Take what `export` gave; see `Memory.restore`."""
        self._state.restore(data)


def _read_only(array: Floats) -> Floats:
    view = array.view()
    view.setflags(write=False)
    return view
