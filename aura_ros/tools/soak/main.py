# SPDX-License-Identifier: Apache-2.0
"""aura soak: lets the whole graph run for long, and tells whether anything grows, drops or slows.

The real graph: the embedded VLA, both memory policies, the switch and the simulated robot in real time,
the memory kept in a state file. Episode follows episode, with another policy and another task each
time. Executor thread only, all time on the steady clock.
"""

import argparse
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aura_ros.bench.robot.console import print_checks
from aura_ros.bench.robot.soak import SoakLimits, SoakRecord, trend, verdict, write_json
from aura_ros.common.console import make_console
from aura_ros.common.names import PANEL_TASKS, POLICIES
from aura_ros.common.program import FAILED, program
from aura_ros.common.progress import Bar
from aura_ros.tools.launch.main import prepare_environment
from aura_ros.tools.panel.graph import PanelError, PanelGraph
from aura_ros.tools.soak.graph import SoakMeters, SoakProcesses

# Of config/sim_arm.yaml, and of the embedded backbone: n_action_steps actions of seconds_per_action each.
COMMAND_HZ, STEP_HZ = 20.0, 5.0
_GRAPH = 'sim.launch.yaml'
_ROUNDS = 10_000
_START_S = 60.0
# From when the soak knows all nodes until they know each other too [s].
_DISCOVERY_S = 1.0
_SAMPLE_S = 1
_STALL_S = 10.0

_DESCRIPTION = """\
Lets the real graph (embedded VLA, both memories, policy switch, simulated robot in real time) run
episode after episode with changing policies and tasks, and tells at the end whether the memory of any
node grows, steps are lost, rates hold, and what was dropped. Ctrl-C ends it early with a report.
"""
_EPILOG = """\
examples:
  ./run soak                        ten minutes, the report in aura_report/soak.json
  ./run soak --minutes 2            a quick look
  ./run soak --minutes 480 --report night.json
  ./run soak --max-growth-mb 5      stricter than the promise of 10 MB

Memory is the resident set of each process, once a second; the first fifth of the time is warm-up.
The slope is Theil-Sen's, the median over all pairs of samples, so that a few odd ones do not move
it; the growth is the greater of end minus start and slope times duration. Rates are in wall time
and need a machine that keeps up: two cores will do if nothing else runs on them.

exit code: 0 if all checks hold, 1 if one does not, the graph failed or it was ended early.
"""


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.2 <= value <= 60.0 * 24 * 30:
        raise argparse.ArgumentTypeError(f"'{text}' must be a number of minutes, 0.2 to 43200")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='aura soak', description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    limits = SoakLimits()
    add = parser.add_argument
    add('--minutes', type=_minutes, default=10.0, metavar='N', help='how long (default: 10)')
    add('--episode-s', type=float, default=30.0, metavar='S', help='length of an episode (default: 30)')
    add(
        '--report',
        type=Path,
        default=Path('aura_report/soak.json'),
        metavar='PATH',
        help='JSON of all that was measured (default: aura_report/soak.json); the log of the nodes goes beside it',
    )
    add(
        '--max-growth-mb',
        type=float,
        default=limits.growth_mb,
        metavar='MB',
        help='memory a node may gain after the warm-up (default: 10)',
    )
    add(
        '--rate-tolerance',
        type=float,
        default=limits.rate_tolerance,
        metavar='R',
        help='how far rates may be off, as a share (default: 0.05)',
    )
    add(
        '--max-held',
        type=float,
        default=limits.held_share,
        metavar='R',
        help='share of the commands that may hold the robot (default: 0.05)',
    )
    return parser


