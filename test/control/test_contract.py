# SPDX-License-Identifier: Apache-2.0
"""A Rosetta contract is read as a robot file; what a robot file cannot say is refused with place and fix."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from aura_ros.common.errors import ConfigError
from aura_ros.control.robot_file import from_contract, read_robot_file
from aura_ros.tools.robot.main import main

LIMITS = {'step_max': [0.05, 0.05, 0.05, 0.02], 'units': ['rad', 'rad', 'rad', 'm']}

CURRENT: dict[str, Any] = {
    'robot_type': 'bench_arm',
    'robot_interface': 'ros2',
    'fps': 25,
    'x-qos': {'state': {'depth': 10}},
    'observations': {
        'observation.images.front': {
            'channel': {'topic': '/front/image_raw', 'type': 'sensor_msgs/msg/Image'},
            'align': {'strategy': 'hold', 'timeline': 'header'},
            'apply': [{'resize': [224, 224]}],
        },
        'observation.state': [
            {
                'channel': {'topic': '/arm/joint_states', 'type': 'sensor_msgs/msg/JointState', 'qos': {'depth': 10}},
                'align': {'strategy': 'asof', 'timeline': 'header', 'tolerance_ms': 80},
                'select': ['position.pan', 'position.lift', 'position.elbow', 'velocity.pan'],
                'apply': ['rad2deg'],
            },
            {
                'channel': {'topic': '/hand/joint_states', 'type': 'sensor_msgs/msg/JointState'},
                'align': {'strategy': 'drop', 'timeline': 'header'},
                'select': ['position.finger'],
            },
        ],
    },
    'actions': {
        'action': [
            {
                'channel': {
                    'topic': '/arm/joint_commands',
                    'type': 'sensor_msgs/msg/JointState',
                    'qos': {'reliability': 'reliable'},
                    'safety': 'hold',
                },
                'align': {'strategy': 'hold', 'timeline': 'header'},
                'select': ['position.pan', 'position.lift', 'position.elbow'],
                'apply': ['rad2deg', {'clamp': {'min': -90, 'max': 90}}],
            },
            {
                'channel': {'topic': '/hand/command', 'type': 'std_msgs/msg/Float64MultiArray', 'safety': 'hold'},
                'align': {'strategy': 'hold', 'timeline': 'receive'},
                'select': ['finger'],
                'apply': [{'clamp': {'min': 0.0, 'max': 0.04}}],
                'kind': 'binary',
            },
        ]
    },
    'tasks': {'task': {'channel': {'topic': '/task', 'type': 'std_msgs/msg/String'}}},
    'x-aura': {'velocity_max': [1, 1.5, 2, 1.0], 'step_max': LIMITS['step_max'], 'units': LIMITS['units']},
}
OLD: dict[str, Any] = {
    'robot_type': 'bench_arm',
    'fps': 30,
    'max_duration_s': 90.0,
    'observations': [
        {
            'key': 'observation.state',
            'topic': '/joint_states',
            'type': 'sensor_msgs/msg/JointState',
            'selector': {'names': ['position.pan', 'position.lift']},
            'align': {'strategy': 'hold', 'stamp': 'header', 'tol_ms': 1500},
        }
    ],
    'actions': [
        {
            'key': 'action',
            'publish': {
                'topic': '/arm_controller/joint_trajectory',
                'type': 'trajectory_msgs/msg/JointTrajectory',
                'qos': {'depth': 10},
            },
            'selector': {'names': ['position.pan', 'position.lift']},
            'from_tensor': {'clamp': [-1.5, 1.5]},
            'safety_behavior': 'none',
        }
    ],
    'recording': {'storage': 'mcap'},
    'x-aura': {'velocity_max': [1.0, 1.0], 'step_max': [0.04, 0.04], 'position_lower': [-2.0, -1.0]},
}
BASE: dict[str, Any] = {
    'robot_type': 'two_wheels',
    'robot_interface': 'ros2',
    'fps': 20,
    'observations': {
        'observation.state': [
            {
                'channel': {'topic': '/joint_states', 'type': 'sensor_msgs/msg/JointState'},
                'align': {'strategy': 'hold', 'timeline': 'header'},
                'select': ['velocity.wheel_left', 'velocity.wheel_right'],
            },
            {
                'channel': {'topic': '/odom', 'type': 'nav_msgs/msg/Odometry'},
                'align': {'strategy': 'hold', 'timeline': 'header'},
                'select': ['twist.twist.linear.x'],
            },
        ]
    },
    'actions': {
        'action': {
            'channel': {'topic': '/cmd_vel', 'type': 'geometry_msgs/msg/TwistStamped', 'safety': 'zeros'},
            'align': {'strategy': 'hold', 'timeline': 'header'},
            'select': ['twist.angular.z', 'twist.linear.x'],
            'apply': [{'clamp': {'min': -0.5, 'max': 0.5}}],
        }
    },
    'x-aura': {'velocity_max': [2.0, 1.0], 'step_max': [0.2, 0.1]},
}
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a contract with a change."""

    def make(contract: dict[str, Any], change: Change = lambda _: None) -> Path:
        data = copy.deepcopy(contract)
        change(data)
        path = tmp_path / 'contract.yaml'
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return path

    return make


