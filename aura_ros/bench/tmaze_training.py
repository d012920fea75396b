# SPDX-License-Identifier: Apache-2.0
"""Behaviour cloning in short corridors: every memory of the family learns from the same ones."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aura_ros.bench.tmaze_env import ACTIONS, RIGHT, Maze, PassiveMaze, Seed, SelectiveMaze
from aura_ros.train.learner import GateTraining, Learner, Optimisation
from aura_ros.train.matching import build_module
from aura_ros.train.modules import AuraModule, ElmurModule, ElmurOptions, MemoryModule, Rollout, ScheduledModule, Sizes
from aura_ros.train.modules.elmur_layer import Dropout
from aura_ros.train.modules.reconstruction import ReconstructionModule

TRAIN, VALIDATE, EVALUATE = range(3)
"""First numbers of the seeds of corridors: what they are for."""
MAZES: dict[str, Maze] = {'passive': PassiveMaze(), 'selective': SelectiveMaze()}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    'kv-window': ('kv', {'window': 16}),
    'elmur': ('elmur', {'detach_memory': True}),
    'elmur-gradient': ('elmur', {'detach_memory': False}),
}
"""Memories that are a kind with options: 16 steps of 256 bytes are the most that 4,224 bytes hold."""
AS_ITS_AUTHORS = ElmurOptions(width=64, ffn_width=128, dropout=Dropout(branch=0.10, attention=0.17, memory=0.01))
"""Of 'elmur-wide': half as wide as the released one, with its dropout; ten times AURA's number of parameters."""
SMOOTHING = {'elmur-wide': 0.16}
"""Share of a label that is spread over all actions, from the same release; none for the others."""
SCALED = 20
"""Corridors of as many lengths from which the scale of the observations is measured."""
JUDGED = 100
"""Validation corridors of each length."""


@dataclass(frozen=True)
class Course:
    """What every memory learns from in one maze."""

    steps: int
    """Optimiser steps."""
    batch: int
    """Corridors per step, all of one length."""
    shortest: int
    """Corridor, drawn uniformly."""
    longest: int
    """Corridor, drawn uniformly."""
    first_longest: int
    """Of the first step; from there it rises to `longest`."""
    grown: float
    """Fraction of the training at which it has."""
    corridor_weight: float
    """Of a step in the corridor; the turn weighs 1."""
    validation: tuple[int, ...]
    """Lengths of the validation corridors."""
    gate: GateTraining
    """How a learned gate learns."""


COURSES = {
    'passive': Course(
        steps=400,
        batch=32,
        shortest=1,
        longest=30,
        first_longest=8,
        grown=0.4,
        corridor_weight=0.05,
        validation=(10, 20, 30),
        gate=GateTraining(price=0.05, open_until=0.3, price_full=0.45, probe=0.3),
    ),
    'selective': Course(
        steps=1500,
        batch=32,
        shortest=2,
        longest=60,
        first_longest=8,
        grown=0.4,
        corridor_weight=0.05,
        validation=(15, 30, 60),
        gate=GateTraining(price=0.05, open_until=0.3, price_full=0.45, probe=0.3),
    ),
}


@dataclass(frozen=True)
class Task:
    """One memory to train in one maze."""

    maze: str
    """A key of `MAZES`."""
    memory: str
    """A kind, a key of `VARIANTS`, or 'oracle': fast weights that are told where something new is seen."""
    course: Course
    """What it learns from."""
    learning_rate: float
    """Peak."""
    seed: int
    """Of initial weights and of all corridors."""
    rate: float = 0.0
    """Writes per step to match, for the memories that are given a budget."""


@dataclass(frozen=True)
class Episodes:
    """Whole episodes of the oracle, B of one length: c steps of corridor, then the junction."""

    z: Tensor
    """[B, c + 1, D]."""
    actions: Tensor
    """What the oracle does, int [B, c + 1]."""
    news: Tensor
    """Where it would write, float [B, c + 1]."""


def episodes(maze: Maze, corridors: int, length: int, seed: Seed) -> Episodes:
    """Draw corridors and walk them as the oracle does."""
    walk = maze.start(corridors, seed)
    corridor, (end, turns) = walk.go_on(length), walk.junction()
    actions = np.full((corridors, length + 1), RIGHT)
    actions[:, -1] = turns
    return Episodes(
        torch.from_numpy(np.concatenate([corridor.z, end], 1)),
        torch.from_numpy(actions),
        F.pad(torch.from_numpy(corridor.news).float(), (0, 1)),
    )


def no_action(z: Tensor) -> Tensor:
    """The base action of a policy that says nothing, [B, T, 1, ACTIONS]."""
    return z.new_zeros(*z.shape[:2], 1, ACTIONS)


