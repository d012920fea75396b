# SPDX-License-Identifier: Apache-2.0
"""The fast weights: a linear map f(k) = W k + b that is written at test time by the delta rule.

W is float32 [32, 32] and b float32 [32]: (32 * 32 + 32) * 4 = 4,224 bytes, the size that the AURA-Mem model
card gives as (d_k * d_v + d_v) * 4. The card does not say what the vector is; here it is the bias of the map,
so that a write with the full rate makes f(k) = v exactly:

    e = v - f(k)                                    inner prediction error, its norm is the surprise
    W <- W + rate * e k^T / (|k|^2 + 1)             the delta rule with the constant key 1 appended
    b <- b + rate * e     / (|k|^2 + 1)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aura_ros.errors import StateError

Floats = NDArray[np.float32]

VALUE_DIM = 32
KEY_DIM = 32
STATE_BYTES = (KEY_DIM * VALUE_DIM + VALUE_DIM) * 4


class FastWeights:
    """The state of AURA-Mem and the two things one can do with it: read and write."""

    def __init__(self, value_dim: int = VALUE_DIM, key_dim: int = KEY_DIM) -> None:
        self.W = np.zeros((value_dim, key_dim), np.float32)
        self.b = np.zeros(value_dim, np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes carried, measured from the arrays."""
        return self.W.nbytes + self.b.nbytes

    def reset(self) -> None:
        """Back to zero."""
        self.W[:] = 0
        self.b[:] = 0

    def read(self, key: Floats) -> Floats:
        """f(k): float32 [value_dim] for a key [key_dim]."""
        return np.asarray(self.W @ key + self.b, dtype=np.float32)

    def write(self, key: Floats, error: Floats, rate: float) -> Floats:
        """Move f(k) towards f(k) + rate * error; returns the change of W, float32 [value_dim, key_dim]."""
        step = np.asarray(error * np.float32(rate / (float(key @ key) + 1.0)), dtype=np.float32)
        delta = np.outer(step, key)
        self.W += delta
        self.b += step
        return delta

    def export(self) -> bytes:
        """W, then b, C order, little endian."""
        return self.W.astype('<f4').tobytes() + self.b.astype('<f4').tobytes()

    def restore(self, data: bytes) -> None:
        """Take what `export` gave.

        Raises:
            StateError: if the length is wrong or a number is not finite; the state is then unchanged.

        """
        if len(data) != self.nbytes:
            raise StateError(f'a state of {self.nbytes} bytes is expected, got {len(data)}')
        values = np.frombuffer(data, '<f4')
        if not np.isfinite(values).all():
            raise StateError('the state holds values that are not finite')
        self.W[:] = values[:self.W.size].reshape(self.W.shape)
        self.b[:] = values[self.W.size:]
