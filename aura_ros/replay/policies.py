# SPDX-License-Identifier: Apache-2.0
"""The policies of a replay, each the backbone with one memory, by the names of the command line.

    base       the frozen VLA alone
    aura       AURA-Mem, with its learned gate
    kv         a key-value cache of every step
    kv-window  the same cache, of the last steps only
    always     AURA's weights, a write at every step
    random     AURA's weights, as many writes as AURA, at random steps
    periodic   AURA's weights, as many writes as AURA, evenly spaced
    elmur      ELMUR, if weights are given
    memoryless the same head without a state, if weights are given

`always`, `random` and `periodic` differ from AURA only in when they write. The difference is the value of the gate.
`random` and `periodic` need the number of AURA's writes, so AURA runs before them.

A policy with a memory also has an action head, and the head alone can follow a recording better than base. The gain
over `memoryless` is what the memory adds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionSpec
from aura_ros.common.errors import ConfigError
from aura_ros.common.text_files import read_object
from aura_ros.memory.aura import FastWeightMemory
from aura_ros.memory.kinds import KINDS, build_memory
from aura_ros.memory.layers import Floats
from aura_ros.memory.none import NoMemory
from aura_ros.memory.protocol import Memory
from aura_ros.memory.schedules import Always, WriteSchedule
from aura_ros.memory.trial import check_weights
from aura_ros.memory.weights import MemoryWeights, load_weights
from aura_ros.state.format import HEADER, MAX_PAYLOAD, SLOT_BYTES, array_bytes
from aura_ros.state.wear import PAGE_BYTES, cache_wear

TITLES = {
    'base': 'frozen VLA alone',
    'aura': 'AURA-Mem, learned gate',
    'kv': 'KV-cache of all steps',
    'kv-window': 'KV-cache, windowed',
    'always': "AURA's weights, a write at every step",
    'random': "AURA's weights, random writes",
    'periodic': "AURA's weights, periodic writes",
    'elmur': 'ELMUR',
    'memoryless': 'the action head alone, no memory',
}
"""Policies known by name, in the order of the report."""

KIND = {'base': 'none', 'kv-window': 'kv', 'always': 'aura', 'random': 'aura', 'periodic': 'aura'}
"""Kind of memory by policy, where the names differ."""
CONTROL = 'memoryless'
"""Policy that the memories are compared with: the same head without a state."""
_SCHEDULED = ('random', 'periodic')
_LEARNED_GATES = ('aura', 'reconstruction')


@dataclass(frozen=True)
class Budget:
    """How often a schedule may write."""

    writes: int
    steps: int
    """Number of steps to spread the writes over."""


@dataclass(frozen=True)
class PolicyOptions:
    """What the policies are made with."""

    feature_dim: int
    """Length of the backbone's feature vector."""
    chunk: tuple[int, int]
    """Actions of a chunk and joints of an action."""
    backbone_hash: str = ''
    """SHA-256 of the backbone's weights, hex; empty if unknown."""
    weights: Mapping[str, Path] = field(default_factory=dict)
    """Weights files by policy. Other policies use the shipped weights."""
    window: int = 512
    """Steps that 'kv-window' keeps."""
    seed: int = 0
    """Seed of the steps at which 'random' writes."""
    actions: ActionSpec | None = None
    """What the actions of the backbone mean; None: not checked."""


