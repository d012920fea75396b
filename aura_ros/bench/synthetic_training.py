# SPDX-License-Identifier: Apache-2.0
"""Train one memory on synthetic streams, judge it on streams it never saw."""

import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aura_ros.bench.streams import CLASSES, FEATURE_DIM, Kind, Streams, StreamSetting, draw, generator
from aura_ros.memory import load_memory
from aura_ros.train.learner import GateTraining, Learner, Optimisation
from aura_ros.train.matching import build_module
from aura_ros.train.modules import AuraModule, FastWeightModule, MemoryModule, Rollout, ScheduledModule, Sizes
from aura_ros.train.modules.reconstruction import ReconstructionModule
from aura_ros.train.saving import save_memory

SIZES = Sizes(FEATURE_DIM, 1, CLASSES, code_dim=64, gate_width=32, head_width=64)
"""Of AURA-Mem; every rival has as many parameters."""

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    'kv-window': ('kv', {'window': 64}),
    'elmur': ('elmur', {'slots': 8, 'segment': 16}),
    'elmur-gradient': ('elmur', {'slots': 8, 'segment': 16, 'detach_memory': False}),
}
"""Memories that are a kind with options."""


AHEAD = 16
"""Steps whose streams are drawn together, which is quicker."""


@dataclass(frozen=True)
class Budget:
    """What every memory is given."""

    steps: int = 1200
    """Optimiser steps."""
    batch: int = 16
    """Streams per step."""
    tests: int = 100
    """Evaluation streams."""
    gate: GateTraining = field(default_factory=lambda: GateTraining(price=0.4))
    """How a learned gate learns; its price is in nats that later answers must save [nat]."""


@dataclass(frozen=True)
class Task:
    """One run."""

    memory: str
    """A kind, or a key of `VARIANTS`, or 'oracle': fast weights that are told which steps are events."""
    setting: StreamSetting
    budget: Budget
    learning_rate: float
    """Peak."""
    seed: int
    """Of initialisation, training and evaluation streams."""
    rate: float = 0.0
    """Writes per step to match, for the memories that are given a budget."""
    split: str = 'evaluation'
    """'evaluation', or 'validation' to choose settings."""


def run_task(task: Task, weights: Path | None = None) -> dict[str, Any]:
    """Train and judge; returns a row. With a path the weights are kept there and the NumPy step is compared."""
    torch.set_num_threads(1)
    torch.manual_seed(task.seed)
    began = time.monotonic()
    module = make(task.memory, task.rate)
    train(module, task)
    if isinstance(module, ReconstructionModule):
        spend(module, task)
    streams = draw(task.setting, task.budget.tests, task.setting.length, generator(task.split, task.seed))
    row = {
        'memory': task.memory,
        'seed': task.seed,
        'parameters': module.parameter_count,
        **judge(module, task, streams),
        'validation_rate': write_rate(module, task),
        'learning_rate': task.learning_rate,
        'train_s': round(time.monotonic() - began, 1),
    }
    if weights is not None:
        save_memory(module, weights, {'setting': asdict(task.setting), 'budget': asdict(task.budget), 'figures': row})
        row |= step_by_step(module, task, weights, streams)
    return row


def make(memory: str, rate: float) -> MemoryModule:
    """The module of a memory, with AURA's number of parameters."""
    if memory == 'reconstruction':
        return ReconstructionModule(SIZES)
    kind, options = VARIANTS.get(memory, (memory, {}))
    if kind in ('random', 'periodic'):
        options = {'budget': rate}
    return build_module('always' if kind == 'oracle' else kind, SIZES, **options)


def schedule_of(module: MemoryModule, task: Task, streams: Streams) -> Tensor | None:
    """Which steps are written where that is not the memory's own decision, [B, T]."""
    if task.memory == 'oracle':
        return torch.from_numpy(streams.events).float()
    return module.draw(*streams.kind.shape) if isinstance(module, ScheduledModule) else None


