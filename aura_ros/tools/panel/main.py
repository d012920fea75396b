# SPDX-License-Identifier: Apache-2.0
"""`aura panel`: compare all policies on the same rounds, and report the results as a table, JSON and PNG.

The panel is a client of the running graph; demo.launch.yaml starts both.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rich.console import Console

from aura_ros.bench.robot.console import print_checks, print_paired, print_sentence, print_table
from aura_ros.bench.robot.paired import paired_rows
from aura_ros.bench.robot.records import RunRecord, acceptance, summarise
from aura_ros.bench.robot.report import write_report
from aura_ros.client import AuraClient
from aura_ros.common.arguments import make_parser, names_of
from aura_ros.common.closing import closing_console
from aura_ros.common.console import make_console
from aura_ros.common.errors import ConfigError
from aura_ros.common.names import PANEL_TASKS, POLICIES, names_in
from aura_ros.common.program import end_on_signals, program
from aura_ros.common.progress import Bar
from aura_ros.common.provenance import versions, weight_hashes
from aura_ros.nodes.sim.node import SENSOR_TOPICS
from aura_ros.ros import foreign
from aura_ros.ros.parameters import ParameterSet, argument_of, parameter, text_of
from aura_ros.tools.panel import endurance
from aura_ros.tools.panel.comparison import Comparison, EpisodeSettings, Leg

_DESCRIPTION = """\
Lets every policy drive the same episodes on the simulated robot, and writes a table, panel.json and
panel.png. The graph has to run: `aura launch sim.launch.yaml` starts it, `aura launch
demo.launch.yaml` starts it together with the panel. The table is the last output; `aura launch` prints it after the
shutdown of all nodes.
"""
_EPILOG = """\
examples, while `aura launch sim.launch.yaml` runs in real time:
  aura panel --lockstep false --rounds 60 --tasks recall
  aura panel --lockstep false --policies base,aura --report-dir /tmp/report
  aura panel --lockstep false --endurance --policies aura

