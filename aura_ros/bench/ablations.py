# SPDX-License-Identifier: Apache-2.0
"""AURA-Mem with one change each, for `ablate`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aura_ros.train.learner import Learner
from aura_ros.train.modules import AuraModule, ContentAddressedModule, Rollout, Scan, Sizes
from aura_ros.train.modules.fast_weights import Block
from aura_ros.train.modules.gate import Gated


class _FewerGateInputs(Gated):
    """A gate with fewer inputs: without some of 'code', 'error' and 'surprise', which are zero."""

    def keep(self, inputs: tuple[str, ...]) -> None:
        """Set the remaining inputs."""
        self._code = float('code' in inputs)
        width = self.gate.hidden.in_features - self.sizes.code_dim
        kept = torch.full((width,), float('error' in inputs))
        kept[-1] = float('surprise' in inputs)
        self.register_buffer('kept', kept)

    def _code_input(self, code: Tensor) -> Tensor:
        return super()._code_input(self._code * code)

    def _state_input(self, error: Tensor) -> Tensor:
        return super()._state_input(error) * self.kept


class FewerGateInputs(_FewerGateInputs, AuraModule):
    """Dense fast weights whose gate has fewer inputs.

    Args:
        sizes: dimensions.
        inputs: remaining inputs, of 'code', 'error' and 'surprise'.
    """

    def __init__(self, sizes: Sizes, inputs: tuple[str, ...]) -> None:
        super().__init__(sizes)
        self.keep(inputs)


class ChangedContent(_FewerGateInputs, ContentAddressedModule):
    """Content-addressed fast weights with changes.

    Args:
        sizes: dimensions.
        inputs: remaining inputs of the gate, of 'code', 'error' and 'surprise'.
        fixed: parameters that keep a value, by name; each of their entries gets it.
        fades: whether other rows lose what they hold of the item.
        oldest: whether a new item takes a row with a rest of an item or else the oldest one, or any row.
    """

    def __init__(
        self, sizes: Sizes, inputs: tuple[str, ...], fixed: Mapping[str, float], fades: bool = True, oldest: bool = True
    ) -> None:
        super().__init__(sizes)
        self.keep(inputs)
        self._fades, self._oldest = fades, oldest
        for name, value in fixed.items():
            torch.nn.init.constant_(self.get_parameter(name), value).requires_grad_(False)

    def _free_row(self, W: Tensor, order: Tensor) -> Tensor:
        return super()._free_row(W, order) if self._oldest else torch.rand_like(order).argmin(-1)

    def _lost(self, W: Tensor, matches: Tensor) -> Tensor:
        return super()._lost(W, matches) if self._fades else torch.zeros_like(matches)


class Endpoint(AuraModule):
    """The gradient at the decision of the gate, 0 or 1, not the mean over all write strengths between them."""

    def strengths(self, gate: Tensor) -> Tensor:
        """Return the decision."""
        return gate


class Hebbian(AuraModule):
    """The write W <- W + rate v k^T, which leaves the old value of the key in W."""

    def rule(self, W: Tensor, block: Block, strengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Add the values without subtracting those of the keys."""
        keys, queries, values, rates = block
        change = strengths[..., None] * rates * values
        error = values - keys @ W.mT - torch.tril(keys @ keys.mT, -1) @ change
        return queries @ W.mT + torch.tril(queries @ keys.mT) @ change, error, W + change.mT @ keys

    def increment(self, error: Tensor, values: Tensor) -> Tensor:
        """Return the value, whatever W already holds for the key."""
        return values


class StraightThrough(AuraModule):
    """A sampled gate that passes the gradient of its relaxed sample (binary concrete, arXiv 1611.00712).

    In training (`probe` > 0), gates are sampled step by step. A second pass computes the outputs with gates that pass a
    gradient. The errors that enter the scores are constants in this pass. The price applies to the write probability,
    so it is part of the action loss, and the gate has no loss of its own.
    """

    temperature = 0.7

    def scan(
        self, x: Tensor, state: Tensor | None = None, schedule: Tensor | None = None, probe: float = 0.0, **options: Any
    ) -> Scan:
        """Sample in training; decide as AURA otherwise."""
        if not probe:
            return super().scan(x, state, schedule)
        block = self._project(x)
        W = x.new_zeros(len(x), self.sizes.value_dim, self.sizes.key_dim + 1) if state is None else state
        uniform = torch.rand(x.shape[:2]).clamp(1e-6, 1 - 1e-6)
        noise = uniform.log() - (-uniform).log1p()
        _, sampled = self._decide(x, W, block, noise)
        with torch.no_grad():
            _, error, _ = self.rule(W, block, sampled)
        logit = self._score(self._code_input(x), error)
        soft = torch.sigmoid((logit + noise) / self.temperature)
        readout, _, W = self.rule(W, block, sampled + soft - soft.detach())
        return Scan(readout, sampled, torch.sigmoid(logit), error.norm(dim=-1), W)


class StraightThroughLearner(Learner):
    """One loss for all parameters: the action error and the price of the expected writes."""

    def backward(self, loss: Tensor, rollout: Rollout, price: float, weight: float) -> None:
        """Compute the gradients of both terms; the price is per query."""
        torch.autograd.backward(loss + price * rollout.scan.scores.sum() / weight)
