# SPDX-License-Identifier: Apache-2.0
"""Long corridors, walked closed loop with a memory that was trained in short ones.

The memory's own action moves the robot: its first step that is not right ends the episode in failure. Corridors are
walked in step; at each length that is asked for, the junction is shown to the state as it is there, and the walk goes
on from there as if it had not been: one walk serves all lengths (see `aura_ros.bench.tmaze_env`). An episode that has
failed goes on being fed, and counts as failed for good.
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
from aura_ros.bench.tmaze_training import EVALUATE, MAZES, Task, judge, no_action, train
from aura_ros.memory.kinds import build_memory
from aura_ros.memory.weights import MemoryWeights
from aura_ros.train.modules import MemoryModule, ScheduledModule

STRETCH = 1000
"""Steps of corridor drawn, and given to a memory, at once."""
ATTENTION_BLOCK = 32
"""The same for a memory that attends over steps: each step of a block looks at all that are kept."""
GROWING = ('kv',)
MEASURED = 32
"""Steps after which the bytes carried are counted."""


@dataclass(frozen=True)
class Leg:
    """Corridors that are walked together."""

    corridors: int
    """Number of them."""
    lengths: tuple[int, ...]
    """Where a junction is shown, rising."""


@dataclass(frozen=True)
class Arrival:
    """How the corridors of a leg ended at one length."""

    length: int
    """Steps of corridor."""
    corridors: int
    """Episodes."""
    solved: int
    """With every step right and the right turn."""
    straight: int
    """With every step of the corridor right."""
    turned: int
    """With the right turn, wherever they were by then."""
    writes: float
    """Mean per episode, of the steps of the corridor."""
    news: float
    """The same of the oracle."""


@torch.inference_mode()  # type: ignore[untyped-decorator]
def walk(module: MemoryModule, task: Task, leg: Leg, number: int) -> Iterator[Arrival]:
    """Walk one leg, the `number`-th of the task; yields an arrival for each length as it gets there."""
    corridors = MAZES[task.maze].start(leg.corridors, (EVALUATE, task.seed, number))
    # a clock that is set once: drawn for the whole walk
    planned = module.draw(leg.corridors, leg.lengths[-1] + 1) if isinstance(module, ScheduledModule) else None
    block = ATTENTION_BLOCK if module.kind == 'kv' else STRETCH
    straight = torch.ones(leg.corridors, dtype=torch.bool)
    state: Any = None
    done, writes, news = 0, 0.0, 0
    for length in leg.lengths:
        while done < length:
            stretch = corridors.go_on(min(STRETCH, length - done))
            for first in range(0, stretch.z.shape[1], block):
                new = torch.from_numpy(stretch.news[:, first : first + block])
                due = _due(task, planned, done, new)
                actions, state, written = _act(module, stretch.z[:, first : first + block], state, due)
                straight &= (actions == RIGHT).all(1)
                writes += written
                news += int(new.sum())
                done += new.shape[1]
        end, turns = corridors.junction()
        due = _due(task, planned, done, torch.zeros(leg.corridors, 1, dtype=torch.bool))
        turned = _act(module, end, state, due)[0][:, 0] == torch.from_numpy(turns)
        yield Arrival(
            length,
            leg.corridors,
            int((turned & straight).sum()),
            int(straight.sum()),
            int(turned.sum()),
            writes / leg.corridors,
            news / leg.corridors,
        )


def _due(task: Task, planned: Tensor | None, done: int, news: Tensor) -> Tensor | None:
    """The schedule of the next steps where the memory does not decide that itself."""
    if task.memory == 'oracle':
        return news.float()
    return None if planned is None else planned[:, done : done + news.shape[1]]


def _act(module: MemoryModule, z: NDArray[np.float32], state: Any, due: Tensor | None) -> tuple[Tensor, Any, float]:
    """The actions [B, n], the state after them and the number of writes."""
    seen = torch.from_numpy(z)
    rollout = module(seen, no_action(seen), state, schedule=due)
    return rollout.actions[:, :, 0].argmax(-1), rollout.scan.state, float(rollout.scan.written.sum())


def arrivals(module: MemoryModule, task: Task, legs: Sequence[Leg], growing_to: int) -> Iterator[Arrival]:
    """Walk all legs, a later one only with a memory that is not at chance yet, and only until it is.

    Args:
        module: trained.
        task: of the module.
        legs: shorter ones first.
        growing_to: longest corridor of a memory that grows with every step.
    """
    last: Arrival | None = None
    for number, leg in enumerate(legs):
        lengths = tuple(length for length in leg.lengths if task.memory not in GROWING or length <= growing_to)
        if not lengths or (last is not None and at_chance(last.solved, last.corridors)):
            return
        for last in walk(module, task, replace(leg, lengths=lengths), number):
            yield last
            if number and at_chance(last.solved, last.corridors):
                return


def state_bytes(module: MemoryModule, steps: int) -> int:
    """Bytes that the NumPy memory carries after `steps` steps, measured."""
    arrays = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    memory = build_memory(module.kind, MemoryWeights(arrays, {}, ''), getattr(module, 'window', 0))
    for _ in range(steps):
        memory.step(np.zeros(module.sizes.feature_dim, np.float32), np.zeros((1, ACTIONS), np.float32))
    return memory.state_bytes


def run_task(task: Task, legs: Sequence[Leg], growing_to: int) -> dict[str, Any]:
    """Train, validate and walk; at the top level, for a process of its own. See `arrivals`.

    Returns:
        a row; its `arrivals` are one for each length that was walked.
    """
    torch.set_num_threads(1)
    began = time.process_time()
    module = train(task)
    trained = time.process_time()
    found = [asdict(arrival) for arrival in arrivals(module, task, legs, growing_to)]
    return {
        'maze': task.maze,
        'memory': task.memory,
        'seed': task.seed,
        'learning_rate': task.learning_rate,
        'parameters': module.parameter_count,
        'state_bytes': (held := state_bytes(module, MEASURED)),
        'bytes_per_step': held // MEASURED if task.memory in GROWING else 0,
        'validation': judge(module, task),
        'arrivals': found,
        'train_cpu_s': round(trained - began, 1),
        'walk_cpu_s': round(time.process_time() - trained, 1),
    }
