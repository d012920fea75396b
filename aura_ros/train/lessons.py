# SPDX-License-Identifier: Apache-2.0
"""What demonstrations teach a memory beside the actions: what a read-out holds, and which cue a query finds.

The action error changes little until writes, keys, read-outs and head all work together. A queue of colours, or several
lamps, are therefore not learned from it alone. The demonstrations know which colours have still to be touched, and
which lamp the instruction asks for. In training only, a small network has to name these colours by the read-out, and
the keys of one lamp have to match each other and the queries for it. The weights that ship have no part of this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from aura_ros.common.names import EventKind
from aura_ros.train.modules import ContentAddressedModule, MemoryModule
from aura_ros.train.modules.base import Rollout

DUE = 4
"""Colours of a step that are named, the next one first."""

NOTHING, UNKNOWN = 3, -1
"""In place of a colour, 0 to 2: no further one has to be touched; not known, so nothing is learned."""

_WIDTH = 64
_MATCH, _SHARPNESS = 0.6, 10.0


@dataclass(frozen=True)
class Labels:
    """What the steps of sequences teach, int64 [B, T, ...], or [T, ...] of one sequence; `UNKNOWN` teaches nothing."""

    due: Tensor
    """Colours still to be touched, [B, T, DUE]: 0 to 2, then NOTHING."""
    shown: Tensor
    """Lamp whose cue the step shows, [B, T]."""
    asked: Tensor
    """Lamp that the step asks for, [B, T]."""


LABELS = tuple(field.name for field in fields(Labels))
"""Names of the columns of `Labels`."""


def labels_of(task: str, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
    """Return the columns of `Labels` for an episode, int64 [T, ...].

    Args:
        task: name of the task.
        columns: event, round, since (`sequences.shown_since`), and light, colour and answer (`recolour.find_colours`),
            int64 [T].
    """
    light, none = columns['light'], np.full(len(columns['light']), UNKNOWN)
    if task == 'sequence':
        return {'due': colours_due(columns), 'shown': none, 'asked': none}
    due = np.stack([columns['answer'], *[none] * (DUE - 1)], 1)
    if task != 'many':
        return {'due': due, 'shown': none, 'asked': none}
    shown = np.where(columns['event'] == EventKind.CUE, light, UNKNOWN)
    return {'due': due, 'shown': shown, 'asked': np.where(columns['answer'] >= 0, light[columns['since']], UNKNOWN)}


def colours_due(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Return the colours of a sequence that were shown in the round and not touched yet, int64 [T, DUE].

    They are not known from the end of a round to the next cue, because a memory need not write the end.
    """
    light, colour = columns['light'], columns['colour']
    due, waiting, ended = np.full((len(light), DUE), NOTHING), list[int](), False
    for t in range(len(light)):
        if t and columns['round'][t] != columns['round'][t - 1]:
            waiting = []
        if columns['event'][t] == EventKind.PART:
            waiting = waiting[1:]
        ended |= columns['event'][t] in (EventKind.ROUND_SUCCESS, EventKind.ROUND_FAILURE)
        if light[t] >= 0 and (t == 0 or light[t - 1] != light[t]):
            waiting, ended = [*waiting, int(colour[t])], False
        due[t, : len(waiting)] = waiting
        due[t] = UNKNOWN if ended else due[t]
    return due


class Lessons(nn.Module):
    """The losses of the labels.

    Args:
        readout_dim: length of a read-out.
        read_weight: weight of the loss of the read-outs, in units of the action error.
        key_weight: weight of the loss of keys and queries.
    """

    def __init__(self, readout_dim: int, read_weight: float, key_weight: float) -> None:
        super().__init__()
        self.names = nn.Sequential(nn.Linear(readout_dim, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, DUE * (NOTHING + 1)))
        self._read_weight, self._key_weight = read_weight, key_weight

    def loss(self, model: MemoryModule, rollout: Rollout, labels: Labels) -> Tensor:
        """Return the weighted sum of the losses, [].

        Args:
            model: the memory.
            rollout: what it did with the sequences.
            labels: of their steps.
        """
        loss = rollout.actions.new_zeros(())
        known = labels.due >= 0
        if bool(known.any()):
            named = self.names(rollout.scan.readout).unflatten(-1, (DUE, NOTHING + 1))
            loss = loss + self._read_weight * F.cross_entropy(named[known], labels.due[known])
        inputs = rollout.scan.gate_inputs
        if isinstance(model, ContentAddressedModule) and inputs is not None:
            loss = loss + self._key_weight * key_loss(*model.addresses(inputs.code), labels)
        return loss


def key_loss(keys: Tensor, queries: Tensor, labels: Labels) -> Tensor:
    """Return how badly keys and queries match those of the same lamp, and differ from those of others, [].

    Args:
        keys: of unit length, [B, T, K].
        queries: of unit length, [B, T, K].
        labels: of the steps.
    """
    shown, asked = labels.shown, labels.asked
    cue = shown[:, None] >= 0
    earlier = torch.ones(shown.shape[1], shown.shape[1], dtype=torch.bool).tril()
    found = _match_loss(queries, keys, (asked[..., None] >= 0) & cue & earlier, asked[..., None] == shown[:, None])
    return found + _match_loss(keys, keys, (shown[..., None] >= 0) & cue, shown[..., None] == shown[:, None])


def _match_loss(left: Tensor, right: Tensor, counts: Tensor, same: Tensor) -> Tensor:
    """Return the mean logistic loss of the pairs that match, plus that of those that differ.

    Args:
        left, right: vectors of unit length, [B, T, K].
        counts: pairs that count, bool [B, T, T].
        same: pairs that match, bool [B, T, T].
    """
    logits = _SHARPNESS * (left @ right.mT - _MATCH)
    pairs = ((counts & same, logits), (counts & ~same, -logits))
    return sum((F.softplus(-good[chosen]).mean() for chosen, good in pairs if bool(chosen.any())), logits.new_zeros(()))
