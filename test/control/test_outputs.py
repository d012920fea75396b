# SPDX-License-Identifier: Apache-2.0
"""Several command outputs, several sources of joints, and maps between the units of policy and robot."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.common.errors import ConfigError
from aura_ros.control import JointMap, JointSources, RobotConfig
from aura_ros.control.guard import CommandGuard
from aura_ros.control.outputs import POSE_AXES, TWIST_AXES, TWIST_UNITS

Values = Callable[..., dict[str, object]]
ARM = {'joint_names': ['joint1', 'joint2'], 'command_topic': 'arm/commands', 'command_type': 'float64_multi_array'}
GRIPPER = {
    'joint_names': ['joint3'],
    'command_topic': 'gripper/cmd',
    'command_type': 'gripper_command',
    'max_effort': 40,
}
MAP = {'policy': [0, 1], 'robot': [0.04, 0.0]}
TWO = {
    'outputs': ['arm', 'gripper'],
    'arm': ARM,
    'gripper': GRIPPER,
    'mapped_joints': ['joint3'],
    'map_joint3': MAP,
    'joint_state_topics': ['arm/joint_states', 'gripper/joint_states'],
    'joint_max_age_s': [0.1, 0.1, 1.0],
    'units': ['rad', 'rad', 'm'],
}


def test_reads_groups_as_a_robot_file_has_them(robot_values: Values) -> None:
    robot = RobotConfig.from_mapping(robot_values(**TWO))
    arm, gripper = robot.outputs
    assert (arm.name, arm.command_type, arm.command_topic) == ('arm', 'float64_multi_array', 'arm/commands')
    assert (gripper.joint_names, gripper.max_effort) == (('joint3',), 40)
    assert [robot.columns(output) for output in robot.outputs] == [[0, 1], [2]]
    assert robot.sources.topics == ('arm/joint_states', 'gripper/joint_states')
    assert robot.sources.max_age_s == {'joint1': 0.1, 'joint2': 0.1, 'joint3': 1.0}
    assert robot.to_robot(np.array([0.1, 0.2, 1.0], np.float32)).tolist() == pytest.approx([0.1, 0.2, 0.0])
    assert robot.sources.to_policy({'joint1': 0.3, 'joint3': 0.01}, robot.joint_names) == pytest.approx(
        {'joint1': 0.3, 'joint3': 0.75}
    )


def test_without_groups_there_is_one_output_and_one_source(robot: RobotConfig) -> None:
    (output,) = robot.outputs
    assert (output.name, output.joint_names, output.command_topic) == ('', robot.joint_names, '')
    assert robot.sources == JointSources()
    assert robot.sources.topics == ('joint_states',)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'arm': ARM | {'joint_names': ['joint1']}}, ['joint2', '0 outputs']),
        ({'arm': ARM | {'joint_names': ['joint1', 'joint2', 'joint3']}}, ['joint3', '2 outputs']),
        ({'arm': ARM | {'joint_names': ['joint1', 'joint9']}}, ['arm.joint_names', 'joint9']),
        ({'arm': ARM | {'joint_names': []}}, ['arm.joint_names', 'empty']),
        ({'arm': ARM | {'joint_names': 'joint1'}}, ['arm.joint_names', 'list']),
        ({'arm': ARM | {'command_type': 'servo'}}, ['arm.command_type', 'gripper_command']),
        ({'arm': ARM | {'command_topic': ''}}, ['arm.command_topic', 'topic']),
        ({'arm': ARM | {'command_topic': 'gripper/cmd'}}, ["'gripper/cmd' twice"]),
        ({'arm': ARM | {'speed': 1}}, ['arm.speed', 'command_topic']),
        ({'arm': 'forward'}, ["'arm' is missing", 'group']),
        ({'arm': ARM | {'state_topic': 'pose'}}, ['arm.state_topic', 'pose_stamped']),
        ({'outputs': ['arm', 'gripper', 'arm']}, ["'arm' twice"]),
        ({'outputs': ['arm', 'gripper', 'units']}, ["'units'", 'another robot parameter']),
        ({'outputs': ['arm', 'gripper', 'map_arm']}, ["'map_arm'", 'letters']),
        ({'outputs': ['arm', 'gripper', 'my arm']}, ["'my arm'", 'letters']),
        ({'gripper': GRIPPER | {'joint_names': ['joint2', 'joint3']}}, ['gripper_command has one joint']),
        ({'gripper': GRIPPER | {'max_effort': -1.0}}, ['gripper.max_effort', '0 N or more']),
        ({'gripper': GRIPPER | {'max_effort': math.nan}}, ['gripper.max_effort']),
        ({'units': ['rad', 'rad', 'mm']}, ['joint3', 'mm', 'fraction']),
        ({'mapped_joints': ['joint4']}, ['mapped_joints', 'joint4']),
        ({'map_joint3': {'policy': [0, 1]}}, ['map_joint3.robot', 'two numbers']),
        ({'map_joint3': MAP | {'policy': [1, 1]}}, ['map_joint3.policy', 'differ']),
        ({'map_joint3': MAP | {'policy': [0, math.inf]}}, ['map_joint3.policy']),
        ({'map_joint3': MAP | {'threshold': 2}}, ['map_joint3.threshold', 'within']),
        ({'map_joint3': MAP | {'closed': 0}}, ['map_joint3.closed', 'threshold']),
        ({'map_joint3': None}, ['map_joint3', 'group']),
        ({'map_joint3': MAP | {'measured': 'joint1'}}, ['map_joint3.measured', 'left out']),
        ({'mapped_joints': ['left'], 'map_left': MAP}, ["contains 'left'", 'map_left.measured']),
        ({'mapped_joints': ['left'], 'map_left': MAP | {'measured': 3}}, ['map_left.measured', 'name of a joint']),
        (
            {'mapped_joints': ['left'], 'map_left': MAP | {'measured': 'joint3', 'threshold': 0.5}},
            ['map_left.threshold', 'nothing commands left'],
        ),
        ({'map_joint2': MAP}, ['map_joint2', 'unknown']),
        ({'joint_state_topics': []}, ['joint_state_topics', '1..16']),
        ({'joint_state_topics': ['a', 'a']}, ['joint_state_topics', 'once']),
        ({'joint_state_topics': 'a'}, ['joint_state_topics', 'list']),
        ({'joint_max_age_s': [0.1]}, ['joint_max_age_s', '1 entries']),
        ({'joint_max_age_s': [0.1, 0.1, 0.0]}, ['joint_max_age_s', 'joint3']),
    ],
)
def test_refuses_bad_groups(robot_values: Values, changes: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        RobotConfig.from_mapping(robot_values(**(TWO | changes)))
    for word in words:
        assert word in str(error.value)


def test_a_value_that_is_only_read_follows_from_a_measured_joint(robot_values: Values) -> None:
    left = {'policy': [0.0, -0.04], 'robot': [0.0, 0.04], 'measured': 'joint3'}
    changes = TWO | {'mapped_joints': ['joint3', 'left'], 'map_left': left}
    robot = RobotConfig.from_mapping(robot_values(**changes))
    found = robot.sources.to_policy({'joint1': 0.3, 'joint3': 0.01}, ('joint1', 'joint2', 'joint3', 'left'))
    assert found == pytest.approx({'joint1': 0.3, 'joint3': 0.75, 'left': -0.01})
    action = np.array([0.1, 0.2, 0.75])
    assert robot.to_robot(action).tolist() == pytest.approx([0.1, 0.2, 0.01])


def test_a_policy_reads_joints_in_degrees_unless_they_are_mapped(robot_values: Values) -> None:
    sources = RobotConfig.from_mapping(robot_values(**TWO)).sources
    found = sources.to_policy({'joint1': math.pi, 'joint3': 0.01}, ('joint1', 'joint3'), {'joint1', 'joint3'})
    assert found == pytest.approx({'joint1': 180.0, 'joint3': 0.75})
    # A replay sends float32.
    sent = {name: float(np.float32(value)) for name, value in (('joint1', math.pi), ('joint3', 0.01))}
    assert sources.to_policy(sent, ('joint1', 'joint3'), {'joint1', 'joint3'}) == found


@pytest.mark.parametrize('command_type', ['pose_stamped', 'gripper_command'])
def test_some_types_need_a_group(robot_values: Values, command_type: str) -> None:
    with pytest.raises(ConfigError, match=r'robot\.outputs'):
        RobotConfig.from_mapping(robot_values(command_type=command_type))


def pose_and_gripper(robot_values: Values, **changes: object) -> RobotConfig:
    pose = {
        'joint_names': list(POSE_AXES),
        'command_type': 'pose_stamped',
        'command_topic': 'target',
        'state_topic': 'pose',
    }
    values = robot_values(7, joint_names=[*POSE_AXES, 'finger'], outputs=['arm', 'hand'], arm=pose)
    values['hand'] = {'joint_names': ['finger'], 'command_topic': 'hand'}
    return RobotConfig.from_mapping(values | changes)


def test_a_pose_has_its_units_and_the_representation_nearest_to_its_limits(robot_values: Values) -> None:
    lower, upper = [-1.0] * 3 + [2.0, -1.0, -1.0, 0.0], [1.0] * 3 + [4.0, 1.0, 1.0, 1.0]
    robot = pose_and_gripper(robot_values, position_lower=lower, position_upper=upper)
    assert robot.units == ('m', 'm', 'm', 'rad', 'rad', 'rad', 'rad')
    action = np.array([0, 0, 0, -3.1, 0, 0, 0.5])
    assert robot.to_robot(action)[3] == pytest.approx(2 * math.pi - 3.1)
    with pytest.raises(ConfigError, match=r'rotation_x.*at most; narrow position_lower'):
        pose_and_gripper(robot_values, position_lower=[-4.0] * 7, position_upper=[4.0] * 7)


# A tool that points down is turned by about pi.
TURNED = {
    'position_lower': [-1.0] * 3 + [-2.9, -0.1, -0.1, 0.0],
    'position_upper': [1.0] * 3 + [2.9, 0.1, 0.1, 1.0],
    'velocity_max': [1.0] * 7,
}
turns = st.floats(-3.0 * math.pi, 3.0 * math.pi)


def pose(turn: float) -> np.ndarray:
    return np.array([0, 0, 0, turn, 0, 0, 0.5])


@given(turn=turns, near=turns)
def test_a_rotation_is_the_equal_one_nearest_to_another(robot_values: Values, turn: float, near: float) -> None:
    target = pose(turn)
    found = pose_and_gripper(robot_values, **TURNED).within_turn(target, pose(near))
    assert target[3] == turn, 'the argument is not changed'
    assert math.cos(found[3] - turn) == pytest.approx(1.0)
    if abs(turn) > 1e-6:
        assert abs(found[3] - near) <= math.pi + 1e-9


@pytest.mark.parametrize('sign', [1.0, -1.0])
def test_a_rotation_beyond_half_a_turn_does_not_move_the_robot_the_long_way_round(
    robot_values: Values, sign: float
) -> None:
    robot, now_ns = pose_and_gripper(robot_values, **TURNED), 10**18
    guard = CommandGuard(robot)
    last = guard.drive(pose(2.89 * sign), pose(2.89 * sign), now_ns)
    beyond = robot.within_turn(pose(3.25 * sign))
    assert beyond[3] * sign < 0.0, 'near the middle of the limits it has the other sign'
    for tick in range(1, 6):
        command = guard.drive if tick % 2 else guard.hold
        arguments = (beyond, beyond) if tick % 2 else (beyond,)
        target = command(*arguments, now_ns + tick * robot.period_ns)
        assert target is not None and abs(target[3] - last[3]) <= 0.01 + 1e-9
    assert target[3] == pytest.approx(2.9 * sign)


def test_limits_of_a_rotation_stay_away_from_half_a_turn(robot_values: Values) -> None:
    pose_and_gripper(robot_values, **TURNED)
    # Each axis alone is narrow enough, but not all three together.
    wide = {'position_lower': [-2.0] * 7, 'position_upper': [2.0] * 7}
    with pytest.raises(ConfigError, match=r'half their diagonal is 3\.464 and must be 2\.942 rad at most'):
        pose_and_gripper(robot_values, **wide)


@given(commanded=st.floats(0.0, 1.0), measured=st.floats(0.0, 1.0))
def test_a_hold_keeps_the_command_of_a_gripper_with_goals_only(
    robot_values: Values, commanded: float, measured: float
) -> None:
    fast = {'velocity_max': [100.0] * 3, 'step_max': [2.0] * 3}
    robot = RobotConfig.from_mapping(robot_values(**(TWO | fast)))
    assert robot.keeps_command.tolist() == [False, False, True]
    guard, joints, now_ns = CommandGuard(robot), np.full(3, measured), 10**18
    first = guard.hold(joints, now_ns)
    assert first is not None and first.tolist() == joints.tolist(), 'without a command it stays where it is'
    guard.drive(np.full(3, commanded), joints, now_ns + robot.period_ns)
    for tick in range(2, 5):
        held = guard.hold(joints, now_ns + tick * robot.period_ns)
        assert held is not None and held.tolist() == [measured, measured, commanded]


def test_a_twist_and_a_gripper_hold_each_in_its_way(robot_values: Values) -> None:
    values = robot_values(7, joint_names=[*TWIST_AXES, 'finger'], outputs=['arm', 'hand'])
    values['arm'] = {'joint_names': list(TWIST_AXES), 'command_type': 'twist_stamped', 'command_topic': 'servo'}
    values['hand'] = {'joint_names': ['finger'], 'command_topic': 'hand'}
    robot = RobotConfig.from_mapping(values)
    assert robot.units == (*TWIST_UNITS, 'rad')
    assert robot.hold_target(np.full(7, 0.3)).tolist() == [0.0] * 6 + [0.3]
    with pytest.raises(ConfigError, match='must include 0'):
        RobotConfig.from_mapping(values | {'position_lower': [0.1] * 7})
    # A position has no such need.
    RobotConfig.from_mapping(values | {'position_lower': [-1.0] * 6 + [0.1]})


# Maps. ----------------------------------------------------------------------------------------------------------------
finite = st.floats(-1e3, 1e3)
ends = st.tuples(finite, finite).filter(lambda pair: abs(pair[1] - pair[0]) > 1e-2)


@given(policy=ends, robot=ends, value=finite)
def test_a_map_leads_back_and_its_ends_are_exact(
    policy: tuple[float, float], robot: tuple[float, float], value: float
) -> None:
    found = JointMap('finger', policy, robot)
    assert [found.to_robot(end) for end in policy] == list(robot)
    assert [found.to_policy(end) for end in robot] == pytest.approx(list(policy), abs=1e-9)
    scale = abs(found.to_robot(value)) + abs(value) + 1.0
    assert found.to_policy(found.to_robot(value)) == pytest.approx(value, abs=1e-6 * scale)


@given(policy=ends, robot=ends, share=st.floats(0, 1), value=st.floats(allow_nan=False, width=32))
def test_a_threshold_leaves_two_positions(
    policy: tuple[float, float], robot: tuple[float, float], share: float, value: float
) -> None:
    low, high = sorted(policy)
    threshold = min(high, max(low, low + share * (high - low)))
    command = JointMap('finger', policy, robot, threshold).to_robot(value)
    end = policy.index(low if value < threshold else high) if value != threshold else 1
    assert command == robot[end]


@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_finite_action_stays_finite(value: float) -> None:
    steep = JointMap('finger', (0.0, 1e-6), (-1e6, 1e6))
    assert math.isfinite(steep.to_robot(value))
