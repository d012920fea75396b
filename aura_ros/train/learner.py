# SPDX-License-Identifier: Apache-2.0
"""One optimiser step for any memory: the action loss, and for a gated memory the loss of its gate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aura_ros.train.modules.base import MemoryModule, Rollout
from aura_ros.train.modules.gate import AuraModule


@dataclass(frozen=True)
class Optimisation:
    """How long and how fast to learn."""

    steps: int = 1500
    """Optimiser steps."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    clip: float = 1.0
    """Largest norm of the gradient."""


@dataclass(frozen=True)
class GateTraining:
    """How the gate learns."""

    price: float = 0.2
    """Price of a write: it must save later steps this much in total, in units of the action loss of one step."""
    open_until: float = 0.3
    """Fraction of the training before which every step is written, or the steps that a teacher names. The gate decides
    from then on.
    """
    learn_from: float = 1.0
    """Fraction of the training after which the gate learns, `open_until` at the latest."""
    price_full: float = 0.7
    """Fraction of the training at which the price is full. It rises from zero."""
    probe: float = 0.1
    """Share of the steps at which the worth of a write is measured."""


class Learner:
    """AdamW with a one-cycle schedule over one memory.

    Args:
        model: trained in place.
        optimisation: how long and how fast.
        gate: how the gate learns; memories without a gate ignore it.

    Attributes:
        state: state after the last batch, as the scan of the memory returns it.
    """

    def __init__(self, model: MemoryModule, optimisation: Optimisation, gate: GateTraining | None = None) -> None:
        self._model, self._settings, self._gate = model, optimisation, gate or GateTraining()
        self._optimiser = torch.optim.AdamW(model.parameters(), weight_decay=optimisation.weight_decay)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, optimisation.learning_rate, total_steps=optimisation.steps
        )
        self._step = 0
        self.state: Any = None

    def step(
        self,
        z: Tensor,
        base: Tensor,
        loss_of: Callable[[Rollout], Tensor],
        weight: float,
        schedule: Tensor | None = None,
        asked: Tensor | None = None,
        state: Any = None,
        teacher: MemoryModule | None = None,
    ) -> tuple[float, float]:
        """Learn from one batch.

        Args:
            z: features [B, T, D].
            base: base chunks [B, T, C, A].
            loss_of: the action loss, a mean over the asked steps.
            weight: number of steps in that mean, or the sum of their weights.
            schedule: writes of fast weights without a gate, [B, T].
            asked: steps whose action the loss needs, bool [B, T]; None means all.
            state: first state, as the scan of the memory takes it; None means empty.
            teacher: decides the writes of a gated memory until its own gate does; None writes every step.

        Returns:
            action loss; share of steps written.
        """
        done = self._step / self._settings.steps
        gated = isinstance(self._model, AuraModule) and schedule is None
        begin = min(self._gate.learn_from, self._gate.open_until)
        learning = gated and done >= begin
        if gated and done < self._gate.open_until:
            schedule = z.new_ones(z.shape[:2]) if teacher is None else _decided(teacher, z, base, asked)
        probe = self._gate.probe if learning else 0.0
        rollout = self._model(z, base, state, asked=asked, schedule=schedule, probe=probe)
        loss = loss_of(rollout)
        self._optimiser.zero_grad()
        if learning:
            ramp = (done - begin) / (self._gate.price_full - begin)
            self.backward(loss, rollout, self._gate.price * min(ramp, 1.0), weight)
        else:
            torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._settings.clip)
        self._optimiser.step()
        self._schedule.step()
        self._step += 1
        self.state = rollout.scan.state
        return loss.item(), float(rollout.scan.written.mean())

    def backward(self, loss: Tensor, rollout: Rollout, price: float, weight: float) -> None:
        """Compute the gradients of the action loss, and then those of the gate, which depend on them."""
        assert isinstance(self._model, AuraModule)
        torch.autograd.backward(loss)
        torch.autograd.backward(self._model.gate_loss(rollout, price, weight))


@torch.no_grad()
def _decided(teacher: MemoryModule, z: Tensor, base: Tensor, asked: Tensor | None) -> Tensor:
    """Return what a memory writes in these sequences from an empty state, [B, T]."""
    rollout: Rollout = teacher(z, base, asked=asked)
    return rollout.scan.written
