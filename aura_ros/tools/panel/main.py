# SPDX-License-Identifier: Apache-2.0
"""panel: lets each policy drive rounds of the same seed of each task, and reports what came of it.

A client of the running graph (demo.launch.yaml starts both). One episode per task and policy: select
the policy, start the task, run the VLA until the last round is over. At the end a table, a JSON and a
PNG.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rich.console import Console

from aura_ros.bench.robot.collector import EpisodeCollector
from aura_ros.bench.robot.console import Leg, ProgressView, print_checks, print_table
from aura_ros.bench.robot.records import EpisodeRecord, RunRecord, acceptance, summarise
from aura_ros.bench.robot.report import write_report
from aura_ros.common.console import make_console
from aura_ros.common.errors import ConfigError
from aura_ros.common.names import PANEL_TASKS, POLICIES
from aura_ros.common.program import INTERRUPTED, program
from aura_ros.common.provenance import versions, weight_hashes
from aura_ros.ros.parameters import ParameterSet, parameter, text_of
from aura_ros.tools.panel.graph import PanelError, PanelGraph

_DESCRIPTION = """\
Lets every policy drive the same episodes on the simulated robot, and writes a table, panel.json and
panel.png. The graph has to be running: `aura launch sim.launch.yaml` starts it, `aura launch
demo.launch.yaml` starts it together with the panel. The options are ROS parameters; ROS arguments
follow after --ros-args.
"""
_PEER_CHECK_S = 1.0
# What may still be under way when an episode has ended [s].
_SETTLE_S = 3.0
# From when the panel knows all nodes until they know each other too [s].
_DISCOVERY_S = 1.0
_NODES = {'base': 'vla_node', 'aura': 'memory_node', 'kv': 'kv_baseline_node'}


@dataclass(frozen=True)
class PanelConfig:
    """Parameters of the panel."""

    rounds: int = parameter(12, 'Rounds of each episode', unit='1', low=1, high=10000)
    tasks: str = parameter('recall,visible', f'Tasks, comma-separated: {", ".join(PANEL_TASKS)}')
    policies: str = parameter('base,aura,kv', 'Policies, comma-separated, in the order in which they drive')
    seed: int = parameter(0, 'Index of the seed within the split', unit='1', low=0, high=2**31)
    split: str = parameter('evaluation', 'Which seeds', choices=('train', 'validation', 'evaluation'))
    report_dir: str = parameter('aura_report', 'Folder for panel.json and panel.png; is made', at_start=True)
    lockstep: bool = parameter(True, 'The simulation waits for the graph; false: real time')
    start_timeout_s: float = parameter(
        60.0, 'How long nodes may take to come up and accept work', unit='s', low=1.0, high=3600.0
    )
    stall_timeout_s: float = parameter(
        30.0, 'Give up when nothing has moved for so long', unit='s', low=1.0, high=3600.0
    )

    def legs(self) -> list[Leg]:
        """Every task with every policy.

        Raises:
            ConfigError: an unknown task or policy, or none.
        """
        tasks = _names('tasks', self.tasks, PANEL_TASKS)
        return [Leg(task, policy) for task in tasks for policy in _names('policies', self.policies, POLICIES)]


def _names(name: str, value: str, allowed: Sequence[str]) -> list[str]:
    found = [entry.strip() for entry in value.split(',') if entry.strip()]
    if not found or set(found) - set(allowed) or len(set(found)) != len(found):
        raise ConfigError(f"parameter '{name}' is {value!r}, allowed: one or more of {', '.join(allowed)}, each once")
    return found


class Panel:
    """Runs the legs one after the other."""

    def __init__(self, graph: PanelGraph, config: PanelConfig, view: ProgressView) -> None:
        """Drive `graph` and show it on `view`."""
        self._graph, self._config, self._view = graph, config, view
        self.episodes: list[EpisodeRecord] = []

    def run(self, legs: Sequence[Leg]) -> None:
        """Run all legs; `episodes` grows with each.

        Raises:
            PanelError: a node is missing, died, refuses, or nothing moves.
        """
        for leg in legs:
            self.episodes.append(self._run_leg(leg))

    def _run_leg(self, leg: Leg) -> EpisodeRecord:
        graph, config = self._graph, self._config
        self._view.begin(leg)
        began = time.monotonic()
        # First the policy: between two episodes no chunk is playing, so that it drives from step 0.
        graph.select(leg.policy, config.start_timeout_s)
        graph.collector = EpisodeCollector([episode.episode_id for episode in self.episodes])
        instruction = graph.start_task(leg.task, config.split, config.seed, config.rounds, config.lockstep)
        handle = graph.run_episode(instruction, config.start_timeout_s)
        result_future = handle.get_result_async()
        self._watch(leg, result_future)
        result = graph.end_episode(handle, result_future)
        collector = graph.collector
        graph.spin_until(lambda: collector.complete(result.episode_id, result.steps), _SETTLE_S)
        return collector.record(
            EpisodeRecord(
                task=leg.task,
                policy=leg.policy,
                split=config.split,
                seed=config.seed,
                rounds=config.rounds,
                episode_id=result.episode_id,
                steps=int(result.steps),
                sim_s=0.0,
                wall_s=time.monotonic() - began,
                marks=(),
                gates={},
            )
        )

    def _watch(self, leg: Leg, result: Any) -> None:
        """Listen until the last round is over."""
        graph, collector = self._graph, self._graph.collector
        moved_at = checked_at = time.monotonic()
        moved = (0, -1)
        shown = (0, 0, 0)
        while not collector.finished:
            graph.spin_until(lambda: collector.finished, 0.2)
            now = time.monotonic()
            seen = (collector.progress, graph.vla_seq)
            if seen != moved:
                moved, moved_at = seen, now
            if now - checked_at > _PEER_CHECK_S:
                checked_at = now
                self._check_peers(leg, result, now - moved_at)
            writes = None if leg.policy == 'base' else collector.writes(leg.policy)
            state = (collector.rounds_done, collector.rounds_solved, writes)
            if state != shown:
                shown = state
                self._view.update(leg, *state)

    def _check_peers(self, leg: Leg, result: Any, still_s: float) -> None:
        graph = self._graph
        missing = graph.missing()
        if missing:
            raise PanelError(f'{", ".join(missing)} went away during {leg}: its log says why')
        if result.done() and not graph.collector.finished:
            raise PanelError(f'vla_node ended {leg}: {result.result().result.reason}')
        if still_s > self._config.stall_timeout_s:
            raise PanelError(f'nothing moved for {still_s:.0f} s during {leg}: {self._suspect()} ({self._newest()})')

    def _suspect(self) -> str:
        """Which node the others wait for."""
        graph, status = self._graph, self._graph.policy_status
        if graph.vla_seq < 0:
            return 'vla_node made no step, its /diagnostics say what it lacks'
        silent = graph.collector.silent(graph.vla_seq)
        if silent:
            return f'{_NODES[silent[0]]} did not answer step {graph.vla_seq}, its log says why'
        if status is None:
            return 'policy_switch_node was never heard'
        if not status.control_enabled:
            return 'enable_control of policy_switch_node is false, set it'
        for policy in POLICIES:
            stamp = status.newest_stamp[POLICIES.index(policy)]
            if stamp == Time() or status.newest_seq[POLICIES.index(policy)] < graph.vla_seq:
                return f'policy_switch_node did not accept step {graph.vla_seq} of {_NODES[policy]}'
        return 'sim_node, vla_node or policy_switch_node hangs, their /diagnostics say which'

    def _newest(self) -> str:
        """How far each node got."""
        graph, collector = self._graph, self._graph.collector
        parts = [
            f'vla_node made step {graph.vla_seq}',
            f'memory_node {collector.newest_seq("aura")}',
            f'kv_baseline_node {collector.newest_seq("kv")}',
            f'sim_node told of {len(collector.marks)} events',
        ]
        status = graph.policy_status
        if status is not None:
            what = 'holds' if status.holding else 'moves'
            parts.append(f'policy_switch_node {what}: {status.reason}')
        return ', '.join(parts)


def _report(console: Console, config: PanelConfig, run: RunRecord) -> None:
    rows = [summarise(episode) for episode in run.episodes]
    print_table(console, rows)
    print_checks(console, acceptance(rows))
    for episode in run.episodes:
        lost = {policy: episode.missing_steps(policy) for policy in episode.gates}
        if any(lost.values()):
            console.print(f'  {episode.task} · {episode.policy}: steps not heard of: {lost}')
    json_path, png_path = write_report(run, Path(config.report_dir).expanduser())
    for path in (png_path, json_path):
        if path is not None:
            console.print(str(path), soft_wrap=True)


def _run(node: Node, executor: SingleThreadedExecutor, console: Console) -> None:
    config = ParameterSet(node, PanelConfig).read()
    legs = config.legs()
    graph = PanelGraph(node, executor)
    console.print('waiting for the nodes')
    graph.wait_for_graph(config.start_timeout_s)
    graph.spin(_DISCOVERY_S)
    started, began = datetime.now(UTC).isoformat(timespec='seconds'), time.monotonic()
    view = ProgressView(console, legs, config.rounds)
    panel = Panel(graph, config, view)
    try:
        with view:
            panel.run(legs)
    finally:
        # What was measured is worth having also when a later episode fails.
        if panel.episodes:
            _report(
                console,
                config,
                RunRecord(
                    started,
                    time.monotonic() - began,
                    config.lockstep,
                    versions(),
                    weight_hashes(),
                    tuple(panel.episodes),
                ),
            )


def ros_arguments(words: Sequence[str]) -> list[str]:
    """Return the command line for rclpy: every option becomes a parameter, `--ros-args ...` stays at the end."""
    parser = argparse.ArgumentParser(
        prog='aura panel', description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for item in fields(PanelConfig):
        option = '--' + item.name.replace('_', '-')
        parser.add_argument(option, metavar='VALUE', help=f'{text_of(item)} (default: {item.default})')
    place = words.index('--ros-args') if '--ros-args' in words else len(words)
    given = vars(parser.parse_args(words[:place]))
    options = [word for name, value in given.items() if value is not None for word in ('-p', f'{name}:={value}')]
    return [*(words[place:] or ['--ros-args']), *options]


@program('aura panel')
def main(args: Sequence[str] | None = None) -> int:
    """Run the comparison and return the exit code."""
    arguments = ros_arguments(sys.argv[1:] if args is None else args)
    console = make_console()
    rclpy.init(args=arguments)
    node = rclpy.create_node('panel')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        _run(node, executor, console)
    except ExternalShutdownException:
        return INTERRUPTED
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
