# SPDX-License-Identifier: Apache-2.0
"""Which memory answers from the fewest writes? Streams of bindings, repeats, distractors and queries.

Every memory is trained on streams drawn anew for every step, with the same encoder, head, number of parameters, steps
and batches, and the learning rate that did best for it on validation streams (--tune shows how they were chosen).
Evaluation streams come from random numbers of their own; training and choices never see them.

  hard      16 keys; 1 step in 13 is an event, 4 steps in 15 repeat what holds; the paper's landmarks
  easy      8 keys; 1 step in 20 is an event
  sparse    the event-sparse stream: one key, 1 step in 50 is an event
  hard-N    as hard with N = 8, 32 or 64 keys

Reported: accuracy (chance 0.125), writes, writes of the best constant-size memory that writes every step over AURA's,
writes over the oracle's (the fewest that a policy can do with which cannot look ahead), and how often the gate opens on
events, distractors, repeats and queries. Random, periodic and reconstruction get as many writes as AURA made.

Takes about 1.5 minutes for each memory and seed on one core: 45 minutes for each setting, with all memories and five
seeds, on two cores.
Writes DIR/synthetic-SETTING.csv, .json, .md, .png, and the weights to DIR/synthetic-SETTING/weights.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.store import ResultStore
from aura_ros.bench.streams import StreamSetting
from aura_ros.bench.synthetic_report import report
from aura_ros.common.errors import ConfigError

if TYPE_CHECKING:
    from aura_ros.bench.synthetic_training import Budget

SUMMARY = 'accuracy from how few writes: AURA-Mem, its rivals and the oracle on streams with distractors and repeats'

HARD = StreamSetting(16, event=0.075, repeat=0.28, query=0.2)
SETTINGS = {
    'hard': HARD,
    'easy': StreamSetting(8, event=0.05, repeat=0.2, query=0.2),
    'sparse': StreamSetting(1, event=0.02, repeat=0.04, query=0.2),
    **{f'hard-{keys}': replace(HARD, bindings=keys) for keys in (8, 32, 64)},
}

QUICK = StreamSetting(4, event=0.08, repeat=0.2, query=0.3, context_noise=0.1, train_length=64, length=96)
"""Of --quick: learned in seconds, and no table."""

FREE = ('aura', 'always', 'gru', 'lstm', 'ssm', 'elmur', 'elmur-gradient', 'kv', 'kv-window', 'memoryless', 'oracle')
MATCHED = ('random', 'periodic', 'reconstruction')
"""Memories that are given AURA's number of writes."""

RATES = (3e-3, 6e-3, 1.2e-2, 2.4e-2)
LEARNING_RATES = {
    **dict.fromkeys(('aura', 'reconstruction', 'oracle', 'elmur', 'elmur-gradient'), 6e-3),
    **dict.fromkeys(('always', 'random', 'periodic', 'memoryless'), 3e-3),
    **dict.fromkeys(('ssm', 'lstm'), 1.2e-2),
    **dict.fromkeys(('gru', 'kv', 'kv-window'), 2.4e-2),
}
"""Of `RATES`, by `--tune`: one training seed that is not reported, half the steps, validation streams."""
TUNE_SEED = 1000


def shipped_weights() -> Path:
    """AURA-Mem of seed 0 on the hard setting, with its card: for `load_memory('aura', path)`."""
    return Path(str(files('aura_ros.bench') / 'weights' / 'synthetic_hard_aura.safetensors'))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this command takes."""
    parser.add_argument(
        '--settings', default='hard,easy,sparse', help=f'of {", ".join(SETTINGS)} (default: %(default)s)'
    )
    parser.add_argument(
        '--memories',
        default=','.join((*FREE, *MATCHED)),
        help='aura is needed by those that match its writes (default: %(default)s)',
    )
    parser.add_argument(
        '--tune',
        action='store_true',
        help='show what each learning rate reaches on validation streams of hard, and stop',
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Train, judge, report; returns the exit code."""
    from aura_ros.bench.synthetic_training import Budget

    settings, memories = (
        _chosen(args.settings, SETTINGS, 'settings'),
        _chosen(args.memories, (*FREE, *MATCHED), 'memories'),
    )
    budget = Budget(steps=200, tests=16) if args.quick else Budget()
    if args.tune:
        return _tune(memories, replace(budget, steps=budget.steps // 2), args, console)
    if args.quick:
        settings, memories = ['quick'], ['aura', 'always', 'random', 'oracle']
    for name in settings:
        _run_setting(name, memories, budget, args, console)
    return 0


def _run_setting(name: str, memories: list[str], budget: Budget, args: argparse.Namespace, console: Console) -> None:
    from aura_ros.bench.synthetic_training import Task, run_task

    setting = QUICK if name == 'quick' else SETTINGS[name]
    store = ResultStore(args.output, f'synthetic-{name}', {'setting': setting, 'budget': budget}, args.fresh)

    def jobs(wanted: list[str], rates: dict[int, float]) -> list[Job]:
        return [
            Job(
                f'{memory}-{seed}',
                run_task,
                (
                    Task(memory, setting, budget, LEARNING_RATES[memory], seed, rates.get(seed, 0.0)),
                    store.weights(f'{memory}-{seed}'),
                ),
            )
            for seed in args.seeds
            for memory in wanted
        ]

    free = [memory for memory in memories if memory in FREE]
    rows = run_jobs(jobs(free, {}), store, console, args.jobs)
    matched = [memory for memory in memories if memory in MATCHED]
    if matched and 'aura' not in free:
        raise ConfigError(f'memories must have aura beside {", ".join(matched)}, which match its writes')
    if matched:
        rates = {row['seed']: row['validation_rate'] for row in rows.values() if row['memory'] == 'aura'}
        rows |= run_jobs(jobs(matched, rates), store, console, args.jobs)
    report(name, list(rows.values()), store, console)


def _tune(memories: list[str], budget: Budget, args: argparse.Namespace, console: Console) -> int:
    from aura_ros.bench.synthetic_training import Task, run_task

    store = ResultStore(args.output, 'synthetic-tune', {'setting': HARD, 'budget': budget}, args.fresh)
    jobs = [
        Job(f'{memory}-{rate:g}', run_task, (Task(memory, HARD, budget, rate, TUNE_SEED, HARD.event, 'validation'),))
        for memory in memories
        for rate in RATES
    ]
    rows = run_jobs(jobs, store, console, args.jobs)
    store.write(list(rows.values()))
    for memory in memories:
        found = {rate: rows[f'{memory}-{rate:g}']['accuracy'] for rate in RATES}
        console.print(
            f'{memory:15s}'
            + '  '.join(f'{rate:g}: {accuracy:.3f}' for rate, accuracy in found.items())
            + f'   best {max(found, key=lambda rate: found[rate]):g}'
        )
    return 0


def _chosen(text: str, known: object, name: str) -> list[str]:
    chosen = [word.strip() for word in text.split(',') if word.strip()]
    for word in chosen:
        if word not in known:  # type: ignore[operator]
            raise ConfigError(f'{name} must be of {", ".join(known)}, got {word!r}')  # type: ignore[arg-type]
    return chosen
