# SPDX-License-Identifier: Apache-2.0
"""Settings of the training of memories, and those of the memories that ship."""

import math
from dataclasses import dataclass, field, replace

from aura_ros.common.errors import ConfigError
from aura_ros.common.names import TRAINED_MEMORIES
from aura_ros.train.learner import GateTraining, Optimisation


@dataclass(frozen=True)
class MemoryTraining:
    """Settings of the training of a memory."""

    batch: int = 24
    """Sequences per step."""
    rounds: int = 3
    """Consecutive rounds in a sequence, at least 2: with fewer, nothing has to be overwritten."""
    idle_weight: float = 0.25
    """Weight of the action error while the go sign is off."""
    keep_idle: float = 0.4
    """Smallest share of the steps between cue and go sign to train on."""
    keep_idle_most: float = 0.4
    """Largest share of them; each sequence has its own. A gated state does not change without a write, so its waits
    may be short. A state that changes at every step has to learn waits of all lengths, up to the whole wait.
    """
    put_back_from: float = 0.0
    """Fraction of the training at which put_back joins the other tasks."""
    feature_noise: float = 0.2
    """Standard deviation of the noise on the features, in units of their own."""
    noise_within: bool = False
    """Whether the noise is in units of the variation within the sequence. What is constant there, such as the words of
    one instruction, then has no noise.
    """
    recolour: float = 0.8
    """Share of the sequences with other colours, see `recolour.py`."""
    used: float = 0.9
    """Share of the sequences that start from the last state of another sequence of the same task. The others start
    empty. In use the state is never reset, so training has to overwrite used states as well.
    """
    mixed: float = 0.0
    """Share of those that may start from the state of any task, because tasks alternate in use as well."""
    key_scale: float = math.e
    """Initial length of the keys of fast weights, beside their constant 1. With short keys, every write goes to nearly
    the same place: the memory holds the last write, and no other cue counts as known. Long keys separate the writes of
    different steps.
    """
    key_spread: float = 1.0
    """Initial length of the part of content-addressed keys that depends on the step, beside a constant part of
    length 1. Below 0.8, most keys match each other better than the threshold, and so all writes go to one row at first.
    One row cannot begin to separate things if the last one is never asked for, as in *many*.
    """
    addressing: str = 'dense'
    """How fast weights are addressed, 'dense' or 'content'. Other memories ignore it."""
    modes: int = 1
    """Maps of a stored value from which each write chooses, for content-addressed fast weights."""
    taught: bool = False
    """Whether the demonstrations decide the writes until the gate does, see `teacher.py`; else chance does.
    Memories without a gate ignore it.
    """
    late: float = 0.0
    """Share of the changes that the teacher writes at a later step than the first one that shows them."""
    by_error: float = 0.0
    """Share of the sequences whose task is drawn in proportion to its action error. The task of the others is drawn
    evenly, so that the head also learns when to leave the base action unchanged.
    """
    read_weight: float = 0.3
    """Weight of naming the colours that are due by the read-out, see `lessons.py`."""
    name_waits: bool = False
    """Whether the read-outs of *recall* also name the colour while it waits for the go sign. A state that only writes
    change does not need this.
    """
    key_weight: float = 0.1
    """Weight of matching the keys of one lamp and the queries for it. Only content-addressed fast weights have it."""
    dropout: float = 0.0
    """Share of branches and attention weights that ELMUR drops in training, and of a quarter of it of what it writes.
    Other memories ignore it.
    """
    seed: int = 0
    """Of initialisation and sampling."""
    threads: int = 1
    """CPU threads of torch."""
    optimisation: Optimisation = field(default_factory=lambda: Optimisation(steps=4000))
    """How long and how fast to learn."""
    gate: GateTraining = field(default_factory=lambda: GateTraining(0.2, 0.4, price_full=0.85))
    """How the gate learns. Memories without a gate ignore it."""


_EVERY_WAIT = MemoryTraining(keep_idle_most=1.0)

SETTINGS = {
    **dict.fromkeys(TRAINED_MEMORIES, _EVERY_WAIT),
    # with writes at every step or at random steps, it does not learn which looks belong to one thing
    'aura': MemoryTraining(
        mixed=0.5,
        key_scale=math.exp(-1.5),
        taught=True,
        gate=GateTraining(0.2, 0.4, learn_from=0.1, price_full=0.8, probe=0.03),
    ),
    # its single attention head learns neither recall nor put_back if both are there from the start
    'kv': replace(_EVERY_WAIT, put_back_from=0.5, by_error=0.5, optimisation=Optimisation(steps=6000)),
    # without dropout and other colours, what it writes does not generalise to other episodes
    'elmur': replace(
        _EVERY_WAIT,
        by_error=0.5,
        noise_within=True,
        read_weight=1.0,
        name_waits=True,
        dropout=0.1,
        optimisation=Optimisation(steps=6000, learning_rate=1e-3),
    ),
}
"""Settings of the memories that ship, on demonstrations."""

CONTENT = replace(
    SETTINGS['aura'],
    addressing='content',
    modes=3,
    by_error=0.5,
    late=0.4,
    optimisation=Optimisation(steps=10_000, learning_rate=4e-3),
    gate=GateTraining(0.1, 0.85, price_full=0.9, flips=2, imitation=5.0),
)
"""Settings of content-addressed fast weights."""


def settings_of(kind: str, addressing: str, seed: int) -> MemoryTraining:
    """Return the settings of the training of a memory on demonstrations.

    Raises:
        ConfigError: content addressing is asked of a memory that has none.
    """
    if addressing == 'content':
        if kind not in ('aura', 'always'):
            raise ConfigError(f'--addressing content is for --memory aura or always, got --memory {kind}')
        settings = CONTENT if kind == 'aura' else replace(_EVERY_WAIT, addressing='content')
    else:
        settings = SETTINGS.get(kind, MemoryTraining())
    return replace(settings, seed=seed)


def refined(settings: MemoryTraining) -> MemoryTraining:
    """Return the settings with which a trained memory learns on, from driven episodes as well.

    The rate is lower, and the gate decides from an earlier fraction on, because it has learned its decisions before.
    What is due teaches it. The worth of a write in a demonstration would close it for the go signs of *sequence*.
    """
    before = settings.optimisation
    optimisation = replace(before, steps=3000, learning_rate=before.learning_rate / 2)
    gate = replace(settings.gate, open_until=0.5, flips=0, imitation=20.0, focus=2.0)
    return replace(settings, put_back_from=0.0, noise_within=True, optimisation=optimisation, gate=gate)
