# SPDX-License-Identifier: Apache-2.0
"""aura replay: compare memories on recordings before one of them controls a robot."""

import argparse
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from aura_ros.common.arguments import make_parser, positive_integer
from aura_ros.common.console import make_console
from aura_ros.common.errors import AuraError, ConfigError
from aura_ros.common.program import FAILED, end_on_signals, program
from aura_ros.common.provenance import versions
from aura_ros.replay.choice import choose
from aura_ros.replay.evaluated import FRAMES_BYTES, Evaluated
from aura_ros.replay.policies import TITLES
from aura_ros.replay.steps.cache import default_folder
from aura_ros.vla import backbone_name

_DESCRIPTION = """\
Replays recordings through several policies, each with its own memory. Reports which policy follows the recorded actions
best, when and why each memory wrote, and what it costs. The frozen VLA runs once per recording. Each policy starts with
an empty memory and gets the same steps that the nodes would give it. Results: a page (HTML), all figures (JSON) and a
table with one row per step and policy.

BAG is a rosbag2 folder, a single .mcap or .db3 file, or a LeRobot dataset. ROS does not have to be installed."""
_EPILOG = """\
policies:
{policies}
  any other name with --weights NAME=FILE: your own memory

examples:
  aura replay my_bag                         report in aura_replay/report.html
  aura replay my_bag --guess > mapping.yaml  the guessed mapping, to correct it
  aura replay my_bag --mapping mapping.yaml
  aura replay monday tuesday --mapping m.yaml
  aura replay my_bag --robot robot.yaml      topics and units of a robot file
  aura replay my_bag --from 0:30 --to 2:00 --limit 500
  aura replay my_bag --policies aura,kv --weights mine=runs/mine.safetensors

A second run on the same recording reads its steps from the cache. A run that was stopped continues where it stopped.
Exit code: 0 all recordings were evaluated, 1 one or more were refused (the report has the others), 2 wrong command.
Mapping file, figures and intervals: docs/replay.md."""


@program('aura replay', interrupted='stopped; the same command continues from here')
def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    end_on_signals()
    words = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(words)
    return _guess(options) if options.guess else _replay(options, words, make_console())


def _parser() -> argparse.ArgumentParser:
    policies = '\n'.join(f'  {name:10s} {title}' for name, title in TITLES.items())
    parser = make_parser('aura replay', _DESCRIPTION, _EPILOG.format(policies=policies), _check)
    parser.add_argument('bags', metavar='BAG', nargs='+', type=Path, help='recording; several are also pooled')
    source = parser.add_argument_group('input')
    source.add_argument('--mapping', type=Path, metavar='FILE', help='which topic is what (default: a guess)')
    source.add_argument(
        '--robot',
        type=Path,
        metavar='FILE',
        help='robot file, which gives the topics of joints and commands and their units (default: the recorded one)',
    )
    source.add_argument('--guess', action='store_true', help='print the guessed mapping and exit')
    source.add_argument(
        '--instruction', default='', metavar='TEXT', help='instruction of the task (default: that of the mapping)'
    )
    source.add_argument(
        '--from',
        dest='begin',
        type=_seconds,
        default=0.0,
        metavar='TIME',
        help='start time from the beginning of the recording: seconds, or 1:30 (default: 0)',
    )
    source.add_argument('--to', dest='end', type=_seconds, metavar='TIME', help='end time, likewise (default: the end)')
    source.add_argument('--limit', type=positive_integer, metavar='N', help='use only the first N steps (default: all)')
    policy = parser.add_argument_group('policies and backbone')
    policy.add_argument(
        '--policies',
        type=_names,
        default=[],
        metavar='A,B',
        help='policies to run besides base (default: all that have weights)',
    )
    policy.add_argument(
        '--weights',
        type=_weights,
        action='append',
        default=[],
        metavar='NAME=FILE',
        help='weights of a policy (.safetensors, with its card beside it); may be repeated (default: those that ship)',
    )
    policy.add_argument(
        '--kv-window',
        type=positive_integer,
        default=512,
        metavar='N',
        help='number of steps that kv-window keeps (default: %(default)s)',
    )
    policy.add_argument(
        '--backbone',
        type=backbone_name,
        default='embedded',
        metavar='NAME',
        help="'embedded', or module:factory of your own backbone (default: %(default)s)",
    )
    policy.add_argument('--backbone-weights', metavar='FILE', help='its weights (default: the shipped ones)')
    policy.add_argument('--run-backbone', action='store_true', help='run it even if its steps were recorded')
    output = parser.add_argument_group('output')
    output.add_argument(
        '--output',
        type=Path,
        default=Path('aura_replay'),
        metavar='DIR',
        help='folder for the report (default: %(default)s)',
    )
    output.add_argument(
        '--cache',
        type=Path,
        default=default_folder(),
        metavar='DIR',
        help='folder for the steps, about 6 kB each; may be deleted at any time (default: ~/.cache/aura_ros/replay)',
    )
    output.add_argument('--fresh', action='store_true', help='run the backbone again and replace the cached steps')
    return parser


