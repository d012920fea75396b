# SPDX-License-Identifier: Apache-2.0
"""Behaviour cloning of the oracle in short corridors, the same ones for every memory."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aura_ros.bench.rival_modules import build_rival, match_write_rate, write_schedule
from aura_ros.bench.tmaze_env import ACTIONS, RIGHT, Maze, PassiveMaze, Seed, SelectiveMaze
from aura_ros.train.learner import GateTraining, Learner, Optimisation
from aura_ros.train.modules import ElmurModule, ElmurOptions, MemoryModule, Sizes
from aura_ros.train.modules.elmur_layer import Dropout
from aura_ros.train.modules.reconstruction import ReconstructionModule

TRAIN, VALIDATE, EVALUATE = range(3)
"""First number of a corridor seed; training, validation and evaluation share no corridor."""
MAZES: dict[str, Maze] = {'passive': PassiveMaze(), 'selective': SelectiveMaze()}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    'kv-window': ('kv', {'window': 16}),
    'elmur-detached': ('elmur', {'detach_memory': True}),
}
"""Memories that are a kind with options. A window of 16 steps of 256 bytes is the largest that fits in 4,224 bytes."""
ELMUR_WIDE = ElmurOptions(
    width=64, ffn_width=128, detach_memory=True, dropout=Dropout(branch=0.10, attention=0.17, memory=0.01)
)
"""Options of 'elmur-wide': half the width of the released ELMUR, with its dropout and its detached memory, and
ten times the parameters of AURA.
"""
LABEL_SMOOTHING = {'elmur-wide': 0.16}
"""Share of a label that is spread over all actions, by memory, from the same release; 0 for the others."""
SCALE_SAMPLES = 20
"""Number of lengths, and of corridors of each, from which the scale of the observations is measured."""
VALIDATION_CORRIDORS = 100
"""Number of validation corridors of each length."""


@dataclass(frozen=True)
class Curriculum:
    """The training corridors of one maze, the same for every memory."""

    steps: int
    """Optimiser steps."""
    batch: int
    """Corridors per step, all of one length."""
    shortest: int
    """Shortest corridor; lengths are drawn uniformly."""
    longest: int
    """Longest corridor at the end of the curriculum."""
    first_longest: int
    """Longest corridor at the first step; it rises linearly to `longest`."""
    grown: float
    """Fraction of the training at which the corridors reach `longest`."""
    corridor_weight: float
    """Loss weight of a step in the corridor; the turn has weight 1."""
    validation: tuple[int, ...]
    """Lengths of the validation corridors."""
    gate: GateTraining
    """How a learned gate learns."""


_PASSIVE = Curriculum(
    steps=400,
    batch=32,
    shortest=1,
    longest=30,
    first_longest=8,
    grown=0.4,
    corridor_weight=0.05,
    validation=(10, 20, 30),
    gate=GateTraining(price=0.05, open_until=0.3, price_full=0.45, probe=0.3),
)
CURRICULA = {
    'passive': _PASSIVE,
    'selective': replace(_PASSIVE, steps=1500, shortest=2, longest=60, validation=(15, 30, 60)),
}


@dataclass(frozen=True)
class Task:
    """One memory to train in one maze."""

    maze: str
    """A key of `MAZES`."""
    memory: str
    """A kind, a key of `VARIANTS`, 'elmur-wide', or 'oracle': fast weights that are given the steps to write."""
    curriculum: Curriculum
    """Training corridors."""
    learning_rate: float
    """Peak learning rate."""
    seed: int
    """Seed of the initial weights and of all corridors."""
    write_rate: float = 0.0
    """Writes per step of the memories that match those of AURA."""


@dataclass(frozen=True)
class Episodes:
    """B episodes of the oracle in corridors of one length c; step c is the junction."""

    z: Tensor
    """Observations, float [B, c + 1, D]."""
    actions: Tensor
    """Actions of the oracle, int [B, c + 1]."""
    oracle_writes: Tensor
    """1 where the oracle writes, float [B, c + 1]."""


def episodes(maze: Maze, corridors: int, length: int, seed: Seed) -> Episodes:
    """Draw corridors and return the episodes of the oracle in them."""
    walk = maze.start(corridors, seed)
    corridor, (end, turns) = walk.advance(length), walk.junction()
    actions = np.full((corridors, length + 1), RIGHT)
    actions[:, -1] = turns
    return Episodes(
        torch.from_numpy(np.concatenate([corridor.z, end], 1)),
        torch.from_numpy(actions),
        F.pad(torch.from_numpy(corridor.oracle_writes).float(), (0, 1)),
    )


def no_action(z: Tensor) -> Tensor:
    """Return base actions of zero, [B, T, 1, ACTIONS]."""
    return z.new_zeros(*z.shape[:2], 1, ACTIONS)


def make(task: Task) -> MemoryModule:
    """Return the untrained module; all but 'elmur-wide' have the number of parameters of AURA."""
    sizes = Sizes(MAZES[task.maze].feature_dim, 1, ACTIONS, code_dim=48, gate_width=48, head_width=64)
    if task.memory == 'elmur-wide':
        return ElmurModule(sizes, ELMUR_WIDE)
    return build_rival(task.memory, sizes, VARIANTS, task.write_rate)


def train(task: Task) -> MemoryModule:
    """Train a memory to imitate the oracle; every optimiser step draws new corridors."""
    curriculum, maze, smoothing = task.curriculum, MAZES[task.maze], LABEL_SMOOTHING.get(task.memory, 0.0)
    torch.manual_seed(task.seed)
    module = make(task)
    _standardise(module, task)
    lengths = np.random.default_rng((TRAIN, task.seed))
    learner = Learner(module, Optimisation(curriculum.steps, task.learning_rate), curriculum.gate)
    module.train()
    for step in range(curriculum.steps):
        grown = min(1.0, step / (curriculum.grown * curriculum.steps))
        longest = round(curriculum.first_longest + grown * (curriculum.longest - curriculum.first_longest))
        length = int(lengths.integers(curriculum.shortest, longest + 1))
        seen = episodes(maze, curriculum.batch, length, (TRAIN, task.seed, step))
        weight = torch.full(seen.actions.shape, curriculum.corridor_weight)
        weight[:, -1] = 1.0
        losses = partial(_losses, actions=seen.actions, weight=weight, smoothing=smoothing)
        schedule = write_schedule(module, task.memory, seen.oracle_writes)
        learner.step(seen.z, no_action(seen.z), losses, float(weight.sum()), schedule)
    module.eval()
    if isinstance(module, ReconstructionModule):
        match_write_rate(module, task.write_rate, lambda: evaluate(module, task)['rate'])
    return module


def _standardise(module: MemoryModule, task: Task) -> None:
    """Set mean and scale of the observations from corridors like those of the training."""
    lengths = np.linspace(task.curriculum.shortest, task.curriculum.longest, SCALE_SAMPLES).round().astype(int)
    seen = torch.cat(
        [
            episodes(
                MAZES[task.maze], SCALE_SAMPLES, int(length), (TRAIN, task.seed, task.curriculum.steps + i)
            ).z.flatten(0, 1)
            for i, length in enumerate(lengths)
        ]
    )
    module.feature_mean.copy_(seen.mean(0))
    module.feature_scale.copy_(seen.std(0).clamp(min=1e-2))


def _losses(chunks: Tensor, actions: Tensor, weight: Tensor, smoothing: float) -> Tensor:
    scores, wanted = chunks[:, :, 0].flatten(0, 1), actions.flatten()
    wrong = F.cross_entropy(scores, wanted, reduction='none', label_smoothing=smoothing)
    return wrong.view_as(weight) * weight


@torch.no_grad()  # type: ignore[untyped-decorator]
def evaluate(module: MemoryModule, task: Task) -> dict[str, float]:
    """Return results on validation corridors: share solved, cross entropy of the turn [nat], writes per step."""
    solved, entropy, writes, steps = 0, 0.0, 0.0, 0
    for length in task.curriculum.validation:
        seen = episodes(MAZES[task.maze], VALIDATION_CORRIDORS, length, (VALIDATE, task.seed, length))
        rollout = module(seen.z, no_action(seen.z), schedule=write_schedule(module, task.memory, seen.oracle_writes))
        scores = rollout.actions[:, :, 0]
        solved += int((scores.argmax(-1) == seen.actions).all(1).sum())
        entropy += float(F.cross_entropy(scores[:, -1], seen.actions[:, -1], reduction='sum'))
        writes += float(rollout.scan.written.sum())
        steps += seen.actions.numel()
    corridors = VALIDATION_CORRIDORS * len(task.curriculum.validation)
    return {'success': solved / corridors, 'entropy': entropy / corridors, 'rate': writes / steps}


def validate(task: Task) -> dict[str, Any]:
    """Train and evaluate one memory, for `--tune`. A job function."""
    torch.set_num_threads(1)
    return {
        'maze': task.maze,
        'memory': task.memory,
        'learning_rate': task.learning_rate,
        'price': task.curriculum.gate.price,
        'seed': task.seed,
        **evaluate(train(task), task),
    }
