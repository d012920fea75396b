# SPDX-License-Identifier: Apache-2.0
"""Measures state bytes and step time of the memories over the length of an episode."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.memory.fast_weights import FastWeights
from aura_ros.memory.kinds import KINDS, build_memory
from aura_ros.memory.protocol import Memory
from aura_ros.memory.weights import MemoryWeights

if TYPE_CHECKING:
    from aura_ros.train.modules import Sizes

Floats = NDArray[np.float32]

WINDOWED, CLOSED_GATE = 'kv-window', 'aura-silent'
NAMES = (*KINDS, WINDOWED, CLOSED_GATE)
"""All memories, the KV-cache with a window, and AURA-Mem with a closed gate."""
GROWING = ('kv',)
BLOCK = 10
"""Timed steps of one memory before the next memory takes its turn."""
UNTIMED_BLOCK = 1000
"""Untimed steps of one memory before the next memory takes its turn."""
OBSERVATIONS = 1024
"""Number of different observations, which repeat."""
STEP_COST_ENTRIES = 4000
"""Cache entries over which attention takes about as long as the rest of a step."""


@dataclass(frozen=True)
class HorizonSetting:
    """Lengths, timing and sizes of the measurement."""

    steps: int = 1_000_000
    """Steps of each memory of constant size, alone."""
    compared: int = 100_000
    """Steps of the shared run of all memories."""
    window: int = 100
    """Largest number of steps that are timed before a checkpoint."""
    repeats: int = 20
    """Runs of the first steps, which are too short to be timed in one run."""
    repeated: int = 1000
    """Length of these runs [steps]."""
    budget: float = 0.1
    """Writes per step of the random and the periodic memory."""
    kv_window: int = 16
    """Steps that the windowed KV-cache keeps; 16 of 256 bytes are the most that fit in 4,224 bytes."""
    feature_dim: int = 64
    """Length of the observation."""
    head_width: int = 64
    """Width of the action head."""
    seed: int = 0
    """Seed of weights and observations."""


def checkpoints(last: int) -> list[int]:
    """Return 1, 2, 5, 10, 20, 50 and so on below `last`, and `last`."""
    found = [digit * 10**power for power in range(len(str(last))) for digit in (1, 2, 5)]
    return sorted({step for step in found if step < last} | {last})


def make_memory(name: str, setting: HorizonSetting) -> Memory:
    """Return a memory with random weights, as many as an AURA-Mem with a 32 x 32 state has.

    A learned gate always opens; that of `CLOSED_GATE` never opens.

    Raises:
        ImportError: torch is not installed; its modules define the shapes.
    """
    from aura_ros.train.modules import Sizes

    kind, window = {WINDOWED: ('kv', setting.kv_window), CLOSED_GATE: ('aura', 0)}.get(name, (name, 0))
    sizes = Sizes(setting.feature_dim, chunk_size=1, head_width=setting.head_width)
    options = {'budget': setting.budget} if kind in ('random', 'periodic') else {}
    return random_memory(kind, sizes, setting.seed, options, window, opens=name != CLOSED_GATE)


def random_memory(
    kind: str,
    sizes: 'Sizes',
    seed: int,
    options: Mapping[str, Any] = MappingProxyType({}),
    window: int = 0,
    *,
    opens: bool = True,
) -> Memory:
    """Return a memory with random weights, as many as an AURA-Mem of these sizes has.

    Args:
        kind: one of KINDS.
        sizes: dimensions.
        seed: of the weights.
        options: see `build_module`.
        window: steps that a KV-cache keeps, 0 for all.
        opens: whether a learned gate always opens; else it never does.

    Raises:
        ImportError: torch is not installed; its modules define the shapes.
    """
    import torch

    from aura_ros.train.matching import build_module
    from aura_ros.train.saving import card_of

    torch.manual_seed(seed)
    # The kind none needs the shapes of a step, which memoryless has.
    module = build_module('memoryless' if kind == 'none' else kind, sizes, **options)
    arrays = {part: tensor.detach().numpy().copy() for part, tensor in module.state_dict().items()}
    if 'gate.output.bias' in arrays:
        arrays['gate.output.bias'][:] = 100.0 if opens else -100.0
    return build_memory(kind, MemoryWeights(arrays, card_of(module), ''), window)


class TimedMemory:
    """A memory with its observations, step times and state sizes."""

    def __init__(self, name: str, setting: HorizonSetting) -> None:
        self.name, self.memory = name, make_memory(name, setting)
        self._z = (
            np.random.default_rng(setting.seed).normal(size=(OBSERVATIONS, setting.feature_dim)).astype(np.float32)
        )
        self._base = np.zeros((1, 8), np.float32)
        self._done = 0
        self._times: dict[int, list[int]] = {}
        self._bytes: dict[int, int] = {}

    def reset(self) -> None:
        """Start an episode; its times are added to those of earlier episodes."""
        self.memory.reset()
        self._done = 0

    def advance(self, until: int) -> None:
        """Run untimed steps up to `until`."""
        for step in range(self._done, until):
            self.memory.step(self._z[step % OBSERVATIONS], self._base)
        self._done = until

    def advance_timed(self, checkpoint: int, until: int) -> None:
        """Run steps up to `until` and add their times to those of `checkpoint`."""
        kept, clock = self._times.setdefault(checkpoint, []), time.perf_counter_ns
        for step in range(self._done, until):
            z = self._z[step % OBSERVATIONS]
            began = clock()
            self.memory.step(z, self._base)
            kept.append(clock() - began)
        self._done = until

    def record_size(self, checkpoint: int) -> None:
        """Record the bytes of the exported state at `checkpoint`."""
        self._bytes[checkpoint] = len(self.memory.export())

    def rows(self, run: str) -> list[dict[str, Any]]:
        """Return one row for each recorded checkpoint."""
        return [
            {'memory': self.name, 'steps': checkpoint, 'run': run, 'bytes': size, **summary(self._times[checkpoint])}
            for checkpoint, size in self._bytes.items()
        ]


def summary(nanoseconds: list[int]) -> dict[str, Any]:
    """Return median and 95th percentile [µs] and the number of steps."""
    median, p95 = np.percentile(nanoseconds, (50, 95)) / 1e3
    return {'median_us': round(float(median), 2), 'p95_us': round(float(p95), 2), 'samples': len(nanoseconds)}


def work(names: Sequence[str], first: int, last: int) -> int:
    """Return the work from step `first` to `last` for a progress bar: steps, with more for memories that grow."""
    longer = last**2 // (2 * STEP_COST_ENTRIES) - first**2 // (2 * STEP_COST_ENTRIES)
    return sum(last - first + (longer if name in GROWING else 0) for name in names)


def run_together(names: Sequence[str], setting: HorizonSetting, progress: Callable[[int], None]) -> dict[str, Any]:
    """Run memories in turns to `setting.compared` steps, so that their times are comparable.

    Args:
        names: names of the memories.
        setting: lengths and sizes.
        progress: called with the amount of `work` done since the last call.

    Returns:
        `rows`, one for each memory and checkpoint, and `fast_weights`, the time of one write and read of them alone.
    """
    memories, bare = [TimedMemory(name, setting) for name in names], []
    for end in episode_lengths(setting):
        for timed in memories:
            timed.reset()
        _run(memories, end, setting, progress, lambda: bare.extend(write_and_read(BLOCK)))
    return {'rows': [row for timed in memories for row in timed.rows('together')], 'fast_weights': summary(bare)}


def run_alone(name: str, setting: HorizonSetting) -> dict[str, Any]:
    """Run one memory to `setting.steps`; return its rows from `setting.compared` on. A job function.

    Raises:
        StateError: the final state is not finite.
    """
    timed = TimedMemory(name, setting)
    _run([timed], setting.steps, setting, lambda amount: None, lambda: None)
    timed.memory.restore(timed.memory.export())
    return {'rows': [row for row in timed.rows('alone') if row['steps'] >= setting.compared]}


def episode_lengths(setting: HorizonSetting) -> list[int]:
    """Return the lengths of the episodes of the shared run: the repeated first steps, then the whole run."""
    return [min(setting.repeated, setting.compared)] * (setting.repeats - 1) + [setting.compared]


def _run(
    memories: Sequence[TimedMemory],
    end: int,
    setting: HorizonSetting,
    progress: Callable[[int], None],
    between_blocks: Callable[[], None],
) -> None:
    names, done = [timed.name for timed in memories], 0
    for checkpoint in checkpoints(end):
        start = checkpoint - min(setting.window, max(1, checkpoint // 2))
        for until in (*range(done + UNTIMED_BLOCK, start, UNTIMED_BLOCK), start):
            for timed in memories:
                timed.advance(until)
            progress(work(names, done, until))
            done = until
        for until in (*range(start + BLOCK, checkpoint, BLOCK), checkpoint):
            for timed in memories:
                timed.advance_timed(checkpoint, until)
            between_blocks()
        progress(work(names, done, checkpoint))
        done = checkpoint
        for timed in memories:
            timed.record_size(checkpoint)


def write_and_read(count: int) -> list[int]:
    """Return `count` times of a write and a read of 32 x 32 fast weights alone [ns]."""
    rng, state, times = np.random.default_rng(0), FastWeights(), []
    keys, values = (rng.normal(size=(count, 32)).astype(np.float32) for _ in range(2))
    for key, value in zip(keys, values, strict=True):
        began = time.perf_counter_ns()
        state.write(key, value - state.read(key), 0.9)
        state.read(key)
        times.append(time.perf_counter_ns() - began)
    return times