def _check(options: argparse.Namespace) -> None:
    choose(options.policies, dict(options.weights))
    if options.end is not None and options.end <= options.begin:
        raise ConfigError(f'--to {options.end:g} s: must be after --from {options.begin:g} s')


def _guess(options: argparse.Namespace) -> int:
    from aura_ros.control.robot_file import read_robot_file
    from aura_ros.recordings.bags import Bag
    from aura_ros.replay.steps.guess import guess
    from aura_ros.replay.steps.mapping_file import as_yaml
    from aura_ros.vla import load_backbone

    robot = read_robot_file(options.robot) if options.robot else None
    backbone = load_backbone(options.backbone, options.backbone_weights)
    for path in options.bags:
        with Bag(path) as bag:
            found = guess(bag, backbone.spec, robot)
            notes = (f'Guessed from {path.name} for the backbone {backbone.spec.name}.', *bag.notes, *found.notes)
            print(as_yaml(found.mapping, notes), end='')
    return 0


def _replay(options: argparse.Namespace, words: list[str], console: Console) -> int:
    from aura_ros.control.robot_file import read_robot_file
    from aura_ros.replay.report.files import check_output, write_report
    from aura_ros.replay.report.summary import Report
    from aura_ros.replay.report.terminal import print_report
    from aura_ros.replay.run import Settings, evaluate_bag, fitting_policies
    from aura_ros.replay.steps.mapping_file import load_mapping
    from aura_ros.vla import load_backbone

    weights = dict(options.weights)
    policies, left_out = choose(options.policies, weights)
    check_output(options.output)
    settings = Settings(
        policies=policies,
        weights=weights,
        window=options.kv_window,
        mapping=load_mapping(options.mapping) if options.mapping else None,
        instruction=options.instruction,
        robot=read_robot_file(options.robot) if options.robot else None,
        begin_s=options.begin,
        end_s=options.end,
        limit=options.limit,
        cache=options.cache,
        fresh=options.fresh,
        run_backbone=options.run_backbone,
        frames_bytes=FRAMES_BYTES // len(options.bags),
    )
    backbone = load_backbone(options.backbone, options.backbone_weights)
    settings, unfit = fitting_policies(settings, backbone, {*options.policies, *weights})
    found: list[Evaluated] = []
    refused: dict[str, str] = {}
    for path in options.bags:
        try:
            found.append(evaluate_bag(path, settings, backbone, console))
        except AuraError as error:
            refused[str(path)] = str(error)
            print(f'aura replay: {path} is refused: {error}', file=sys.stderr)
    if not found:
        return FAILED
    report = Report(
        tuple(found),
        f'{datetime.now(UTC):%Y-%m-%d %H:%M} UTC',
        shlex.join(['aura', 'replay', *words]),
        versions('rosbags', 'pyarrow'),
        {**left_out, **unfit},
        refused,
    )
    paths = write_report(report, options.output)
    print_report(console, report, paths)
    return FAILED if refused else 0


def _seconds(text: str) -> float:
    parts = text.split(':')
    try:
        seconds = sum(float(part) * 60.0**place for place, part in enumerate(reversed(parts)))
    except ValueError:
        seconds = -1.0
    if len(parts) > 3 or not 0.0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f'{text!r}: must be seconds from the beginning, or for instance 1:30')
    return seconds


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(',') if name.strip()]


def _weights(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition('=')
    if not name or not equals or not path:
        raise argparse.ArgumentTypeError(f'{text!r}: must be NAME=FILE, for instance aura=runs/aura.safetensors')
    return name, Path(path)


if __name__ == '__main__':
    sys.exit(main())
