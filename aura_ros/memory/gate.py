# SPDX-License-Identifier: Apache-2.0
"""The gate: decides whether an observation is worth a write.

An observation needs no write if it matters to no action, or if it is stored already. The code x of the observation
shows the first, the error e of the current state the second. The gate reads both: score = sigmoid(MLP(x, e, |e|)).
"""

import numpy as np

from aura_ros.memory.layers import Floats, Linear, Weights, sigmoid, silu

THRESHOLD = 0.5


class Gate:
    """A small network that scores a write in 0..1: a learned `WriteSchedule`."""

    def __init__(self, weights: Weights, threshold: float = THRESHOLD) -> None:
        self._hidden, self._output = Linear.of(weights, 'gate.hidden'), Linear.of(weights, 'gate.output')
        self.threshold = threshold

    def reset(self) -> None:
        """Do nothing: the gate has no state."""

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """Score a write; see `WriteSchedule`."""
        seen = np.concatenate([code, error, np.asarray([surprise], np.float32)])
        return sigmoid(float(self._output(silu(self._hidden(seen)))[0]))
