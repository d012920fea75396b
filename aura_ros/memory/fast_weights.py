# SPDX-License-Identifier: Apache-2.0
"""Fast weights: a linear map f(k) = W k + b that is written at test time by the delta rule.

W is float32 [32, 32] and b float32 [32]: (32 * 32 + 32) * 4 = 4,224 bytes, the size (d_k * d_v + d_v) * 4 of the
AURA-Mem model card. The card does not define the vector. Here it is the bias of the map, so a write at the full rate
makes f(k) = v exactly:

    e = v - f(k)                                    inner prediction error, its norm is the surprise
    W <- W + rate * e k^T / (|k|^2 + 1)             the delta rule with the constant key 1 appended
    b <- b + rate * e     / (|k|^2 + 1)
"""

import numpy as np

from aura_ros.memory.cell import MatrixCell, Transition
from aura_ros.memory.layers import Floats, Linear, Weights, sigmoid, unit
from aura_ros.memory.schedules import WriteSchedule

VALUE_DIM = 32
KEY_DIM = 32
STATE_BYTES = (KEY_DIM * VALUE_DIM + VALUE_DIM) * 4


class FastWeights:
    """W and b, which can be read and written."""

    def __init__(self, value_dim: int = VALUE_DIM, key_dim: int = KEY_DIM) -> None:
        self.W = np.zeros((value_dim, key_dim), np.float32)
        self.b = np.zeros(value_dim, np.float32)

    def read(self, key: Floats) -> Floats:
        """Return f(k), float32 [value_dim], for a key [key_dim]."""
        return np.asarray(self.W @ key + self.b, dtype=np.float32)

    def write(self, key: Floats, error: Floats, rate: float) -> Floats:
        """Move f(k) towards f(k) + rate * error; return the change of W, float32 [value_dim, key_dim]."""
        step = np.asarray(error * np.float32(rate / (float(key @ key) + 1.0)), dtype=np.float32)
        delta = np.outer(step, key)
        self.W += delta
        self.b += step
        return delta


class FastWeightCell(MatrixCell):
    """Fast weights and the schedule that decides when they are written."""

    def __init__(self, weights: Weights, schedule: WriteSchedule) -> None:
        self._key, self._value, self._query, self._rate = (
            Linear.of(weights, name) for name in ('key', 'value', 'query', 'rate')
        )
        self._key_scale = np.float32(np.exp(weights['log_key_scale'][0]))
        self.state = FastWeights(len(self._value.bias), len(self._key.bias))
        super().__init__(self.state.W, self.state.b, schedule)

    def try_out(self, x: Floats) -> None:
        """Step and write, whatever the schedule decides."""
        self.step(x)
        self.state.write(self._key(x), self._value(x), sigmoid(float(self._rate(x)[0])))

    def step(self, x: Floats) -> Transition:
        """Compare with the stored value, write if the schedule opens, and read."""
        key, query = (unit(layer(x)) * self._key_scale for layer in (self._key, self._query))
        error = self._value(x) - self.state.read(key)
        surprise = float(np.sqrt(error @ error))
        score, threshold = self._schedule(x, error, surprise), self._schedule.threshold
        self.row_age += np.uint64(1)
        before = self.state.read(query)
        if score <= threshold:
            return Transition(before, score, threshold, False, surprise)
        delta = self.state.write(key, error, sigmoid(float(self._rate(x)[0])))
        self.row_age[np.abs(delta).max(axis=1) > 0] = 0
        norm = float(np.linalg.norm(delta))
        return Transition(self.state.read(query), score, threshold, True, surprise, norm, before)
