# SPDX-License-Identifier: Apache-2.0
"""aura train: train the weights that ship, or a memory for your own robot.

Every stage stores its results in --work-dir, and continues where it stopped. No stage reads evaluation seeds.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path

from aura_ros.common.arguments import integer_in, make_parser, names_of, number_in, positive_integer
from aura_ros.common.errors import ConfigError
from aura_ros.common.names import POLICIES, TASKS, TRAINED_MEMORIES
from aura_ros.common.program import program
from aura_ros.sim.appearance import LIGHT, SHIFT_M
from aura_ros.train.features import add_arguments

COLLECTIONS = (  # task, split, episodes, rounds, control ticks between frames; a VLA step is 4
    ('visible', 'train', 80, 10, 2),
    ('place', 'train', 60, 10, 2),
    ('visible_sequence', 'train', 60, 10, 2),
    ('visible_both', 'train', 60, 10, 2),
    ('visible_many', 'train', 60, 10, 2),
    ('visible', 'validation', 6, 10, 4),
    ('place', 'validation', 6, 10, 4),
    ('visible_sequence', 'validation', 6, 10, 4),
    ('visible_both', 'validation', 6, 10, 4),
    ('visible_many', 'validation', 6, 10, 4),
    ('recall', 'train', 100, 10, 4),
    ('put_back', 'train', 60, 10, 4),
    ('recall', 'validation', 10, 10, 4),
    ('put_back', 'validation', 8, 10, 4),
    ('sequence', 'train', 100, 10, 4),
    ('both', 'train', 100, 10, 4),
    ('many', 'train', 100, 10, 4),
    ('sequence', 'validation', 10, 10, 4),
    ('both', 'validation', 10, 10, 4),
    ('many', 'validation', 10, 10, 4),
)
DRIVEN_EPISODES = {'recall': 20, 'sequence': 30, 'both': 20}
"""Number of episodes of ten rounds that a memory drives, by task: those that AURA-Mem lost on validation seeds."""
DRIVEN_SEED = 1000
"""First seed of these episodes, so that their rounds are not those of the demonstrations."""

MEMORIES = ('both', *TRAINED_MEMORIES)
"""Values of --memory; both are aura and kv."""
_EPILOG = """\
stages:
  demonstrations  the expert drives the simulated arm, and frames are stored
  vla             behaviour cloning of the embedded VLA, which is then frozen
  memory          AURA-Mem and the KV-cache on the features of the frozen VLA
  driven          the trained memories drive, and frames are stored with what
                  the expert would do
  refine          each memory learns on, also from the frames it has driven
  check           closed-loop success on the validation seeds, without ROS
  all             all stages in this order

examples:
  aura train all
  aura train check --policies base,aura --rounds 10
  aura train memory --from-bags monday tuesday --mapping robot.yaml
                    both memories, on recordings of your robot
"""


@program('aura train')
def main(arguments: list[str] | None = None) -> int:
    """Run one stage and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    options.command = shlex.join(['aura', 'train', *(sys.argv[1:] if arguments is None else arguments)])
    for name in STAGES if options.stage == 'all' else (options.stage,):
        STAGES[name](options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser('aura train', __doc__, _EPILOG, _check_options)
    parser.add_argument('stage', choices=(*STAGES, 'all'), metavar='STAGE', help='stage to run, see below')
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('build/train'),
        metavar='DIR',
        help='folder for demonstrations and features, about 2 GB (default: %(default)s)',
    )
    parser.add_argument(
        '--output',
        type=Path,
        metavar='DIR',
        help='folder for the weights (default: the folder of the package that the nodes load from)',
    )
    parser.add_argument(
        '--workers',
        type=positive_integer,
        default=os.cpu_count() or 1,
        metavar='N',
        help='number of processes that collect demonstrations (default: %(default)s)',
    )
    parser.add_argument(
        '--memory',
        choices=MEMORIES,
        default='both',
        metavar='KIND',
        help=f'memory to train: both (aura and kv, which ship), {", ".join(TRAINED_MEMORIES)}; all have as many '
        'parameters as aura (default: %(default)s)',
    )
    parser.add_argument(
        '--addressing',
        choices=('dense', 'content'),
        metavar='KIND',
        help='addressing of the fast weights of aura and always, dense or content (default: content for aura on '
        'demonstrations, that of --start-from, else dense)',
    )
    parser.add_argument(
        '--seed', type=integer_in(0, 2**31), default=0, metavar='N', help='seed of initialisation and sampling'
    )
    parser.add_argument(
        '--rounds', type=positive_integer, default=30, metavar='N', help='check: rounds per task and policy'
    )
    parser.add_argument(
        '--camera-shift',
        type=number_in(-SHIFT_M, SHIFT_M),
        nargs=3,
        default=(0.0, 0.0, 0.0),
        metavar='M',
        help='check: shift of the cameras, x y z, each -0.1..0.1 m (default: 0 0 0)',
    )
    parser.add_argument(
        '--policies',
        type=names_of(POLICIES),
        default=','.join(POLICIES),
        metavar='A,B',
        help='check: policies, comma-separated (default: %(default)s, without those that have no weights)',
    )
    parser.add_argument(
        '--mixed',
        action='store_true',
        help='check: one episode without a reset, in which the task of each round is drawn from --tasks',
    )
    parser.add_argument(
        '--light',
        type=number_in(*LIGHT),
        default=1.0,
        metavar='F',
        help='check: factor of the light, 0.2..3 (default: 1)',
    )
    parser.add_argument(
        '--tasks',
        type=names_of(TASKS),
        metavar='A,B',
        help='demonstrations, driven, check: tasks, comma-separated (default: all; those of driven are '
        f'{", ".join(DRIVEN_EPISODES)})',
    )
    bags = parser.add_argument_group('memory, on recordings')
    bags.add_argument(
        '--from-bags',
        nargs='+',
        type=Path,
        metavar='BAG',
        help='recordings with commands, in place of demonstrations (default: none); --output is then my_weights by '
        'default. The action head alone (memoryless) is trained too, because a report needs it',
    )
    add_arguments(bags)
    bags.add_argument(
        '--start-from',
        type=Path,
        metavar='FILE',
        help='weights to continue from, trained for the same VLA (default: start from new weights)',
    )
    bags.add_argument('--overwrite', action='store_true', help='replace the weights of an earlier training')
    bags.add_argument('--steps', type=integer_in(1, 1_000_000), metavar='N', help='optimiser steps (default: 4000)')
    bags.add_argument(
        '--holdout',
        type=number_in(0.01, 0.9),
        default=0.2,
        metavar='SHARE',
        help='share of each episode, at its end, that is held out for the evaluation (default: %(default)s)',
    )
    bags.add_argument(
        '--round-steps',
        type=integer_in(1, 10_000),
        default=50,
        metavar='N',
        help='number of steps that count as a round; a sequence has three rounds (default: %(default)s)',
    )
    return parser


