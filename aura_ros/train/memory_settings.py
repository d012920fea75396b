# SPDX-License-Identifier: Apache-2.0
"""How memories are trained: what can be set, and what the memories that ship were trained with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from aura_ros.train.learner import GateTraining, Optimisation


@dataclass(frozen=True)
class MemoryTraining:
    """Settings of the training of a memory."""

    batch: int = 24
    """Sequences per step."""
    rounds: int = 3
    """Consecutive rounds in a sequence: at least 2, or nothing has to be overwritten."""
    idle_weight: float = 0.25
    """Weight of the action error while the go sign is off."""
    keep_idle: float = 0.4
    """Share of the steps between cue and go sign to train on."""
    put_back_from: float = 0.0
    """Fraction of the training at which put_back joins the other tasks."""
    feature_noise: float = 0.2
    """Standard deviation of what is added to the features, in units of theirs."""
    used: float = 0.9
    """Share of the sequences of fast weights that begin from a state that another of the same task ended with, not from
    an empty one: the state is never reset in use, so it must be written over and over in training too.
    """
    mixed: float = 0.0
    """Share of those that may take the state of any task, for in use tasks follow on each other as well."""
    key_scale: float = math.e
    """Length of the keys of fast weights at first, beside the constant 1 that is a part of them. Where it is small
    every write goes to nearly the same place: what is held is what was written last, and what is held of another cue
    cannot be taken for known. Long keys keep apart what is written at every step.
    """
    seed: int = 0
    """Of initialisation and sampling."""
    threads: int = 1
    """CPU threads of torch."""
    optimisation: Optimisation = field(default_factory=lambda: Optimisation(steps=4000))
    """How long and how fast to learn."""
    gate: GateTraining = field(default_factory=lambda: GateTraining(0.2, 0.4, price_full=0.85))
    """How the gate learns; other memories take no notice."""


KINDS = ('aura', 'kv', 'always', 'gru', 'lstm', 'ssm', 'elmur', 'memoryless')
"""What can be trained, with AURA's number of parameters; random and periodic would need a budget."""

SETTINGS = {
    **dict.fromkeys(KINDS, MemoryTraining()),
    # one place for all cannot be learnt while every step is written, so a guide says what to write at first
    'aura': MemoryTraining(
        mixed=0.5, key_scale=math.exp(-1.5), gate=GateTraining(0.2, 0.4, learn_from=0.1, price_full=0.8, probe=0.03)
    ),
    # with both from the start its one attention head learns neither
    'kv': MemoryTraining(put_back_from=0.5),
}
"""What the memories that ship are trained with, on demonstrations."""

GUIDES = {'aura': MemoryTraining()}
"""What the guides of those that need one are trained with: a memory of the same kind that learns without a guide."""
