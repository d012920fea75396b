# SPDX-License-Identifier: Apache-2.0
"""AURA-Mem with one thing changed, for `ablate`."""

from typing import Any

import torch
from torch import Tensor

from aura_ros.train.learner import Learner
from aura_ros.train.modules import AuraModule, Rollout, Scan, Sizes
from aura_ros.train.modules.fast_weights import Block


class Blinkered(AuraModule):
    """A gate that sees less.

    Args:
        sizes: dimensions.
        inputs: what is left, of 'code', 'error' and 'surprise'; the rest is zero.
    """

    def __init__(self, sizes: Sizes, inputs: tuple[str, ...]) -> None:
        super().__init__(sizes)
        self._code = float('code' in inputs)
        left = torch.full((sizes.value_dim + 1,), float('error' in inputs))
        left[-1] = float('surprise' in inputs)
        self.register_buffer('left', left)

    def _see(self, code: Tensor) -> Tensor:
        return super()._see(self._code * code)

    def _news(self, error: Tensor) -> Tensor:
        return super()._news(error) * self.left


class Endpoint(AuraModule):
    """The gradient at the gate's own decision, 0 or 1, instead of the mean over all strengths in between."""

    def strengths(self, gate: Tensor) -> Tensor:
        """The decision itself."""
        return gate


class Hebbian(AuraModule):
    """W <- W + rate v k^T: what was bound to the key stays in W."""

    def rule(self, W: Tensor, block: Block, strengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Add without taking away."""
        keys, queries, values, rates = block
        change = strengths[..., None] * rates * values
        error = values - keys @ W.mT - torch.tril(keys @ keys.mT, -1) @ change
        return queries @ W.mT + torch.tril(queries @ keys.mT) @ change, error, W + change.mT @ keys

    def increment(self, error: Tensor, values: Tensor) -> Tensor:
        """The value, whatever is known."""
        return values


class StraightThrough(AuraModule):
    """A sampled gate that passes the gradient of its relaxed sample (binary concrete, arXiv 1611.00712).

    In training, which `probe` > 0 tells, gates are sampled one after the other; then all is computed once more with
    gates that pass a gradient. The error that a score is made from counts as given. The probability of a write is what
    is paid for, so the price goes with the action loss and there is no loss of the gate alone.
    """

    temperature = 0.7

    def scan(
        self, x: Tensor, state: Tensor | None = None, schedule: Tensor | None = None, probe: float = 0.0, **options: Any
    ) -> Scan:
        """Sample in training, else decide as AURA does."""
        if not probe:
            return super().scan(x, state, schedule)
        block = self._project(x)
        W = x.new_zeros(len(x), self.sizes.value_dim, self.sizes.key_dim + 1) if state is None else state
        uniform = torch.rand(x.shape[:2]).clamp(1e-6, 1 - 1e-6)
        noise = uniform.log() - (-uniform).log1p()
        _, sampled = self._decide(x, W, block, noise)
        with torch.no_grad():
            _, error, _ = self.rule(W, block, sampled)
        logit = self._score(self._see(x), error)
        soft = torch.sigmoid((logit + noise) / self.temperature)
        readout, _, W = self.rule(W, block, sampled + soft - soft.detach())
        return Scan(readout, sampled, torch.sigmoid(logit), error.norm(dim=-1), W)


class StraightThroughLearner(Learner):
    """One loss for all: the action error and the price of the probable writes."""

    def backward(self, loss: Tensor, rollout: Rollout, price: float, weight: float) -> None:
        """Gradients of both at once; the price is that of the writes to be expected, per asked step."""
        torch.autograd.backward(loss + price * rollout.scan.scores.sum() / weight)
