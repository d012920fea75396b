# SPDX-License-Identifier: Apache-2.0
"""The dense recurrent baselines: a GRU and an LSTM cell, which rewrite their whole state at every step.

The weights are those of one layer of torch's nn.GRU or nn.LSTM, under torch's names. The read-out is h, float32
[hidden].
"""

import numpy as np

from aura_ros.memory.cell import Cell, Transition
from aura_ros.memory.layers import Floats, Linear, Weights, logistic


def _layers(weights: Weights) -> tuple[Linear, Linear]:
    """Return the two maps whose sum enters the gates: of the code and of h."""
    code, state = (Linear(weights[f'rnn.weight_{part}_l0'], weights[f'rnn.bias_{part}_l0']) for part in ('ih', 'hh'))
    return code, state


class GruCell(Cell):
    """h <- n + z (h - n), n = tanh(W x + r (U h)); the reset gate r and the update gate z read x and h."""

    def __init__(self, weights: Weights) -> None:
        self._code, self._state = _layers(weights)
        self.h = np.zeros(self._state.weight.shape[1], np.float32)
        self.carried = (self.h,)

    def step(self, x: Floats) -> Transition:
        """Blend h with the new candidate."""
        code, state = np.split(self._code(x), 3), np.split(self._state(self.h), 3)
        reset, update = logistic(code[0] + state[0]), logistic(code[1] + state[1])
        new = np.tanh(code[2] + reset * state[2])
        mixed = new + update * (self.h - new)
        norm = float(np.linalg.norm(mixed - self.h))
        self.h[:] = mixed
        return Transition(mixed, delta_norm=norm)


class LstmCell(Cell):
    """c <- f c + i g, h = o tanh(c); all gates read x and h."""

    def __init__(self, weights: Weights) -> None:
        self._code, self._state = _layers(weights)
        hidden = self._state.weight.shape[1]
        self.h, self.c = np.zeros(hidden, np.float32), np.zeros(hidden, np.float32)
        self.carried = (self.h, self.c)

    def step(self, x: Floats) -> Transition:
        """Apply the forget, input and output gates."""
        admit, keep, new, output = np.split(self._code(x) + self._state(self.h), 4)
        c = logistic(keep) * self.c + logistic(admit) * np.tanh(new)
        h = logistic(output) * np.tanh(c)
        norm = float(np.sqrt(np.square(c - self.c).sum() + np.square(h - self.h).sum()))
        self.h[:], self.c[:] = h, c
        return Transition(h, delta_norm=norm)
