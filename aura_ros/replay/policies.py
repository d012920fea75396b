# SPDX-License-Identifier: Apache-2.0
"""The memories that are compared, by the names users give them.

    base       the frozen VLA alone
    aura       AURA-Mem, whose gate decides when to write
    kv         a key-value cache of every step
    kv-window  the same cache of the last steps only
    always     AURA's weights, written at every step
    random     AURA's weights, written as often as AURA wrote, at steps drawn by lot
    periodic   AURA's weights, written as often as AURA wrote, evenly spread
    elmur      ELMUR, where weights are given

`always`, `random` and `periodic` have nothing but their write policy exchanged: what they lack to AURA is what the
gate is worth. `random` and `periodic` need AURA's budget, so AURA runs before them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError
from aura_ros.memory.aura import FastWeightMemory
from aura_ros.memory.kinds import KINDS, build_memory
from aura_ros.memory.none import NoMemory
from aura_ros.memory.protocol import Memory
from aura_ros.memory.schedules import Always, WriteSchedule
from aura_ros.memory.weights import MemoryWeights, default_path, load_weights
from aura_ros.state.format import HEADER, MAX_PAYLOAD, SLOT_BYTES
from aura_ros.state.wear import PAGE_BYTES, cache_wear

Floats = NDArray[np.float32]

TITLES = {
    'base': 'frozen VLA alone',
    'aura': 'AURA-Mem, learned gate',
    'kv': 'KV-cache of all steps',
    'kv-window': 'KV-cache, windowed',
    'always': "AURA's weights, written always",
    'random': "AURA's weights, random writes",
    'periodic': "AURA's weights, periodic writes",
    'elmur': 'ELMUR',
}
"""Policies that are known by name, in the order they are shown."""

MOST_OWN = 4
"""Policies with weights and a name of the user's in one report: it has so many colours for them."""

_KIND = {'base': 'none', 'kv-window': 'kv', 'always': 'aura', 'random': 'aura', 'periodic': 'aura'}
_SCHEDULED = ('random', 'periodic')
_LEARNED_GATES = ('aura', 'reconstruction')


@dataclass(frozen=True)
class Budget:
    """How often a schedule may write.

    writes: in all.
    steps: out of so many.
    """

    writes: int
    steps: int


@dataclass(frozen=True)
class PolicyOptions:
    """What policies are made with.

    feature_dim: length of the backbone's feature.
    chunk: length of a chunk and joints, of the backbone.
    backbone_hash: SHA-256 of the backbone's weights, hex; empty where it is not known.
    weights: weights file by name of the policy, in place of the one that ships with the package.
    window: steps that 'kv-window' keeps.
    seed: of the lots that 'random' draws.
    """

    feature_dim: int
    chunk: tuple[int, int]
    backbone_hash: str = ''
    weights: Mapping[str, Path] = field(default_factory=dict)
    window: int = 512
    seed: int = 0


