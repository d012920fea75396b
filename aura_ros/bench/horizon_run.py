# SPDX-License-Identifier: Apache-2.0
"""What a memory costs as its episode gets longer: bytes carried and time of a step, of the memories as they are."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.memory.fast_weights import FastWeights
from aura_ros.memory.kinds import KINDS, build_memory
from aura_ros.memory.protocol import Memory
from aura_ros.memory.weights import MemoryWeights

Floats = NDArray[np.float32]

WINDOWED, SILENT = 'kv-window', 'aura-silent'
NAMES = (*KINDS, WINDOWED, SILENT)
"""Every memory of the family, the KV-cache with a window, and AURA-Mem with its gate kept shut."""
GROWING = ('kv',)
BLOCK = 10
"""Steps of one memory before the next has its turn, while they are timed."""
CHUNK = 1000
"""The same while they are not."""
INPUTS = 1024
"""Different observations; they come round again."""
ENTRIES = 4000
"""Entries of a cache that take about as long to attend over as a step takes without them."""


@dataclass(frozen=True)
class HorizonSetting:
    """How far the memories are driven and how they are timed."""

    steps: int = 1_000_000
    """Of the memories of constant size."""
    compared: int = 100_000
    """Of all memories together in one run."""
    window: int = 100
    """Most steps timed up to a checkpoint."""
    repeats: int = 20
    """Runs of the first steps, which are too few to be timed once."""
    repeated: int = 1000
    """Length of these runs."""
    budget: float = 0.1
    """Writes per step of the random and the periodic memory."""
    kv_window: int = 16
    """Steps the windowed KV-cache keeps: 16 of 256 bytes are the most that 4,224 bytes hold."""
    feature_dim: int = 64
    """Length of the observation."""
    head_width: int = 64
    """Of the action head."""
    seed: int = 0
    """Of weights and observations."""


def checkpoints(last: int) -> list[int]:
    """1, 2, 5, 10, 20, 50 and so on up to `last`, which is one of them."""
    found = [digit * 10**power for power in range(len(str(last))) for digit in (1, 2, 5)]
    return sorted({step for step in found if step < last} | {last})


def make_memory(name: str, setting: HorizonSetting) -> Memory:
    """Make a memory with random weights, as many of them as AURA-Mem has with a 32 x 32 state.

    A learned gate is set to open always, that of `SILENT` never.

    Raises:
        ImportError: torch is not installed; its modules know the shapes.
    """
    import torch

    from aura_ros.train.matching import build_module
    from aura_ros.train.modules import Sizes

    kind, window = {WINDOWED: ('kv', setting.kv_window), SILENT: ('aura', 0)}.get(name, (name, 0))
    sizes = Sizes(setting.feature_dim, chunk_size=1, head_width=setting.head_width)
    torch.manual_seed(setting.seed)
    options: dict[str, Any] = {'budget': setting.budget} if kind in ('random', 'periodic') else {}
    # what passes the base action through still has to know the shapes of a step
    module = build_module('memoryless' if kind == 'none' else kind, sizes, **options)
    arrays = {part: tensor.detach().numpy().copy() for part, tensor in module.state_dict().items()}
    if 'gate.output.bias' in arrays:
        arrays['gate.output.bias'][:] = -100.0 if name == SILENT else 100.0
    return build_memory(kind, MemoryWeights(arrays, {}, ''), window)


class Driver:
    """A memory, the observations it is fed, and what its steps took."""

    def __init__(self, name: str, setting: HorizonSetting) -> None:
        self.name, self.memory = name, make_memory(name, setting)
        self._z = np.random.default_rng(setting.seed).normal(size=(INPUTS, setting.feature_dim)).astype(np.float32)
        self._base = np.zeros((1, 8), np.float32)
        self._done = 0
        self._times: dict[int, list[int]] = {}
        self._bytes: dict[int, int] = {}

    def reset(self) -> None:
        """Begin an episode; times of later ones are added to those of earlier ones."""
        self.memory.reset()
        self._done = 0

    def advance(self, until: int) -> None:
        """Step up to `until`."""
        for step in range(self._done, until):
            self.memory.step(self._z[step % INPUTS], self._base)
        self._done = until

    def timed(self, checkpoint: int, until: int) -> None:
        """Step up to `until`, each step timed as one on the way to `checkpoint`."""
        kept, clock = self._times.setdefault(checkpoint, []), time.perf_counter_ns
        for step in range(self._done, until):
            z = self._z[step % INPUTS]
            began = clock()
            self.memory.step(z, self._base)
            kept.append(clock() - began)
        self._done = until

    def note(self, checkpoint: int) -> None:
        """Keep the size of the state: the bytes that carry it to another process."""
        self._bytes[checkpoint] = len(self.memory.export())

    def rows(self, run: str) -> list[dict[str, Any]]:
        """One row for each checkpoint noted."""
        return [
            {'memory': self.name, 'steps': checkpoint, 'run': run, 'bytes': size, **summary(self._times[checkpoint])}
            for checkpoint, size in self._bytes.items()
        ]


def summary(nanoseconds: list[int]) -> dict[str, Any]:
    """Median and 95th percentile in microseconds, and of how many steps."""
    median, p95 = np.percentile(nanoseconds, (50, 95)) / 1e3
    return {'median_us': round(float(median), 2), 'p95_us': round(float(p95), 2), 'samples': len(nanoseconds)}


def work(names: Sequence[str], first: int, last: int) -> int:
    """The steps of all memories from `first` to `last`, and what growing ones take longer, for a progress bar."""
    longer = last**2 // (2 * ENTRIES) - first**2 // (2 * ENTRIES)
    return sum(last - first + (longer if name in GROWING else 0) for name in names)


def together(names: Sequence[str], setting: HorizonSetting, progress: Callable[[int], None]) -> dict[str, Any]:
    """Drive memories to `setting.compared` steps side by side, so that their times can be compared.

    Args:
        names: of the memories.
        setting: how.
        progress: told of `work` done.

    Returns:
        rows, one for each memory and checkpoint; fast_weights, the time of a write and a read of them alone.
    """
    drivers, bare = [Driver(name, setting) for name in names], []
    for end in passes(setting):
        for driver in drivers:
            driver.reset()
        _drive(drivers, end, setting, progress, lambda: bare.extend(write_and_read(BLOCK)))
    return {'rows': [row for driver in drivers for row in driver.rows('together')], 'fast_weights': summary(bare)}


def alone(name: str, setting: HorizonSetting) -> dict[str, Any]:
    """Drive one memory to `setting.steps`; rows from `setting.compared` on.

    Raises:
        StateError: the state is not finite at the end.
    """
    driver = Driver(name, setting)
    _drive([driver], setting.steps, setting, lambda amount: None, lambda: None)
    driver.memory.restore(driver.memory.export())
    return {'rows': [row for row in driver.rows('alone') if row['steps'] >= setting.compared]}


def passes(setting: HorizonSetting) -> list[int]:
    """Lengths of the episodes that `together` drives: the beginning again and again, then all of it."""
    return [min(setting.repeated, setting.compared)] * (setting.repeats - 1) + [setting.compared]


def _drive(
    drivers: Sequence[Driver],
    end: int,
    setting: HorizonSetting,
    progress: Callable[[int], None],
    meanwhile: Callable[[], None],
) -> None:
    names, done = [driver.name for driver in drivers], 0
    for checkpoint in checkpoints(end):
        start = checkpoint - min(setting.window, max(1, checkpoint // 2))
        for until in (*range(done + CHUNK, start, CHUNK), start):
            for driver in drivers:
                driver.advance(until)
            progress(work(names, done, until))
            done = until
        for until in (*range(start + BLOCK, checkpoint, BLOCK), checkpoint):
            for driver in drivers:
                driver.timed(checkpoint, until)
            meanwhile()
        progress(work(names, done, checkpoint))
        done = checkpoint
        for driver in drivers:
            driver.note(checkpoint)


def write_and_read(count: int) -> list[int]:
    """Times of a write and a read of 32 x 32 fast weights, without encoder, gate and head [ns]."""
    rng, state, times = np.random.default_rng(0), FastWeights(), []
    keys, values = (rng.normal(size=(count, 32)).astype(np.float32) for _ in range(2))
    for key, value in zip(keys, values, strict=True):
        began = time.perf_counter_ns()
        state.write(key, value - state.read(key), 0.9)
        state.read(key)
        times.append(time.perf_counter_ns() - began)
    return times
