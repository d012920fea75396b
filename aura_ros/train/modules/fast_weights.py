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

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.train.modules.base import MemoryModule, Probes, Rollout, Scan, Sizes

STAKE_LIMIT = 5.0
"""Most that one sample weighs: the gains have a long tail."""


class FastWeightModule(MemoryModule):
    """Fast weights written at every step, or as a schedule says; `aura_ros.memory.fast_weights.FastWeightCell`."""

    kind = 'always'

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes, sizes.value_dim)
        self.key = nn.Linear(sizes.code_dim, sizes.key_dim)
        self.value = nn.Linear(sizes.code_dim, sizes.value_dim)
        self.query = nn.Linear(sizes.code_dim, sizes.key_dim)
        self.rate = nn.Linear(sizes.code_dim, 1)
        nn.init.constant_(self.rate.bias, 2.0)
        self.log_key_scale = nn.Parameter(torch.ones(1))

    def scan(self, x: Tensor, state: Tensor | None = None, schedule: Tensor | None = None, probe: float = 0.0,
             **options: Any) -> Scan:
        """Write and read, step by step.

        Args:
            x: codes [B, T, X].
            state: W with b as its last column, [B, V, K + 1].
            schedule: strengths to write with instead of the gate's decision, [B, T] in 0..1.
            probe: share of the steps to probe, 0..1.
            options: none.

        """
        keys, queries, values, rates = self._project(x)
        # one product per step reads for the query of this step and for the key of the next
        reads = torch.stack([torch.cat([keys[:, 1:], keys[:, :1]], 1), queries], -1).unbind(1)
        W = x.new_zeros(len(x), self.sizes.value_dim, self.sizes.key_dim + 1) if state is None else state
        known = torch.bmm(W, keys[:, 0, :, None])[..., 0]
        seen = self._see(x)
        probed = torch.rand(x.shape[:2]) < probe
        drawn = torch.rand(x.shape[:2])
        columns: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for t in range(x.shape[1]):
            error = values[:, t] - known
            logit, gate = self._decide(None if seen is None else seen[:, t], error)
            if schedule is not None:
                gate = schedule[:, t]
            if probe:
                gate = torch.where(probed[:, t], drawn[:, t], gate).requires_grad_()
            W = torch.baddbmm(W, (gate[:, None] * rates[:, t] * error)[..., None], keys[:, t, None])
            found = torch.bmm(W, reads[t])
            known = found[..., 0]
            columns.append((found[..., 1], gate, logit, error.detach()))
        readouts, gates, logits, errors = zip(*columns, strict=True)
        error = torch.stack(errors, 1)
        probes = Probes(list(gates), probed, x.detach(), error) if probe else None
        return Scan(torch.stack(readouts, 1), torch.stack(gates, 1).detach(), torch.sigmoid(torch.stack(logits, 1)),
                    error.norm(dim=-1), W, probes)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Keys and queries with the constant 1 appended, values, and rates that are divided by |key|^2."""
        scale, one = self.log_key_scale.exp(), x.new_ones(*x.shape[:2], 1)
        keys, queries = (torch.cat([F.normalize(layer(x), dim=-1) * scale, one], -1)
                         for layer in (self.key, self.query))
        return keys, queries, self.value(x), torch.sigmoid(self.rate(x)) / (scale * scale + 1)

    def _see(self, x: Tensor) -> Tensor | None:
        """What the gate takes from the codes, the same for every state."""
        return None

    def _decide(self, seen: Tensor | None, error: Tensor) -> tuple[Tensor, Tensor]:
        """Logit of a write and the gate, 0 or 1, both [B]; without a gate every step is written."""
        return error.new_full((len(error),), torch.inf), error.new_ones(len(error))


class AuraModule(FastWeightModule):
    """Gated fast weights; see `aura_ros.memory.aura.AuraMemory`."""

    kind = 'aura'

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.gate = nn.Module()
        self.gate.hidden = nn.Linear(sizes.code_dim + sizes.value_dim + 1, sizes.gate_width)
        self.gate.output = nn.Linear(sizes.gate_width, 1)
        nn.init.constant_(self.gate.output.bias, 1.0)  # begin open: a memory that never writes learns nothing

    def gate_loss(self, rollout: Rollout, price: float, asked: float) -> Tensor:
        """Loss of the gate, to be called after the action loss went backward.

        Args:
            rollout: made with `probe` > 0.
            price: of one write, in units of the action loss of one step.
            asked: steps the action loss is the mean of, to turn its gradient into a sum over them.

        """
        probes = rollout.scan.probes
        assert probes is not None, 'the rollout must have been made with probe > 0'
        slope = torch.stack([_gradient(strength) for strength in probes.strengths], 1)
        stake = (-slope * asked - price)[probes.probed]
        code, error = probes.code[probes.probed], probes.error[probes.probed]
        logit = self._score(self._see(code), error)
        wrong = F.binary_cross_entropy_with_logits(logit, (stake > 0).to(logit.dtype), reduction='none')
        return (stake.abs().clamp(max=STAKE_LIMIT) * wrong).mean()

    def _see(self, x: Tensor) -> Tensor:
        # nothing but its own loss trains the gate
        return F.linear(x.detach(), self.gate.hidden.weight[:, :self.sizes.code_dim], self.gate.hidden.bias)

    @torch.no_grad()
    def _decide(self, seen: Tensor | None, error: Tensor) -> tuple[Tensor, Tensor]:
        assert seen is not None
        logit = self._score(seen, error)
        return logit, (logit > 0).to(logit.dtype)

    def _score(self, seen: Tensor, error: Tensor) -> Tensor:
        surprise = error.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
        weight = self.gate.hidden.weight[:, self.sizes.code_dim:]
        hidden = F.silu(seen + F.linear(torch.cat([error, surprise], -1), weight))
        return torch.as_tensor(self.gate.output(hidden)[..., 0])


def _gradient(strength: Tensor) -> Tensor:
    return torch.zeros_like(strength) if strength.grad is None else strength.grad
