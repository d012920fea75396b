# SPDX-License-Identifier: Apache-2.0
"""Clone the expert of one environment into one memory, and let the memory act in episodes of its own."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aura_ros.bench.popgym_env import EVALUATE, TRAIN, Episode, Floats, Game, demonstrations, episode_seed
from aura_ros.bench.popgym_experts import FAMILIES, Action, Advice, family_of
from aura_ros.memory import Memory, load_memory
from aura_ros.memory.content_addressed import ITEM_VALUE_DIM
from aura_ros.train.learner import GateTraining, Learner, Optimisation
from aura_ros.train.matching import build_module, match_width
from aura_ros.train.modules import ContentAddressedModule, MemoryModule, Sizes
from aura_ros.train.saving import save_memory

SIZES = Sizes(chunk_size=1, code_dim=64, gate_width=48, head_width=64)
"""Dimensions of AURA-Mem; the environment decides the length of an observation and of an action."""

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    'elmur': ('elmur', {'slots': 8, 'segment': 16}),
    'elmur-detached': ('elmur', {'slots': 8, 'segment': 16, 'detach_memory': True}),
    'kv-window': ('kv', {'window': 16}),
}
"""Memories that are a kind with options. A window of 16 steps of 256 bytes is the largest that fits in 4,224 bytes."""
CONTENT = {'aura-content': 'aura', 'always-content': 'always'}
"""Kinds of content-addressed fast weights."""
FADE = 1.3
"""First middle of the rule by which rows lose what other writes replace. No match of two keys is above 1, so no row
loses anything. The rule has no gradient there, so this does not change. Every step is written in most of these
environments, and rows with near keys would lose their counts before the keys are learned."""
SETTINGS = {
    'sizes': SIZES,
    'variants': VARIANTS,
    'fade': FADE,
    'families': {name: (family.noise, family.crop, family.first_length) for name, family in FAMILIES.items()},
}
"""What the row of a run depends on besides its task."""


@dataclass(frozen=True)
class Budget:
    """The training and evaluation that all memories get."""

    steps: int = 600
    """Optimiser steps."""
    batch: int = 32
    """Episodes per step."""
    demonstrations: int = 600
    """Episodes of the expert."""
    tests: int = 100
    """Evaluation episodes."""
    short_until: float = 0.4
    """Fraction of the training before which sequences have the first length of their family, if it has one."""
    whole_from: float = 0.65
    """Fraction from which they are whole episodes. Between the two, the length grows in proportion. It is less than
    the fraction at which the gate begins to learn, so that the gate learns from whole episodes only.
    """
    gate: GateTraining = field(
        default_factory=lambda: GateTraining(price=0.02, open_until=0.85, learn_from=0.8, price_full=0.95, flips=2)
    )
    """How a learned gate learns. Every step is written before the gate decides, because in most of these environments
    each observation counts. The gate learns late, because a write is only worth what the memory can already make of it.
    """

    def length(self, step: int, first: int, whole: int) -> int:
        """Return the length of the sequences of an optimiser step.

        Args:
            step: number of the optimiser step, from 0.
            first: first length; 0 means whole episodes.
            whole: steps of the longest episode.
        """
        if not 0 < first < whole:
            return whole
        grown = (step / self.steps - self.short_until) / (self.whole_from - self.short_until)
        return round(first + (whole - first) * min(max(grown, 0.0), 1.0))


@dataclass(frozen=True)
class Task:
    """One memory to train in one environment."""

    environment: str
    """An id of POPGym."""
    memory: str
    """A kind, or a key of `CONTENT` or `VARIANTS`."""
    budget: Budget
    """Steps, batches and episodes."""
    learning_rate: float
    """Peak learning rate."""
    seed: int
    """Seed of the initial weights and of all episodes."""
    split: int = EVALUATE
    """Episodes to act in: EVALUATE, or VALIDATE for choices."""


@dataclass(frozen=True)
class Lessons:
    """N episodes of the expert, padded to the longest of T steps."""

    z: Tensor
    """Observations, float [N, T, D]."""
    targets: Tensor
    """Actions of the expert, int64 [N, T] or float [N, T, A]."""
    counts: Tensor
    """Steps to learn, bool [N, T]; no step of the padding is learned."""
    lengths: Tensor
    """Steps of each episode, int64 [N]."""

    @classmethod
    def of(cls, episodes: Sequence[Episode]) -> 'Lessons':
        """Return the lessons of some episodes."""
        z, targets, counts = (
            torch.nn.utils.rnn.pad_sequence([torch.from_numpy(getattr(episode, part)) for episode in episodes], True)
            for part in ('z', 'targets', 'counts')
        )
        return cls(z, targets, counts, torch.tensor([len(episode.z) for episode in episodes]))

    def draw(self, batch: int, crop: int, rng: np.random.Generator) -> 'Lessons':
        """Return random episodes, each cut at random to `crop` steps if it is longer; 0 takes whole episodes."""
        chosen = torch.from_numpy(rng.integers(len(self.z), size=batch))
        lengths = self.lengths[chosen]
        steps = crop or int(lengths.max())
        spare = (lengths - steps).clamp(min=0).numpy()
        where = torch.from_numpy(rng.integers(spare + 1))[:, None] + torch.arange(steps)
        inside, where = where < lengths[:, None], where.clamp(max=self.z.shape[1] - 1)
        z, targets, counts = (part[chosen[:, None], where] for part in (self.z, self.targets, self.counts))
        return Lessons(z, targets, counts & inside, lengths.clamp(max=steps))

    def begin(self, steps: int) -> 'Lessons':
        """Return the first steps of each episode."""
        z, targets, counts = (part[:, :steps] for part in (self.z, self.targets, self.counts))
        return Lessons(z, targets, counts, self.lengths.clamp(max=steps))


def run_task(task: Task, weights: Path) -> dict[str, Any]:
    """Train one memory, save its weights, act with them, and return the row. A job function.

    The NumPy memory acts, from the weights file, as on a robot.
    """
    torch.set_num_threads(1)
    torch.manual_seed(task.seed)
    began, game = time.process_time(), Game(task.environment)
    module = make(task.memory, replace(SIZES, feature_dim=game.feature_dim, action_dim=game.action_dim))
    loss, written = train(module, task)
    trained = time.process_time()
    about = {'budget': asdict(task.budget), 'environment': task.environment, 'seed': task.seed}
    save_memory(module, weights, about)
    memory = load_memory(module.kind, str(weights), getattr(module, 'window', 0))
    return {
        'id': task.environment,
        'memory': task.memory,
        'seed': task.seed,
        'parameters': module.parameter_count,
        'learning_rate': task.learning_rate,
        'steps': task.budget.steps,
        **evaluate(game, memory, task),
        'training_loss': loss,
        'training_writes': written,
        'train_cpu_s': round(trained - began, 1),
        'test_cpu_s': round(time.process_time() - trained, 1),
    }


def make(memory: str, sizes: Sizes) -> MemoryModule:
    """Return the untrained module, with the number of parameters of 'aura-content' of these sizes within 3 %."""
    with torch.device('meta'):
        target = ContentAddressedModule(sizes).parameter_count
    if memory in CONTENT:

        def coded(width: int) -> MemoryModule:
            return ContentAddressedModule(replace(sizes, code_dim=width), CONTENT[memory])

        return coded(match_width(coded, target))
    kind, options = VARIANTS.get(memory, (memory, {}))
    return build_module(kind, sizes, target, **options)


def train(module: MemoryModule, task: Task) -> tuple[float, float]:
    """Imitate the expert.

    Returns:
        action loss and share of steps written, means over the last twentieth of the training.
    """
    budget, family = task.budget, family_of(task.environment)
    lessons = Lessons.of(demonstrations(task.environment, TRAIN, task.seed, budget.demonstrations))
    prepare(module, lessons, Game(task.environment).one_hot)
    rng, tail = np.random.default_rng((TRAIN, task.seed)), []
    learner = Learner(module, Optimisation(budget.steps, task.learning_rate), budget.gate)
    module.train()
    for step in range(budget.steps):
        seen = lessons.draw(budget.batch, family.crop, rng)
        seen = seen.begin(budget.length(step, family.first_length, seen.z.shape[1]))
        base = torch.zeros(*seen.counts.shape, 1, module.sizes.action_dim)
        losses = partial(_losses, targets=seen.targets[seen.counts])
        tail.append(learner.step(seen.z, base, losses, float(seen.counts.sum()), asked=seen.counts))
    module.eval()
    loss, written = np.mean(tail[-max(1, budget.steps // 20) :], axis=0)
    return float(loss), float(written)


@torch.no_grad()  # type: ignore[untyped-decorator]
def prepare(module: MemoryModule, lessons: Lessons, one_hot: bool) -> None:
    """Set the scale of the observations, and first parameters with which fast weights learn to queue and to count.

    The keys of different steps begin different. The value of an item begins as one layer with two inputs, code and
    stored value. This was chosen by the training loss and validation episodes of seeds that are not reported as such.
    """
    seen = lessons.z[torch.arange(lessons.z.shape[1]) < lessons.lengths[:, None]]
    if not one_hot:
        module.feature_mean.copy_(seen.mean(0))
        module.feature_scale.copy_(seen.std(0).clamp(min=1e-2))
    if isinstance(module, ContentAddressedModule):
        module.fade.fill_(FADE)
        code, stored = module.sizes.code_dim, ITEM_VALUE_DIM
        module.feedback.weight.mul_(math.sqrt(stored / (code + stored)))
        for parameter in module.value.parameters():
            parameter.mul_(math.sqrt(code / (code + stored)))


def _losses(actions: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each asked step, [N]: the cross entropy [nat], or the mean squared error of -1..1."""
    if targets.dim() == 1:
        return F.cross_entropy(actions[:, 0], targets, reduction='none')
    return (actions[:, 0] - targets).square().mean(-1)


