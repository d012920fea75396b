# SPDX-License-Identifier: Apache-2.0
"""Train one memory on synthetic streams and evaluate it on other streams."""

import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aura_ros.bench.lanes import Lanes
from aura_ros.bench.perturbation import Augmentation
from aura_ros.bench.rival_modules import build_rival, match_write_rate, write_schedule
from aura_ros.bench.streams import CLASSES, FEATURE_DIM, Kind, Streams, StreamSetting, draw, generator
from aura_ros.bench.synthetic import ELMUR_SHAPES
from aura_ros.memory import load_memory
from aura_ros.train.learner import GateTraining, Learner, Optimisation
from aura_ros.train.modules import ContentAddressedModule, FastWeightModule, Gated, MemoryModule, ScheduledModule, Sizes
from aura_ros.train.modules.reconstruction import ReconstructionModule
from aura_ros.train.saving import save_memory
from aura_ros.train.states import choose_states, detached

SIZES = Sizes(FEATURE_DIM, 1, CLASSES, code_dim=64, gate_width=32, head_width=64)
"""Dimensions of AURA-Mem; all rivals have as many parameters."""

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    'aura-content': ('aura', {'addressing': 'content'}),
    'always-content': ('always', {'addressing': 'content'}),
    'oracle-content': ('always', {'addressing': 'content'}),
    'kv-window': ('kv', {'window': 64}),
    'elmur': ('elmur', {'slots': 8, 'segment': 16}),
    'elmur-detached': ('elmur', {'slots': 8, 'segment': 16, 'detach_memory': True}),
    **{f'elmur-{m}x{length}': ('elmur', {'slots': m, 'segment': length}) for m, length in ELMUR_SHAPES},
}
"""Memories that are a kind with options."""


@dataclass(frozen=True)
class Budget:
    """The training and evaluation that all memories get."""

    steps: int = 1200
    """Optimiser steps."""
    batch: int = 16
    """Lanes: streams per step, in pieces that carry the state."""
    used: float = 0.9
    """Share of the pieces that begin with the state of the piece before, 0..1; the others begin empty. With a learned
    gate, all pieces begin empty until the gate decides, because states of random writes are not those of its use.
    """
    tests: int = 100
    """Evaluation streams."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Noise and gain of the training streams."""
    gate: GateTraining = field(default_factory=lambda: GateTraining(price=0.4))
    """How a learned gate learns; a write has to save its price in the loss of later answers [nat]."""
    content_gate: GateTraining = field(default_factory=lambda: GateTraining(price=0.4, open_share=0.3, learn_from=0.0))
    """The same with content addressing, which is learned from random writes: a query that is written at every step
    reads only itself.
    """


@dataclass(frozen=True)
class Task:
    """One memory to train and evaluate."""

    memory: str
    """A kind, a key of `VARIANTS`, or 'oracle'. An oracle is fast weights that are given the events."""
    setting: StreamSetting
    """How the streams are drawn."""
    budget: Budget
    """Steps, batches and evaluation streams."""
    learning_rate: float
    """Peak learning rate."""
    seed: int
    """Seed of the initial weights and of all streams."""
    write_rate: float = 0.0
    """Writes per step of the memories that match those of AURA."""
    split: str = 'evaluation'
    """Streams to evaluate on: 'evaluation', or 'validation' for choices."""


def run_task(task: Task, weights: Path | None = None) -> dict[str, Any]:
    """Train and evaluate one memory; return its row. A job function.

    With `weights`, the weights are saved there, and the NumPy memory is compared with the module.
    """
    torch.set_num_threads(1)
    torch.manual_seed(task.seed)
    began = time.monotonic()
    module = make(task.memory, task.write_rate)
    train(module, task)
    if isinstance(module, ReconstructionModule):
        match_write_rate(module, task.write_rate, lambda: measured_write_rate(module, task))
    streams = draw(task.setting, task.budget.tests, task.setting.length, generator(task.split, task.seed))
    row = {
        'memory': task.memory,
        'seed': task.seed,
        'parameters': module.parameter_count,
        **evaluate(module, task, streams),
        'validation_rate': measured_write_rate(module, task),
        'learning_rate': task.learning_rate,
        'train_s': round(time.monotonic() - began, 1),
    }
    if weights is not None:
        save_memory(module, weights, {'setting': asdict(task.setting), 'budget': asdict(task.budget), 'figures': row})
        row |= step_by_step(module, task, weights, streams)
    return row


def make(memory: str, write_rate: float) -> MemoryModule:
    """Return the untrained module, with the number of parameters of AURA."""
    return build_rival(memory, SIZES, VARIANTS, write_rate)


def schedule_of(module: MemoryModule, task: Task, streams: Streams) -> Tensor | None:
    """See `write_schedule`."""
    return write_schedule(module, task.memory, torch.from_numpy(streams.events).float())


def train(module: MemoryModule, task: Task, learner_type: type[Learner] = Learner) -> None:
    """Train a module to answer the queries of lanes that go on, with its state carried from piece to piece."""
    budget = task.budget
    lanes = Lanes(task.setting, budget.batch, generator('train', task.seed), budget.augmentation)
    gate = budget.content_gate if isinstance(module, ContentAddressedModule) else budget.gate
    learner = learner_type(module, Optimisation(budget.steps, task.learning_rate), gate)
    module.train()
    used_from = gate.open_until * budget.steps if isinstance(module, Gated) and module.has_gate else 0
    state: Any = None
    for step in range(budget.steps):
        streams, going_on = lanes.next_piece(budget.used if step >= used_from else 0.0)
        if state is not None:
            state = choose_states(torch.from_numpy(going_on), state, module.emptied(state))
        asked = torch.from_numpy(streams.target >= 0)
        classes = torch.from_numpy(streams.target)[asked]
        learner.step(
            torch.from_numpy(streams.z),
            no_action(streams),
            partial(_wrong, classes=classes),
            float(max(len(classes), 1)),
            schedule_of(module, task, streams),
            asked,
            state,
        )
        state = detached(learner.state)
    module.eval()


def no_action(streams: Streams) -> Tensor:
    """Return base actions of zero, [B, T, 1, classes]."""
    return torch.zeros(*streams.kind.shape, 1, CLASSES)


def _wrong(actions: Tensor, classes: Tensor) -> Tensor:
    return F.cross_entropy(actions[:, 0], classes, reduction='none')


@torch.no_grad()  # type: ignore[untyped-decorator]
def evaluate(module: MemoryModule, task: Task, streams: Streams) -> dict[str, Any]:
    """Return accuracy, writes per step, and the share of each kind of step that is written."""
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
def measured_write_rate(module: MemoryModule, task: Task) -> float:
    """Return the writes per step on validation streams; rivals match that of AURA."""
    streams = draw(task.setting, 32, task.setting.length, generator('validation', task.seed))
    scan = module(torch.from_numpy(streams.z), no_action(streams), schedule=schedule_of(module, task, streams)).scan
    return float(scan.written.mean())


def step_by_step(module: MemoryModule, task: Task, weights: Path, streams: Streams) -> dict[str, Any]:
    """Run the first stream through the NumPy memory from the weights file, as on a robot.

    Returns:
        `state_bytes`, and the share of answers that agree with the module, `numpy_agrees`.
    """
    if task.memory.startswith('oracle'):
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
