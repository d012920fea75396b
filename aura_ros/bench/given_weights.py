# SPDX-License-Identifier: Apache-2.0
"""Weights that a user names: which memory they are for, and on which streams they were trained."""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from aura_ros.bench.synthetic import SETTINGS, setting_of
from aura_ros.common.errors import ConfigError
from aura_ros.common.text_files import read_object


def add_weights(parser: argparse.ArgumentParser, verb: str, known: Collection[str]) -> None:
    """Add --results, --weights and --memory; `verb` says what the command does with the weights."""
    parser.add_argument(
        '--results', type=Path, metavar='DIR', help='folder of `aura bench synthetic` (default: the output folder)'
    )
    parser.add_argument(
        '--weights',
        type=Path,
        metavar='FILE',
        help=f'{verb} these weights instead (.safetensors; default: those of synthetic)',
    )
    parser.add_argument(
        '--memory', choices=known, metavar='KIND', help='memory of --weights (default: the one its card names)'
    )


def check_weights(args: argparse.Namespace) -> None:
    """Check that --memory comes with --weights.

    Raises:
        ConfigError: it does not.
    """
    if args.memory is not None and args.weights is None:
        raise ConfigError('--memory needs weights: give --weights FILE too, or choose with --memories')


def given(args: argparse.Namespace, known: Collection[str]) -> tuple[str, Sequence[str]]:
    """Return the memory and the settings of --weights, from its card where they are not given.

    Args:
        args: arguments with `weights`, `memory` and `settings`.
        known: memories of the command.

    Raises:
        ConfigError: the card names none that is known.
    """
    card = read_object(args.weights.with_suffix('.json'))
    suffix = '-content' if card.get('addressing') == 'content' else ''
    kind = f'{card.get("memory")}{suffix}'
    memory = args.memory or kind
    if memory not in known:
        raise ConfigError(f'{args.weights}: its card is for the memory {memory!r}: choose one with --memory')
    if args.settings is not None:
        return memory, args.settings
    settings = [name for name in (*SETTINGS, 'quick') if asdict(setting_of(name)) == card.get('setting')]
    if not settings:
        raise ConfigError(f'{args.weights}: its card has no setting of {", ".join(SETTINGS)}: choose with --settings')
    return memory, settings[:1]
