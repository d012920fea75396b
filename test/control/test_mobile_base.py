# SPDX-License-Identifier: Apache-2.0
"""A mobile base: velocities within its limits, zero in every hold, together with an arm and a gripper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import ConfigError
from aura_ros.control import Chunk, Command, PolicySwitch, Refusal, RobotConfig, SwitchConfig
from aura_ros.control.outputs import OutputConfig

Values = Callable[..., dict[str, object]]
TICK = 50_000_000
START = 1_700_000_000_000_000_000
AXES = ['base_linear_x', 'base_angular_z']
DRIVE = ActionComponent('drive', 2, 'base', 'velocity')
ARM = ActionComponent('arm', 1, 'joint', 'absolute', unit='rad')
GRIP = ActionComponent('gripper', 1, 'gripper', 'absolute')
BASE = {'joint_names': AXES, 'command_type': 'base_twist', 'command_topic': 'cmd_vel'}


@pytest.fixture
def base(robot_values: Values) -> RobotConfig:
    """A base with 0.5 m/s and 1 rad/s, which changes by 0.1 m/s and 0.2 rad/s in a control period."""
    limits = {'position_lower': [-0.5, -1.0], 'position_upper': [0.5, 1.0]}
    limits |= {'velocity_max': [2.0, 4.0], 'step_max': [9.0, 9.0]}
    return RobotConfig.from_mapping(robot_values(2, joint_names=AXES, command_type='base_twist', **limits))


@pytest.fixture
def mobile_arm(robot_values: Values) -> RobotConfig:
    """A joint, a base and a gripper, in this order."""
    names = ['joint1', *AXES, 'finger']
    rest = {'joint_names': ['joint1', 'finger'], 'command_topic': 'arm'}
    return RobotConfig.from_mapping(
        robot_values(4, joint_names=names, velocity_max=[20.0] * 4, step_max=[1.0] * 4)
        | {'outputs': ['base', 'rest'], 'base': BASE, 'rest': rest, 'units': ['rad', 'm/s', 'rad/s', 'rad']}
    )


def chunk_of(components: tuple[ActionComponent, ...], row: list[float]) -> Chunk:
    return Chunk(0, 'e', 0, START, np.array([row] * 8), 8, len(row), 0.05, components)


def play(switch: PolicySwitch, chunk: Chunk, measured: list[float], ticks: int) -> list[Command]:
    verdict = switch.accept(chunk, START)
    assert verdict.accepted, verdict.text
    return [switch.tick(START + k * TICK, np.array(measured)) for k in range(ticks)]


def targets(commands: list[Command]) -> np.ndarray:
    return np.array([command.target for command in commands])


def test_a_velocity_rises_with_the_acceleration_limit_to_its_own_limit(base: RobotConfig) -> None:
    commands = play(PolicySwitch(base, SwitchConfig(n_action_steps=8)), chunk_of((DRIVE,), [0.8, -0.3]), [0.0, 0.0], 7)
    found = targets(commands)
    assert found[:, 0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5])
    assert found[:, 1].tolist() == pytest.approx([-0.2, -0.3, -0.3, -0.3, -0.3, -0.3, -0.3])
    assert commands[-1].clipped and not commands[-1].holding


def test_degrees_per_second_become_radians(base: RobotConfig) -> None:
    forward = ActionComponent('forward', 1, 'base', 'velocity', unit='m/s')
    turn = ActionComponent('turn', 1, 'base', 'velocity', unit='deg/s')
    (command,) = play(PolicySwitch(base), chunk_of((forward, turn), [0.05, 9.0]), [0.0, 0.0], 1)
    assert command.target is not None and command.target.tolist() == pytest.approx([0.05, np.pi / 20])


@pytest.mark.parametrize('cause', ['the policy is gone', 'no further chunk'])
def test_a_base_that_moves_gets_zero_in_the_first_command_of_a_hold(base: RobotConfig, cause: str) -> None:
    """Braking is not limited, and the next command of a policy starts from zero."""
    switch = PolicySwitch(base, SwitchConfig(n_action_steps=4, grace_ticks=2))
    driven = targets(play(switch, chunk_of((DRIVE,), [0.4, 1.0]), [0.0, 0.0], 4))
    assert driven[-1].tolist() == pytest.approx([0.4, 0.8])
    first = 4 if cause == 'the policy is gone' else 6  # the share of the chunk, and the two control periods of grace
    if first == 4:
        switch.peer_lost([0], cause)
    later = [switch.tick(START + k * TICK, np.zeros(2)) for k in range(4, 9)]
    assert [command.holding for command in later] == [k >= first for k in range(4, 9)]
    assert not targets(later)[first - 4 :].any()


def test_a_base_moves_with_an_arm_and_a_gripper_and_is_held_with_them(mobile_arm: RobotConfig) -> None:
    """The arm is held where it is measured, the gripper with it, and the base at zero."""
    switch = PolicySwitch(mobile_arm)
    driven = targets(play(switch, chunk_of((DRIVE, ARM, GRIP), [0.3, -0.2, 0.5, 0.7]), [0.0] * 4, 3))
    assert driven[-1].tolist() == pytest.approx([0.5, 0.3, -0.2, 0.7])
    switch.peer_lost([0], 'gone')
    held = switch.tick(START + 3 * TICK, np.array([0.4, 0.0, 0.0, 0.6]))
    assert held.target is not None and held.target.tolist() == pytest.approx([0.4, 0.0, 0.0, 0.6])


def test_without_components_the_columns_of_a_base_are_velocities(base: RobotConfig) -> None:
    commands = play(PolicySwitch(base), chunk_of((), [0.1, 0.2]), [0.0, 0.0], 3)
    assert targets(commands).tolist() == [[0.1, 0.2]] * 3


@pytest.mark.parametrize('mode', ['absolute', 'delta', 'state_relative'])
def test_a_base_takes_velocities_only(base: RobotConfig, mode: str) -> None:
    verdict = PolicySwitch(base).accept(chunk_of((replace(DRIVE, mode=mode),), [0.0, 0.0]), START)
    assert verdict.refusal is Refusal.ACTIONS and f'the mode {mode}: must be velocity' in verdict.text


@pytest.mark.parametrize(
    ('components', 'text'),
    [
        ((replace(DRIVE, unit='m/s'),), 'the unit m/s, and base_angular_z has rad/s: must be rad/s or deg/s'),
        ((replace(DRIVE, dims=3),), 'has 3 columns, and the robot file has 2 axes of outputs base_twist left'),
        ((replace(DRIVE, dims=1),), 'no column for base_angular_z'),
        ((replace(ARM, dims=2),), 'has 2 columns, and the robot file has 0 joints left'),
    ],
)
def test_a_base_and_actions_that_do_not_fit_are_refused(
    base: RobotConfig, components: tuple[ActionComponent, ...], text: str
) -> None:
    columns = sum(component.dims for component in components)
    verdict = PolicySwitch(base).accept(chunk_of(components, [0.0] * columns), START)
    assert verdict.refusal is Refusal.ACTIONS and text in verdict.text


def test_an_arm_has_no_output_for_a_base(robot: RobotConfig) -> None:
    verdict = PolicySwitch(robot).accept(chunk_of((replace(DRIVE, dims=3),), [0.0] * 3), START)
    assert 'has 0 axes of outputs base_twist left' in verdict.text


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'joint_names': ('wheel_left', 'wheel_right')}, 'must be base_linear_x, base_linear_y, base_angular_z'),
        ({'joint_names': ('base_angular_z', 'base_linear_x')}, 'must be base_linear_x, base_angular_z'),
        ({'command_type': 'joint_trajectory', 'frame_id': 'base_link'}, 'frame_id'),
        ({'state_topic': 'pose'}, 'state_topic'),
    ],
)
def test_a_bad_output_of_a_base_is_refused(changes: dict[str, object], text: str) -> None:
    good = {'joint_names': tuple(AXES), 'command_type': 'base_twist', 'command_topic': 'cmd_vel'}
    assert OutputConfig('base', **good).holds_with_zero  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as error:
        OutputConfig('base', **(good | changes))  # type: ignore[arg-type]
    assert text in str(error.value)


def test_the_limits_of_a_base_include_zero(robot_values: Values) -> None:
    with pytest.raises(ConfigError, match='must include 0'):
        RobotConfig.from_mapping(
            robot_values(2, joint_names=AXES, command_type='base_twist', position_lower=[0.1, -1.0])
        )
