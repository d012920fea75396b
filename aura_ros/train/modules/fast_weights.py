# SPDX-License-Identifier: Apache-2.0
"""Fast weights as torch modules: behind a fixed schedule, or behind AURA-Mem's gate and how that is trained.

The gate answers one question: what would later actions lose without this write? That is measured, not guessed.
In training the deployed gate decides (0 or 1), except at a few *probed* steps, where the write is made with a
strength a drawn from 0..1. The gradient of the action loss L with respect to a, which back-propagation has anyway,
averages over a to

    E_a [ -dL/da ] = L(no write) - L(write)        the fundamental theorem of calculus, over later queries too

so every probed step is an unbiased sample of the counterfactual loss of the write. A write is worth its price when
that gain is larger. The gate learns this as a classification in which a sample weighs as much as is at stake:

    loss = |gain - price| * BCE(score, gain > price)

whose optimum is above 1/2 exactly where the expected gain exceeds the price. Both reasons for silence follow: a
distractor gains nothing for any action, a repeat gains nothing over what W already holds. The two parts are those
the AURA model card names, an action term and a write-sparsity term; their form here is ours.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.train.modules.base import MemoryModule, Probes, Rollout, Scan, Sizes

BLOCK = 128
"""Steps that are computed at once. A larger block makes a step more expensive, and needs fewer calls."""

STAKE_LIMIT = 5.0
"""Largest weight of one sample, because the gains have a long tail."""


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


class AuraModule(FastWeightModule):
    """Gated fast weights; see `aura_ros.memory.aura.AuraMemory`."""

    kind = 'aura'

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.gate = nn.Module()
        self.gate.hidden = nn.Linear(sizes.code_dim + sizes.value_dim + 1, sizes.gate_width)
        self.gate.output = nn.Linear(sizes.gate_width, 1)
        nn.init.constant_(self.gate.output.bias, 1.0)  # starts open, because a memory that never writes learns nothing

    def gate_loss(self, rollout: Rollout, price: float, weight: float) -> Tensor:
        """Return the loss of the gate. Call it after the backward pass of the action loss.

        Args:
            rollout: result of a forward pass with `probe` > 0.
            price: price of one write, in units of the action loss of one step.
            weight: number of steps in the mean of the action loss; for the gradient of a sum.
        """
        probes = rollout.scan.probes
        assert probes is not None, 'the rollout must have been made with probe > 0'
        slope = torch.cat([_gradient(strengths) for strengths in probes.strengths], 1)
        stake = (-slope * weight - price)[probes.probed]
        logit = self._score(self._code_input(probes.code[probes.probed]), probes.error[probes.probed])
        wrong = F.binary_cross_entropy_with_logits(logit, (stake > 0).to(logit.dtype), reduction='none')
        return (stake.abs().clamp(max=STAKE_LIMIT) * wrong).mean()

    @torch.no_grad()
    def _decide(self, code: Tensor, W: Tensor, block: Block, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        gates = torch.zeros_like(block.rates[..., 0])
        seen, known, overlap = self._code_input(code), block.values - block.keys @ W.mT, block.keys @ block.keys.mT
        change, logits = torch.zeros_like(known), self._score(seen, known)
        opens = ((logits if noise is None else logits + noise) > 0).any(0).nonzero()
        # the inputs of the gate do not change before the first write, so those steps need no loop
        for t in range(int(opens[0]) if len(opens) else code.shape[1], code.shape[1]):
            error = known[:, t] - torch.bmm(overlap[:, t, None, :t], change[:, :t])[:, 0]
            logits[:, t] = self._score(seen[:, t], error)
            gates[:, t] = (logits[:, t] if noise is None else logits[:, t] + noise[:, t]) > 0
            change[:, t] = self.increment(error, block.values[:, t]) * gates[:, t, None] * block.rates[:, t]
        return logits, gates

    def increment(self, error: Tensor, values: Tensor) -> Tensor:
        """Return what a write with full rate adds to f(k). The delta rule adds the error."""
        return error

    def _code_input(self, code: Tensor) -> Tensor:
        """Return the part of the gate's input layer that depends on the codes only."""
        return F.linear(code, self.gate.hidden.weight[:, : self.sizes.code_dim], self.gate.hidden.bias)

    def _score(self, seen: Tensor, error: Tensor) -> Tensor:
        """Return the logits of the writes."""
        weight = self.gate.hidden.weight[:, self.sizes.code_dim :]
        hidden = F.silu(seen + F.linear(self._state_input(error), weight))
        return torch.as_tensor(self.gate.output(hidden)[..., 0])

    def _state_input(self, error: Tensor) -> Tensor:
        """Return the gate's inputs from the state: e and |e|."""
        return torch.cat([error, error.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt()], -1)


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


def _gradient(strengths: Tensor) -> Tensor:
    return torch.zeros_like(strengths) if strengths.grad is None else strengths.grad