@dataclass(frozen=True)
class ReplayedPolicy:
    """A memory that takes part.

    name: as the user calls it.
    title: what it is, in a few words.
    memory: freshly made.
    gated: whether a learned gate decides when it writes.
    """

    name: str
    title: str
    memory: Memory
    gated: bool

    def device_bytes(self, writes: int, steps: int) -> int:
        """Bytes that a medium would have had to take to keep the memory through a power cut.

        What grows is a log to which every step appends. What does not is a file of two slots, of which each write
        rewrites one, as memory_node does; the first fills both.
        """
        size, layout = self.memory.state_bytes, self.memory.state_layout
        if not layout or not writes:
            return 0
        if '*' in layout:
            return cache_wear(steps, _entry_bytes(layout)).device_bytes
        # what does not fit into a slot of the state file would take whole pages of its own
        slot = SLOT_BYTES if size <= MAX_PAYLOAD else -(-(size + HEADER.size) // PAGE_BYTES) * PAGE_BYTES
        return (writes + 1) * slot


class Schedule:
    """A write policy that follows a list made beforehand, on through all episodes."""

    threshold = 0.5

    def __init__(self, writes: NDArray[np.bool_]) -> None:
        self._writes, self._step = writes, 0

    def reset(self) -> None:
        """Go on: the list is of the whole recording."""

    def __call__(self, code: Floats, error: Floats, surprise: float) -> float:
        """1 where the list says so, else 0; see `WriteSchedule`."""
        written = self._step < len(self._writes) and bool(self._writes[self._step])
        self._step += 1
        return float(written)


def drawn_by_lot(budget: Budget, seed: int) -> NDArray[np.bool_]:
    """`budget.writes` of the steps, each set of them equally likely."""
    chosen = np.zeros(budget.steps, np.bool_)
    chosen[np.random.default_rng(seed).choice(budget.steps, budget.writes, replace=False)] = True
    return chosen


def evenly_spread(budget: Budget) -> NDArray[np.bool_]:
    """`budget.writes` of the steps, as evenly as whole steps allow, beginning with the first."""
    chosen = np.zeros(budget.steps, np.bool_)
    chosen[np.arange(budget.writes) * budget.steps // max(1, budget.writes)] = True
    return chosen


def choose(names: Sequence[str], weights: Mapping[str, Path]) -> tuple[list[str], dict[str, str]]:
    """The policies to run, in the order they are shown, and why others are left out.

    Without `names` these are all that are known, and those with weights of their own. `base` always takes part: the
    others are compared with it.

    Returns:
        names, and sentences by the name of the policy that is left out.

    Raises:
        ConfigError: a policy is not known, or was asked for and has no weights.

    """
    own = [name for name in weights if name not in TITLES]
    if len(own) > MOST_OWN:
        raise ConfigError(
            f'{len(own)} policies of your own: at most {MOST_OWN} in one report, more cannot be told apart'
        )
    known = [*TITLES, *own]
    for name in (*names, *weights):
        if name not in known:
            raise ConfigError(
                f'there is no policy {name!r}: must be one of {", ".join(known)}, or a name of your own '
                f'with its weights: --weights {name}=FILE'
            )
    wanted = [name for name in known if name == 'base' or not names or name in names]
    missing = {
        name: _no_weights(name)
        for name in wanted
        if name not in weights and name != 'base' and not default_path(_KIND.get(name, name)).is_file()
    }
    for name in names:
        if name in missing:
            raise ConfigError(missing[name])
    return [name for name in wanted if name not in missing], missing


def make_policy(name: str, options: PolicyOptions, budget: Budget | None = None) -> ReplayedPolicy:
    """Make a policy.

    Args:
        name: one of `TITLES`, or a name of the user's with weights in the options.
        options: what it is made with.
        budget: AURA's, for 'random' and 'periodic'.

    Raises:
        ConfigError: the weights cannot be used, or were trained for another backbone.

    """
    if name == 'base':
        return ReplayedPolicy(name, TITLES[name], NoMemory(options.feature_dim, options.chunk), False)
    scheduled = name in ('always', *_SCHEDULED)
    path = options.weights.get(name) or (options.weights.get('aura') if scheduled else None)
    kind = _KIND.get(name, name) if path is None else _kind_of(path)
    if name in TITLES and kind not in (name, _KIND.get(name, name)):
        raise ConfigError(
            f'--weights: {path} is of the memory {kind!r}, which is none for the policy {name!r}; '
            'give the policy a name of your own'
        )
    weights = load_weights(kind, str(path) if path else None)
    _check_fits(name, weights, options)
    if scheduled:
        memory: Memory = FastWeightMemory(name, weights, _policy(name, options, budget))
    else:
        memory = build_memory(kind, weights, options.window if name == 'kv-window' else 0)
    title = f'{TITLES[name]}, {options.window} steps' if name == 'kv-window' else TITLES.get(name, f'{kind}, yours')
    return ReplayedPolicy(name, title, memory, kind in _LEARNED_GATES and not scheduled)


def needs_budget(name: str) -> bool:
    """Whether a policy can only be made when AURA's writes are known."""
    return name in _SCHEDULED


def _policy(name: str, options: PolicyOptions, budget: Budget | None) -> WriteSchedule:
    if name == 'always':
        return Always()
    if budget is None:
        raise ConfigError(f'the policy {name!r} needs a budget: run aura first')
    make: Callable[[], NDArray[np.bool_]] = {
        'random': lambda: drawn_by_lot(budget, options.seed),
        'periodic': lambda: evenly_spread(budget),
    }[name]
    return Schedule(make())


def _kind_of(path: Path) -> str:
    """The memory that a weights file is of, by its card."""
    card = path.with_suffix('.json')
    for needed in (path, card):
        if not needed.is_file():
            raise ConfigError(f'--weights: no file {needed}')
    try:
        kind = json.loads(card.read_text(encoding='utf-8')).get('memory')
    except (json.JSONDecodeError, AttributeError) as error:
        raise ConfigError(f'--weights: {card} is no card of a memory: {error}') from error
    if kind not in KINDS:
        raise ConfigError(f'--weights: {card} says memory {kind!r}: must be one of {", ".join(KINDS)}')
    return str(kind)


def _check_fits(name: str, weights: MemoryWeights, options: PolicyOptions) -> None:
    """Refuse weights of another backbone, as the nodes do."""
    wanted, given = weights.backbone_hash, options.backbone_hash
    if wanted and given and wanted != given:
        raise ConfigError(
            f'policy {name}: trained for a VLA with weights {wanted[:12]}, the steps are of {given[:12]}; '
            f'give weights trained for that VLA: --weights {name}=FILE'
        )
    shape = (weights.feature_dim, weights.chunk_size, weights.action_dim)
    if shape != (options.feature_dim, *options.chunk):
        raise ConfigError(
            f'policy {name}: trained for {shape[0]} features and chunks of {shape[1]} x {shape[2]}, the '
            f'steps have {options.feature_dim} and {options.chunk[0]} x {options.chunk[1]}'
        )


def _entry_bytes(layout: str) -> int:
    """Bytes of one entry of a layout such as '<f4[*,64]'."""
    dtype, shape = layout.rstrip(']').split('[*,')
    return np.dtype(dtype).itemsize * int(np.prod([int(size) for size in shape.split(',')]))


def _no_weights(name: str) -> str:
    kind = _KIND.get(name, name)
    return (
        f'{name} is left out: no weights of it ship with this package; train them with '
        f'`aura train memory --memory {kind}`, or give some with --weights {name}=FILE'
    )