def test_a_contract_gives_joints_topics_rate_units_and_limits(write: Callable[..., Path]) -> None:
    found = read_robot_file(write(CURRENT))
    robot = found.robot
    assert robot.joint_names == ('pan', 'lift', 'elbow', 'finger') and robot.control_hz == 25.0
    assert [(out.command_type, out.command_topic, out.joint_names) for out in robot.outputs] == [
        ('joint_state', '/arm/joint_commands', ('pan', 'lift', 'elbow')),
        ('float64_multi_array', '/hand/command', ('finger',)),
    ]
    assert robot.sources.topics == ('/arm/joint_states', '/hand/joint_states')
    assert robot.sources.max_age_s == {'pan': 0.08, 'lift': 0.08, 'elbow': 0.08, 'finger': 0.04}
    assert robot.velocity_max == (1.0, 1.5, 2.0, 1.0)
    # The clamp is in degrees, because it follows rad2deg.
    assert robot.position_upper == pytest.approx((math.pi / 2,) * 3 + (0.04,))
    assert robot.to_robot(np.array([180.0, 90.0, 0.0, 0.03])) == pytest.approx([math.pi, math.pi / 2, 0.0, 0.03])
    measured = robot.sources.to_policy({'pan': math.pi, 'finger': 0.02}, ('pan', 'finger'))
    assert measured == pytest.approx({'pan': 180.0, 'finger': 0.02})
    assert found.notes == (
        "cameras of the contract, for the launch file: cameras:='{front: /front/image_raw}'",
        'not read from the contract: tasks',
        'not read from observations.observation.state[0]: velocity.pan',
    )


def test_a_clamp_before_rad2deg_is_in_radians(write: Callable[..., Path]) -> None:
    def change(data: dict[str, Any]) -> None:
        data['actions']['action'][0]['apply'] = [{'clamp': {'min': -1.0, 'max': 1.0}}, 'rad2deg']

    assert read_robot_file(write(CURRENT, change)).robot.position_lower == (-1.0, -1.0, -1.0, 0.0)


def test_an_operator_with_an_empty_mapping_of_arguments_is_read(write: Callable[..., Path]) -> None:
    robot = read_robot_file(write(CURRENT, lambda data: _state(data).update(apply=[{'rad2deg': {}}]))).robot
    assert robot == read_robot_file(write(CURRENT)).robot


