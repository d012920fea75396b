# SPDX-License-Identifier: Apache-2.0
"""One million steps without a reset. What is a memory worth then?

Each memory walks one synthetic stream (see `aura bench synthetic --help`) from an empty state to the end. No reset, no
padding and no training happens on the way. For each window of 10,000 steps the walk counts the accuracy of the answers
(chance is 0.125) with its Wilson interval, the writes per step, the share of events, repeats, distractors and queries
that is written, and the norm of the state.

  weights   those of `aura bench synthetic` in the folder --results, by setting, memory and training seed. Missing ones
            are trained in the same way and kept there. --weights walks a file of your own on one stream for each seed.
  streams   have random numbers of their own, which neither training nor choices used. A shorter walk sees the
            beginning of a longer one.
  chance    a memory whose interval reaches down to chance in two windows in a row stops, and counts as chance after it
  kv        grows with every step, and stops after --kv-entries
  NumPy     the memory that a robot runs repeats the first 4,096 steps. The JSON has the share of equal answers
            and writes; the table names a memory with less than 0.99.

A finished walk is kept, so the same command continues after an interruption. A walk that was cut begins again.

Runtime on one core that is free, for 1,000,000 steps: about 2 minutes for aura and reconstruction, 40 seconds for
elmur, 10 to 25 seconds for the others, and 40 seconds for the 65,536 entries of kv. Five seeds of one setting take a
quarter of an hour on two cores. Training of missing weights takes about 1.5 minutes for each memory and seed.

  aura bench endurance --settings hard --memories aura,always --seeds 0      two memories, one seed: 4 minutes
  aura bench endurance --weights my_memory.safetensors --steps 60000         weights of your own, a short walk
  aura bench endurance --results results --output far --steps 5000000        other folders, and further

Output: DIR/endurance-SETTING.csv, -windows.csv (every window of every seed), .json, .md and .png. With --weights,
the name of the file follows the setting.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.console import Console

from aura_ros.bench.endurance_report import report
from aura_ros.bench.endurance_window import Course
from aura_ros.bench.given_weights import add_weights, check_weights, given
from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.store import ResultStore
from aura_ros.bench.synthetic import MATCHED, SETTINGS, UNMATCHED, setting_of
from aura_ros.common.arguments import names_of, positive_integer
from aura_ros.common.progress import Bar

SUMMARY = 'accuracy, writes and state of every memory over 1,000,000 steps of a stream without a reset'

CHOSEN = ('hard', 'easy', 'sparse', 'hard-24', 'hard-32')
KNOWN = (*UNMATCHED, *MATCHED)
MEMORIES = (
    'aura',
    'aura-content',
    'always',
    'always-content',
    'random',
    'periodic',
    'reconstruction',
    'gru',
    'lstm',
    'ssm',
    'elmur',
    'kv-window',
    'kv',
)
QUICK = Course(steps=4000, window=500, entries=2000, compared=500)
QUICK_MEMORIES = ('aura', 'always', 'random', 'kv')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    course = Course()
    parser.add_argument(
        '--settings',
        type=names_of(SETTINGS),
        metavar='LIST',
        help=f'of {", ".join(SETTINGS)} (default: {",".join(CHOSEN)}; with --weights the setting of their training)',
    )
    parser.add_argument(
        '--memories',
        type=names_of(KNOWN),
        default=','.join(MEMORIES),
        metavar='LIST',
        help=f'memories to walk, of {", ".join(KNOWN)} (default: %(default)s)',
    )
    parser.add_argument(
        '--steps', type=positive_integer, metavar='N', help=f'steps of a walk (default: {course.steps})'
    )
    parser.add_argument(
        '--window', type=positive_integer, metavar='N', help=f'steps of a window (default: {course.window})'
    )
    parser.add_argument(
        '--kv-entries', type=positive_integer, metavar='N', help=f'most entries of kv (default: {course.entries})'
    )
    add_weights(parser, 'walk', KNOWN)


def check(args: argparse.Namespace) -> None:
    """Check the arguments together."""
    check_weights(args)


def run(args: argparse.Namespace, console: Console) -> int:
    """Train what is missing, walk and report. Return the exit code."""
    course = _course(args)
    if args.weights is not None:
        memory, settings = given(args, KNOWN)
        for name in settings:
            weights = {(memory, seed): args.weights for seed in args.seeds}
            _walk(f'{name}-{args.weights.stem}', name, weights, course, args, console)
        return 0
    from aura_ros.bench.endurance_weights import trained
    from aura_ros.bench.synthetic_training import Budget

    settings, memories, budget = args.settings or CHOSEN, args.memories, Budget()
    if args.quick:
        settings, memories, budget = ('quick',), QUICK_MEMORIES, Budget(steps=200, tests=16)
    for name in settings:
        weights = trained(name, memories, args.seeds, budget, args.results or args.output, console, args.jobs)
        _walk(name, name, weights, course, args, console)
    return 0


def _course(args: argparse.Namespace) -> Course:
    base = QUICK if args.quick else Course()
    given = {'steps': args.steps, 'window': args.window, 'entries': args.kv_entries}
    return Course(**asdict(base) | {name: value for name, value in given.items() if value is not None})


def _walk(
    title: str,
    name: str,
    weights: Mapping[tuple[str, int], Path],
    course: Course,
    args: argparse.Namespace,
    console: Console,
) -> None:
    """Walk the memories of one setting and report. The keys of the walks have the hash of the weights."""
    from aura_ros.bench.endurance_walk import Walk, run_walk

    setting = setting_of(name)
    store = ResultStore(args.output, f'endurance-{title}', {'setting': setting, 'course': course}, args.fresh)
    walks = {
        f'{memory}-{seed}-{sha256(path.read_bytes()).hexdigest()[:12]}': Walk(memory, path, setting, seed, course)
        for (memory, seed), path in weights.items()
    }
    missing = [key for key in walks if store.get(key) is None]
    if len(missing) == 1:  # a bar over its steps, as a bar over the walks would not move
        walk = walks[missing[0]]
        with Bar(console, f'{walk.memory}, seed {walk.seed}', walk.length) as bar:
            store.add(missing[0], run_walk(walk, bar.advance))
    rows: dict[str, dict[str, Any]] = run_jobs(
        [Job(key, run_walk, (walk,)) for key, walk in walks.items()], store, console, args.jobs
    )
    report(title, list(rows.values()), course, store, console)
