# SPDX-License-Identifier: Apache-2.0
"""Clone the expert of one environment into one memory, and let the memory act in episodes of its own."""

import math
import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from aura_ros.bench.popgym_curriculum import Growth, GrowthRule
from aura_ros.bench.popgym_env import EVALUATE, TRAIN, Floats, Game, demonstrations, episode_seed
from aura_ros.bench.popgym_experts import FAMILIES, Action, Advice, Family, family_of
from aura_ros.bench.popgym_lessons import Lessons
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
    'sees_last': True,
    'families': {name: (family.noise, family.crop, family.first_length) for name, family in FAMILIES.items()},
}
"""What the row of a run depends on besides its task."""


@dataclass(frozen=True)
class Budget:
    """The training and evaluation that all memories get."""

    steps: int = 600
    """Optimiser steps. If the family has a first length, all of their sequences have it."""
    starts: int = 6
    """Most initial weights that are tried for such a family, until the memory knows sequences of this length."""
    growth_steps: int = 900
    """Further optimiser steps of such a family, in which the sequences grow to whole episodes."""
    growth_rate: float = 0.5
    """Peak learning rate of the further steps, in units of that of the first ones."""
    growth: GrowthRule = field(default_factory=GrowthRule)
    """When the sequences grow. They are whole before the gate begins to learn."""
    batch: int = 32
    """Episodes per step."""
    demonstrations: int = 600
    """Episodes of the expert."""
    tests: int = 100
    """Evaluation episodes."""
    gate: GateTraining = field(
        default_factory=lambda: GateTraining(price=0.02, open_until=0.85, learn_from=0.8, price_full=0.95, flips=2)
    )
    """How a learned gate learns. Every step is written before the gate decides, because in most of these environments
    each observation counts. The gate learns late, because a write is only worth what the memory can already make of it.
    """

    def total_steps(self, family: Family) -> int:
        """Return the optimiser steps of a training."""
        return self.steps + (self.growth_steps if family.first_length else 0)


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


def run_task(task: Task, weights: Path) -> dict[str, Any]:
    """Train one memory, save its weights, act with them, and return the row. A job function.

    The NumPy memory acts, from the weights file, as on a robot.
    """
    torch.set_num_threads(1)
    torch.manual_seed(task.seed)
    began, game = time.process_time(), Game(task.environment)
    found = Imitation(task, game).train()
    module, trained = found.module, time.process_time()
    about = {'budget': asdict(task.budget), 'environment': task.environment, 'seed': task.seed}
    save_memory(module, weights, about)
    memory = load_memory(module.kind, str(weights), getattr(module, 'window', 0))
    return {
        'id': task.environment,
        'memory': task.memory,
        'seed': task.seed,
        'parameters': module.parameter_count,
        'learning_rate': task.learning_rate,
        'steps': task.budget.total_steps(family_of(task.environment)),
        **evaluate(game, memory, task),
        'training_loss': found.loss,
        'training_writes': found.written,
        'starts': found.starts,
        'train_cpu_s': round(trained - began, 1),
        'test_cpu_s': round(time.process_time() - trained, 1),
    }


def make(memory: str, sizes: Sizes) -> MemoryModule:
    """Return the untrained module, with the number of parameters of 'aura-content' of these sizes within 3 %."""
    with torch.device('meta'):
        target = ContentAddressedModule(sizes, sees_last=True).parameter_count
    if memory in CONTENT:

        def coded(width: int) -> MemoryModule:
            return ContentAddressedModule(replace(sizes, code_dim=width), CONTENT[memory], sees_last=True)

        return coded(match_width(coded, target))
    kind, options = VARIANTS.get(memory, (memory, {}))
    return build_module(kind, sizes, target, **options)


@dataclass(frozen=True)
class Trained:
    """A trained memory."""

    module: MemoryModule
    """The memory."""
    loss: float
    """Action loss, mean over the last twentieth of the training."""
    written: float
    """Share of steps written, mean over the same steps."""
    starts: int
    """Initial weights that were tried [1]."""


class Imitation:
    """Trains one memory to imitate the expert of its task."""

    def __init__(self, task: Task, game: Game) -> None:
        """Play the demonstrations of a task."""
        self._task, self._game, self._family = task, game, family_of(task.environment)
        self._lessons = Lessons.of(demonstrations(task.environment, TRAIN, task.seed, task.budget.demonstrations))
        self._rng = np.random.default_rng((TRAIN, task.seed))

    def train(self) -> Trained:
        """Return the trained memory."""
        budget, rate, whole = self._task.budget, self._task.learning_rate, self._lessons.z.shape[1]
        if first := self._family.first_length:
            module, first_loss, starts = self._begin(first)
            length: int | Growth = Growth(budget.growth, first, whole, first_loss)
            optimisation = Optimisation(budget.growth_steps, budget.growth_rate * rate)
        else:
            module, length, starts = self._untrained(), whole, 1
            optimisation = Optimisation(budget.steps, rate)
        loss, written = _end(self._fit(module, optimisation, budget.gate, length))
        return Trained(module, float(loss), float(written), starts)

    def _begin(self, first: int) -> tuple[MemoryModule, float, int]:
        """Return a memory that knows the first sequences, the first loss, and how many initial weights were tried.

        From some weights, two keys of one item become different, and a count that is divided between two rows stays so.
        """
        budget = self._task.budget
        optimisation, gate = Optimisation(budget.steps, self._task.learning_rate), _written_throughout(budget.gate)
        for start in count(1):
            module = self._untrained()
            found = self._fit(module, optimisation, gate, first)
            if _end(found)[0] < budget.growth.known * found[0, 0] or start == budget.starts:
                break
        return module, float(found[0, 0]), start

    def _untrained(self) -> MemoryModule:
        game = self._game
        module = make(self._task.memory, replace(SIZES, feature_dim=game.feature_dim, action_dim=game.action_dim))
        prepare(module, self._lessons, game.one_hot)
        return module

    def _fit(
        self, module: MemoryModule, optimisation: Optimisation, gate: GateTraining, length: int | Growth
    ) -> NDArray[np.float64]:
        """Train in place. Return the action loss and the share of steps written of each optimiser step, [steps, 2]."""
        learner, steps, found = Learner(module, optimisation, gate), optimisation.steps, list[tuple[float, float]]()
        module.train()
        for step in range(steps):
            seen = self._lessons.draw(self._task.budget.batch, self._family.crop, self._rng)
            seen = seen.begin(length.length if isinstance(length, Growth) else length)
            base = torch.zeros(*seen.counts.shape, 1, module.sizes.action_dim)
            losses = partial(_losses, targets=seen.targets[seen.counts])
            found.append(learner.step(seen.z, base, losses, float(seen.counts.sum()), asked=seen.counts))
            if isinstance(length, Growth):
                length.update(found[-1][0], (step + 1) / steps)
        module.eval()
        return np.array(found)


def _end(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means over the last twentieth of the steps."""
    means: NDArray[np.float64] = found[-max(1, len(found) // 20) :].mean(0)
    return means


def _written_throughout(gate: GateTraining) -> GateTraining:
    """Return the settings of a training in which every step is written and the gate does not learn."""
    return replace(gate, open_until=1.0, learn_from=1.0, price_full=1.0)


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
