# SPDX-License-Identifier: Apache-2.0
"""Fast weights as a torch module, written at every step or on a schedule. AURA-Mem's gate is in `gate.py`."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.train.modules.base import MemoryModule, Probes, Scan, Sizes

BLOCK = 128
"""Steps that are computed at once. A larger block makes a step more expensive, and needs fewer calls."""


class Block(NamedTuple):
    """Keys, queries, values and rates of a block of T steps."""

    keys: Tensor
    """Keys with the constant 1 appended, [B, T, K + 1]."""
    queries: Tensor
    """Queries with the constant 1 appended, [B, T, K + 1]."""
    values: Tensor
    """Values, [B, T, V]."""
    rates: Tensor
    """Rates divided by |key|^2, [B, T, 1]."""


class FastWeightModule(MemoryModule):
    """Fast weights, written at every step or on a schedule; see `aura_ros.memory.fast_weights.FastWeightCell`."""

    kind = 'always'

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes, sizes.value_dim)
        self.key = nn.Linear(sizes.code_dim, sizes.key_dim)
        self.value = nn.Linear(sizes.code_dim, sizes.value_dim)
        self.query = nn.Linear(sizes.code_dim, sizes.key_dim)
        self.rate = nn.Linear(sizes.code_dim, 1)
        nn.init.constant_(self.rate.bias, 2.0)
        self.log_key_scale = nn.Parameter(torch.ones(1))

    def scan(
        self, x: Tensor, state: Tensor | None = None, schedule: Tensor | None = None, probe: float = 0.0, **options: Any
    ) -> Scan:
        """Write and read.

        Args:
            x: codes [B, T, X].
            state: W with b as its last column, [B, V, K + 1].
            schedule: strengths to write with instead of the gate's decision, [B, T] in 0..1.
            probe: share of the steps to probe, 0..1.
            options: none.
        """
        blocks = [Block(*parts) for parts in zip(*(part.split(BLOCK, 1) for part in self._project(x)), strict=True)]
        schedules = [None] * len(blocks) if schedule is None else schedule.split(BLOCK, 1)
        W = x.new_zeros(len(x), self.sizes.value_dim, self.sizes.key_dim + 1) if state is None else state
        columns = []
        for code, given, block in zip(x.split(BLOCK, 1), schedules, blocks, strict=True):
            logit, gate = self._decide(code, W, block) if given is None else (torch.full_like(given, torch.inf), given)
            probed = torch.rand_like(gate) < probe
            if probe:
                gate = torch.where(probed, self.strengths(gate), gate).requires_grad_()
            readout, error, W = self.rule(W, block, gate)
            columns.append((readout, error, logit, gate, probed))
        readout, error, logit, gate, probed = (torch.cat(column, 1) for column in zip(*columns, strict=True))
        probes = Probes([column[3] for column in columns], probed, x.detach(), error.detach()) if probe else None
        return Scan(readout, gate.detach(), torch.sigmoid(logit), error.detach().norm(dim=-1), W, probes)

    def rule(self, W: Tensor, block: Block, strengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Write and read a block; see `delta_rule`."""
        return delta_rule(W, block, strengths)

    def strengths(self, gate: Tensor) -> Tensor:
        """With which strength probed writes are made, [B, T]."""
        return torch.rand_like(gate)

    def _project(self, x: Tensor) -> Block:
        scale, one = self.log_key_scale.exp(), x.new_ones(*x.shape[:2], 1)
        keys, queries = (
            torch.cat([F.normalize(layer(x), dim=-1) * scale, one], -1) for layer in (self.key, self.query)
        )
        return Block(keys, queries, self.value(x), torch.sigmoid(self.rate(x)) / (scale * scale + 1))

    def _decide(self, code: Tensor, W: Tensor, block: Block) -> tuple[Tensor, Tensor]:
        """Return logits and gates (0 or 1) of a block, both [B, T]. Without a gate every step is written."""
        return torch.full_like(block.rates[..., 0], torch.inf), torch.ones_like(block.rates[..., 0])


def delta_rule(W: Tensor, block: Block, strengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Write and read a block of steps at once.

    The errors of T steps depend on each other linearly: e_t = v_t - W k_t - sum_{s<t} (k_t . k_s) a_s r_s e_s. It is a
    unit triangular system (the WY form of arXiv 2406.06484). The NumPy cell computes the same step by step.

    Args:
        W: fast weights before the block, [B, V, K + 1].
        block: steps.
        strengths: strengths a of the writes, 0..1, [B, T].

    Returns:
        read-outs [B, T, V] after each write, errors [B, T, V] before each write, fast weights at the end.
    """
    keys, queries, values, rates = block
    step = strengths[..., None] * rates
    overlap = torch.tril(keys @ keys.mT, -1) * step.mT
    error = torch.linalg.solve_triangular(overlap, values - keys @ W.mT, upper=False, unitriangular=True)
    change = step * error
    readout = queries @ W.mT + torch.tril(queries @ keys.mT) @ change
    return readout, error, W + change.mT @ keys
