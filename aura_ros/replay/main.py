# SPDX-License-Identifier: Apache-2.0
"""aura replay: judge a memory on recordings, before it touches the arm; `ros2 run aura_ros replay_eval` is the same."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from aura_ros.common.console import make_console
from aura_ros.common.errors import AuraError, ConfigError
from aura_ros.common.program import FAILED, program
from aura_ros.common.provenance import versions
from aura_ros.replay.evaluated import Evaluated
from aura_ros.replay.policies import TITLES, choose
from aura_ros.replay.report.intervals import Interval
from aura_ros.replay.report.summary import Report, Summary, summarise, verdict
from aura_ros.replay.report.svg import size
from aura_ros.replay.steps.cache import default_folder

_DESCRIPTION = """\
Replays recordings through every memory and says who follows the recorded actions best, when each memory wrote, why, and
what it costs. The frozen VLA runs once on a recording; then each policy gets the very same steps, from an empty memory,
the nodes would give them. Results: a page for people, JSON for programs, a row for each step and policy.

BAG is a rosbag2 folder, a single .mcap or .db3 file, or a LeRobot dataset. No ROS has to be installed."""
_EPILOG = """\
policies:
{policies}
  any other name with --weights NAME=FILE: a memory of your own

examples:
  aura replay my_bag                              guess the topics, run all policies, write aura_replay/report.html
  aura replay my_bag --guess > mapping.yaml       look at the guess, correct it, and use it:
  aura replay my_bag --mapping mapping.yaml
  aura replay monday tuesday --mapping m.yaml     several recordings, each by itself and all together
  aura replay my_bag --from 0:30 --to 2:00 --limit 500
  aura replay my_bag --policies aura,kv --weights mine=runs/mine.safetensors
                                                  your own weights beside those that ship

