# SPDX-License-Identifier: Apache-2.0
"""Walks one memory over one long stream without a reset, and counts its answers and writes in windows.

The module carries its state from block to block. The stream is drawn in pieces, so the process needs no more storage
for a longer stream, unless the memory itself grows.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aura_ros.bench.endurance_weights import load_trained
from aura_ros.bench.endurance_window import GROWING, PATIENCE, Course, Tally, Window
from aura_ros.bench.streams import CLASSES, Streams, StreamSetting, generator, pieces
from aura_ros.bench.synthetic_training import no_action
from aura_ros.common.errors import ConfigError
from aura_ros.memory import load_memory
from aura_ros.train.modules import MemoryModule, ScheduledModule
from aura_ros.train.states import tensors

SPLIT = 'endurance'
BLOCK = 512
"""Steps that are given to a memory at once."""
ATTENTION_BLOCK = 64
"""Steps given at once to a memory with attention; each of them attends over all stored steps."""


@dataclass(frozen=True)
class Walk:
    """One memory on one stream."""

    memory: str
    """A memory of the synthetic benchmark."""
    weights: Path
    """Its trained weights."""
    setting: StreamSetting
    """How the stream is drawn."""
    seed: int
    """Seed of the stream."""
    course: Course
    """How far it goes."""

    @property
    def length(self) -> int:
        """Number of steps; fewer for a memory that grows."""
        return min(self.course.steps, self.course.entries) if self.memory in GROWING else self.course.steps


def run_walk(walk: Walk, progress: Callable[[int], None] = lambda steps: None) -> dict[str, Any]:
    """Walk until the end, or until the memory is at chance; return the row. A job function.

    Args:
        walk: memory and stream.
        progress: called with the number of steps of each finished window.

    Returns:
        a row with `windows`. `ended` says why the walk is shorter than the course: 'chance', 'entries', or ''.
    """
    torch.set_num_threads(1)
    module = load_trained(walk.memory, walk.weights)
    began, found = time.process_time(), []
    for window in until_chance(windows(module, walk)):
        found.append(window)
        progress(window.steps)
    spent, done = time.process_time() - began, found[-1].end
    return {
        'memory': walk.memory,
        'seed': walk.seed,
        'parameters': module.parameter_count,
        'steps': done,
        'ended': '' if done == walk.course.steps else 'entries' if done == walk.length else 'chance',
        'writes_per_step': sum(sum(window.written) for window in found) / done,
        'steps_per_s': round(done / spent),
        **step_by_step(module, walk, done),
        'windows': [window.row() for window in found],
    }


@torch.no_grad()  # type: ignore[untyped-decorator]
def windows(module: MemoryModule, walk: Walk) -> Iterator[Window]:
    """Walk over the stream and yield each finished window.

    Raises:
        ConfigError: a window has no query.
    """
    state: Any = None
    last = max(walk.length // walk.course.window - 1, 0) * walk.course.window
    done, tally, draws = 0, Tally(), torch.Generator().manual_seed(walk.seed)
    for streams in pieces(walk.setting, 1, walk.length, generator(SPLIT, walk.seed)):
        for part in _blocks(streams, done, walk.course.window, ATTENTION_BLOCK if module.kind == 'kv' else BLOCK):
            due = _due(module, walk.memory, part, done, draws)
            answers, written, state = act(module, part, state, due)
            tally.add(part.kind[0], written, answers == part.target[0])
            done += len(written)
            if (done <= last and done % walk.course.window == 0) or done == walk.length:
                window = tally.window(done, state_norm(state))
                if not window.queries:
                    raise ConfigError(f'window = {walk.course.window}: no query before step {done}: must be longer')
                yield window
                tally = Tally()


def until_chance(found: Iterable[Window]) -> Iterator[Window]:
    """Yield windows up to the last of `PATIENCE` windows at chance in a row."""
    low = 0
    for window in found:
        yield window
        low = low + 1 if window.at_chance else 0
        if low == PATIENCE:
            return


def act(
    module: MemoryModule, part: Streams, state: Any, due: Tensor | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_], Any]:
    """Give the steps of one stream to a module.

    Returns:
        the answers [T], -1 at steps that are no query; the steps that are written [T]; the state after them.
    """
    asked = torch.from_numpy(part.target >= 0)
    rollout = module(torch.from_numpy(part.z), no_action(part), state, asked=asked, schedule=due)
    answers = np.full(part.kind.shape[1], -1)
    answers[part.target[0] >= 0] = rollout.actions[:, 0].argmax(-1).numpy()
    return answers, rollout.scan.written[0].numpy() > 0.5, rollout.scan.state


def _blocks(streams: Streams, done: int, window: int, size: int) -> Iterator[Streams]:
    """Cut a piece after step `done` into blocks of at most `size` steps that end where a window ends."""
    begin, length = 0, streams.kind.shape[1]
    while begin < length:
        end = min(begin + size, begin + window - (done + begin) % window)
        yield streams.steps(begin, end)
        begin = end


def _due(module: MemoryModule, memory: str, part: Streams, done: int, draws: torch.Generator) -> Tensor | None:
    """Return which of the next steps are written, [1, T], or None if the memory decides itself."""
    if memory.startswith('oracle'):
        return torch.from_numpy(part.events).float()
    return module.draw(1, part.kind.shape[1], draws, done) if isinstance(module, ScheduledModule) else None


def state_norm(state: Any) -> float:
    """Return the Euclidean norm of all floating-point numbers of a state."""
    return float(sum(float(part.double().square().sum()) for part in tensors(state) if part.is_floating_point()) ** 0.5)


@torch.no_grad()  # type: ignore[untyped-decorator]
def step_by_step(module: MemoryModule, walk: Walk, done: int) -> dict[str, Any]:
    """Run the first steps of the stream through the NumPy memory from the weights file, as on a robot.

    Random writes have no common schedule, so the module then makes those of the NumPy memory. The oracle has no NumPy
    memory.

    Returns:
        state bytes after `done` steps, and the shares of answers and of writes that agree with the module over
        `numpy_steps` steps; None without a comparison.
    """
    steps = min(walk.course.compared, walk.length)
    (streams,) = pieces(walk.setting, 1, steps, generator(SPLIT, walk.seed))
    memory = load_memory(module.kind, str(walk.weights), getattr(module, 'window', 0))
    base = np.zeros((1, CLASSES), np.float32)
    decisions = [memory.step(z, base) for z in streams.z[0]]
    size = memory.state_bytes // steps * done if walk.memory in GROWING else memory.state_bytes
    if walk.memory.startswith('oracle'):
        return {'state_bytes': size, 'numpy_steps': 0, 'numpy_answers': None, 'numpy_writes': None}
    wrote = np.array([decision.written for decision in decisions])
    due = torch.from_numpy(wrote)[None].float() if isinstance(module, ScheduledModule) else None
    answers, written, _ = act(module, streams, None, due)
    asked = streams.target[0] >= 0
    stepped = np.array([decision.action[0].argmax() for decision in decisions])
    return {
        'state_bytes': size,
        'numpy_steps': steps,
        'numpy_answers': float((stepped == answers)[asked].mean()) if asked.any() else None,
        'numpy_writes': None if walk.memory == 'random' else float((wrote == written).mean()),
    }