def train(module: MemoryModule, task: Task, learner_type: type[Learner] = Learner) -> None:
    """Learn to answer, from streams drawn anew for every step."""
    budget, rng = task.budget, generator('train', task.seed)
    learner = learner_type(module, Optimisation(budget.steps, task.learning_rate), budget.gate)
    module.train()
    for step in range(budget.steps):
        if step % AHEAD == 0:
            drawn = draw(task.setting, AHEAD * budget.batch, task.setting.train_length, rng)
        streams = drawn[slice(step % AHEAD, None, AHEAD)]
        asked = torch.from_numpy(streams.target >= 0)
        if not asked.any():
            continue
        classes = torch.from_numpy(streams.target)[asked]
        learner.step(
            torch.from_numpy(streams.z),
            no_action(streams),
            partial(_wrong, classes=classes),
            float(len(classes)),
            schedule_of(module, task, streams),
            asked,
        )
    module.eval()


def no_action(streams: Streams) -> Tensor:
    """The base action of a policy that says nothing, [B, T, 1, classes]."""
    return torch.zeros(*streams.kind.shape, 1, CLASSES)


def _wrong(rollout: Rollout, classes: Tensor) -> Tensor:
    return F.cross_entropy(rollout.actions[:, 0], classes)


@torch.no_grad()  # type: ignore[untyped-decorator]
def judge(module: MemoryModule, task: Task, streams: Streams) -> dict[str, Any]:
    """Accuracy, writes, and where they fall."""
    asked = torch.from_numpy(streams.target >= 0)
    rollout = module(
        torch.from_numpy(streams.z), no_action(streams), asked=asked, schedule=schedule_of(module, task, streams)
    )
    right = rollout.actions[:, 0].argmax(-1).numpy() == streams.target[asked.numpy()]
    written = rollout.scan.written.numpy() > 0.5
    fired = {
        f'fire_{kind.name.lower()}': float(written[streams.kind == kind].mean())
        for kind in Kind
        if (streams.kind == kind).any()
    }
    return {
        'accuracy': float(right.mean()),
        'queries': len(right),
        'writes_per_step': float(written.mean()),
        'events_per_step': float(streams.events.mean()),
        'fire_event': float(written[streams.events].mean()),
        **fired,
    }


@torch.no_grad()  # type: ignore[untyped-decorator]
def write_rate(module: MemoryModule, task: Task) -> float:
    """Writes per step on validation streams: the budget that is matched."""
    streams = draw(task.setting, 32, task.setting.length, generator('validation', task.seed))
    scan = module(torch.from_numpy(streams.z), no_action(streams), schedule=schedule_of(module, task, streams)).scan
    return float(scan.written.mean())


def spend(module: AuraModule, task: Task) -> None:
    """Shift the gate until it writes as often as the budget says; more shift, more writes."""
    bias = module.gate.output.bias.data
    low, high = -30.0, 30.0
    start = bias.clone()
    for _ in range(16):
        middle = (low + high) / 2
        bias.copy_(start + middle)
        low, high = (middle, high) if write_rate(module, task) < task.rate else (low, middle)


def step_by_step(module: MemoryModule, task: Task, weights: Path, streams: Streams) -> dict[str, Any]:
    """Run the first stream through the NumPy memory that a robot would run, from the weights file."""
    if task.memory == 'oracle':
        state = FastWeightModule(SIZES).sizes
        return {'state_bytes': 4 * state.value_dim * (state.key_dim + 1)}
    memory = load_memory(module.kind, str(weights), getattr(module, 'window', 0))
    base = np.zeros((1, CLASSES), np.float32)
    answers = np.array([memory.step(z, base).action[0].argmax() for z in streams.z[0]])
    one = streams[:1]
    with torch.no_grad():
        rollout = module(torch.from_numpy(one.z), no_action(one))
    asked = one.target[0] >= 0
    same = answers == rollout.actions[0, :, 0].argmax(-1).numpy()
    return {
        'state_bytes': memory.state_bytes,
        'numpy_agrees': None if isinstance(module, ScheduledModule) else float(same[asked].mean()),
    }