def make(task: Task) -> MemoryModule:
    """The untrained module, with AURA's number of parameters but for 'elmur-wide'."""
    sizes = Sizes(MAZES[task.maze].feature_dim, 1, ACTIONS, code_dim=48, gate_width=48, head_width=64)
    if task.memory == 'reconstruction':
        return ReconstructionModule(sizes)
    if task.memory == 'elmur-wide':
        return ElmurModule(sizes, AS_ITS_AUTHORS)
    kind, options = VARIANTS.get(task.memory, (task.memory, {}))
    if kind in ('random', 'periodic'):
        options = {'budget': task.rate}
    return build_module('always' if kind == 'oracle' else kind, sizes, **options)


def schedule_of(module: MemoryModule, task: Task, news: Tensor) -> Tensor | None:
    """Which steps are written where the memory does not decide that itself, [B, T]."""
    if task.memory == 'oracle':
        return news
    return module.draw(*news.shape) if isinstance(module, ScheduledModule) else None


def train(task: Task) -> MemoryModule:
    """Make a memory and let it learn from the oracle; corridors are drawn anew for every step."""
    course, maze, smoothing = task.course, MAZES[task.maze], SMOOTHING.get(task.memory, 0.0)
    torch.manual_seed(task.seed)
    module = make(task)
    _standardise(module, task)
    lengths = np.random.default_rng((TRAIN, task.seed))
    learner = Learner(module, Optimisation(course.steps, task.learning_rate), course.gate)
    module.train()
    for step in range(course.steps):
        grown = min(1.0, step / (course.grown * course.steps))
        longest = round(course.first_longest + grown * (course.longest - course.first_longest))
        length = int(lengths.integers(course.shortest, longest + 1))
        seen = episodes(maze, course.batch, length, (TRAIN, task.seed, step))
        weight = torch.full(seen.actions.shape, course.corridor_weight)
        weight[:, -1] = 1.0
        loss = partial(_loss, actions=seen.actions, weight=weight, smoothing=smoothing)
        learner.step(seen.z, no_action(seen.z), loss, float(weight.sum()), schedule_of(module, task, seen.news))
    module.eval()
    if isinstance(module, ReconstructionModule):
        _spend(module, task)
    return module


def _standardise(module: MemoryModule, task: Task) -> None:
    """Measure mean and scale of the observations on corridors like those of the training; they stay as they are."""
    lengths = np.linspace(task.course.shortest, task.course.longest, SCALED).round().astype(int)
    seen = torch.cat(
        [
            episodes(MAZES[task.maze], SCALED, int(length), (TRAIN, task.seed, task.course.steps + i)).z.flatten(0, 1)
            for i, length in enumerate(lengths)
        ]
    )
    module.feature_mean.copy_(seen.mean(0))
    module.feature_scale.copy_(seen.std(0).clamp(min=1e-2))


def _loss(rollout: Rollout, actions: Tensor, weight: Tensor, smoothing: float) -> Tensor:
    wrong = F.cross_entropy(
        rollout.actions[:, :, 0].flatten(0, 1), actions.flatten(), reduction='none', label_smoothing=smoothing
    )
    return (wrong * weight.flatten()).sum() / weight.sum()


@torch.no_grad()  # type: ignore[untyped-decorator]
def judge(module: MemoryModule, task: Task) -> dict[str, float]:
    """Validation corridors: share solved, cross entropy of the turn [nat], writes per step."""
    solved, entropy, writes, steps = 0, 0.0, 0.0, 0
    for length in task.course.validation:
        seen = episodes(MAZES[task.maze], JUDGED, length, (VALIDATE, task.seed, length))
        rollout = module(seen.z, no_action(seen.z), schedule=schedule_of(module, task, seen.news))
        scores = rollout.actions[:, :, 0]
        solved += int((scores.argmax(-1) == seen.actions).all(1).sum())
        entropy += float(F.cross_entropy(scores[:, -1], seen.actions[:, -1], reduction='sum'))
        writes += float(rollout.scan.written.sum())
        steps += seen.actions.numel()
    corridors = JUDGED * len(task.course.validation)
    return {'success': solved / corridors, 'entropy': entropy / corridors, 'rate': writes / steps}


def validate(task: Task) -> dict[str, Any]:
    """Train and judge: how settings are chosen. At the top level, for a process of its own."""
    torch.set_num_threads(1)
    return {
        'maze': task.maze,
        'memory': task.memory,
        'learning_rate': task.learning_rate,
        'price': task.course.gate.price,
        'seed': task.seed,
        **judge(train(task), task),
    }


def _spend(module: AuraModule, task: Task) -> None:
    """Shift the gate until it writes as often as the budget says: a higher bias, more writes."""
    bias = module.gate.output.bias.data
    start, low, high = bias.clone(), -30.0, 30.0
    for _ in range(16):
        middle = (low + high) / 2
        bias.copy_(start + middle)
        low, high = (middle, high) if judge(module, task)['rate'] < task.rate else (low, middle)
