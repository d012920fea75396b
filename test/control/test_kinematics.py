# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics of the simulated arm and of a URDF: it reaches, it respects joint limits, and it names faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mujoco')
pytest.importorskip('mink')

from aura_ros.common.errors import ConfigError
from aura_ros.common.rotations import to_matrix
from aura_ros.control.end_effector import EndEffectorConfig, Pose
from aura_ros.control.kinematics import MinkKinematics

HOME = np.array([0.0, 0.2847, 0.0, 1.9915, 0.0, 0.8654, 0.0])
ARM = EndEffectorConfig(
    'embedded', 'tip', tuple(f'joint{i}' for i in range(1, 8)), (0.1, -0.5, 0.0), (0.8, 0.5, 0.8), 0.5, 2.0
)
URDF = """<robot name="two">
  <link name="base"/>
  <link name="upper"><visual><geometry><mesh filename="package://none/upper.stl"/></geometry></visual></link>
  <link name="tool"/>
  <joint name="shoulder" type="revolute"><parent link="base"/><child link="upper"/><axis xyz="0 0 1"/>
    <limit lower="-1.0" upper="1.0" effort="1" velocity="1"/></joint>
  <joint name="slide" type="prismatic"><parent link="upper"/><child link="tool"/><axis xyz="1 0 0"/>
    <origin xyz="0.5 0 0"/><limit lower="0.0" upper="0.3" effort="1" velocity="1"/></joint>
</robot>"""


@pytest.fixture(scope='module')
def arm() -> MinkKinematics:
    return MinkKinematics(ARM)


def test_a_goal_one_command_away_is_reached(arm: MinkKinematics) -> None:
    rng = np.random.default_rng(0)
    joints = HOME
    for _ in range(50):
        before = arm.pose(joints)
        # The speeds of 0.5 m/s and 2 rad/s for one period of 50 ms, inside the workspace.
        step, turn = rng.uniform(-0.0125, 0.0125, 3), rng.uniform(-0.05, 0.05, 3)
        inside = np.clip(before.position + step, (0.25, -0.2, 0.1), (0.5, 0.2, 0.35))
        goal = Pose(inside, to_matrix('axis_angle', turn) @ before.rotation)
        found = arm.solve(joints, goal)
        assert found is not None and np.abs(found - joints).max() < 0.5
        reached = arm.pose(found)
        np.testing.assert_allclose(reached.position, goal.position, atol=2e-4)
        np.testing.assert_allclose(reached.rotation, goal.rotation, atol=2e-3)
        joints = found if np.abs(found - HOME).max() < 0.8 else HOME


def test_what_is_out_of_reach_stays_within_the_joint_limits(arm: MinkKinematics) -> None:
    found = arm.solve(HOME, Pose(np.array([3.0, 0.0, 0.0]), arm.pose(HOME).rotation))
    assert found is not None and (np.abs(found) <= 2.9 + 1e-6).all()


def test_the_tip_is_where_the_simulator_measures_it(arm: MinkKinematics) -> None:
    from aura_ros.sim.world import HOME_JOINTS, World

    with World() as world:
        np.testing.assert_allclose(arm.pose(np.array(HOME_JOINTS)).position, world.tip, atol=1e-9)


def test_a_urdf_needs_no_mesh(tmp_path: Path) -> None:
    path = tmp_path / 'two.urdf'
    path.write_text(URDF)
    two = MinkKinematics(replace(ARM, model=str(path), frame='tool', joint_names=('shoulder', 'slide')))
    np.testing.assert_allclose(two.pose(np.array([0.0, 0.1])).position, [0.6, 0.0, 0.0], atol=1e-9)
    found = two.solve(np.zeros(2), two.pose(np.array([0.2, 0.1])))
    assert found is not None
    np.testing.assert_allclose(found, [0.2, 0.1], atol=1e-3)


@pytest.mark.parametrize(
    ('content', 'text'),
    [('<robot name="none"', 'cannot be read'), ('<!--' + ' ' * (4 << 20), 'is larger than 4,194,304 bytes')],
    ids=['damaged', 'large'],
)
def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / 'bad.urdf'
    path.write_text(content)
    with pytest.raises(ConfigError) as error:
        MinkKinematics(replace(ARM, model=str(path)))
    assert text in str(error.value) and 'bad.urdf' in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'model': '/nowhere/arm.xml'}, 'there is no such file'),
        ({'frame': 'nose'}, "frame = 'nose': must be a site, body or link"),
        ({'joint_names': ('joint1', 'elbow')}, "'elbow': must be a joint of embedded"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        MinkKinematics(replace(ARM, **changes))  # type: ignore[arg-type]
    assert text in str(error.value)
