# SPDX-License-Identifier: Apache-2.0
"""Closed-loop walks through long corridors with a memory that was trained in short ones.

The first action in the corridor that is not RIGHT ends the episode in failure. A batch of corridors is walked in
parallel. At each length to test, the memory sees the junction, its state is then reset to the one before, and the walk
continues. One walk therefore tests all lengths (see `aura_ros.bench.tmaze_env`). Failed episodes are stepped further
with the batch and stay failed.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aura_ros.bench.tmaze_env import ACTIONS, RIGHT
from aura_ros.bench.tmaze_report import at_chance
from aura_ros.bench.tmaze_training import EVALUATE, MAZES, Task, evaluate, no_action, train
from aura_ros.memory.kinds import build_memory
from aura_ros.memory.weights import MemoryWeights
from aura_ros.train.modules import MemoryModule, ScheduledModule

SEGMENT_STEPS = 1000
"""Steps of corridor that are drawn, and given to a memory, at once."""
ATTENTION_BLOCK = 32
"""Steps given at once to a memory with attention; each of them attends over all stored steps."""
GROWING = ('kv',)
STATE_STEPS = 32
"""Steps after which the state bytes are measured."""


@dataclass(frozen=True)
class CorridorBatch:
    """Corridors that are walked in parallel."""

    corridors: int
    """Number of corridors."""
    lengths: tuple[int, ...]
    """Lengths at which the junction is shown, ascending."""


@dataclass(frozen=True)
class LengthResult:
    """Result of a batch of corridors at one length."""

    length: int
    """Steps of corridor."""
    corridors: int
    """Number of episodes."""
    solved: int
    """Episodes with no wrong action."""
    straight: int
    """Episodes with no wrong action in the corridor."""
    turned: int
    """Episodes with the correct turn, whether or not they failed in the corridor."""
    writes: float
    """Mean writes per episode in the corridor."""
    oracle_writes: float
    """Mean writes of the oracle per episode."""


@torch.inference_mode()  # type: ignore[untyped-decorator]
def walk(module: MemoryModule, task: Task, batch: CorridorBatch, index: int) -> Iterator[LengthResult]:
    """Walk batch `index` of the task; yield a result at each length."""
    corridors = MAZES[task.maze].start(batch.corridors, (EVALUATE, task.seed, index))
    # The schedule of random and periodic writes covers the whole walk.
    planned = module.draw(batch.corridors, batch.lengths[-1] + 1) if isinstance(module, ScheduledModule) else None
    block = ATTENTION_BLOCK if module.kind == 'kv' else SEGMENT_STEPS
    straight = torch.ones(batch.corridors, dtype=torch.bool)
    state: Any = None
    done, writes, oracle_writes = 0, 0.0, 0
    for length in batch.lengths:
        while done < length:
            segment = corridors.advance(min(SEGMENT_STEPS, length - done))
            for first in range(0, segment.z.shape[1], block):
                new = torch.from_numpy(segment.oracle_writes[:, first : first + block])
                due = _due(task, planned, done, new)
                actions, state, written = _act(module, segment.z[:, first : first + block], state, due)
                straight &= (actions == RIGHT).all(1)
                writes += written
                oracle_writes += int(new.sum())
                done += new.shape[1]
        end, turns = corridors.junction()
        due = _due(task, planned, done, torch.zeros(batch.corridors, 1, dtype=torch.bool))
        turned = _act(module, end, state, due)[0][:, 0] == torch.from_numpy(turns)
        yield LengthResult(
            length,
            batch.corridors,
            int((turned & straight).sum()),
            int(straight.sum()),
            int(turned.sum()),
            writes / batch.corridors,
            oracle_writes / batch.corridors,
        )


def _due(task: Task, planned: Tensor | None, done: int, oracle_writes: Tensor) -> Tensor | None:
    """Return which of the next steps are written, or None if the memory decides itself."""
    if task.memory == 'oracle':
        return oracle_writes.float()
    return None if planned is None else planned[:, done : done + oracle_writes.shape[1]]


def _act(module: MemoryModule, z: NDArray[np.float32], state: Any, due: Tensor | None) -> tuple[Tensor, Any, float]:
    """Return the actions [B, n], the state after them and the number of writes."""
    seen = torch.from_numpy(z)
    rollout = module(seen, no_action(seen), state, schedule=due)
    return rollout.actions[:, :, 0].argmax(-1), rollout.scan.state, float(rollout.scan.written.sum())


def results(
    module: MemoryModule, task: Task, batches: Sequence[CorridorBatch], growing_longest: int
) -> Iterator[LengthResult]:
    """Walk the batches and yield their results. A memory at chance ends a later batch and gets no further one.

    Args:
        module: trained module.
        task: task of the module.
        batches: batches with shorter corridors first.
        growing_longest: longest corridor of a memory that grows with every step.
    """
    last: LengthResult | None = None
    for index, batch in enumerate(batches):
        lengths = tuple(length for length in batch.lengths if task.memory not in GROWING or length <= growing_longest)
        if not lengths or (last is not None and at_chance(last.solved, last.corridors)):
            return
        for last in walk(module, task, replace(batch, lengths=lengths), index):
            yield last
            if index and at_chance(last.solved, last.corridors):
                return


def state_bytes(module: MemoryModule, steps: int) -> int:
    """Return the measured state bytes of the NumPy memory after `steps` steps."""
    arrays = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    memory = build_memory(module.kind, MemoryWeights(arrays, {}, ''), getattr(module, 'window', 0))
    for _ in range(steps):
        memory.step(np.zeros(module.sizes.feature_dim, np.float32), np.zeros((1, ACTIONS), np.float32))
    return memory.state_bytes


def run_task(task: Task, batches: Sequence[CorridorBatch], growing_longest: int) -> dict[str, Any]:
    """Train, validate and walk one memory. A job function.

    Returns:
        a row; its `results` has an entry for each length that was walked.
    """
    torch.set_num_threads(1)
    began = time.process_time()
    module = train(task)
    trained = time.process_time()
    found = [asdict(result) for result in results(module, task, batches, growing_longest)]
    return {
        'maze': task.maze,
        'memory': task.memory,
        'seed': task.seed,
        'learning_rate': task.learning_rate,
        'parameters': module.parameter_count,
        'state_bytes': (size := state_bytes(module, STATE_STEPS)),
        'bytes_per_step': size // STATE_STEPS if task.memory in GROWING else 0,
        'validation': evaluate(module, task),
        'results': found,
        'train_cpu_s': round(trained - began, 1),
        'walk_cpu_s': round(time.process_time() - trained, 1),
    }
