# SPDX-License-Identifier: Apache-2.0
"""Actions by kind and mode: what they command, what a hold keeps, and which the robot refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import ConfigError
from aura_ros.common.rotations import to_matrix
from aura_ros.control import Chunk, Command, PolicySwitch, Refusal, RobotConfig
from aura_ros.control.end_effector import EndEffectorConfig, Pose
from aura_ros.control.outputs import POSE_AXES, TWIST_AXES

Values = Callable[..., dict[str, object]]
TICK = 50_000_000
START = 1_700_000_000_000_000_000
MOVE = ActionComponent('translation', 3, 'ee_position', 'delta', unit='m')
TURN = ActionComponent('rotation', 3, 'ee_rotation', 'delta', rotation='axis_angle', unit='rad')
GRIP = ActionComponent('gripper', 1, 'gripper', 'absolute', range=(-1.0, 1.0), binary=True, closes='high')
EFFECTOR = EndEffectorConfig('any', 'tool', ('joint1', 'joint2', 'joint3'), (-1.0,) * 3, (1.0, 1.0, 0.5), 0.4, 1.0)


class Gantry:
    """Kinematics of three linear axes: the joints are the position, and nothing turns."""

    fails = False

    def pose(self, joints: np.ndarray) -> Pose:
        return Pose(np.array(joints), np.eye(3))

    def solve(self, start: np.ndarray, goal: Pose) -> np.ndarray | None:
        return None if self.fails else np.array(goal.position)


def chunk_of(
    components: tuple[ActionComponent, ...], rows: list[list[float]], seq: int = 0, **changes: object
) -> Chunk:
    actions = np.array(rows, np.float64)
    made = Chunk(0, 'e', seq, START + seq * TICK, actions, len(actions), actions.shape[1], 0.05, components)
    return replace(made, **changes)  # type: ignore[arg-type]


def play(switch: PolicySwitch, chunk: Chunk, measured: np.ndarray, ticks: int, first: int = 0) -> list[Command]:
    verdict = switch.accept(chunk, chunk.stamp_ns)
    assert verdict.accepted, verdict.text
    return [switch.tick(START + (first + k) * TICK, measured) for k in range(ticks)]


def targets(commands: list[Command]) -> np.ndarray:
    return np.array([command.target for command in commands])


@pytest.mark.parametrize(('mode', 'value'), [('delta', 0.02), ('velocity', 0.4)])
def test_joint_motions_add_up_from_the_last_command(robot: RobotConfig, mode: str, value: float) -> None:
    """0.02 rad per action of 50 ms is 0.4 rad/s. The measured position plays no role after the first command."""
    joints = (ActionComponent('joints', 3, 'joint', mode),)
    commands = play(PolicySwitch(robot), chunk_of(joints, [[value, 0.0, -value]] * 8), np.array([0.5, 0.0, 0.0]), 4)
    np.testing.assert_allclose(targets(commands), [[0.5 + 0.02 * k, 0.0, -0.02 * k] for k in range(1, 5)])


def test_a_delta_of_a_slow_policy_is_spread_over_its_commands(robot: RobotConfig) -> None:
    joints = (ActionComponent('joints', 3, 'joint', 'delta'),)
    chunk = chunk_of(joints, [[0.04, 0.0, 0.0]] * 4, seconds_per_action=0.1)
    assert targets(play(PolicySwitch(robot), chunk, np.zeros(3), 4))[:, 0].tolist() == pytest.approx(
        [0.02, 0.04, 0.06, 0.08]
    )


def test_motions_stay_within_the_limits_of_the_joints(robot: RobotConfig) -> None:
    joints = (ActionComponent('joints', 3, 'joint', 'velocity'),)
    commands = play(PolicySwitch(robot), chunk_of(joints, [[50.0, 0.0, 0.0]] * 8), np.zeros(3), 4)
    assert targets(commands)[:, 0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert all(command.clipped for command in commands)


def test_degrees_become_radians(robot: RobotConfig) -> None:
    joints = (ActionComponent('joints', 3, 'joint', 'absolute', unit='deg'),)
    commands = play(PolicySwitch(robot), chunk_of(joints, [[3.0, 0.0, -3.0]] * 8), np.zeros(3), 1)
    assert targets(commands)[0].tolist() == pytest.approx([np.pi / 60, 0.0, -np.pi / 60])


def with_gripper(robot_values: Values) -> RobotConfig:
    """Two joints and a gripper that opens to 0.04 m."""
    values = robot_values(joint_names=['joint1', 'joint2', 'finger'], units=['rad', 'rad', 'm'])
    values |= {'mapped_joints': ['finger'], 'map_finger': {'policy': [-1.0, 1.0], 'robot': [0.04, 0.0]}}
    return RobotConfig.from_mapping(values)


def test_a_binary_gripper_changes_only_beyond_its_band(robot_values: Values) -> None:
    actions = (ActionComponent('joints', 2, 'joint', 'velocity'), GRIP)
    rows = [[0.0, 0.0, value] for value in (0.9, 0.15, -0.15, -0.25, 0.15, 0.25)]
    commands = play(PolicySwitch(with_gripper(robot_values)), chunk_of(actions, rows), np.zeros(3), 6)
    assert targets(commands)[:, 2].tolist() == pytest.approx([0.0, 0.0, 0.0, 0.04, 0.04, 0.0])


@pytest.mark.parametrize(('mode', 'finger'), [('velocity', 0.04), ('absolute', 0.01)])
def test_a_hold_keeps_the_gripper_of_an_arm_that_moves_by_motions(
    robot_values: Values, mode: str, finger: float
) -> None:
    """An absolute arm holds all joints where they are measured."""
    actions = (ActionComponent('joints', 2, 'joint', mode), GRIP)
    switch = PolicySwitch(with_gripper(robot_values))
    play(switch, chunk_of(actions, [[0.01, 0.01, -1.0]] * 8), np.zeros(3), 4)
    switch.peer_lost([0], 'gone')
    held = [switch.tick(START + k * TICK, np.array([0.03, 0.03, 0.01])) for k in range(4, 8)]
    assert all(command.holding for command in held)
    assert targets(held)[-1].tolist() == pytest.approx([0.03, 0.03, finger])


def twist_robot(robot_values: Values) -> RobotConfig:
    values = robot_values(7, joint_names=[*TWIST_AXES, 'finger'], units=[], outputs=['arm', 'hand'])
    values |= {'arm': {'joint_names': list(TWIST_AXES), 'command_type': 'twist_stamped', 'command_topic': 'servo'}}
    values |= {'hand': {'joint_names': ['finger'], 'command_topic': 'hand'}, 'velocity_max': [40.0] * 7}
    del values['units']
    return RobotConfig.from_mapping(values | {'step_max': [2.0] * 7})


def test_deltas_become_a_twist_that_a_hold_stops(robot_values: Values) -> None:
    switch = PolicySwitch(twist_robot(robot_values))
    grip = replace(GRIP, binary=False)
    rows = [[0.01, 0.0, -0.005, 0.0, 0.0, 0.02, 0.5]] * 8
    commands = play(switch, chunk_of((MOVE, TURN, grip), rows), np.zeros(7), 3)
    assert targets(commands)[-1].tolist() == pytest.approx([0.2, 0.0, -0.1, 0.0, 0.0, 0.4, 0.5])
    switch.peer_lost([0], 'gone')
    held = switch.tick(START + 3 * TICK, np.zeros(7))
    assert held.holding and held.target is not None and held.target.tolist() == pytest.approx([0.0] * 6 + [0.5])


@pytest.mark.parametrize(
    ('place', 'speed', 'allowed'),
    [(0.3, 0.2, 0.2), (0.495, 0.2, 0.1), (0.6, 0.2, 0.0), (0.6, -0.2, -0.2), (-0.1, -0.2, 0.0)],
)
def test_a_twist_does_not_lead_out_of_its_workspace(
    robot_values: Values, place: float, speed: float, allowed: float
) -> None:
    robot = twist_robot(robot_values)
    box = {'workspace_lower': (0.0, -1.0, 0.0), 'workspace_upper': (0.5, 1.0, 1.0), 'state_topic': 'pose'}
    robot = replace(robot, outputs=(replace(robot.outputs[0], **box), robot.outputs[1]))  # type: ignore[arg-type]
    move, grip = replace(MOVE, mode='velocity', unit='m/s'), replace(GRIP, binary=False)
    switch = PolicySwitch(robot)
    measured = np.array([place, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0])
    (command,) = play(switch, chunk_of((move, grip), [[speed, 0.0, 0.0, 0.0]] * 8), measured, 1)
    assert command.target is not None and command.target[0] == pytest.approx(allowed)
    assert command.clipped == (allowed != speed)
    assert switch.status.limited.get('workspace', {}) == ({'end_effector': 1} if allowed != speed else {})


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'workspace_lower': [0.0, 0.0]}, 'must be three finite numbers each'),
        ({'workspace_lower': [1.0] * 3}, 'must be below workspace_upper'),
        ({'state_topic': ''}, "state_topic = '': must be the topic of the measured pose"),
        ({'workspace_lower': [], 'workspace_upper': []}, "state_topic = 'pose': must be"),
    ],
)
def test_a_bad_workspace_of_a_twist_is_refused(robot_values: Values, changes: dict[str, object], text: str) -> None:
    values = robot_values(6, joint_names=list(TWIST_AXES), outputs=['arm'])
    arm = {'joint_names': list(TWIST_AXES), 'command_type': 'twist_stamped', 'command_topic': 'servo'}
    arm |= {'state_topic': 'pose', 'workspace_lower': [0.0] * 3, 'workspace_upper': [1.0] * 3}
    assert RobotConfig.from_mapping(values | {'arm': arm}).outputs[0].workspace_upper == (1.0, 1.0, 1.0)
    with pytest.raises(ConfigError) as error:
        RobotConfig.from_mapping(values | {'arm': arm | changes})
    assert text in str(error.value)


def pose_robot(robot_values: Values) -> RobotConfig:
    values = robot_values(6, joint_names=list(POSE_AXES), outputs=['arm'], velocity_max=[40.0] * 6)
    values |= {'arm': {'joint_names': list(POSE_AXES), 'command_type': 'pose_stamped'}, 'step_max': [2.0] * 6}
    values['arm'] |= {'command_topic': 'target', 'state_topic': 'pose'}  # type: ignore[operator]
    return RobotConfig.from_mapping(values)


@pytest.mark.parametrize('frame', ['base', 'end_effector'])
def test_deltas_move_a_pose_along_the_axes_of_their_frame(robot_values: Values, frame: str) -> None:
    quarter = np.array([0.1, 0.2, 0.3, 0.0, 0.0, np.pi / 4])
    moves = replace(MOVE, frame=frame), replace(TURN, frame=frame)
    rows = [[0.01, 0.0, 0.0, 0.0, 0.02, 0.0]] * 8
    (command,) = play(PolicySwitch(pose_robot(robot_values)), chunk_of(moves, rows), quarter, 1)
    assert command.target is not None
    before = to_matrix('axis_angle', quarter[3:])
    turn = to_matrix('axis_angle', np.array([0.0, 0.02, 0.0]))
    along = before @ [0.01, 0.0, 0.0] if frame == 'end_effector' else np.array([0.01, 0.0, 0.0])
    np.testing.assert_allclose(command.target[:3], quarter[:3] + along, atol=1e-9)
    wanted = before @ turn if frame == 'end_effector' else turn @ before
    np.testing.assert_allclose(to_matrix('axis_angle', command.target[3:]), wanted, atol=1e-9)


def test_an_absolute_pose_is_read_in_any_form(robot_values: Values) -> None:
    parts = (
        ActionComponent('position', 3, 'ee_position', 'absolute'),
        ActionComponent('rotation', 4, 'ee_rotation', 'absolute', rotation='quaternion_xyzw'),
    )
    half = 0.1
    rows = [[0.1, 0.2, 0.3, 0.0, 0.0, np.sin(half), np.cos(half)]] * 8
    (command,) = play(PolicySwitch(pose_robot(robot_values)), chunk_of(parts, rows), np.zeros(6), 1)
    assert command.target is not None
    assert command.target.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.0, 0.0, 0.2])


def gantry(robot: RobotConfig, kinematics: Gantry | None = None) -> PolicySwitch:
    return PolicySwitch(replace(robot, end_effector=EFFECTOR), kinematics=kinematics or Gantry())


def test_an_end_effector_stays_within_its_speed_and_workspace(robot: RobotConfig) -> None:
    switch = gantry(robot)
    commands = play(switch, chunk_of((MOVE,), [[0.3, 0.0, 0.4]] * 8), np.array([0.0, 0.0, 0.48]), 3)
    steps = np.diff(np.vstack([[0.0, 0.0, 0.48], targets(commands)]), axis=0)
    assert (np.linalg.norm(steps, axis=1) <= 0.02 + 1e-9).all(), '0.4 m/s'
    assert targets(commands)[:, 2].max() <= 0.5
    assert all(command.clipped for command in commands) and switch.status.clipped == 3
    found = {kind: counts for kind, counts in switch.status.limited.items() if counts}
    assert found == {'workspace': {'end_effector': 3}, 'translation': {'end_effector': 3}}


def test_an_end_effector_outside_its_workspace_comes_back_in_steps(robot: RobotConfig) -> None:
    commands = play(gantry(robot), chunk_of((MOVE,), [[0.0, 0.0, 0.0]] * 8), np.array([0.0, 0.0, 0.6]), 3)
    assert targets(commands)[:, 2].tolist() == pytest.approx([0.58, 0.56, 0.54])


def test_without_a_solution_the_robot_holds(robot: RobotConfig) -> None:
    kinematics = Gantry()
    switch = gantry(robot, kinematics)
    play(switch, chunk_of((MOVE,), [[0.01, 0.0, 0.0]] * 8), np.zeros(3), 2)
    kinematics.fails = True
    held = switch.tick(START + 2 * TICK, np.zeros(3))
    assert held.holding and 'inverse kinematics has no solution' in held.reason
    kinematics.fails = False
    assert not switch.tick(START + 3 * TICK, np.zeros(3)).holding


NO_FIT = {
    'relative to the state': (ActionComponent('joints', 3, 'joint', 'state_relative'),),
    'has the unit m, and joint1 has rad': (ActionComponent('joints', 3, 'joint', 'absolute', unit='m'),),
    'no column for joint3': (ActionComponent('joints', 2, 'joint', 'velocity'),),
    'they must fit': (ActionComponent('joints', 4, 'joint', 'velocity'),),
    'need an output twist_stamped or pose_stamped, or the group robot.end_effector': (MOVE,),
}


@pytest.mark.parametrize(('text', 'components'), NO_FIT.items())
def test_actions_that_the_robot_cannot_execute_are_refused(
    robot: RobotConfig, text: str, components: tuple[ActionComponent, ...]
) -> None:
    switch = PolicySwitch(robot)
    columns = sum(component.dims for component in components)
    verdict = switch.accept(chunk_of(components, [[0.0] * columns] * 8), START)
    assert verdict.refusal is Refusal.ACTIONS and text in verdict.text
    assert switch.tick(START, np.zeros(3)).holding


def test_a_chunk_whose_components_do_not_fill_its_columns_is_refused(robot: RobotConfig) -> None:
    verdict = PolicySwitch(robot).accept(chunk_of((MOVE,), [[0.0] * 4] * 8), START)
    assert verdict.refusal is Refusal.SHAPE and 'action_dim = 4: must be 3' in verdict.text


def test_normalised_end_effector_actions_need_the_scale_of_their_controller(robot: RobotConfig) -> None:
    scaled = (replace(MOVE, unit='1', range=(-1.0, 1.0)),)
    chunk = chunk_of(scaled, [[0.2, 0.0, -0.2]] * 8)
    verdict = gantry(robot).accept(chunk, START)
    assert verdict.refusal is Refusal.ACTIONS and 'set robot.translation_per_unit' in verdict.text
    (command,) = play(gantry(replace(robot, translation_per_unit=0.05)), chunk, np.zeros(3), 1)
    assert command.target is not None and command.target.tolist() == pytest.approx([0.01, 0.0, -0.01])
    with pytest.raises(ConfigError, match=r'translation_per_unit = -1\.0: must be 0 or more'):
        replace(robot, translation_per_unit=-1.0)


GOOD = {
    'model': 'arm.xml',
    'frame': 'tool',
    'joint_names': ['joint1'],
    'workspace_lower': [-1.0, -1.0, 0.0],
    'workspace_upper': [1.0, 1.0, 1.0],
    'translation_velocity_max': 0.2,
    'rotation_velocity_max': 1.0,
}


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'frame': ''}, "end_effector.frame = '': must be"),
        ({'joint_names': ['other']}, "end_effector.joint_names contains 'other': must be one of robot.joint_names"),
        ({'workspace_lower': [0.0, 0.0]}, 'must be three finite numbers'),
        ({'workspace_upper': [1.0, 1.0, -1.0]}, 'workspace_lower of z = 0: must be below -1'),
        ({'translation_velocity_max': 0.0}, 'translation_velocity_max = 0.0: must be > 0'),
        ({'colour': 1}, 'end_effector.colour is unknown'),
    ],
)
def test_a_bad_end_effector_is_refused(robot_values: Values, changes: dict[str, object], text: str) -> None:
    assert RobotConfig.from_mapping(robot_values(end_effector=GOOD)).end_effector is not None
    assert RobotConfig.from_mapping(robot_values(end_effector={'model': ''})).end_effector is None
    with pytest.raises(ConfigError) as error:
        RobotConfig.from_mapping(robot_values(end_effector=GOOD | changes))
    assert text in str(error.value)
