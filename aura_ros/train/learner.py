# SPDX-License-Identifier: Apache-2.0
"""One optimiser step for any memory: the action loss, and for a gated memory the loss of its gate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aura_ros.train.counterfactual import LossesOf, Sequences, draw_steps, gains_of_writes, gate_loss, taught_loss
from aura_ros.train.modules.base import MemoryModule, Rollout
from aura_ros.train.modules.content_addressed import ContentAddressedModule
from aura_ros.train.modules.gate import AuraModule, Gated
from aura_ros.train.teacher import Teacher


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
    """Fraction of the training before which steps are written at random, or those of a teacher. From then on the gate
    decides.
    """
    open_share: float = 1.0
    """Share of the steps that are written at random until then; 1 writes every step."""
    learn_from: float = 1.0
    """Fraction of the training after which the gate learns, `open_until` at the latest."""
    price_full: float = 0.7
    """Fraction of the training at which the price is full. It rises from zero."""
    probe: float = 0.1
    """Share of the steps at which the slope of the loss is measured, for dense fast weights."""
    flips: int = 4
    """Steps of each sequence at which the worth of a write is measured, for content-addressed fast weights. 0 measures
    none.
    """
    imitation: float = 1.0
    """Weight of the loss by which a gate of content-addressed fast weights learns from a teacher, also while it
    decides. The worth of a write in a demonstration does not show what a policy does without it, because the
    demonstration goes on as before.
    """
    focus: float = 0.0
    """How much this loss looks at the steps whose score is wrong, see `counterfactual.taught_loss`."""


class Learner:
    """AdamW with a one-cycle schedule over one memory.

    Args:
        model: trained in place.
        optimisation: how long and how fast.
        gate: how the gate learns; memories without a gate ignore it.
        lessons: what else is trained, with a loss of its own in each `step`; None for nothing.

    Attributes:
        state: state after the last batch, as the scan of the memory returns it.
    """

    def __init__(
        self,
        model: MemoryModule,
        optimisation: Optimisation,
        gate: GateTraining | None = None,
        lessons: nn.Module | None = None,
    ) -> None:
        self._model, self._settings, self._gate = model, optimisation, gate or GateTraining()
        self._parameters = [*model.parameters(), *(lessons.parameters() if lessons is not None else ())]
        self._optimiser = torch.optim.AdamW(self._parameters, weight_decay=optimisation.weight_decay)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, optimisation.learning_rate, total_steps=optimisation.steps
        )
        self._step = 0
        self.state: Any = None

    def step(
        self,
        z: Tensor,
        base: Tensor,
        losses_of: LossesOf,
        weight: float,
        schedule: Tensor | None = None,
        asked: Tensor | None = None,
        state: Any = None,
        teacher: Teacher | None = None,
        lesson: Callable[[Rollout], Tensor] | None = None,
    ) -> tuple[float, float]:
        """Learn from one batch.

        Args:
            z: features [B, T, D].
            base: base chunks [B, T, C, A].
            losses_of: the weighted loss of each asked step, [...], for its actions [..., C, A].
            weight: number of these steps, or the sum of their weights; the action loss is the sum over it.
            schedule: writes of fast weights without a gate, [B, T].
            asked: steps whose action the loss needs, bool [B, T]; None means all.
            state: first state, as the scan of the memory takes it; None means empty.
            teacher: writes of a gated memory until its gate decides; None writes at random. Afterwards, they are among
                the steps at which the worth of a write is measured, and the gate goes on learning from them.
            lesson: another loss, []; dense fast weights have none while their gate learns, because the gate learns the
                worth of a write for the actions by the gradient of the whole loss.

        Returns:
            action loss; share of steps written.
        """
        done = self._step / self._settings.steps
        gated = isinstance(self._model, Gated) and self._model.has_gate and schedule is None
        early = gated and done < self._gate.open_until
        imitates = early and teacher is not None and isinstance(self._model, ContentAddressedModule)
        begin = min(self._gate.learn_from, self._gate.open_until)
        learning = gated and not imitates and done >= begin
        if early:
            schedule = teacher.writes if teacher is not None else self._explore(z)
        sequences = Sequences(z, base, state, asked)
        probe = {'probe': self._gate.probe} if learning and isinstance(self._model, AuraModule) else {}
        rollout = self._model(z, base, state, asked=asked, schedule=schedule, **probe)
        loss = losses_of(rollout.actions).sum() / weight
        error = loss.item()
        if lesson is not None and not probe:
            loss = loss + lesson(rollout)
        if gated and teacher is not None and isinstance(self._model, ContentAddressedModule):
            loss = loss + self._gate.imitation * taught_loss(self._model, rollout, teacher, self._gate.focus)
        self._optimiser.zero_grad()
        if learning:
            ramp = (done - begin) / (self._gate.price_full - begin)
            price = self._gate.price * min(ramp, 1.0)
            if isinstance(self._model, AuraModule):
                self.backward(loss, rollout, price, weight)
            else:
                torch.autograd.backward(loss)
                if self._gate.flips:
                    self._teach_gate(sequences, rollout, losses_of, price, teacher)
        else:
            torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._parameters, self._settings.clip)
        self._optimiser.step()
        self._schedule.step()
        self._step += 1
        self.state = rollout.scan.state
        return error, float(rollout.scan.written.mean())

    def _explore(self, z: Tensor) -> Tensor:
        """Return which steps are written before the gate decides, [B, T]."""
        share = self._gate.open_share
        return z.new_ones(z.shape[:2]) if share == 1.0 else (torch.rand(z.shape[:2]) < share).to(z.dtype)

    def _teach_gate(
        self, sequences: Sequences, rollout: Rollout, losses_of: LossesOf, price: float, teacher: Teacher | None
    ) -> None:
        """Add the gradient of the gate of content-addressed fast weights."""
        assert isinstance(self._model, ContentAddressedModule)
        steps = draw_steps(rollout.scan.scores, self._gate.flips, None if teacher is None else teacher.writes)
        gains = gains_of_writes(self._model, sequences, rollout, losses_of, steps)
        torch.autograd.backward(gate_loss(self._model, rollout, steps, gains - price))

    def backward(self, loss: Tensor, rollout: Rollout, price: float, weight: float) -> None:
        """Compute the gradients of the action loss, and then those of the gate, which depend on them."""
        assert isinstance(self._model, AuraModule)
        torch.autograd.backward(loss)
        torch.autograd.backward(self._model.gate_loss(rollout, price, weight))
