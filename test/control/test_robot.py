# SPDX-License-Identifier: Apache-2.0
"""Bad limits refuse to configure, and say what to do."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import numpy as np
import pytest

from aura_ros.common.errors import ConfigError
from aura_ros.control import RobotConfig
from aura_ros.control.outputs import TWIST_AXES, TWIST_UNITS

Values = Callable[..., dict[str, object]]


def test_reads_a_parameter_file(robot_values: Values) -> None:
    values = robot_values()
    values['velocity_max'] = array('d', [2.0, 2.0, 1.0])
    values['position_lower'] = [-1, -1, 0]
    robot = RobotConfig.from_mapping(values)
    assert robot.size == 3
    assert robot.period_ns == 50_000_000
    assert robot.velocity_max == (2.0, 2.0, 1.0)
    assert robot.position_lower == (-1.0, -1.0, 0.0)
    assert robot.units == ('rad', 'rad', 'rad')


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('joint_names', [], ['joint_names', '1..64']),
        ('joint_names', ['a', 'a', 'b'], ['joint_names', "'a' twice"]),
        ('joint_names', ['a', '', 'b'], ['joint_names']),
        ('joint_names', 'abc', ['joint_names', 'list']),
        ('joint_names', ['a', 3, 'b'], ['joint_names', 'string']),
        ('position_lower', [0.0, 0.0], ['position_lower', '2 entries', '3']),
        ('position_lower', [0.0, 0.0, 1.0], ['position_lower', 'joint3', 'below', '1.0']),
        ('position_upper', [1.0, float('nan'), 1.0], ['position_upper', 'joint2', 'finite']),
        ('position_upper', [1.0, '1', 1.0], ['position_upper', 'number']),
        ('position_upper', [1.0, True, 1.0], ['position_upper', 'number']),
        ('velocity_max', [1.0, 0.0, 1.0], ['velocity_max', 'joint2', '> 0']),
        ('step_max', [1.0, -0.1, 1.0], ['step_max', '-0.1', '> 0']),
        ('step_max', [1.0, float('inf'), 1.0], ['step_max', 'finite']),
        ('step_max', 0.1, ['step_max', 'list']),
        ('control_hz', 0.0, ['control_hz', '1..1000']),
        ('control_hz', float('nan'), ['control_hz']),
        ('control_hz', '20', ['control_hz']),
        ('command_type', 'topic', ['command_type', 'joint_trajectory', 'twist_stamped']),
        ('units', ['rad', 'deg', 'm'], ['joint2', 'deg', 'REP 103']),
        ('units', ['rad'], ['units', '1 entries']),
        ('base_frame', '', ['base_frame']),
        ('max_speed', 1.0, ['max_speed', 'velocity_max']),
    ],
)
def test_refuses_bad_values(robot_values: Values, name: str, value: object, words: list[str]) -> None:
    values = robot_values()
    values[name] = value
    with pytest.raises(ConfigError) as error:
        RobotConfig.from_mapping(values)
    for word in words:
        assert word in str(error.value)


def test_names_a_missing_parameter(robot_values: Values) -> None:
    values = robot_values()
    del values['step_max']
    with pytest.raises(ConfigError, match='step_max'):
        RobotConfig.from_mapping(values)


def test_twist_has_six_named_axes_and_holds_with_zero(robot_values: Values) -> None:
    values = robot_values(6) | {'command_type': 'twist_stamped'}
    with pytest.raises(ConfigError, match='linear_x'):
        RobotConfig.from_mapping(values)
    with pytest.raises(ConfigError, match='m/s'):
        RobotConfig.from_mapping(values | {'joint_names': list(TWIST_AXES), 'units': ['rad'] * 6})
    robot = RobotConfig.from_mapping(values | {'joint_names': list(TWIST_AXES)})
    assert robot.units == TWIST_UNITS
    assert not robot.hold_target(np.ones(6)).any()


def test_hold_is_a_copy_of_the_measured_position(robot: RobotConfig) -> None:
    measured = np.array([0.1, 0.2, 0.3])
    held = robot.hold_target(measured)
    measured[0] = 9.0
    assert held.tolist() == [0.1, 0.2, 0.3]
