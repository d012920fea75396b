# SPDX-License-Identifier: Apache-2.0
"""The gate: is this observation worth a write?

Two reasons for silence: the observation does not matter to any action, or it does and is already known. The
first can be seen in the code x of the observation, the second only in the error e of *this* state, so the gate
sees both: score = sigmoid(MLP(x, e, |e|)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.memory.layers import Linear, Weights, sigmoid, silu

Floats = NDArray[np.float32]

THRESHOLD = 0.5


@dataclass(frozen=True)
class Gate:
    """A small network that scores a write in 0..1."""

    hidden: Linear
    output: Linear

    @classmethod
    def of(cls, weights: Weights) -> Gate:
        """Take the gate's arrays."""
        return cls(Linear.of(weights, 'gate.hidden'), Linear.of(weights, 'gate.output'))

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """Score a write.

        Args:
            code: x of the observation, float32 [code_dim].
            error: e, float32 [value_dim].
            surprise: |e|.

        """
        seen = np.concatenate([code, error, np.asarray([surprise], np.float32)])
        return sigmoid(float(self.output(silu(self.hidden(seen)))[0]))
