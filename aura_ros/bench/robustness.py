# SPDX-License-Identifier: Apache-2.0
"""Trained memories on streams that differ from those of their training. What does the gate still write?

The weights are those of `aura bench synthetic` in the folder --results, by setting, memory and training seed. Missing
ones are trained in the same way and kept there. They answer the evaluation streams of `synthetic`, with one change of
the features at a time:

  noise    the standard deviation of the noise of the codes, times a factor
  gain     all features, times a factor
  offset   a constant for each feature of each stream, with a random sign
  walk     an offset of each feature that is a random walk; the level is its standard deviation at the last step

All memories get the same changed streams. Nothing is adapted to the changes. --augment trains on streams with such
changes; --weights evaluates a file of your own.

Runtime: about half a minute for each memory and seed on one core; training of missing weights takes about 1.5 minutes.

  aura bench robustness --settings hard --memories aura,ssm --seeds 0
  aura bench robustness --weights my_memory.safetensors
  aura bench robustness --augment noise=2,gain=1.3 --output augmented

Output: DIR/robustness-SETTING.csv (every memory, change and level), .json, .md and .png. With --weights, the name of
the file follows the setting.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from rich.console import Console

from aura_ros.bench.arguments import add_augment
from aura_ros.bench.given_weights import add_weights, check_weights, given
from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.perturbation import Augmentation, Perturbation
from aura_ros.bench.robustness_report import Levels, report
from aura_ros.bench.store import ResultStore
from aura_ros.bench.synthetic import MATCHED, SETTINGS, UNMATCHED, setting_of, training_budget
from aura_ros.common.arguments import names_of

SUMMARY = 'accuracy and writes of trained memories under noise, gain and offsets that their training did not have'

KNOWN = (*UNMATCHED, *MATCHED)
MEMORIES = ('aura', 'aura-content', 'always', 'always-content', 'gru', 'lstm', 'ssm', 'elmur', 'kv-window', 'kv')
LEVELS: Levels = {
    'noise': (1.0, 1.5, 2.0, 3.0, 4.0),
    'gain': (0.7, 0.85, 1.0, 1.15, 1.3),
    'offset': (0.0, 0.05, 0.1, 0.2, 0.3),
    'walk': (0.0, 0.05, 0.1, 0.2, 0.3),
}
"""Levels of each field of `Perturbation`."""
QUICK_LEVELS: Levels = {'noise': (1.0, 4.0), 'gain': (1.0, 1.3), 'offset': (0.0, 0.3), 'walk': (0.0, 0.3)}
QUICK_MEMORIES = ('aura', 'oracle')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        '--settings',
        type=names_of(SETTINGS),
        metavar='LIST',
        help=f'of {", ".join(SETTINGS)} (default: hard; with --weights the setting of their training)',
    )
    parser.add_argument(
        '--memories',
        type=names_of(KNOWN),
        default=','.join(MEMORIES),
        metavar='LIST',
        help=f'memories to evaluate, of {", ".join(KNOWN)} (default: %(default)s)',
    )
    add_augment(parser)
    add_weights(parser, 'evaluate', KNOWN)


def check(args: argparse.Namespace) -> None:
    """Check the arguments together."""
    check_weights(args)
    Augmentation(**args.augment)


def run(args: argparse.Namespace, console: Console) -> int:
    """Train what is missing, evaluate and report. Return the exit code."""
    if args.weights is not None:
        memory, settings = given(args, KNOWN)
        for name in settings:
            weights = {(memory, seed): args.weights for seed in args.seeds}
            _evaluate(f'{name}-{args.weights.stem}', name, weights, args, console)
        return 0
    from aura_ros.bench.endurance_weights import trained

    settings, memories, budget = args.settings or ('hard',), args.memories, training_budget(args.quick, args.augment)
    if args.quick:
        settings, memories = ('quick',), QUICK_MEMORIES
    for name in settings:
        weights = trained(name, memories, args.seeds, budget, args.results or args.output, console, args.jobs)
        _evaluate(name, name, weights, args, console)
    return 0


def _evaluate(
    title: str, name: str, weights: Mapping[tuple[str, int], Path], args: argparse.Namespace, console: Console
) -> None:
    """Evaluate the memories of one setting and report. The keys of the runs have the hash of the weights."""
    from aura_ros.bench.robustness_run import Evaluation, run_evaluation

    levels, tests = (QUICK_LEVELS, 16) if args.quick else (LEVELS, 100)
    changes = {(kind, level): Perturbation(**{kind: level}) for kind, values in levels.items() for level in values}
    store = ResultStore(
        args.output,
        f'robustness-{title}',
        {
            'setting': setting_of(name),
            'levels': {kind: list(values) for kind, values in levels.items()},
            'tests': tests,
        },
        args.fresh,
    )
    jobs = [
        Job(
            f'{memory}-{seed}-{sha256(path.read_bytes()).hexdigest()[:12]}',
            run_evaluation,
            (Evaluation(memory, path, setting_of(name), seed, tests), changes),
        )
        for (memory, seed), path in weights.items()
    ]
    report(title, list(run_jobs(jobs, store, console, args.jobs).values()), levels, store, console)
