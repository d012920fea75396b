# SPDX-License-Identifier: Apache-2.0
"""Synthetic streams of bindings, repeats, distractors and queries. Which memory answers with the fewest writes?

Every memory is trained on the same streams, with the same encoder, head, number of parameters, steps and batches, and
the learning rate that was best for it on validation streams (see --tune). Training streams are lanes of pieces:
nine pieces in ten begin with the state and the bindings of the piece before, and the others begin empty. A memory with
a learned gate does so from 30 % of the training on, when its gate decides. Evaluation streams have seeds of their own
and are used for neither training nor choices.

  hard      16 keys; 1 step in 13 is an event, 4 in 15 repeat a valid binding; matches the published numbers
  easy      8 keys; 1 step in 20 is an event
  sparse    the event-sparse stream: one key, 1 step in 50 is an event
  hard-N    as hard, with N = 8, 24, 32 or 64 keys

The table shows the accuracy (chance is 0.125), the writes per step, the writes relative to the oracle, and the share
of events, distractors, repeats and queries that the memory writes. The oracle makes the fewest writes that are
possible without looking ahead. The writes of the best constant-size memory that writes at every step are compared with
those of AURA. Random, periodic and reconstruction match the writes of AURA.

Runtime: about 1.5 minutes for each memory and seed on one core. One setting with all memories and five seeds takes
45 minutes on two cores.
Output: DIR/synthetic-SETTING.csv, .json, .md and .png, and the weights in DIR/synthetic-SETTING/weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from aura_ros.bench.arguments import add_augment, add_memories, check_matched, parse_rates
from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.perturbation import Augmentation
from aura_ros.bench.store import ResultStore
from aura_ros.bench.streams import StreamSetting
from aura_ros.bench.synthetic_report import report
from aura_ros.common.arguments import names_of
from aura_ros.common.errors import ConfigError

if TYPE_CHECKING:
    from aura_ros.bench.synthetic_training import Budget

SUMMARY = 'accuracy and writes of AURA-Mem, its rivals and the oracle on streams with distractors and repeats'

HARD = StreamSetting(16, event=0.075, repeat=0.28, query=0.2)
SETTINGS = {
    'hard': HARD,
    'easy': StreamSetting(8, event=0.05, repeat=0.2, query=0.2),
    'sparse': StreamSetting(1, event=0.02, repeat=0.04, query=0.2),
    **{f'hard-{keys}': replace(HARD, bindings=keys) for keys in (8, 24, 32, 64)},
}

QUICK = StreamSetting(4, event=0.08, repeat=0.2, query=0.3, context_noise=0.1, train_length=64, length=96)
"""Setting of --quick, which trains in seconds."""

UNMATCHED = (
    'aura',
    'aura-content',
    'always',
    'always-content',
    'gru',
    'lstm',
    'ssm',
    'elmur',
    'elmur-detached',
    'kv',
    'kv-window',
    'memoryless',
    'oracle',
    'oracle-content',
)
MATCHED = ('random', 'periodic', 'reconstruction')
"""Memories with the write rate of AURA on validation streams."""

ELMUR_SHAPES = ((2, 16), (8, 16), (8, 4), (16, 4), (16, 2))
"""Slots and steps of a segment that were tried for ELMUR: `--tune --memories elmur-2x16,...`."""
_SHAPES = tuple(f'elmur-{slots}x{length}' for slots, length in ELMUR_SHAPES)
LEARNING_RATE_GRID = (1.5e-3, 3e-3, 6e-3, 1.2e-2, 2.4e-2)
LEARNING_RATES = {
    **dict.fromkeys(('aura', 'reconstruction', 'oracle', 'lstm'), 6e-3),
    **dict.fromkeys(('aura-content', 'always-content', 'oracle-content'), 6e-3),
    **dict.fromkeys(('always', 'random', 'periodic', 'memoryless', 'elmur'), 3e-3),
    'elmur-detached': 1.5e-3,
    **dict.fromkeys(('gru', 'ssm'), 1.2e-2),
    **dict.fromkeys(('kv', 'kv-window'), 2.4e-2),
}
"""Chosen with `--tune`: half the steps, validation streams, a seed that is not reported. Those of 'aura', 'oracle',
'reconstruction', 'random' and 'periodic' were chosen when all training streams began empty.
"""
TUNE_SEED = 1000


def shipped_weights(addressing: str = 'dense') -> Path:
    """Return the weights of AURA-Mem, seed 0, hard setting; use them with `load_memory('aura', path)`.

    Args:
        addressing: 'dense', or 'content' for content-addressed fast weights.
    """
    name = {'dense': 'synthetic_hard_aura', 'content': 'synthetic_hard_aura_content'}[addressing]
    return Path(str(files('aura_ros.bench') / 'weights' / f'{name}.safetensors'))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        '--settings',
        type=names_of(SETTINGS),
        default='hard,easy,sparse',
        metavar='LIST',
        help=f'of {", ".join(SETTINGS)} (default: %(default)s)',
    )
    add_memories(parser, UNMATCHED, MATCHED, _SHAPES)
    add_augment(parser)
    parser.add_argument(
        '--tune',
        action='store_true',
        help='print the accuracy of each learning rate on validation streams of hard, then exit',
    )
    parser.add_argument(
        '--rates',
        type=parse_rates,
        default=','.join(f'{rate:g}' for rate in LEARNING_RATE_GRID),
        metavar='LIST',
        help='learning rates of --tune, > 0 (default: %(default)s)',
    )


def check(args: argparse.Namespace) -> None:
    """Check the arguments together."""
    Augmentation(**args.augment)
    for memory in args.memories:
        if memory in _SHAPES and not args.tune:
            raise ConfigError(f'--memories: {memory} needs --tune')
    check_matched(args, MATCHED)


def run(args: argparse.Namespace, console: Console) -> int:
    """Train, evaluate and report. Return the exit code."""
    settings, memories = list(args.settings), list(args.memories)
    budget = training_budget(args.quick, args.augment)
    if args.tune:
        return _tune(memories, replace(budget, steps=budget.steps // 2), args, console)
    if args.quick:
        settings, memories = ['quick'], ['aura', 'aura-content', 'always', 'random', 'oracle']
    for name in settings:
        _run_setting(name, memories, budget, args, console)
    return 0


def training_budget(quick: bool, augment: Mapping[str, float] | None = None) -> Budget:
    """Return the training of all memories.

    Args:
        quick: whether it is that of --quick.
        augment: values of --augment.

    Raises:
        ConfigError: `augment` is not usable.
    """
    from aura_ros.bench.synthetic_training import Budget

    augmentation = Augmentation(**(augment or {}))
    return Budget(steps=200, tests=16, augmentation=augmentation) if quick else Budget(augmentation=augmentation)


def training_store(folder: Path, name: str, budget: Budget, fresh: bool = False) -> ResultStore:
    """Return the store of the trained memories of a setting, a key of `SETTINGS` or 'quick'."""
    return ResultStore(folder, f'synthetic-{name}', {'setting': setting_of(name), 'budget': budget}, fresh)


def setting_of(name: str) -> StreamSetting:
    """Return a setting, by a key of `SETTINGS` or 'quick'."""
    return QUICK if name == 'quick' else SETTINGS[name]


def training_job(name: str, memory: str, seed: int, budget: Budget, store: ResultStore, rate: float = 0.0) -> Job:
    """Return the job that trains and evaluates a memory; a memory of `MATCHED` gets `rate` writes per step."""
    from aura_ros.bench.synthetic_training import Task, run_task

    task, key = Task(memory, setting_of(name), budget, LEARNING_RATES[memory], seed, rate), f'{memory}-{seed}'
    if (store.get(key) or {}).get('learning_rate') not in (None, task.learning_rate):
        store.forget(key)  # trained with another rate
    return Job(key, run_task, (task, store.weights(key)))


def _run_setting(name: str, memories: list[str], budget: Budget, args: argparse.Namespace, console: Console) -> None:
    store = training_store(args.output, name, budget, args.fresh)

    def jobs(wanted: list[str], rates: dict[int, float]) -> list[Job]:
        return [
            training_job(name, memory, seed, budget, store, rates.get(seed, 0.0))
            for seed in args.seeds
            for memory in wanted
        ]

    unmatched = [memory for memory in memories if memory in UNMATCHED]
    rows = run_jobs(jobs(unmatched, {}), store, console, args.jobs)
    matched = [memory for memory in memories if memory in MATCHED]
    if matched:
        rates = {row['seed']: row['validation_rate'] for row in rows.values() if row['memory'] == 'aura'}
        rows |= run_jobs(jobs(matched, rates), store, console, args.jobs)
    report(name, list(rows.values()), store, console)


def _tune(memories: list[str], budget: Budget, args: argparse.Namespace, console: Console) -> int:
    from aura_ros.bench.synthetic_training import Task, run_task

    rates = args.rates
    store = ResultStore(args.output, 'synthetic-tune', {'setting': HARD, 'budget': budget}, args.fresh)
    jobs = [
        Job(f'{memory}-{rate:g}', run_task, (Task(memory, HARD, budget, rate, TUNE_SEED, HARD.event, 'validation'),))
        for memory in memories
        for rate in rates
    ]
    rows = run_jobs(jobs, store, console, args.jobs)
    store.write(list(rows.values()))
    for memory in memories:
        found = {rate: rows[f'{memory}-{rate:g}']['accuracy'] for rate in rates}
        console.print(
            f'{memory:15s}'
            + '  '.join(f'{rate:g}: {accuracy:.3f}' for rate, accuracy in found.items())
            + f'   best {max(found, key=lambda rate: found[rate]):g}'
        )
    return 0
