# SPDX-License-Identifier: Apache-2.0
"""aura bench: one command for each table of docs/results.md and docs/replay.md; python -m aura_ros.bench does the same.

A command is a module of this package with

    SUMMARY                                one line
    add_arguments(parser)                  what only this command takes
    run(args, console) -> int              the exit code

and a docstring, which is its --help: what it measures, how long that takes, what it writes. Only the module of the
command that was asked for is imported, and --help must work without torch: import it where it is used.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Protocol, cast

from rich.console import Console

from aura_ros.common.console import make_console
from aura_ros.common.program import positive_integer, program

COMMANDS: tuple[str, ...] = ('synthetic', 'horizon', 'tmaze', 'ais', 'ablate', 'replay')
"""Modules of this package, in the order --help shows them."""
SEEDS = 5
"""Seeds from 0 that a command takes where neither it nor the user says otherwise."""


class Command(Protocol):
    """What a module of `COMMANDS` has."""

    SUMMARY: str
    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what only this command takes."""

    def run(self, args: argparse.Namespace, console: Console) -> int:
        """Measure and report; returns the exit code."""
        ...


@program('aura bench', interrupted='stopped; the same command continues from here')
def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] not in COMMANDS:
        _overview().parse_args(words or ['--help'])  # shows help or what is wrong, and exits
    name, command = words[0], load(words[0])
    args = parser_of(name, command).parse_args(words[1:])
    if args.output is None:
        args.output = Path('results', 'quick') if args.quick else Path('results')
    if args.seeds is None:
        args.seeds = (0,) if args.quick else tuple(range(SEEDS))
    return command.run(args, make_console())


def load(name: str) -> Command:
    """Import a command's module."""
    return cast(Command, importlib.import_module(f'aura_ros.bench.{name}'))


def parser_of(name: str, command: Command) -> argparse.ArgumentParser:
    """The parser of one command: the arguments that all share, then its own."""
    parser = argparse.ArgumentParser(
        f'aura bench {name}',
        description=(command.__doc__ or '').strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--output',
        type=Path,
        metavar='DIR',
        help='folder for the results, made if need be (default: results, with --quick results/quick)',
    )
    seeds = parser.add_argument('--seeds', type=parse_seeds, metavar='LIST')
    parser.add_argument(
        '--quick',
        action='store_true',
        help='a small form of half a minute, on a task of its own: that it runs, not how good it is',
    )
    parser.add_argument(
        '--jobs',
        type=positive_integer,
        default=len(os.sched_getaffinity(0)),
        metavar='N',
        help='processes at a time (default: one for each core, here %(default)s)',
    )
    parser.add_argument('--fresh', action='store_true', help='forget earlier runs with the same settings')
    command.add_arguments(parser)
    default = ','.join(map(str, parser.get_default('seeds') or range(SEEDS)))
    seeds.help = f'for instance 0,1,2 or 0..4 (default: {default}, with --quick 0)'
    return parser


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read '0,1,2', '0..4' or both mixed; every seed once, in the order given."""
    seeds: list[int] = []
    for part in text.split(','):
        first, dots, last = part.partition('..')
        try:
            found = range(int(first), int(last) + 1) if dots else (int(first),)
        except ValueError:
            raise argparse.ArgumentTypeError(f'{part!r} is no seed: give 0,1,2 or 0..4, for instance') from None
        if not found or min(found) < 0:
            raise argparse.ArgumentTypeError(f'{part!r}: seeds are >= 0, and a range goes upwards')
        seeds += found
    return tuple(dict.fromkeys(seeds))


def _overview() -> argparse.ArgumentParser:
    width = max((len(name) for name in COMMANDS), default=0)
    lines = [f'  {name:{width}s}  {load(name).SUMMARY}' for name in COMMANDS]
    parser = argparse.ArgumentParser(
        'aura bench',
        description='One command for each table of docs/results.md and docs/replay.md.\n\n' + '\n'.join(lines),
        epilog='aura bench COMMAND --help says what it measures, how long it takes and what it writes.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND')
    return parser
