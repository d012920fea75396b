# SPDX-License-Identifier: Apache-2.0
"""POPGym: which memory of equal size imitates an expert that knows more than the observation shows?

POPGym (Morad et al., ICLR 2023) has small environments whose observations hide the state. Four kinds are used here:

  repeat and count   RepeatFirst, RepeatPrevious, Autoencode, CountRecall: hold, queue, reverse or count what was shown
  games of cards     HigherLower, Concentration: use the cards that were seen
  bandit             MultiarmedBandit: learn within the episode which arm pays
  control            CartPole and Pendulum: recover what is missing of the state, also under noise

An expert of our own plays each environment: an exact one that reads the hidden state, a rule that uses what was shown,
or a controller. Every memory learns from the same episodes to imitate it (behaviour cloning), with the same encoder,
head, number of parameters, optimiser steps and batches. There is no reinforcement learning. Then each memory acts by
itself in other episodes, which no training and no choice has seen. The NumPy memory acts, as on a robot.

The table shows the return as POPGym defines it, beside the returns of the expert and of uniform random actions in the
same episodes. The score is 0 for random actions and 1 for the expert. The agreement is the share of steps at which the
memory acts as the expert would (a continuous action: within 10 % of its range).

This is another class than the table of the paper, which has the returns of agents that learned by PPO on 48 ids. A
clone has an expert to learn from. Its score shows what a memory can hold, and not what reinforcement learning finds.

Memories: content-addressed fast weights with and without a gate (aura-content, always-content), GRU, ELMUR, and a
selective state-space model. --memories also takes other kinds.
All learn at the rate that was chosen for the fast weights. --tune shows other rates on validation episodes.

In CountRecall, training begins with the first 12 steps of each episode, again from other initial weights if the memory
does not learn them. Then the rate is lower, and the sequences become longer whenever the memory knows those of the
present length. In whole episodes the number of steps alone gives a fair guess of every count, and training rarely
leaves this guess. The gate begins to learn after 80 % of the last steps. Until then every step is written.

Runtime: measured for gated fast weights beside other load, 85 to 95 CPU seconds for one seed of RepeatPreviousEasy and
170 to 215 for one of CountRecallEasy. All default ids and memories of one seed take several hours on one free core.
Output: DIR/popgym.csv, .json, .md and .png, and the weights in DIR/popgym/weights.
Needs the extra popgym: pip install "aura_ros[popgym]"
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from statistics import fmean
from typing import TYPE_CHECKING

from rich.console import Console

from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.popgym_experts import IDS
from aura_ros.bench.popgym_report import report, score
from aura_ros.bench.store import ResultStore
from aura_ros.common.arguments import names_of

if TYPE_CHECKING:
    from aura_ros.bench.popgym_training import Budget, Task

SUMMARY = 'returns of memories that imitate experts in environments of POPGym whose observations hide the state'

DEFAULT_IDS = (
    'RepeatFirstEasy',
    'RepeatPreviousEasy',
    'RepeatPreviousMedium',
    'CountRecallEasy',
    'CountRecallMedium',
    'AutoencodeEasy',
    'HigherLowerEasy',
    'HigherLowerMedium',
    'ConcentrationEasy',
    'MultiarmedBanditEasy',
    'PositionOnlyCartPoleEasy',
    'VelocityOnlyCartPoleEasy',
    'NoisyPositionOnlyCartPoleEasy',
    'PositionOnlyPendulumEasy',
    'NoisyPositionOnlyPendulumEasy',
    'NoisyPositionOnlyPendulumHard',
)
DEFAULT_MEMORIES = ('aura-content', 'always-content', 'gru', 'elmur', 'ssm')
OTHER_MEMORIES = ('aura', 'always', 'lstm', 'elmur-detached', 'kv', 'kv-window', 'memoryless')
QUICK_IDS = ('RepeatPreviousEasy', 'PositionOnlyPendulumEasy')
QUICK_MEMORIES = ('aura-content', 'gru')

STEPS = {'RepeatPreviousEasy': 400}
"""First optimiser steps of the ids that need fewer than the others."""
LEARNING_RATE_GRID = (2e-3, 4e-3, 8e-3)
LEARNING_RATES = dict.fromkeys((*DEFAULT_MEMORIES, *OTHER_MEMORIES), 4e-3)
"""One rate for all memories: that of the content-addressed fast weights. --tune shows what the others would gain."""
TUNE_SEED = 1000
"""Seed of --tune, which is not reported."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        '--ids',
        type=names_of(IDS),
        default=','.join(DEFAULT_IDS),
        metavar='LIST',
        help=f'of {", ".join(IDS)} (default: %(default)s)',
    )
    parser.add_argument(
        '--memories',
        type=names_of(LEARNING_RATES),
        default=','.join(DEFAULT_MEMORIES),
        metavar='LIST',
        help=f'of {", ".join(LEARNING_RATES)} (default: %(default)s)',
    )
    parser.add_argument(
        '--tune', action='store_true', help='print the validation score of each learning rate, then exit'
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Train, act and report. Return the exit code."""
    if find_spec('popgym') is None:
        raise ModuleNotFoundError('popgym is not installed', name='popgym')
    from aura_ros.bench.popgym_training import SETTINGS, Budget

    ids, memories, name, budget = list(args.ids), list(args.memories), 'popgym', Budget()
    if args.quick:
        ids, memories, name = list(QUICK_IDS), list(QUICK_MEMORIES), 'popgym-quick'
        budget = replace(budget, steps=12, growth_steps=12, starts=1, batch=4, demonstrations=8, tests=2)
    if args.tune:
        return _tune(ids, memories, budget, args, console)
    store = ResultStore(args.output, name, {'budget': budget, **SETTINGS}, args.fresh)
    steps = {} if args.quick else STEPS
    tasks = [
        _task(environment, memory, seed, replace(budget, steps=steps.get(environment, budget.steps)))
        for environment, seed, memory in product(ids, args.seeds, memories)
    ]
    rows = run_jobs([_job(task, store) for task in tasks], store, console, args.jobs)
    report(list(rows.values()), store, console)
    return 0


def _task(environment: str, memory: str, seed: int, budget: Budget) -> Task:
    """Return the task of one run, with the learning rate of its memory."""
    from aura_ros.bench.popgym_training import Task

    return Task(environment, memory, budget, LEARNING_RATES[memory], seed)


def _job(task: Task, store: ResultStore) -> Job:
    from aura_ros.bench.popgym_training import run_task

    key = f'{task.environment}-{task.memory}-{task.budget.steps}x{task.learning_rate:g}-{task.seed}'
    return Job(key, run_task, (task, store.weights(key)))


def _tune(ids: list[str], memories: list[str], budget: Budget, args: argparse.Namespace, console: Console) -> int:
    """Print the mean validation score over the ids for each memory and learning rate."""
    from aura_ros.bench.popgym_env import VALIDATE
    from aura_ros.bench.popgym_training import SETTINGS

    store = ResultStore(args.output, 'popgym-tune', {'budget': budget, **SETTINGS}, args.fresh)
    tasks = {
        (memory, rate, name): replace(_task(name, memory, TUNE_SEED, budget), learning_rate=rate, split=VALIDATE)
        for memory, rate, name in product(memories, LEARNING_RATE_GRID, ids)
    }
    jobs = {choice: _job(task, store) for choice, task in tasks.items()}
    rows = run_jobs(list(jobs.values()), store, console, args.jobs)
    for memory in memories:
        found = {rate: fmean(score(rows[jobs[memory, rate, name].key]) for name in ids) for rate in LEARNING_RATE_GRID}
        console.print(f'{memory:15s}' + '  '.join(f'{rate:g}: {mean:.3f}' for rate, mean in found.items()))
    return 0
