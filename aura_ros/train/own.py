# SPDX-License-Identifier: Apache-2.0
"""aura train memory --from-bags: memories for your own robot, and the action head alone to compare them with."""

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from aura_ros.common.console import make_console
from aura_ros.common.errors import ConfigError
from aura_ros.common.text_files import read_object
from aura_ros.replay.policies import CONTROL
from aura_ros.replay.report.intervals import Blocks
from aura_ros.replay.report.summary import gain_of
from aura_ros.replay.report.verdict import gain_text
from aura_ros.train.features import collect
from aura_ros.train.memory import check_kind, recorded_source, train_on_recordings
from aura_ros.train.memory_settings import MemoryTraining
from aura_ros.train.recordings import TASK, FeatureFile
from aura_ros.vla.protocol import BackboneSpec

PROGRAM_MARK = 'AURA_RUN'
"""Environment variable in which `./run` gives its own path, because `aura` is not on the PATH of its user."""

Report = Mapping[str, Any]
"""Figures of a memory on the held-out parts; see `train.memory.evaluate`."""


def train_own(options: argparse.Namespace) -> None:
    """Train the memories of `aura train memory --from-bags`, and print what they gain and how to compare them.

    Raises:
        AuraError: an option is not allowed, or the recordings cannot be used.
    """
    kinds = _kinds(options)
    folder: Path = options.output or Path('my_weights')
    outputs = {kind: folder / f'{kind}.safetensors' for kind in kinds}
    for kind, output in outputs.items():
        if output.exists() and not options.overwrite and (kind != CONTROL or options.memory == CONTROL):
            raise ConfigError(f'{output} exists: choose another folder with --output, or replace it with --overwrite')
    settings = MemoryTraining(seed=options.seed, addressing=_addressing(options))
    if options.steps is not None:
        settings = replace(settings, optimisation=replace(settings.optimisation, steps=options.steps))
    kept, backbone = collect(options, options.from_bags, make_console())
    folder.mkdir(parents=True, exist_ok=True)
    # The control is first, so that nothing is trained if one of another training is in its place.
    order = sorted(kinds, key=lambda kind: kind != CONTROL)
    reports = {kind: _train(kind, outputs[kind], kept, backbone.spec, settings, options) for kind in order}
    for kind, output in outputs.items():
        print(f'{output}: {_held_out(reports[kind])}')
    for text in _gains(reports):
        print(text)
    print(f'next, compare {"them" if len(kinds) > 1 else "it"}: {replay_command(options, outputs)}')


def _kinds(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the memories to train.

    The action head alone is trained beside a memory. A memory that continues from other weights has no equal one.
    """
    if options.start_from is not None:
        continued = read_object(options.start_from.with_suffix('.json')).get('memory')
        return (check_kind(str(continued) if options.memory == 'both' else options.memory),)
    kinds = ('aura', 'kv') if options.memory == 'both' else (options.memory,)
    return tuple(dict.fromkeys((*map(check_kind, kinds), CONTROL)))


def _addressing(options: argparse.Namespace) -> str:
    """Return the addressing of fast weights: that of the weights to continue from, else the given one, else dense.

    Raises:
        ConfigError: the weights to continue from have another addressing than the given one.
    """
    given: str | None = options.addressing
    if options.start_from is None:
        return given or 'dense'
    continued = str(read_object(options.start_from.with_suffix('.json')).get('addressing', 'dense'))
    if given not in (None, continued):
        raise ConfigError(f'--addressing is {given}: {options.start_from} has {continued}, leave the option out')
    return continued


def _train(
    kind: str,
    output: Path,
    kept: Sequence[FeatureFile],
    spec: BackboneSpec,
    settings: MemoryTraining,
    options: argparse.Namespace,
) -> Report:
    """Train one memory, and return its figures on the held-out parts. An equal control is not trained again."""
    holdout, round_steps = options.holdout, options.round_steps
    if output.exists() and not options.overwrite:
        card = read_object(output.with_suffix('.json'))
        training = card.get('training') or {}
        known = {**card, **training, **(training.get('settings') or {})}
        wanted = {
            'backbone_sha256': spec.backbone_hash,
            **recorded_source(kept, holdout, round_steps, None),
            'seed': settings.seed,
            'optimisation': asdict(settings.optimisation),
        }
        if any(known.get(name) != value for name, value in wanted.items()):
            raise ConfigError(
                f'{output} exists and was trained on other data or with other settings: choose another folder with '
                '--output, or replace it with --overwrite'
            )
        figures: Report = card['validation'][TASK]
        return figures
    found: Report = train_on_recordings(
        kind,
        kept,
        spec,
        output,
        settings,
        options.command,
        holdout=holdout,
        round_steps=round_steps,
        start_from=options.start_from,
    )[TASK]
    return found


def _held_out(figures: Report) -> str:
    """Describe the result on the held-out ends of the recordings."""
    return (
        f'action error on the held-out parts {figures["action_error"]:.4g}, of the frozen VLA alone '
        f'{figures["base_action_error"]:.4g} (1 is the usual offset of the recorded commands from the VLA); '
        f'{figures["writes_per_round"]:.1f} writes per round'
    )


def _gains(reports: Mapping[str, Report]) -> list[str]:
    """Return what part of each gain is memory, with intervals over the held-out parts if there are several."""
    if CONTROL not in reports:
        return []
    head = np.asarray(reports[CONTROL]['action_errors'])
    blocks = Blocks(np.arange(len(head)), 1)
    return [
        gain_text(
            gain_of(
                kind,
                round(report['writes_per_round'] * 1e6),
                (np.asarray(report['base_action_errors']), head, np.asarray(report['action_errors'])),
                blocks,
            ),
            unit='',
        )
        for kind, report in reports.items()
        if kind != CONTROL
    ]


def replay_command(options: argparse.Namespace, outputs: Mapping[str, Path]) -> str:
    """Return the command line that compares the trained memories, with the options that the training had."""
    run = os.environ.get(PROGRAM_MARK)
    words = [run or 'aura', 'replay', *map(str, options.from_bags)]
    for flag, value in (
        ('--mapping', options.mapping),
        ('--robot', options.robot),
        ('--instruction', options.instruction),
        ('--backbone', options.backbone if options.backbone != 'embedded' else ''),
        ('--backbone-weights', options.backbone_weights),
    ):
        words += [flag, str(value)] if value else []
    for kind, output in outputs.items():
        words += ['--weights', f'{kind}={output}']
    return shlex.join(words)