A second run on the same recording takes its steps from the cache; one that was stopped goes on where it was.
Exit code: 0 all recordings were evaluated, 1 some were refused (the report has the others), 2 the command is wrong.
Mapping file, figures and intervals: docs/replay.md."""


@program('aura replay', interrupted='stopped; the same command continues from here')
def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(words)
    return _guess(options) if options.guess else _replay(options, words, make_console())


def _parser() -> argparse.ArgumentParser:
    policies = '\n'.join(f'  {name:10s} {title}' for name, title in TITLES.items())
    parser = argparse.ArgumentParser(
        'aura replay',
        description=_DESCRIPTION,
        epilog=_EPILOG.format(policies=policies),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('bags', metavar='BAG', nargs='+', type=Path)
    what = parser.add_argument_group('what is read')
    what.add_argument('--mapping', type=Path, metavar='FILE', help='which topic is what (default: it is guessed)')
    what.add_argument('--guess', action='store_true', help='print the mapping that would be guessed, and end')
    what.add_argument(
        '--instruction', default='', metavar='TEXT', help="what the robot was told, in place of the mapping's"
    )
    what.add_argument(
        '--from',
        dest='begin',
        type=_seconds,
        default=0.0,
        metavar='TIME',
        help='begin so far into the recording: seconds, or 1:30',
    )
    what.add_argument('--to', dest='end', type=_seconds, metavar='TIME', help='stop so far into the recording')
    what.add_argument('--limit', type=_positive, metavar='N', help='take the first N steps')
    how = parser.add_argument_group('what is run')
    how.add_argument(
        '--policies',
        type=_names,
        default=[],
        metavar='A,B',
        help='default: all that have weights; base always takes part',
    )
    how.add_argument(
        '--weights',
        type=_weights,
        action='append',
        default=[],
        metavar='NAME=FILE',
        help='weights of a policy (.safetensors with its card beside it); may be given several times',
    )
    how.add_argument(
        '--kv-window',
        type=_positive,
        default=512,
        metavar='N',
        help='steps that kv-window keeps (default: %(default)s)',
    )
    how.add_argument(
        '--backbone',
        default='embedded',
        metavar='NAME',
        help="'embedded' or module:factory of your own (default: %(default)s)",
    )
    how.add_argument('--backbone-weights', metavar='FILE', help='its weights (default: those that ship)')
    how.add_argument('--run-backbone', action='store_true', help='run it even where its steps were recorded')
    where = parser.add_argument_group('where results go')
    where.add_argument(
        '--output',
        type=Path,
        default=Path('aura_replay'),
        metavar='DIR',
        help='folder of the report (default: %(default)s)',
    )
    where.add_argument(
        '--cache',
        type=Path,
        default=default_folder(),
        metavar='DIR',
        help='folder of the steps, about 6 kB each; may be removed at any time (default: %(default)s)',
    )
    where.add_argument('--fresh', action='store_true', help='run the backbone again, whatever is in the cache')
    return parser


def _guess(options: argparse.Namespace) -> int:
    from aura_ros.recordings.bags import Bag
    from aura_ros.replay.steps.guess import guess
    from aura_ros.replay.steps.mapping import as_yaml
    from aura_ros.vla import load_backbone

    backbone = load_backbone(options.backbone, options.backbone_weights)
    for path in options.bags:
        with Bag(path) as bag:
            found = guess(bag, backbone.spec)
            notes = (f'Guessed from {path.name} for the backbone {backbone.spec.name}.', *found.notes)
            print(as_yaml(found.mapping, notes), end='')
    return 0


def _replay(options: argparse.Namespace, words: list[str], console: Console) -> int:
    from aura_ros.replay.report.files import check_output, write_report
    from aura_ros.replay.run import Settings, check_policies, evaluate_bag
    from aura_ros.replay.steps.mapping import load_mapping
    from aura_ros.vla import load_backbone

    weights = dict(options.weights)
    policies, left_out = choose(options.policies, weights)
    check_output(options.output)
    if options.end is not None and options.end <= options.begin:
        raise ConfigError(f'--to {options.end:g} s: must be after --from, {options.begin:g} s')
    settings = Settings(
        policies,
        weights,
        options.kv_window,
        load_mapping(options.mapping) if options.mapping else None,
        options.instruction,
        options.begin,
        options.end,
        options.limit,
        options.cache,
        options.fresh,
        options.run_backbone,
    )
    backbone = load_backbone(options.backbone, options.backbone_weights)
    check_policies(settings, backbone)
    found: list[Evaluated] = []
    refused: dict[str, str] = {}
    for path in options.bags:
        try:
            found.append(evaluate_bag(path, settings, backbone, console))
        except AuraError as error:
            refused[str(path)] = str(error)
            console.print(f'[bold red]{escape(str(path))} is refused:[/] {escape(str(error))}', soft_wrap=True)
    if not found:
        return FAILED
    single = tuple(summarise([one]) for one in found)
    pooled = single[0] if len(found) == 1 else summarise(found)
    report = Report(
        tuple(found),
        pooled,
        single,
        f'{datetime.now(UTC):%Y-%m-%d %H:%M} UTC',
        shlex.join(['aura', 'replay', *words]),
        versions('rosbags', 'pyarrow'),
        left_out,
        refused,
    )
    paths = write_report(report, options.output)
    _print(console, report, paths)
    return FAILED if refused else 0


def _print(console: Console, report: Report, paths: list[Path]) -> None:
    for found, summary in zip(report.recordings, report.single, strict=True):
        if found.about.partial:
            console.print(
                f'[yellow]{escape(found.about.name)} is not whole:[/] {escape(found.about.partial)}', soft_wrap=True
            )
        if len(report.recordings) > 1:
            console.print(_table(summary, found.about.name))
        if found.about.live:
            console.print(f'{found.about.name}: {found.about.live}', markup=False, soft_wrap=True)
    title = report.recordings[0].about.name if len(report.recordings) == 1 else 'all recordings'
    console.print(_table(report.pooled, title))
    for why in report.left_out.values():
        console.print(f'  {why}', style='dim', markup=False, soft_wrap=True)
    console.print(verdict(report.pooled), markup=False)
    for path in paths:
        console.print(f'  {path}', markup=False, soft_wrap=True)


def _table(summary: Summary, name: str) -> Table:
    table = Table(
        title=f'{escape(name)}: {summary.steps:,} steps, {summary.scored:,} with recorded actions',
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column('policy', no_wrap=True)
    for column in ('writes', 'of steps', 'state', 'to medium', 'error [rad]', 'minus base [rad]', 'step [µs]'):
        table.add_column(escape(column), justify='right', no_wrap=True)
    for row in summary.policies:
        apart = row.name != 'base' and row.difference.apart_from_zero and not summary.drove
        colour = ('green' if row.difference.mean < 0 else 'red') if apart else ''
        table.add_row(
            row.name,
            f'{row.writes:,}',
            f'{row.write_rate:.1%}',
            size(row.state_bytes),
            size(row.device_bytes),
            Text(_radians(row.error, '')),
            Text('' if row.name == 'base' else _radians(row.difference, '+'), colour),
            f'{row.p50_us:.0f}',
            style='bold' if row.gated else '',
        )
    return table


def _radians(found: Interval, sign: str) -> str:
    """A mean with its interval, '0.0123 [0.0101, 0.0150]'."""
    if math.isnan(found.mean):
        return '-'
    ends = '' if math.isnan(found.low) else f' [{found.low:.4f}, {found.high:.4f}]'
    return f'{found.mean:{sign}.4f}{ends}'


def _seconds(text: str) -> float:
    parts = text.split(':')
    try:
        seconds = sum(float(part) * 60.0**place for place, part in enumerate(reversed(parts)))
    except ValueError:
        seconds = -1.0
    if len(parts) > 3 or not 0.0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f'{text!r}: give seconds from the beginning of the recording, or 1:30')
    return seconds


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r}: must be a whole number >= 1')
    return int(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(',') if name.strip()]


def _weights(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition('=')
    if not name or not equals or not path:
        raise argparse.ArgumentTypeError(f'{text!r}: must be NAME=FILE, for instance aura=runs/aura.safetensors')
    return name, Path(path)


if __name__ == '__main__':
    sys.exit(main())