def _check_options(options: argparse.Namespace) -> None:
    if options.stage in ('driven', 'all'):
        for task in options.tasks or ():
            if task not in DRIVEN_EPISODES:
                raise ConfigError(
                    f'--tasks: the stage driven has no task {task!r}; choose from {", ".join(DRIVEN_EPISODES)}'
                )
    if options.from_bags and options.stage != 'memory':
        raise ConfigError(f'--from-bags belongs to the stage memory, not to {options.stage}')


def _folder(options: argparse.Namespace, package: str) -> Path:
    folder = options.output or Path(str(files(package))) / 'weights'
    folder.mkdir(parents=True, exist_ok=True)
    return Path(folder)


def _demonstrations(options: argparse.Namespace) -> None:
    from aura_ros.train.demonstrations import Collection, collect

    tasks = _tasks(options, TASKS)
    for collection in map(Collection, *zip(*COLLECTIONS, strict=True)):
        if collection.task in tasks:
            collect(collection, options.work_dir, options.workers)


def _driven(options: argparse.Namespace) -> None:
    from aura_ros.memory.weights import default_path
    from aura_ros.train.demonstrations import Collection, Weights, collect

    tasks = _tasks(options, DRIVEN_EPISODES)
    folder = options.output
    for kind in _kinds(options):
        weights = (
            Weights(kind, folder / f'{kind}.safetensors', folder / 'embedded.onnx')
            if folder
            else Weights(kind, default_path(kind))
        )
        for task in tasks:
            collection = Collection(task, 'train', DRIVEN_EPISODES[task], 10, 4, DRIVEN_SEED, weights)
            collect(collection, options.work_dir, options.workers)


def _vla(options: argparse.Namespace) -> None:
    from aura_ros.train.vla import VlaTraining, train_vla

    output = _folder(options, 'aura_ros.vla') / 'embedded.onnx'
    metrics = train_vla(options.work_dir, output, VlaTraining(seed=options.seed), options.command)
    print(f'{output}: validation {metrics}')


def _memory(options: argparse.Namespace) -> None:
    if options.from_bags:
        from aura_ros.train.own import train_own

        train_own(options)
    else:
        _on_demonstrations(options)


def _refine(options: argparse.Namespace) -> None:
    _on_demonstrations(options, refine=True)


def _tasks(options: argparse.Namespace, allowed: Iterable[str]) -> tuple[str, ...]:
    return options.tasks or tuple(allowed)


def _kinds(options: argparse.Namespace) -> tuple[str, ...]:
    return ('aura', 'kv') if options.memory == 'both' else (options.memory,)


def _on_demonstrations(options: argparse.Namespace, refine: bool = False) -> None:
    from aura_ros.train.memory import train_memory
    from aura_ros.train.memory_settings import refined, settings_of
    from aura_ros.vla.embedded import EmbeddedVla

    vla = EmbeddedVla(str(options.output / 'embedded.onnx') if options.output else None)
    for kind in _kinds(options):
        output = _folder(options, 'aura_ros.memory') / f'{kind}.safetensors'
        given = None if kind == 'kv' else options.addressing
        settings = settings_of(kind, given or ('content' if kind == 'aura' else 'dense'), options.seed)
        if refine:
            settings = refined(settings)
        start = output if refine else None
        report = train_memory(kind, options.work_dir, vla, output, settings, options.command, start)
        for task, figures in report.items():
            shown = {name: value for name, value in figures.items() if not name.endswith('_errors')}
            print(f'{output}: {task} {shown}')


def _check(options: argparse.Namespace) -> None:
    from aura_ros.sim.appearance import Appearance
    from aura_ros.train.check import check

    tasks = _tasks(options, TASKS)
    appearance = Appearance(tuple(options.camera_shift), options.light)
    for line in check(options.output, tasks, options.rounds, appearance, options.policies, options.mixed):
        print(line, flush=True)


STAGES: dict[str, Callable[[argparse.Namespace], None]] = {
    'demonstrations': _demonstrations,
    'vla': _vla,
    'memory': _memory,
    'driven': _driven,
    'refine': _refine,
    'check': _check,
}
"""The stages in their order."""


if __name__ == '__main__':
    sys.exit(main())
