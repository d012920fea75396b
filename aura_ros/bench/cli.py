# SPDX-License-Identifier: Apache-2.0
"""aura bench, or python -m aura_ros.bench: one command for each table of docs/results.md and docs/replay.md.

A command is a module of this package with

    SUMMARY                                one line
    add_arguments(parser)                  adds the arguments of this command
    run(args, console) -> int              returns the exit code
    check(args)                            optional: raises ConfigError for arguments that do not fit together

and a docstring, which is its --help: what it measures, its runtime and its output. Only the module of the chosen
command is imported. --help has to work without torch, so commands import torch in the functions that use it.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Protocol, cast

from rich.console import Console

from aura_ros.bench.arguments import parse_seeds
from aura_ros.common.arguments import make_parser, positive_integer
from aura_ros.common.console import make_console
from aura_ros.common.program import program

COMMANDS: tuple[str, ...] = (
    'synthetic',
    'endurance',
    'robustness',
    'horizon',
    'tmaze',
    'popgym',
    'ais',
    'ablate',
    'replay',
    'vla',
)
"""Modules of this package, in the order --help shows them."""
_EXAMPLES = """\
examples:
  aura bench {0} --quick     a small task in half a minute
  aura bench {0} --seeds 0   the measurement with one seed"""
_OVERVIEW_EPILOG = """\
example:
  aura bench horizon --quick

aura bench COMMAND --help describes the measurement, its runtime and its output."""
SEEDS = 5
"""Default number of seeds, from 0."""


class Command(Protocol):
    """The interface of a module in `COMMANDS`."""

    SUMMARY: str
    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of this command."""

    def run(self, args: argparse.Namespace, console: Console) -> int:
        """Measure and report. Return the exit code."""


@program('aura bench', interrupted='stopped; the same command continues with the next run')
def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] not in COMMANDS:
        _overview().parse_args(words or ['--help'])  # Prints the help or an error, and exits.
    name, command = words[0], load(words[0])
    args = parser_of(name, command).parse_args(words[1:])
    if args.output is None:
        args.output = Path('results', 'quick') if args.quick else Path('results')
    if args.seeds is None:
        args.seeds = (0,) if args.quick else tuple(range(SEEDS))
    return command.run(args, make_console())


def load(name: str) -> Command:
    """Import the module of a command."""
    return cast(Command, importlib.import_module(f'aura_ros.bench.{name}'))


def parser_of(name: str, command: Command) -> argparse.ArgumentParser:
    """Return the parser of one command: the shared arguments, then its own."""
    parser = make_parser(
        f'aura bench {name}', (command.__doc__ or '').strip(), _EXAMPLES.format(name), getattr(command, 'check', None)
    )
    parser.add_argument(
        '--output',
        type=Path,
        metavar='DIR',
        help='output folder, created if missing (default: results, with --quick results/quick)',
    )
    seeds = parser.add_argument('--seeds', type=parse_seeds, metavar='LIST')
    parser.add_argument(
        '--quick', action='store_true', help='run a small task for half a minute; a test of the command, not a result'
    )
    parser.add_argument(
        '--jobs',
        type=positive_integer,
        default=len(os.sched_getaffinity(0)),
        metavar='N',
        help='number of parallel processes (default: one per core, here %(default)s)',
    )
    parser.add_argument('--fresh', action='store_true', help='repeat runs that are already stored for these settings')
    command.add_arguments(parser)
    default = ','.join(map(str, parser.get_default('seeds') or range(SEEDS)))
    seeds.help = f'for example 0,1,2 or 0..4 (default: {default}, with --quick 0)'
    return parser


def _overview() -> argparse.ArgumentParser:
    width = max((len(name) for name in COMMANDS), default=0)
    lines = [f'  {name:{width}s}  {load(name).SUMMARY}' for name in COMMANDS]
    summary = 'One command for each table of docs/results.md and docs/replay.md.\n\n'
    parser = make_parser('aura bench', summary + '\n'.join(lines), _OVERVIEW_EPILOG)
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND', help='table to reproduce')
    return parser
