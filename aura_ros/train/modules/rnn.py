# SPDX-License-Identifier: Apache-2.0
"""GRU and LSTM as torch modules; see `aura_ros.memory.rnn`."""

from typing import Any

import torch
from torch import Tensor, nn

from aura_ros.train.modules.base import MemoryModule, Scan, Sizes, every_step


class GruModule(MemoryModule):
    """One GRU layer.

    Args:
        sizes: dimensions.
        hidden: length of the state and of the read-out.
    """

    kind = 'gru'

    def __init__(self, sizes: Sizes, hidden: int) -> None:
        super().__init__(sizes, hidden)
        self.rnn = nn.GRU(sizes.code_dim, hidden, batch_first=True)

    def scan(self, x: Tensor, state: Tensor | None = None, **options: Any) -> Scan:
        """Run the layer. `state` is h, [B, H]."""
        readout, after = self.rnn(x, None if state is None else state[None])
        return every_step(x, readout, after[0])


class LstmModule(MemoryModule):
    """One LSTM layer.

    Args:
        sizes: dimensions.
        hidden: length of h, which is the read-out, and of c.
    """

    kind = 'lstm'

    def __init__(self, sizes: Sizes, hidden: int) -> None:
        super().__init__(sizes, hidden)
        self.rnn = nn.LSTM(sizes.code_dim, hidden, batch_first=True)
        with torch.no_grad():
            # starts by keeping c: with a bias of 0, one step loses half of it
            self.rnn.bias_hh_l0[hidden : 2 * hidden] = 1.0

    def scan(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None, **options: Any) -> Scan:
        """Run the layer. `state` is (h, c), each [B, H]."""
        readout, (h, c) = self.rnn(x, None if state is None else (state[0][None], state[1][None]))
        return every_step(x, readout, (h[0], c[0]))
