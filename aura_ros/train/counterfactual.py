# SPDX-License-Identifier: Apache-2.0
"""What a write is worth, measured: the same sequences once more, with one decision of the gate turned over.

The gate answers one question: what would later actions lose without this write? For some steps of each sequence, the
sequence runs again with the other decision at this one step, and with all other decisions as they were. The difference
of the two action losses is the gain of the write, with all later queries included:

    gain = L(no write) - L(write)

`modules/gate.py` has the loss by which the gate learns whether the gain exceeds the price. While a teacher decides the
writes, the gate learns to decide as the teacher does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from aura_ros.train.modules.base import Rollout
from aura_ros.train.modules.content_addressed import ContentAddressedModule
from aura_ros.train.modules.gate import stake_loss
from aura_ros.train.teacher import Teacher

_CERTAIN = 1e-3
"""Share in the draw of a step whose score is 0 or 1; one whose score is 1/2 has 1/4."""

LossesOf = Callable[[Tensor], Tensor]
"""Maps the actions of a rollout, [..., C, A], to the weighted loss of each of them, [...]."""


@dataclass(frozen=True)
class Sequences:
    """Input of a memory, B sequences of T steps."""

    z: Tensor
    """Features [B, T, D]."""
    base: Tensor
    """Base chunks [B, T, C, A]."""
    state: Tensor | None = None
    """First states; None means empty."""
    asked: Tensor | None = None
    """Steps whose actions have a loss, bool [B, T]; None means all."""

    def repeat(self, times: int) -> 'Sequences':
        """Return the sequences `times` times, one copy after the other."""
        parts = (self.z, self.base, self.state, self.asked)
        return Sequences(*(part if part is None else part.repeat(times, *[1] * (part.dim() - 1)) for part in parts))

    def sums(self, losses: Tensor) -> Tensor:
        """Return the sum of the losses of each sequence, [B]."""
        if self.asked is None:
            return losses.flatten(1).sum(1)
        return losses.new_zeros(len(self.z)).index_add(0, self.asked.nonzero()[:, 0], losses)


@torch.no_grad()
def gains_of_writes(
    model: ContentAddressedModule, sequences: Sequences, rollout: Rollout, losses_of: LossesOf, steps: Tensor
) -> Tensor:
    """Return what the write of a step gains, whether it was made or not.

    Args:
        model: the memory.
        sequences: its input.
        rollout: what it did with them.
        losses_of: the weighted loss of each action.
        steps: R steps of each sequence, int [R, B].

    Returns:
        L(no write) - L(write), [R, B], where L is the sum of the losses of the sequence.
    """
    copies, where = sequences.repeat(len(steps)), steps[..., None]
    writes = (rollout.scan.written > 0).to(sequences.z.dtype).repeat(len(steps), 1, 1)
    made = writes.gather(2, where)
    writes.scatter_(2, where, 1 - made)
    other = model(copies.z, copies.base, copies.state, asked=copies.asked, schedule=writes.flatten(0, 1), compare=False)
    actions = other.actions.unflatten(0, (len(steps), -1))
    losses = torch.stack([losses_of(each) for each in actions]).flatten(0, 1)
    change = copies.sums(losses).view(steps.shape) - sequences.sums(losses_of(rollout.actions))
    return torch.where(made[..., 0] > 0, change, -change)


@torch.no_grad()
def draw_steps(scores: Tensor, count: int, teacher: Tensor | None = None) -> Tensor:
    """Return `count` steps of each sequence, int [count, B].

    They are drawn in equal parts from all steps, from those at which the gate is undecided, and from those at which the
    teacher writes: a gate that is certain not to write there is seldom measured otherwise.

    Args:
        scores: probabilities of a write, [B, T].
        count: steps of each sequence.
        teacher: writes of a teacher, 0 or 1, [B, T]; None means no part of them.
    """
    doubt = scores * (1 - scores) + _CERTAIN
    shares = doubt / doubt.sum(1, keepdim=True) + 1 / scores.shape[1]
    if teacher is not None:
        shares = shares + teacher / teacher.sum(1, keepdim=True).clamp(min=1)
    return torch.multinomial(shares, count, replacement=True).T


def gate_loss(model: ContentAddressedModule, rollout: Rollout, steps: Tensor, stakes: Tensor) -> Tensor:
    """Return the loss of the gate.

    Args:
        model: the memory.
        rollout: what it did.
        steps: R steps of each sequence, int [R, B].
        stakes: gain minus price of a write at these steps, [R, B].
    """
    inputs, sequence = rollout.scan.gate_inputs, torch.arange(steps.shape[1]).expand_as(steps)
    assert inputs is not None, 'the memory has no gate'
    logit = model.gate_logit(inputs.code[sequence, steps].detach(), inputs.error[sequence, steps])
    return stake_loss(logit, stakes)


def taught_loss(model: ContentAddressedModule, rollout: Rollout, teacher: Teacher, focus: float = 0.0) -> Tensor:
    """Return the loss of a gate that learns what a teacher finds due after the writes of the rollout.

    Its mean over all steps hides the few that look like a change and are none, because one step in forty is due and
    most of the others are easy. So each step counts with a power of how wrong its score is, as in the focal loss
    (arXiv 1708.02002). The gradient also reaches the codes, because they have to show the difference between a cue and
    a distractor.

    Args:
        model: the memory.
        rollout: what it did.
        teacher: what should be written.
        focus: the power; 0 is the mean over all steps.
    """
    inputs = rollout.scan.gate_inputs
    assert inputs is not None, 'the memory has no gate'
    due = teacher.due(rollout.scan.written)
    loss = F.binary_cross_entropy_with_logits(model.gate_logit(inputs.code, inputs.error), due, reduction='none')
    return ((1 - torch.exp(-loss)) ** focus * loss).mean()
