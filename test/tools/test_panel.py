# SPDX-License-Identifier: Apache-2.0
"""The panel with real processes: a report at the end, or the name of the node at fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('aura_ros.msg')
pytestmark = [pytest.mark.graph, pytest.mark.timeout(400)]

SUPPORT = Path(__file__).parents[1] / 'support'
CONFIG = SUPPORT.parents[1] / 'config'
COMMON = [
    '--ros-args',
    '--params-file',
    str(CONFIG / 'lockstep.yaml'),
    '-p',
    'autostart:=true',
    '-p',
    'use_sim_time:=true',
]
NODES = {
    'vla_node': [*COMMON, '-p', 'backbone:=fakes:ScriptedVla'],
    'memory_node': [*COMMON, '-p', 'memory:=fakes:aura'],
    'kv_baseline_node': [*COMMON, '-p', 'memory:=fakes:kv'],
    'policy_switch_node': [
        *COMMON,
        '--params-file',
        str(CONFIG / 'sim_arm.yaml'),
        '-p',
        'enable_control:=true',
        '-p',
        'lockstep_timeout_s:=1.0',
    ],
    'sim_node': ['--ros-args', '-p', 'simulation:=fakes:FakeSimulation'],
}


@pytest.fixture
def environment(domain: int) -> dict[str, str]:
    """A ROS domain of our own, and the fakes importable."""
    path = os.pathsep.join([str(SUPPORT), os.environ.get('PYTHONPATH', '')])
    return os.environ | {
        'PYTHONPATH': path,
        'ROS_DOMAIN_ID': str(domain),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'PYTHONUNBUFFERED': '1',
    }


def start(name: str, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SUPPORT.parents[1] / 'scripts' / name), *arguments],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@contextmanager
def graph(environment: dict[str, str]) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Run all nodes with fakes inside; show their output when the test fails."""
    running = {name: start(name, arguments, environment) for name, arguments in NODES.items()}
    try:
        yield running
    finally:
        for process in running.values():
            process.send_signal(signal.SIGINT)
        for name, process in running.items():
            try:
                output = process.communicate(timeout=10)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                output = process.communicate()[0]
            print(f'--- {name}\n{output}')


def parameters(**values: object) -> list[str]:
    return ['--ros-args', *(word for key in values for word in ('-p', f'{key}:={values[key]}'))]


def finish(panel: subprocess.Popen[str]) -> tuple[int, str]:
    output = panel.communicate(timeout=300)[0]
    print(output)
    return panel.returncode, ' '.join(output.split())


def test_every_policy_drives_and_the_report_is_written(environment: dict[str, str], tmp_path: Path) -> None:
    with graph(environment):
        asked = parameters(rounds=2, tasks='recall', policies='base,aura,kv', report_dir=tmp_path)
        code, output = finish(start('panel', asked, environment))
    assert code == 0
    found = json.loads((tmp_path / 'panel.json').read_text())
    assert [episode['policy'] for episode in found['episodes']] == ['base', 'aura', 'kv']
    for episode in found['episodes']:
        assert episode['steps'] == 10 and episode['missing_steps'] == {'aura': 0, 'kv': 0}
        assert [outcome['success'] for outcome in episode['outcomes']] == [True]
        assert episode['aura_write_steps'] == [0, 3, 6, 9] and episode['write_events'] == 4
    assert len({episode['episode_id'] for episode in found['episodes']}) == 3
    assert (tmp_path / 'panel.png').stat().st_size > 10_000
    assert str(tmp_path / 'panel.png') in output and 'writes KV / AURA' in output


def test_an_endurance_run_mixes_the_tasks_and_continues_with_the_next_policy(
    environment: dict[str, str], tmp_path: Path
) -> None:
    asked = ['--endurance', '--rounds', '1', '--tasks', 'recall,visible', '--report-dir', str(tmp_path), '--policies']
    with graph(environment):
        code, output = finish(start('panel', [*asked, 'aura'], environment))
        assert code == 0 and '1-1' in output and 'aura solved' in output
        code, output = finish(start('panel', [*asked, 'aura,kv'], environment))
    assert code == 0 and 'all rounds are in' in output and 'aura - kv' in output
    found = json.loads((tmp_path / 'endurance.json').read_text())
    assert found['settings']['tasks'] == 'recall,visible'
    for policy in ('aura', 'kv'):
        run = found['policies'][policy]
        assert run['finished'] and run['missing_steps'] == 0 and run['results'] == [['recall,visible', True]]
    assert found['policies']['aura']['blocks'][0]['writes'] == 2
    assert not (tmp_path / 'panel.json').exists()


def test_an_endurance_run_has_a_thousand_rounds_of_the_tasks_of_today() -> None:
    from aura_ros.common.names import PANEL_TASKS
    from aura_ros.tools.panel.main import ros_arguments

    tasks = f'tasks:={",".join(PANEL_TASKS)}'
    assert ros_arguments(['--endurance']) == ['--ros-args', '-p', 'rounds:=1000', '-p', tasks, '-p', 'endurance:=true']
    assert 'rounds:=7' in ros_arguments(['--endurance', '--rounds', '7'])
    assert ros_arguments([]) == ['--ros-args']


def test_a_node_that_ends_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    with graph(environment) as running:
        asked = parameters(rounds=500, tasks='recall', policies='aura', report_dir=tmp_path, stall_timeout_s=3.0)
        panel = start('panel', asked, environment)
        assert panel.stdout is not None
        for line in panel.stdout:
            if 'rounds: 0/500' in line:
                break
        assert running['vla_node'].stdout is not None
        for line in running['vla_node'].stdout:
            if 'episode' in line:
                break
        running['memory_node'].kill()
        code, output = finish(panel)
    assert code == 1
    assert 'memory_node' in output and 'aura panel: ' in output


def test_missing_nodes_are_named(environment: dict[str, str]) -> None:
    code, output = finish(start('panel', parameters(start_timeout_s=1.0), environment))
    assert code == 1
    for name in NODES:
        assert name in output


@pytest.mark.parametrize(
    ('values', 'word'),
    [({'tasks': 'juggle'}, "'tasks'"), ({'policies': 'aura,aura'}, "'policies'"), ({'rounds': 0}, "'rounds'")],
)
def test_bad_parameters_are_named(environment: dict[str, str], values: dict[str, object], word: str) -> None:
    code, output = finish(start('panel', parameters(**values), environment))
    assert code == 2 and 'aura panel: parameter' in output and word in output
