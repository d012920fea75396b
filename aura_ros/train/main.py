# SPDX-License-Identifier: Apache-2.0
"""aura-train: from nothing to the weights that ship.

    aura-train demonstrations   the expert drives the simulated arm; frames are kept
    aura-train vla              behaviour cloning of the embedded VLA, frozen afterwards
    aura-train memory           AURA-Mem and the KV-cache on the frozen VLA's features
    aura-train check            closed-loop success on the validation seeds, without ROS
    aura-train all              all of it in this order

Every stage keeps what it made in --work-dir and goes on where it stopped. Evaluation seeds are never read.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from aura_ros.errors import AuraError

COLLECTIONS = (  # task, split, episodes, rounds, control ticks between frames; a VLA step is 4
    ('visible', 'train', 80, 10, 2), ('place', 'train', 80, 10, 2),
    ('visible', 'validation', 6, 10, 4), ('place', 'validation', 6, 10, 4),
    ('recall', 'train', 100, 10, 4), ('put_back', 'train', 60, 10, 4),
    ('recall', 'validation', 10, 10, 4), ('put_back', 'validation', 8, 10, 4),
)


def main(arguments: list[str] | None = None) -> int:
    """Run one stage; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    options.command = shlex.join(['aura-train', *(sys.argv[1:] if arguments is None else arguments)])
    stages: dict[str, Callable[[argparse.Namespace], None]] = {
        'demonstrations': _demonstrations, 'vla': _vla, 'memory': _memory, 'check': _check}
    try:
        for name in stages if options.stage == 'all' else (options.stage,):
            stages[name](options)
    except AuraError as error:
        print(f'aura-train: {error}', file=sys.stderr)
        return 1
    except ImportError as error:
        print(f'aura-train: {error}; training needs the extra: pip install "aura_ros[train,sim]"', file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='aura-train', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('stage', choices=('demonstrations', 'vla', 'memory', 'check', 'all'))
    parser.add_argument('--work-dir', type=Path, default=Path('build/train'),
                        help='where demonstrations and features are kept, about 6 GB (default: %(default)s)')
    parser.add_argument('--output', type=Path, default=None,
                        help="folder for the weights; default: the package's own, for nodes to load")
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1,
                        help='processes that collect demonstrations (default: %(default)s)')
    parser.add_argument('--memory', default='both',
                        help='which memory to train: both is aura and kv, which ship; or always, gru, lstm, ssm, '
                             'elmur, memoryless with as many parameters (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of initialisation and sampling (default: 0)')
    parser.add_argument('--rounds', type=int, default=30, help='check: rounds per task and arm (default: 30)')
    return parser


def _folder(options: argparse.Namespace, package: str) -> Path:
    folder = options.output or Path(str(files(package))) / 'weights'
    folder.mkdir(parents=True, exist_ok=True)
    return Path(folder)


def _demonstrations(options: argparse.Namespace) -> None:
    from aura_ros.train.demonstrations import Collection, collect

    for collection in COLLECTIONS:
        collect(Collection(*collection), options.work_dir, options.workers)


def _vla(options: argparse.Namespace) -> None:
    from aura_ros.train.vla import VlaTraining, train_vla

    output = _folder(options, 'aura_ros.vla') / 'embedded.onnx'
    metrics = train_vla(options.work_dir, output, VlaTraining(seed=options.seed), options.command)
    print(f'{output}: validation {metrics}')


def _memory(options: argparse.Namespace) -> None:
    from aura_ros.train.memory import SETTINGS, MemoryTraining, train_memory
    from aura_ros.vla.embedded import EmbeddedVla

    vla = EmbeddedVla(str(options.output / 'embedded.onnx') if options.output else None)
    for kind in ('aura', 'kv') if options.memory == 'both' else (options.memory,):
        output = _folder(options, 'aura_ros.memory') / f'{kind}.safetensors'
        settings = replace(SETTINGS.get(kind, MemoryTraining()), seed=options.seed)
        report = train_memory(kind, options.work_dir, vla, output, settings, options.command)
        for task, figures in report.items():
            print(f'{output}: {task} {figures}')


def _check(options: argparse.Namespace) -> None:
    from aura_ros.bench.rollout import run_episode
    from aura_ros.bench.stats import wilson_interval
    from aura_ros.memory import load_memory
    from aura_ros.sim.world import World
    from aura_ros.vla import load_backbone

    def weights(name: str) -> str | None:
        return str(options.output / name) if options.output else None

    backbone = load_backbone('embedded', weights('embedded.onnx'))
    with World() as world:
        for task in ('visible', 'recall', 'put_back'):
            for kind, file in (('none', 'aura.safetensors'), ('aura', 'aura.safetensors'), ('kv', 'kv.safetensors')):
                outcome = run_episode(task, 'validation', 1000, options.rounds, backbone,
                                      load_memory(kind, weights(file)), world)
                won = sum(outcome.successes)
                low, high = wilson_interval(won, len(outcome.successes))
                print(f'{task:9s} {kind:5s} {won}/{len(outcome.successes)} [{low:.2f}, {high:.2f}] '
                      f'{outcome.writes_per_round:.1f} writes a round, {outcome.state_bytes} bytes')


if __name__ == '__main__':
    sys.exit(main())
