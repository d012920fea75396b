# SPDX-License-Identifier: Apache-2.0
"""`aura demo`: run the simulated robot with and without memory. It is demo.launch.yaml with checked options.

The arguments are read with the standard library alone, so that they can be checked before anything is installed.
"""

import argparse
from collections.abc import Sequence

from aura_ros.common.arguments import integer_in, make_parser, names_of
from aura_ros.common.names import PANEL_TASKS, POLICIES
from aura_ros.common.program import program

_DESCRIPTION = """\
Runs the simulated robot with and without memory: every policy plays the same rounds. At the end it prints a table and
writes panel.json and panel.png. Ctrl-C ends it early, with a table of the finished episodes.
"""
_EPILOG = """\
tasks:
  recall    touch the block of the colour that a lamp showed earlier
  visible   the same with a lamp that stays lit, so that no memory is needed
  put_back  put a parcel back on the pad where it stood
  sequence  touch two to four blocks in the order in which a lamp showed them
  both      a colour and a parcel in one round, in any order
  many      three lamps; touch the colour that the named lamp showed last

policies: base has no memory, aura is AURA-Mem, kv is a KV-cache of all steps.

examples:
  aura demo                                three tasks, 12 rounds each
  aura demo --tasks recall --rounds 24
  aura demo --record run1                  for aura replay run1
  aura demo --full                         the comparison of docs/results.md
  aura demo --endurance --policies aura
  aura demo lockstep:=false                real time, as on a robot

Exit code: 0 complete, 1 a node failed, 2 wrong use, 130 Ctrl-C.
"""
_ROUNDS, _FULL_ROUNDS, _ENDURANCE_ROUNDS = 12, 60, 1000
_TASKS = ('recall', 'visible', 'many')
_MOST_ROUNDS, _LAST_SEED = 10_000, 2**31


def _launch_argument(text: str) -> str:
    if ':=' not in text:
        raise argparse.ArgumentTypeError(f'{text!r}: write options as --rounds 60, and launch arguments as name:=value')
    return text


def parser() -> argparse.ArgumentParser:
    """Return the parser; the options have the names of launch arguments."""
    made = make_parser('aura demo', _DESCRIPTION, _EPILOG)
    add = made.add_argument
    add('words', nargs='*', type=_launch_argument, metavar='NAME:=VALUE', help='other arguments of demo.launch.yaml')
    add(
        '--rounds',
        type=integer_in(1, _MOST_ROUNDS),
        metavar='N',
        help=f'rounds of each episode (default: {_ROUNDS}; with --full {_FULL_ROUNDS}, with --endurance '
        f'{_ENDURANCE_ROUNDS})',
    )
    add(
        '--tasks',
        type=names_of(PANEL_TASKS),
        metavar='A,B',
        help=f'tasks in order (default: {",".join(_TASKS)}; with --full and --endurance all)',
    )
    add(
        '--policies',
        type=names_of(POLICIES),
        metavar='A,B',
        help=f'policies, in the order in which they drive (default: {",".join(POLICIES)})',
    )
    add('--seed', type=integer_in(0, _LAST_SEED), default=0, metavar='N', help='index of the seed within the split')
    add('--split', choices=('train', 'validation', 'evaluation'), default='evaluation', help='seeds to choose from')
    add('--report-dir', default='aura_report', metavar='DIR', help='folder for the results; created')
    add('--record', metavar='DIR', help='record all topics here, for aura replay (default: no recording)')
    add('--full', action='store_true', help=f'the comparison of docs/results.md: {_FULL_ROUNDS} rounds of every task')
    add(
        '--endurance',
        action='store_true',
        help='one episode of mixed tasks for each policy, without a reset, with figures per hundred rounds',
    )
    return made


def launch_words(options: argparse.Namespace) -> list[str]:
    """Return the words for `aura launch`."""
    rounds = _ENDURANCE_ROUNDS if options.endurance else _FULL_ROUNDS if options.full else _ROUNDS
    tasks = PANEL_TASKS if options.endurance or options.full else _TASKS
    given = {
        'rounds': options.rounds or rounds,
        'tasks': ','.join(options.tasks or tasks),
        'policies': ','.join(options.policies or POLICIES),
        'seed': options.seed,
        'split': options.split,
        'report_dir': options.report_dir,
        'endurance': str(options.endurance).lower(),
    }
    if options.record is not None:
        given['record'] = options.record
    return ['aura_ros', 'demo.launch.yaml', *(f'{name}:={value}' for name, value in given.items()), *options.words]


@program('aura demo')
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration and return the exit code of the panel."""
    words = launch_words(parser().parse_intermixed_args(arguments))
    from aura_ros.tools.launch.main import main as launch

    return launch(words)