@dataclass(frozen=True)
class ReplayedPolicy:
    """A policy of the replay, ready to run."""

    name: str
    title: str
    """Description for people."""
    memory: Memory
    gated: bool
    """Whether a learned gate decides when the memory writes."""
    trained_on: tuple[str, ...] = ()
    """SHA-256 of each recording that its weights were trained on, and the weights that they continue; by their card."""

    def device_bytes(self, writes: int, steps: int) -> int:
        """Return the bytes that a storage device takes to keep the memory through a power cut.

        A state that grows is a log: every step appends an entry. Any other state is a file of two slots, as in
        memory_node: every write rewrites one slot, and the first write fills both.
        """
        size, layout = self.memory.state_bytes, self.memory.state_layout
        if not layout or not writes:
            return 0
        if '*' in layout:
            entry_bytes = sum(array_bytes(layout.replace('*,', '')))  # '<f4[*,64]' has entries '<f4[64]'
            return cache_wear(steps, entry_bytes).device_bytes
        # A state that is too large for a slot of the state file needs whole pages of its own.
        slot = SLOT_BYTES if size <= MAX_PAYLOAD else -(-(size + HEADER.size) // PAGE_BYTES) * PAGE_BYTES
        return (writes + 1) * slot


class Schedule:
    """A write policy that follows a list of decisions, one for each step of the recording."""

    threshold = 0.5

    def __init__(self, writes: NDArray[np.bool_]) -> None:
        self._writes, self._step = writes, 0

    def reset(self) -> None:
        """Do nothing: the list continues through all episodes."""

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """Return 1 to write at this step, else 0; see `WriteSchedule`."""
        written = self._step < len(self._writes) and bool(self._writes[self._step])
        self._step += 1
        return float(written)


def random_writes(budget: Budget, seed: int) -> NDArray[np.bool_]:
    """Return `budget.writes` of the steps, every set of them with equal probability."""
    chosen = np.zeros(budget.steps, np.bool_)
    chosen[np.random.default_rng(seed).choice(budget.steps, budget.writes, replace=False)] = True
    return chosen


def periodic_writes(budget: Budget) -> NDArray[np.bool_]:
    """Return `budget.writes` of the steps, spaced as evenly as possible from the first step on."""
    chosen = np.zeros(budget.steps, np.bool_)
    chosen[np.arange(budget.writes) * budget.steps // max(1, budget.writes)] = True
    return chosen


def make_policy(name: str, options: PolicyOptions, budget: Budget | None = None) -> ReplayedPolicy:
    """Make a policy with an empty memory.

    Args:
        name: one of `TITLES`, or another name with weights in the options.
        options: sizes, weights and settings.
        budget: AURA's number of writes, for 'random' and 'periodic'.

    Raises:
        ConfigError: the weights cannot be used or belong to another backbone.
    """
    if name == 'base':
        return ReplayedPolicy(name, TITLES[name], NoMemory(options.feature_dim, options.chunk), False)
    scheduled = name in ('always', *_SCHEDULED)
    path = options.weights.get(name) or options.weights.get(KIND.get(name, name))
    kind = KIND.get(name, name) if path is None else _kind_of(path)
    if name in TITLES and kind not in (name, KIND.get(name, name)):
        raise ConfigError(
            f'--weights {name}={path}: weights of the memory {kind!r} cannot be used for the policy {name!r}; '
            'use a policy name of your own'
        )
    weights = load_weights(kind, str(path) if path else None)
    check_weights(kind, weights, path)
    _check_fits(name, weights, options)
    if scheduled:
        memory: Memory = FastWeightMemory(name, weights, _schedule(name, options, budget))
    else:
        memory = build_memory(kind, weights, options.window if name == 'kv-window' else 0)
    title = f'{TITLES[name]}, {options.window} steps' if name == 'kv-window' else TITLES.get(name, f'your {kind}')
    gated = kind in _LEARNED_GATES and not scheduled
    return ReplayedPolicy(name, title, memory, gated, _trained_on(weights.card))


def needs_budget(name: str) -> bool:
    """Return whether a policy needs the number of AURA's writes."""
    return name in _SCHEDULED


def _schedule(name: str, options: PolicyOptions, budget: Budget | None) -> WriteSchedule:
    if name == 'always':
        return Always()
    if budget is None:
        raise ConfigError(f'the policy {name!r} needs a budget: run aura first')
    return Schedule(random_writes(budget, options.seed) if name == 'random' else periodic_writes(budget))


def _kind_of(path: Path) -> str:
    """Return the kind of memory that a weights file belongs to, by its card."""
    card = path.with_suffix('.json')
    for needed in (path, card):
        if not needed.is_file():
            raise ConfigError(f'--weights: {needed} does not exist')
    kind = read_object(card).get('memory')
    if kind not in KINDS:
        raise ConfigError(f'--weights: {card} has memory {kind!r}: must be one of {", ".join(KINDS)}')
    return str(kind)


def _check_fits(name: str, weights: MemoryWeights, options: PolicyOptions) -> None:
    """Refuse weights of another backbone or shape, as the nodes do."""
    wanted, given = weights.backbone_hash, options.backbone_hash
    if wanted and given and wanted != given:
        raise ConfigError(
            f'policy {name}: its memory was trained for the backbone {wanted[:12]}, but the steps are from '
            f'{given[:12]}; give weights trained for that backbone: --weights {name}=FILE'
        )
    shape = (weights.feature_dim, weights.chunk_size, weights.action_dim)
    if shape != (options.feature_dim, *options.chunk):
        raise ConfigError(
            f'policy {name}: its memory was trained for {shape[0]} features and chunks of {shape[1]} x {shape[2]}, but '
            f'the steps have {options.feature_dim} and {options.chunk[0]} x {options.chunk[1]}'
        )
    if options.actions is not None and (problem := weights.spec_problem(options.actions)):
        raise ConfigError(f'policy {name}: {problem}; give weights trained for that backbone: --weights {name}=FILE')


def _trained_on(card: Mapping[str, Any]) -> tuple[str, ...]:
    training = card.get('training')
    found = training if isinstance(training, Mapping) else {}
    recordings = found.get('recordings')
    hashes = [str(one.get('sha256')) for one in recordings or () if isinstance(one, Mapping)]
    return (*sorted(hashes), *filter(None, [str(found.get('start_from') or '')]))