class Soak:
    """One soak, from a graph that runs to what was measured."""

    def __init__(self, graph: PanelGraph, meters: SoakMeters, processes: SoakProcesses, bar: Bar) -> None:
        """Use `graph` to ask, `meters` and `processes` to measure, `bar` to show seconds."""
        self._graph, self._meters, self._processes, self._bar = graph, meters, processes, bar
        self._began = self._ended = time.monotonic()
        self._sampled_at = self._began
        self._episode_s = 0.0
        self._problem = ''

    def run(self, total_s: float, episode_s: float) -> None:
        """Run episodes of `episode_s` for `total_s` [s]; what went wrong is in the record.

        Ctrl-C ends it too.
        """
        meters, number = self._meters, 0
        self._began = self._sampled_at = time.monotonic()
        meters.counting = True
        try:
            self._processes.begin()
            with self._bar:
                while (left_s := total_s - (time.monotonic() - self._began)) > 0.5:
                    self._episode(number, min(episode_s, left_s))
                    number += 1
        except PanelError as error:
            self._problem = str(error)
        except KeyboardInterrupt:
            self._problem = f'ended early, after {time.monotonic() - self._began:.0f} s'
        meters.counting = meters.in_episode = False
        self._ended = time.monotonic()

    def record(self, limits: SoakLimits, started: str) -> SoakRecord:
        """Return what was measured."""
        times_s, found = self._processes.times_s, self._processes.resident_mb
        return SoakRecord(
            started=started,
            wall_s=self._ended - self._began,
            episode_s=self._episode_s,
            wanted_command_hz=COMMAND_HZ,
            wanted_step_hz=STEP_HZ,
            limits=limits,
            counters=self._meters.counters,
            trends={name: trend(times_s, values) for name, values in found.items() if len(values) > 1},
            cpu=self._processes.cpu(),
            problem=self._problem,
        )

    def _episode(self, number: int, seconds: float) -> None:
        """Run one episode; the policy that drives changes before and in the middle of it."""
        graph, counters = self._graph, self._meters.counters
        self._select(2 * number)
        task = PANEL_TASKS[number % len(PANEL_TASKS)]
        instruction = graph.start_task(task, 'train', number, _ROUNDS, lockstep=False)
        handle = graph.run_episode(instruction, _START_S)
        result = handle.get_result_async()
        self._next_step(result)
        began = time.monotonic()
        self._meters.in_episode = True
        self._steps_until(began + seconds / 2, result)
        self._select(2 * number + 1)
        self._steps_until(began + seconds, result)
        self._meters.in_episode = False
        self._episode_s += time.monotonic() - began
        graph.end_episode(handle, result)
        counters.episodes += 1

    def _select(self, number: int) -> None:
        self._graph.select(POLICIES[number % len(POLICIES)], _START_S)
        self._meters.counters.switches += 1

    def _steps_until(self, end: float, result: Any) -> None:
        while time.monotonic() < end:
            self._next_step(result)

    def _next_step(self, result: Any) -> None:
        """Wait for one more step of the VLA, and measure meanwhile."""
        graph, before = self._graph, self._graph.vla_seq
        end = time.monotonic() + _STALL_S
        while not graph.spin_until(lambda: graph.vla_seq > before or result.done(), 0.2):
            self._sample()
            if time.monotonic() > end:
                raise PanelError(f'vla_node has made no step for {_STALL_S:g} s')
        if result.done():
            raise PanelError(f'vla_node ended its episode: {result.result().result.reason}')
        self._sample()

    def _sample(self) -> None:
        passed = int(time.monotonic() - self._sampled_at)
        if passed < _SAMPLE_S:
            return
        self._sampled_at += passed
        self._processes.sample()
        elapsed, counters = time.monotonic() - self._began, self._meters.counters
        self._bar.advance(passed, f'{counters.commands / elapsed:.1f} commands/s, {counters.episodes} episodes')


def _show(console: Console, record: SoakRecord) -> None:
    table = Table(title=f'Soak of {record.wall_s / 60:.1f} min')
    table.add_column('node')
    for name in ('start [MB]', 'end [MB]', 'slope [MB/h]', 'growth [MB]', 'core [%]'):
        table.add_column(name, justify='right')
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
        f'{counters.switches} switches, {counters.writes} writes, {counters.device_bytes / 1e6:.2f} MB to the medium'
    )
    for what, times in counters.told.items():
        if times:
            console.print(f'  counted {times} times: {escape(what)}', soft_wrap=True)
    for what, times in counters.errors.items():
        console.print(f'  in {times} reports an ERROR: {escape(what)}', soft_wrap=True)
    print_checks(console, verdict(record))


def _soak(arguments: argparse.Namespace, console: Console) -> int:
    limits = SoakLimits(arguments.max_growth_mb, arguments.rate_tolerance, arguments.max_held)
    report = arguments.report.expanduser().absolute()
    started = datetime.now(UTC).isoformat(timespec='seconds')
    node = rclpy.create_node('soak')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with tempfile.TemporaryDirectory(prefix='aura-soak-') as folder:
        state = f'state_file:={folder}/memory.state'
        with SoakProcesses([_GRAPH, state, 'respawn:=false'], report.with_suffix('.log')) as processes:
            console.print(f'starting the graph; what the nodes say is in {processes.log}', soft_wrap=True)
            graph, meters = PanelGraph(node, executor), SoakMeters(node)
            _wait_for_processes(graph, processes)
            graph.wait_for_graph(_START_S)
            graph.spin(_DISCOVERY_S)
            soak = Soak(graph, meters, processes, Bar(console, 'soak, seconds', round(arguments.minutes * 60)))
            soak.run(arguments.minutes * 60, arguments.episode_s)
            record = soak.record(limits, started)
    executor.shutdown()
    node.destroy_node()
    _show(console, record)
    write_json(record, report)
    console.print(str(report), soft_wrap=True)
    good = all(check.passed for check in verdict(record))
    console.print('[green]verdict: good[/]' if good else '[bold red]verdict: NOT good[/]')
    return 0 if good else FAILED


def _wait_for_processes(graph: PanelGraph, processes: SoakProcesses) -> None:
    end = time.monotonic() + _START_S
    while missing := processes.find():
        if time.monotonic() > end:
            raise PanelError(f'{", ".join(missing)} did not start within {_START_S:g} s: {processes.log} says why')
        graph.spin(0.2)


@program('aura soak')
def main(args: list[str] | None = None) -> int:
    """Run the soak and return the exit code; a check that does not hold is a failure."""
    arguments = _parser().parse_args(args)
    console = make_console()
    # Also when a script ends it: the graph has to be ended, and the report is worth having.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    prepare_environment()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        return _soak(arguments, console)
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