Every option is also a ROS parameter; ROS arguments follow after --ros-args.
exit code: 0 the comparison is complete, 1 a node failed, 2 wrong use, 130 Ctrl-C.
"""
_DISCOVERY_S = 1.0
"""Time from the discovery of all nodes by the panel to their discovery of each other [s]."""


@dataclass(frozen=True)
class PanelConfig:
    """Parameters of the panel."""

    rounds: int = parameter(12, 'Rounds of each episode', unit='1', low=1, high=10000)
    tasks: str = parameter('recall,visible,many', f'Tasks, comma-separated: {", ".join(PANEL_TASKS)}')
    policies: str = parameter('base,aura,kv', 'Policies, comma-separated, in the order in which they drive')
    seed: int = parameter(0, 'Index of the seed within the split', unit='1', low=0, high=2**31)
    split: str = parameter('evaluation', 'Seeds to choose from', choices=('train', 'validation', 'evaluation'))
    report_dir: str = parameter('aura_report', 'Folder for panel.json and panel.png; created', at_start=True)
    lockstep: bool = parameter(True, 'True: the simulation waits for the graph; false: real time')
    start_timeout_s: float = parameter(
        60.0, 'Longest time for nodes to appear and to accept requests', unit='s', low=1.0, high=3600.0
    )
    endurance: bool = parameter(False, 'One long episode of mixed tasks for each policy; figures per hundred rounds')
    stall_timeout_s: float = parameter(30.0, 'Longest time without progress', unit='s', low=1.0, high=3600.0)
    allow_shared_graph: bool = parameter(False, foreign.PARAMETER_TEXT)

    def legs(self) -> list[Leg]:
        """Return every task with every policy. An endurance run has all tasks together.

        Raises:
            ConfigError: an unknown task or policy, or none.
        """
        tasks = _names('tasks', self.tasks, PANEL_TASKS)
        if self.endurance:
            tasks = (','.join(tasks),)
        return [Leg(task, policy) for task in tasks for policy in _names('policies', self.policies, POLICIES)]

    def settings(self) -> EpisodeSettings:
        """Return what all episodes share."""
        return EpisodeSettings(**{item.name: getattr(self, item.name) for item in fields(EpisodeSettings)})


def _checked(allowed: Sequence[str]) -> Callable[[str], str]:
    """Return a converter that checks a list of names, and keeps its text."""
    convert = names_of(allowed)
    return lambda text: ','.join(convert(text))


_NAMES = {'tasks': _checked(PANEL_TASKS), 'policies': _checked(POLICIES)}


def _names(name: str, value: str, allowed: Sequence[str]) -> tuple[str, ...]:
    return names_in(value, allowed, f"parameter '{name}' is {value!r}")


def _report(console: Console, config: PanelConfig, run: RunRecord) -> None:
    """Write the files, and print the details, then the table and one sentence."""
    rows = [summarise(episode) for episode in run.episodes]
    print_paired(console, paired_rows(run.episodes))
    print_checks(console, acceptance(rows))
    for episode in run.episodes:
        lost = {policy: episode.missing_steps(policy) for policy in episode.gates}
        if any(lost.values()):
            console.print(f'  {episode.task} · {episode.policy}: gate samples not received: {lost}')
    json_path, png_path = write_report(run, Path(config.report_dir).expanduser())
    for path in (png_path, json_path):
        if path is not None:
            console.print(f'  {path}', soft_wrap=True)
    print_table(console, rows)
    print_sentence(console, [(row.policy, row.successes, row.rounds, row.writes) for row in rows])


def _foreign(node: Node) -> list[str]:
    """Return the publishers of inputs that are not the simulator, and the nodes that exist twice."""
    simulators = foreign.servers_of(node, 'sim/start_task')
    return foreign.foreign_publishers(node, SENSOR_TOPICS, simulators) + foreign.several_servers(
        node, ['sim/start_task', 'select_policy'], ['run_episode']
    )


def _run(client: AuraClient, console: Console) -> None:
    config = ParameterSet(client.node, PanelConfig).read()
    legs = config.legs()
    folder = Path(config.report_dir).expanduser()
    file = endurance.open_file(folder, config.settings(), legs) if config.endurance else None

    def make_bar(leg: Leg) -> Bar:
        following = len(legs) - legs.index(leg) - 1
        return Bar(console, f'{leg!s:<18} rounds', config.rounds, later=following * config.rounds)

    # It subscribes now, so that the nodes discover the subscriptions while the panel waits.
    comparison = Comparison(client, config.settings(), make_bar, file.keep if file else None)
    console.print('waiting for the nodes')
    client.wait_for(timeout_s=config.start_timeout_s)
    if config.allow_shared_graph:
        client.spin(_DISCOVERY_S)
    else:
        foreign.refuse_foreign(client.node, lambda: _foreign(client.node), client.spin)
    started, began = datetime.now(UTC).isoformat(timespec='seconds'), time.monotonic()
    if file is not None:
        endurance.run_endurance(comparison, console, file, legs)
        return
    try:
        comparison.run(legs)
    finally:
        # Complete episodes are reported even if a later one fails.
        if comparison.episodes:
            wall_s, episodes = time.monotonic() - began, tuple(comparison.episodes)
            run = RunRecord(started, wall_s, config.lockstep, versions(), weight_hashes(), episodes)
            with closing_console() as last:
                _report(last, config, run)


def check_parameters(values: Mapping[str, object]) -> None:
    """Check parameters before a launch starts anything.

    Raises:
        ConfigError: the first that is wrong.
    """
    for item in fields(PanelConfig):
        if item.name in values:
            value = values[item.name]
            text = str(value).lower() if isinstance(value, bool) else str(value)
            try:
                _NAMES.get(item.name, argument_of(item))(text)
            except argparse.ArgumentTypeError as error:
                raise ConfigError(f'{item.name}:={text}: {error}') from error


def ros_arguments(words: Sequence[str]) -> list[str]:
    """Return the arguments for rclpy: every option becomes a parameter, and `--ros-args ...` is kept."""
    parser = make_parser('aura panel', _DESCRIPTION, _EPILOG)
    for item in fields(PanelConfig):
        option = '--' + item.name.replace('_', '-')
        flag: dict[str, Any] = {'nargs': '?', 'const': 'true'} if item.default is False else {}
        text = f'{text_of(item)} (default: {str(item.default).lower()})'
        parser.add_argument(option, metavar='VALUE', type=_NAMES.get(item.name, argument_of(item)), help=text, **flag)
    place = words.index('--ros-args') if '--ros-args' in words else len(words)
    given = vars(parser.parse_args(words[:place]))
    if given['endurance'] == 'true':
        defaults = {'rounds': endurance.ROUNDS, 'tasks': endurance.TASKS}
        given |= {name: value for name, value in defaults.items() if given[name] is None}
    options = [word for name, value in given.items() if value is not None for word in ('-p', f'{name}:={value}')]
    return [*(words[place:] or ['--ros-args']), *options]


@program('aura panel')
def main(args: Sequence[str] | None = None) -> int:
    """Run the comparison and return the exit code."""
    arguments = ros_arguments(sys.argv[1:] if args is None else args)
    end_on_signals()
    with AuraClient(node_name='panel', arguments=arguments) as client:
        _run(client, make_console())
    return 0
