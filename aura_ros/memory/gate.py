# SPDX-License-Identifier: Apache-2.0
"""The gate: is this observation worth a write?

Two reasons for silence: the observation does not matter to any action, or it does and is already known. The
first can be seen in the code x of the observation, the second only in the error e of *this* state, so the gate
sees both: score = sigmoid(MLP(x, e, |e|)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aura_ros.memory.layers import Linear, Weights, sigmoid, silu

Floats = NDArray[np.float32]

THRESHOLD = 0.5


class Gate:
    """A small network that scores a write in 0..1; a `WriteSchedule` that was learned."""

    def __init__(self, weights: Weights, threshold: float = THRESHOLD) -> None:
        self._hidden, self._output = Linear.of(weights, 'gate.hidden'), Linear.of(weights, 'gate.output')
        self.threshold = threshold

    def reset(self) -> None:
        """Nothing to begin: the gate has no state of its own."""

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """Score a write; see `WriteSchedule`."""
        seen = np.concatenate([code, error, np.asarray([surprise], np.float32)])
        return sigmoid(float(self._output(silu(self._hidden(seen)))[0]))
