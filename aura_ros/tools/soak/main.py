# SPDX-License-Identifier: Apache-2.0
"""`aura soak`: run the whole graph for a long time, and check that nothing grows, gets lost or slows down.

The real graph runs: the embedded VLA, both memory policies, the switch and the simulated robot in real time. The
memory is kept in a state file.
"""

import argparse
import math
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from aura_ros.bench.robot.console import print_checks
from aura_ros.bench.robot.soak import SoakLimits, SoakRecord, verdict, write_json
from aura_ros.client import AuraClient, GraphError
from aura_ros.common.arguments import make_parser, number_in
from aura_ros.common.console import make_console
from aura_ros.common.program import FAILED, end_on_signals, program
from aura_ros.common.progress import Bar
from aura_ros.common.tables import FiguresTable
from aura_ros.tools.launch.main import prepare_environment
from aura_ros.tools.soak.meters import SoakMeters
from aura_ros.tools.soak.processes import SoakProcesses
from aura_ros.tools.soak.soak import START_S, Soak

_GRAPH = 'sim.launch.yaml'
_DISCOVERY_S = 1.0
"""Time from the discovery of all nodes by the soak to their discovery of each other [s]."""

_DESCRIPTION = """\
Runs the real graph (embedded VLA, both memories, policy switch, simulated robot in real time) episode
after episode with changing policies and tasks. At the end it checks that no node's memory grows, that
no step is lost and that the rates hold. Ctrl-C ends it early with a report.
"""
_EPILOG = """\
examples:
  aura soak                         ten minutes, report in aura_report/soak.json
  aura soak --minutes 2             a quick look
  aura soak --minutes 480 --report night.json
  aura soak --max-growth-mb 5       a stricter limit than the default of 10 MB

Memory is the resident set of each process, sampled once a second; the first fifth of the time is
warm-up. The slope is the Theil-Sen estimate, the median over all pairs of samples, which a few
outliers do not change. The growth is the larger of (end - start) and (slope x duration). Rates are in
wall time and need a machine that keeps up: two cores with no other load.

exit code: 0 all checks hold, 1 a check does not hold, the graph failed or Ctrl-C ended it early,
2 wrong use.
"""


def _parser() -> argparse.ArgumentParser:
    parser = make_parser('aura soak', _DESCRIPTION, _EPILOG)
    limits, default = SoakLimits(), '(default: %(default)s)'
    add = parser.add_argument
    add('--minutes', type=number_in(0.2, 43200), default=10.0, metavar='N', help=f'duration {default}')
    add('--episode-s', type=number_in(1.0, 86400), default=30.0, metavar='S', help=f'length of an episode {default}')
    text = f'JSON file of all measurements {default}; the log of the nodes goes beside it'
    add('--report', type=Path, default=Path('aura_report/soak.json'), metavar='PATH', help=text)
    text = f'memory that a node may gain after the warm-up {default}'
    add('--max-growth-mb', type=number_in(0.0, math.inf), default=limits.growth_mb, metavar='MB', help=text)
    text = f'relative tolerance of the rates {default}'
    add('--rate-tolerance', type=number_in(0.0, 1.0), default=limits.rate_tolerance, metavar='R', help=text)
    text = f'share of the commands that may hold the robot {default}'
    add('--max-held', type=number_in(0.0, 1.0), default=limits.held_share, metavar='R', help=text)
    return parser


def _show(console: Console, record: SoakRecord) -> None:
    table = FiguresTable(
        f'Soak of {record.wall_s / 60:.1f} min',
        keys=('node',),
        figures=('start [MB]', 'end [MB]', 'slope [MB/h]', 'growth [MB]', 'core [%]'),
    )
    for name, found in record.trends.items():
        table.add_row(
            name,
            f'{found.first_mb:.1f}',
            f'{found.last_mb:.1f}',
            f'{found.slope_mb_per_h:+.2f}',
            f'{found.growth_mb:+.2f}',
            f'{record.cpu[name]:.0%}' if name in record.cpu else '-',
        )
    console.print(table)
    counters = record.counters
    console.print(
        f'  {counters.commands} commands, {counters.steps} steps, {counters.episodes} episodes, '
        f'{counters.switches} switches, {counters.writes} writes, {counters.device_bytes / 1e6:.2f} MB to storage'
    )
    for what, times in counters.reported.items():
        if times:
            console.print(f'  {escape(what)}: {times} times', soft_wrap=True)
    for what, times in counters.errors.items():
        console.print(f'  ERROR in {times} reports: {escape(what)}', soft_wrap=True)
    print_checks(console, verdict(record))


def _soak(arguments: argparse.Namespace, console: Console) -> SoakRecord:
    limits = SoakLimits(arguments.max_growth_mb, arguments.rate_tolerance, arguments.max_held)
    started = datetime.now(UTC).isoformat(timespec='seconds')
    with AuraClient(node_name='soak') as client, tempfile.TemporaryDirectory(prefix='aura-soak-') as folder:
        state = f'state_file:={folder}/memory.state'
        with SoakProcesses([_GRAPH, state, 'respawn:=false'], arguments.report.with_suffix('.log')) as processes:
            console.print(f'starting the graph; the output of the nodes goes to {processes.log}', soft_wrap=True)
            meters = SoakMeters(client.node)
            _wait_for_processes(client, processes)
            client.wait_for(timeout_s=START_S)
            client.spin(_DISCOVERY_S)
            soak = Soak(client, meters, processes, Bar(console, 'soak, seconds', round(arguments.minutes * 60)))
            soak.run(arguments.minutes * 60, arguments.episode_s)
            return soak.record(limits, started)


def _wait_for_processes(client: AuraClient, processes: SoakProcesses) -> None:
    end = time.monotonic() + START_S
    while missing := processes.find():
        if time.monotonic() > end:
            raise GraphError(f'{", ".join(missing)} did not start within {START_S:g} s; see {processes.log}')
        client.spin(0.2)


@program('aura soak')
def main(args: list[str] | None = None) -> int:
    """Run the soak and return the exit code; a check that does not hold is a failure."""
    arguments = _parser().parse_args(args)
    arguments.report = arguments.report.expanduser().absolute()
    console = make_console()
    end_on_signals()
    prepare_environment()
    record = _soak(arguments, console)
    _show(console, record)
    write_json(record, arguments.report)
    console.print(str(arguments.report), soft_wrap=True)
    good = all(check.passed for check in verdict(record))
    console.print('[green]verdict: good[/]' if good else '[bold red]verdict: NOT good[/]')
    return 0 if good else FAILED


if __name__ == '__main__':
    sys.exit(main())
