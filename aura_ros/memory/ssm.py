# SPDX-License-Identifier: Apache-2.0
"""The state-space baseline: one selective diagonal layer, Mamba's S6 (arXiv 2312.00752).

Each of H channels u carries N numbers h, which decay at one rate A > 0 (the diagonal of Mamba-2, arXiv 2405.21060)
and add the input. The length of a step, dt, the input map B and the output map C are linear in the code x
("selective"). A step with dt near 0 keeps the state, a step with a large dt overwrites it.

    dh/dt = -A h + u B,    u held over the step

    h <- a h + (1 - a) / A * u B,    a = exp(-dt A)    its exact solution (zero-order hold); dt = softplus(...) > 0
    y  = h C + skip u

a lies in 0..1 and (1 - a) / A in 0..1/A, so the state is bounded at any length. Only this layer of the Mamba block is
used: the encoder replaces its input projection, the action head its output gate, and its convolution over the last
steps would be a second memory.

Arrays: u, dt, a, y, skip and A = exp(A_log) float32 [H]; B, C [N]; h [H, N].
"""

import numpy as np

from aura_ros.memory.cell import Cell, Transition
from aura_ros.memory.layers import Floats, Linear, Weights, softplus


class SsmCell(Cell):
    """A selective diagonal state-space model; the state is h, float32 [H, N], the read-out y, float32 [H]."""

    def __init__(self, weights: Weights) -> None:
        self._input, self._dt, self._B, self._C = (Linear.of(weights, name) for name in ('input', 'dt', 'B', 'C'))
        self._A, self._skip = np.exp(weights['A_log']), weights['skip']
        self.h = np.zeros((len(self._A), len(self._B.bias)), np.float32)
        self.carried = (self.h,)

    def step(self, x: Floats) -> Transition:
        """Advance the state by dt, then read."""
        u, exponent = self._input(x), -softplus(self._dt(x)) * self._A
        drive = np.outer(-np.expm1(exponent) / self._A * u, self._B(x))
        h = np.exp(exponent)[:, None] * self.h + drive
        norm = float(np.linalg.norm(h - self.h))
        self.h[:] = h
        return Transition(self.h @ self._C(x) + self._skip * u, delta_norm=norm)
