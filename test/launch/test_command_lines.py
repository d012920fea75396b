# SPDX-License-Identifier: Apache-2.0
"""The command lines of every launch file: equal to the expected file, and to those of ROS launch where installed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from aura_ros.tools.launch import ros_launch
from aura_ros.tools.launch.reader import describe, read

LAUNCH = Path(__file__).parents[2] / 'launch'
EVERYTHING = Path(__file__).with_name('everything.launch.yaml')
EXPECTED = Path(__file__).with_name('command_lines.txt')
GRAPH = {'vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node'}
REPLAY = {'player', 'memory_node', 'kv_baseline_node'}
ROBOT = {
    'cameras': '{front: /cam0/image_raw, top: /cam2/image_raw/compressed}',
    'joint_states_topic': '/robot/joint_states',
    'instruction_topic': '/task',
    'robot_file': str(LAUNCH.parent / 'config/example_6dof.yaml'),
    'backbone_file': str(LAUNCH.parent / 'config/embedded.yaml'),
    'aura_weights': '/weights/aura.safetensors',
    'kv_weights': '/weights/kv.safetensors',
    'kv_window': '40',
    'log_level': 'warn',
}
FILES = [
    ('aura', ROBOT),
    ('sim', ROBOT),
    ('aura', {}),
    ('aura', {'namespace': 'left', 'policy': 'kv', 'enable_control': 'true', 'state_file': '/var/state'}),
    ('aura', {'use_sim_time': 'true', 'lockstep': 'true', 'cameras': '{front: /cam/color, wrist: cam1}'}),
    ('sim', {}),
    ('sim', {'lockstep': 'true', 'camera_every': '8'}),
    ('sim', {'enable_control': 'false'}),
    ('demo', {}),
    ('demo', {'rounds': '60', 'tasks': 'recall,visible,put_back', 'lockstep': 'false'}),
    ('demo', {'record': '/data/run'}),
    ('aura', {'record': '/data/run', 'cameras': '{front: /cam/color, wrist: cam1/compressed}', 'namespace': 'left'}),
    ('replay', {'bag': '/data/run'}),
    ('replay', {'bag': '/data/run', 'lockstep': 'true', **ROBOT}),
    ('replay', {'bag': '/data/run', 'source': 'steps', 'lockstep': 'true', 'record': 'none', 'namespace': 'left'}),
]
CASES = [(LAUNCH / f'{name}.launch.yaml', given) for name, given in FILES]
CASES += [
    (EVERYTHING, {}),
    (EVERYTHING, {'wanted': 'false', 'space': 'deep/down', 'policy': 'kv', 'rate': '7.5', 'text': '[a]'}),
]
CASE = pytest.mark.parametrize(('path', 'given'), CASES, ids=[' '.join([p.stem, *g]) for p, g in CASES])


@pytest.mark.parametrize(
    ('name', 'given', 'nodes'),
    [
        ('aura', {}, GRAPH),
        ('aura', {'record': 'run'}, GRAPH | {'recorder'}),
        ('sim', {}, GRAPH | {'sim_node'}),
        ('sim', {'record': 'run'}, GRAPH | {'sim_node', 'recorder'}),
        ('demo', {}, GRAPH | {'sim_node', 'panel'}),
        ('demo', {'record': 'run'}, GRAPH | {'sim_node', 'panel', 'recorder'}),
        ('replay', {'bag': 'run'}, REPLAY | {'vla_node', 'recorder'}),
        ('replay', {'bag': 'run', 'record': 'none'}, REPLAY | {'vla_node'}),
        ('replay', {'bag': 'run', 'source': 'steps'}, REPLAY | {'recorder'}),
    ],
)
def test_nodes_of_each_file(name: str, given: dict[str, str], nodes: set[str]) -> None:
    plan = read(LAUNCH / f'{name}.launch.yaml', given)
    assert {node.executable for node in plan.nodes} == nodes
    assert len(plan.nodes) == len(nodes)
    # After Ctrl-C everything has to end within 3 s, even if a node ignores signals.
    assert plan.sigterm_timeout_s + plan.sigkill_timeout_s <= 2.7
    assert all(argument.description for argument in plan.arguments.values())


def test_every_yaml_file_has_a_python_file() -> None:
    with_nodes = {path.stem for path in LAUNCH.glob('*.yaml')} - {'arguments.launch'}
    assert with_nodes == {path.stem for path in LAUNCH.glob('*.py')}


@pytest.mark.parametrize('name', ['aura', 'sim', 'demo', 'replay'])
def test_every_file_takes_the_shared_arguments(name: str) -> None:
    shared, found = describe(LAUNCH / 'arguments.launch.yaml'), describe(LAUNCH / f'{name}.launch.yaml')
    assert ROBOT.keys() == shared.keys()
    assert {key: found.get(key) for key in shared} == shared
    read(LAUNCH / f'{name}.launch.yaml', {**ROBOT, **({'bag': 'run'} if name == 'replay' else {})})


def test_the_demonstration_ends_with_the_panel_and_with_the_simulator() -> None:
    plan = read(LAUNCH / 'demo.launch.yaml', {})
    assert {node.executable for node in plan.nodes if node.shutdown_on_exit} == {'panel', 'sim_node'}


def test_a_recorder_in_lockstep_adds_one_subscriber_only() -> None:
    alone, recorded = (
        yaml.safe_load((LAUNCH.parent / 'config' / f'{name}.yaml').read_text())
        for name in ('lockstep', 'lockstep_recorded')
    )
    for node in alone.values():
        for name in node['ros__parameters'].keys() & {'step_subscribers', 'chunk_subscribers'}:
            node['ros__parameters'][name] += 1
    assert alone == recorded
    for given, timing in (
        ({}, 'lockstep.yaml'),
        ({'record': 'run'}, 'lockstep_recorded.yaml'),
        ({'record': 'run', 'lockstep': 'false'}, 'real_time.yaml'),
    ):
        for node in read(LAUNCH / 'demo.launch.yaml', given).nodes:
            if node.executable in GRAPH:
                files = [Path(word).name for word in node.arguments if isinstance(word, str)]
                assert timing in files


def test_a_replay_cannot_move_a_robot() -> None:
    plan = read(LAUNCH / 'replay.launch.yaml', {'bag': 'run'})
    assert 'policy_switch_node' not in {node.executable for node in plan.nodes}
    assert [node.executable for node in plan.nodes if node.shutdown_on_exit] == ['player']


def test_a_robot_does_not_move_by_default() -> None:
    (switch,) = [
        node for node in read(LAUNCH / 'aura.launch.yaml', {}).nodes if node.executable == 'policy_switch_node'
    ]
    assert {'/policy_switch_node': {'ros__parameters': {'enable_control': False}}} in [
        argument.content for argument in switch.arguments if not isinstance(argument, str)
    ]


def test_command_lines_are_as_expected(stand_ins: Path) -> None:
    lines = []
    for path, given in CASES:
        lines.append(' '.join([path.name, *(f'{name}:={value}' for name, value in given.items())]))
        lines += [f'  [{node.label}] {node.shown()}' for node in read(path, given).nodes]
    root = str(Path(__file__).parents[2])
    text = '\n'.join(lines).replace(str(stand_ins), 'PREFIX').replace(root, 'ROOT') + '\n'
    if os.environ.get('AURA_WRITE_COMMAND_LINES'):
        EXPECTED.write_text(text)
    assert text == EXPECTED.read_text(), (
        'the launch files start other command lines than expected; if this is intended, run this test '
        f'with AURA_WRITE_COMMAND_LINES=1 and commit {EXPECTED.name}'
    )


def _comparable(nodes: list[dict[str, Any]]) -> list[Any]:
    """Name, program and arguments of each node, parameter files by content instead of path."""
    return sorted(
        [node['name'], node['program'], *(node['files'].get(word, word) for word in node['arguments'])]
        for node in nodes
    )


@pytest.mark.skipif(not ros_launch.available(), reason='ROS launch is not installed')
@CASE
def test_ros_launch_starts_the_same(path: Path, given: dict[str, str], start: Callable[..., Any]) -> None:
    words = [f'{name}:={value}' for name, value in given.items()]
    count = len(read(path, given).nodes)
    own, ros = (start(back_end, path, *words).nodes(count) for back_end in ('own', 'ros'))
    assert _comparable(own) == _comparable(ros)