def test_the_older_format_is_read_and_the_tighter_limit_counts(write: Callable[..., Path]) -> None:
    robot = read_robot_file(write(OLD)).robot
    assert [(out.command_type, out.joint_names) for out in robot.outputs] == [('joint_trajectory', ('pan', 'lift'))]
    assert robot.control_hz == 30.0 and robot.sources.topics == ('/joint_states',)
    assert robot.sources.max_age_s == {} and robot.sources.maps == {}
    assert robot.position_lower == (-1.5, -1.0) and robot.position_upper == (1.5, 1.5)


def test_a_mobile_base_gets_velocities_in_the_order_of_its_actions(write: Callable[..., Path]) -> None:
    robot = read_robot_file(write(BASE)).robot
    assert robot.joint_names == ('base_angular_z', 'base_linear_x') and robot.units == ('rad/s', 'm/s')
    (output,) = robot.outputs
    assert (output.command_type, output.command_topic) == ('base_twist', '/cmd_vel')
    assert output.joint_names == ('base_linear_x', 'base_angular_z')
    assert robot.position_upper == (0.5, 0.5) and robot.sources.topics == ('/joint_states',)
    assert not robot.hold_target(np.ones(2)).any()


def test_an_arm_on_a_base_has_an_age_for_each(write: Callable[..., Path]) -> None:
    """The ages are in the order of the actions; that of the base is the largest."""

    def change(data: dict[str, Any]) -> None:
        data['actions'] = {'action': [BASE['actions']['action'], *reversed(data['actions']['action'])]}
        data['x-aura'] |= {'units': ['rad/s', 'm/s', 'm', 'rad', 'rad', 'rad']}
        data['x-aura'] |= {'velocity_max': [1.0] * 6, 'step_max': [0.1] * 6}

    robot = read_robot_file(write(CURRENT, change)).robot
    assert robot.joint_names == ('base_angular_z', 'base_linear_x', 'finger', 'pan', 'lift', 'elbow')
    assert robot.sources.max_age_s == dict(zip(robot.joint_names, (0.08, 0.08, 0.04, 0.08, 0.08, 0.08), strict=True))


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda action: action['channel'].update(safety='hold'), ["safety = 'hold'", 'zeros or none']),
        (lambda action: action.update(select=['twist.linear.z']), ['twist.linear.z', 'twist.angular.z']),
        (lambda action: action.update(apply=['rad2deg']), ['rad2deg', 'velocities of a base']),
        (lambda action: action['channel'].update(type='geometry_msgs/msg/Twist'), ['Twist', 'TwistStamped']),
    ],
)
def test_a_base_that_a_robot_file_cannot_say_is_refused(
    change: Change, words: list[str], write: Callable[..., Path]
) -> None:
    with pytest.raises(ConfigError) as error:
        read_robot_file(write(BASE, lambda data: change(data['actions']['action'])))
    assert all(word in str(error.value) for word in words)


def test_a_base_needs_joint_states(write: Callable[..., Path]) -> None:
    path = write(BASE, lambda data: data['observations']['observation.state'].pop(0))
    with pytest.raises(ConfigError, match='JointState: must have one, because its stamps'):
        read_robot_file(path)


def test_the_oldest_name_of_the_rate_is_read(write: Callable[..., Path]) -> None:
    def change(data: dict[str, Any]) -> None:
        data['rate_hz'] = data.pop('fps')

    assert read_robot_file(write(OLD, change)).robot.control_hz == 30.0