def evaluate(game: Game, memory: Memory, task: Task) -> dict[str, Any]:
    """Act in episodes that no training has seen, and return means over episodes and steps.

    The expert and uniform random actions play episodes of the same seeds.
    """
    base, written, steps = np.zeros((1, game.action_dim), np.float32), 0, 0

    def remember(z: Floats, _: Advice) -> Action:
        nonlocal written, steps
        decision = memory.step(z, base)
        written, steps = written + decision.written, steps + 1
        return game.action(decision.action)

    seeds = [episode_seed(task.split, task.seed, index) for index in range(task.budget.tests)]
    found = []
    for seed in seeds:
        memory.reset()
        found.append(game.play(seed, remember))
    size, draw = memory.state_bytes, game.random_actions(seeds[0])
    expert = [game.play(seed, lambda _, advice: advice.action).total for seed in seeds]
    random = [game.play(seed, lambda *_: draw()).total for seed in seeds]
    counts, agrees = (np.concatenate([getattr(episode, part) for episode in found]) for part in ('counts', 'agrees'))
    returns = [episode.total for episode in found]
    return {
        'return': float(np.mean(returns)),
        'return_error': float(np.std(returns, ddof=1) / len(returns) ** 0.5),
        'expert_return': float(np.mean(expert)),
        'random_return': float(np.mean(random)),
        'agreement': float(agrees[counts].mean()),
        'writes_per_step': written / steps,
        'state_bytes': size,
    }
