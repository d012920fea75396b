# SPDX-License-Identifier: Apache-2.0
"""AURA-Mem as a torch module: fast weights behind a learned gate, and how the gate is trained.

The gate answers one question: what would later actions lose without this write? Training measures the answer. The gate
decides each write (0 or 1), except at a few *probed* steps. There the write has a strength a, drawn from 0..1.
Back-propagation gives the gradient of the action loss L with respect to a. By the fundamental theorem of calculus, its
average over a is

    E_a [ -dL/da ] = L(no write) - L(write)        with all later queries included

So every probed step is an unbiased sample of what the write is worth. A write pays when this gain exceeds its price.
The gate learns that as a classification. A sample weighs as much as is at stake:

    loss = |gain - price| * BCE(score, gain > price)

The optimal score is above 1/2 exactly where the expected gain exceeds the price. A distractor gains nothing for any
action, and a repeat gains nothing over what W holds, so the gate stays closed for both. The AURA model card names the
two parts, an action term and a write-sparsity term. Their form here is ours.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.train.modules.base import MemoryModule, Rollout, Sizes
from aura_ros.train.modules.fast_weights import Block, FastWeightModule

STAKE_LIMIT = 5.0
"""Largest weight of one sample, because the gains have a long tail."""


def stake_loss(logit: Tensor, stake: Tensor) -> Tensor:
    """Return the loss of a gate, as in the text above.

    Args:
        logit: logits of writes, [N].
        stake: gain minus price of each, [N].
    """
    wrong = F.binary_cross_entropy_with_logits(logit, (stake > 0).to(logit.dtype), reduction='none')
    return (stake.abs().clamp(max=STAKE_LIMIT) * wrong).mean()


class Gated(MemoryModule):
    """A memory with a learned gate, whatever its cell."""

    @property
    def has_gate(self) -> bool:
        """Whether `add_gate` was called; a kind of the same cell without a gate writes at every step."""
        return hasattr(self, 'gate')

    def add_gate(self, error_dim: int) -> None:
        """Make the gate of a cell whose errors have `error_dim` components."""
        self.gate = nn.Module()
        self.gate.hidden = nn.Linear(self.sizes.code_dim + error_dim + 1, self.sizes.gate_width)
        self.gate.output = nn.Linear(self.sizes.gate_width, 1)
        nn.init.constant_(self.gate.output.bias, 1.0)  # starts open, because a memory that never writes learns nothing

    def gate_logit(self, code: Tensor, error: Tensor) -> Tensor:
        """Return the logits of writes, [...], for codes [..., X] and errors [..., E]."""
        return self._score(self._code_input(code), error)

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


class AuraModule(Gated, FastWeightModule):
    """Gated fast weights; see `aura_ros.memory.aura.AuraMemory`."""

    kind = 'aura'

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.add_gate(sizes.value_dim)

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
        return stake_loss(self.gate_logit(probes.code[probes.probed], probes.error[probes.probed]), stake)

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


def _gradient(strengths: Tensor) -> Tensor:
    return torch.zeros_like(strengths) if strengths.grad is None else strengths.grad