def test_a_contract_and_its_robot_file_give_the_same_robot(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(CURRENT)
    text = from_contract(path.read_text(), str(path))
    assert text is not None
    made = tmp_path / 'made.yaml'
    made.write_text(text)
    assert read_robot_file(made).robot == read_robot_file(path).robot
    assert from_contract(text, 'made.yaml') is None


def test_a_merge_in_a_contract_is_overridden_by_the_keys_of_its_mapping(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / 'merged.yaml'
    merged = '  - channel: {<<: *state, topic: /hand/joint_states}\n'
    hand = '  - channel:\n      topic: /hand/joint_states\n      type: sensor_msgs/msg/JointState\n'
    state = 'x-state: &state {topic: /arm/joint_states, type: sensor_msgs/msg/JointState}\n'
    path.write_text(state + write(CURRENT).read_text().replace(hand, merged))
    assert merged in path.read_text()
    assert read_robot_file(path).robot == read_robot_file(write(CURRENT)).robot


def test_a_key_that_is_given_twice_is_refused_for_a_node_as_by_check(write: Callable[..., Path]) -> None:
    path = write(CURRENT)
    text = path.read_text() + 'fps: 30\n'
    path.write_text(text)
    for read in (read_robot_file, lambda path: from_contract(text, str(path))):
        with pytest.raises(ConfigError, match="key 'fps' is given twice"):
            read(path)


def _action(data: dict[str, Any], number: int = 0) -> dict[str, Any]:
    return data['actions']['action'][number]  # type: ignore[no-any-return]


def _state(data: dict[str, Any], number: int = 0) -> dict[str, Any]:
    return data['observations']['observation.state'][number]  # type: ignore[no-any-return]


REFUSED: dict[str, tuple[Change, list[str]]] = {
    'no speed limit': (lambda data: data['x-aura'].pop('velocity_max'), ['x-aura.velocity_max', 'data sheet']),
    'no limits at all': (lambda data: data.pop('x-aura'), ['x-aura.velocity_max is missing', 'Rosetta ignores']),
    'no position limit': (lambda data: _action(data, 1).pop('apply'), ['finger', 'position_lower', 'clamp']),
    'limit given twice': (lambda data: data['x-aura'].update(joint_names=['a']), ['x-aura.joint_names', 'remove']),
    'group given twice': (
        lambda data: data['x-aura'].update({'to_hand_command.command_topic': '/other'}),
        ['x-aura.to_hand_command.command_topic', 'the contract gives it'],
    ),
    'message type': (
        lambda data: _action(data, 1)['channel'].update(type='std_msgs/msg/Float64'),
        ['actions.action[1]', 'std_msgs/msg/Float64', 'must be one of', 'JointTrajectory'],
    ),
    'encoder': (
        lambda data: _action(data)['channel'].update(encoder='os:remove'),
        ['actions.action[0]', 'os:remove', 'not run'],
    ),
    'decoder': (lambda data: _state(data)['channel'].update(decoder='os:remove'), ['decoder', 'os:remove', 'not run']),
    'zeros': (lambda data: _action(data)['channel'].update(safety='zeros'), ["safety = 'zeros'", 'hold or none']),
    'rotation': (lambda data: _action(data).update(kind='axis_angle'), ['kind', 'axis_angle', 'binary']),
    'velocity command': (
        lambda data: _action(data).update(select=['velocity.pan', 'position.lift']),
        ['velocity.pan', 'position.JOINT'],
    ),
    'no select': (lambda data: _action(data).pop('select'), ['actions.action[0]', 'select', 'position.JOINT']),
    'operator': (lambda data: _action(data).update(apply=['my_scale']), ['my_scale', 'rad2deg and clamp', 'x-aura']),
    'rad2deg twice': (lambda data: _action(data).update(apply=['rad2deg'] * 2), ['rad2deg', 'at most once']),
    'clamp': (
        lambda data: _action(data).update(apply=['rad2deg', {'clamp': {'min': 0, 'max': math.nan}}]),
        ['clamp', 'finite'],
    ),
    'units of state and action': (lambda data: _state(data).pop('apply'), ['rad2deg', 'pan', 'in both or in none']),
    'rad2deg twice in a state': (
        lambda data: _state(data).update(apply=['rad2deg'] * 2),
        ['observation.state[0]', "['rad2deg', 'rad2deg'] for pan"],
    ),
    'clamp of a state': (
        lambda data: _state(data, 1).update(apply=[{'clamp': {'min': 0, 'max': 1}}]),
        ['observation.state[1]', 'clamp', 'finger'],
    ),
    'joint without a position': (lambda data: _state(data).update(select=['position.pan']), ['lift', 'position.lift']),
    'arrival time': (
        lambda data: _state(data)['align'].update(timeline='receive'),
        ['timeline', "'receive'", 'header', 'stamp'],
    ),
    'age of some joints': (
        lambda data: _state(data, 1)['align'].update(strategy='hold'),
        ['finger', 'all or none', 'x-aura.joint_max_age_s'],
    ),
    'age of zero': (
        lambda data: _state(data)['align'].pop('tolerance_ms'),
        ['joint_max_age_s of pan = 0.0', '0.001..60 s'],
    ),
    'joint twice': (lambda data: _action(data, 1).update(select=['pan']), ['pan', 'actions.action[0]', 'one only']),
    'topic twice': (
        lambda data: _action(data, 1)['channel'].update(topic='/arm/joint_commands'),
        ['/arm/joint_commands', 'different'],
    ),
    'commands as states': (
        lambda data: _action(data)['channel'].update(topic='/arm/joint_states'),
        ['/arm/joint_states', 'joint_state_topics'],
    ),
    'no actions': (lambda data: data.update(actions={}), ['actions is empty']),
    'interface': (lambda data: data.update(robot_interface='zenoh'), ['robot_interface', 'zenoh', 'ros2']),
    'rate': (lambda data: data.update(fps=0), ['fps = 0', 'above 0']),
    'unknown section': (lambda data: data.update(action={}), ['contract.action is unknown', 'actions']),
    'unknown key': (lambda data: _action(data).update(choice=[]), ['choice', 'unknown', 'select']),
    'unknown limit': (lambda data: data['x-aura'].update(speed=1), ["'speed' is unknown"]),
    'too few limits': (lambda data: data['x-aura'].update(step_max=[0.1]), ['step_max has 1 entries', '4']),
    'map twice': (lambda data: data['x-aura'].update(mapped_joints=['pan']), ['mapped_joints', 'pan', 'rad2deg']),
    'map of rad2deg': (
        lambda data: data['x-aura'].update(map_pan={'policy': [0.0, 90.0], 'robot': [0.0, 1.0]}),
        ['x-aura.map_pan', 'rad2deg', 'remove'],
    ),
    'map of rad2deg with a dot': (
        lambda data: data['x-aura'].update({'map_pan.policy': [0.0, 90.0]}),
        ['x-aura.map_pan', 'rad2deg', 'remove'],
    ),
    'no list of maps': (lambda data: data['x-aura'].update(mapped_joints=5), ['x-aura.mapped_joints = 5', 'list']),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_a_robot_file_cannot_say_is_refused(case: str, write: Callable[..., Path]) -> None:
    change, words = REFUSED[case]
    path = write(CURRENT, change)
    with pytest.raises(ConfigError) as error:
        read_robot_file(path)
    text = str(error.value)
    assert text.startswith(f'{path}: ') and '\n' not in text
    for word in words:
        assert word in text


def test_functions_of_a_contract_are_not_imported(write: Callable[..., Path], tmp_path: Path) -> None:
    """A contract from elsewhere can name any module; reading it runs nothing."""
    (tmp_path / 'harmful_codec.py').write_text(f'open({str(tmp_path / "ran")!r}, "w")')

    def change(data: dict[str, Any]) -> None:
        _state(data)['channel']['decoder'] = 'harmful_codec:decode'
        data['observations']['observation.images.front']['channel']['decoder'] = 'harmful_codec:decode'

    with pytest.raises(ConfigError, match='not run'):
        read_robot_file(write(CURRENT, change))
    assert not (tmp_path / 'ran').exists()


def test_check_shows_a_contract(write: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['--check', str(write(CURRENT))]) == 0
    text = capsys.readouterr().out
    assert 'joint_state on /arm/joint_commands' in text and 'not read from the contract: tasks' in text
    assert main(['--check', str(write(CURRENT, lambda data: data.pop('x-aura')))]) == 2
    assert 'x-aura.velocity_max is missing' in capsys.readouterr().err
