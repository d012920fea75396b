# SPDX-License-Identifier: Apache-2.0
"""Recorded poses, joints and twists become the actions of a backbone, and back to what was recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from recordings import BEGIN_NS, FRONT, MS, SPEC, Recorder, recording

from aura_ros.common.action_spec import ActionComponent, ActionSpec
from aura_ros.common.errors import BagError, ConfigError
from aura_ros.common.rotations import from_matrix, to_matrix
from aura_ros.common.state_spec import StatePart, StateSpec
from aura_ros.control.end_effector import Pose
from aura_ros.control.motion import Moment, Placed, next_pose
from aura_ros.control.outputs import POSE_AXES, TWIST_AXES
from aura_ros.control.robot import RobotConfig
from aura_ros.control.robot_file import read_robot_file
from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.align import Observations
from aura_ros.replay.steps.features import BackboneSteps
from aura_ros.replay.steps.guess import guess
from aura_ros.replay.steps.mapping_file import as_yaml, load_mapping
from aura_ros.replay.steps.motions import Motions, recorded_targets
from aura_ros.vla.protocol import Observation, VlaOutput

CONFIG = Path(__file__).parents[2] / 'config'
LIBERO = read_robot_file(CONFIG / 'sim_arm_libero.yaml').robot
DT_S, STEPS = 0.05, 4
POSITION = ActionComponent('position', 3, 'ee_position', 'delta', unit='1')
ROTATION = ActionComponent('rotation', 3, 'ee_rotation', 'delta', rotation='axis_angle', unit='1')
GRIPPER = ActionComponent('gripper', 1, 'gripper', 'absolute', unit='1', range=(0.0, 1.0), binary=True, closes='low')
PER_UNIT = (0.05, 0.5)


def spec_of(*components: ActionComponent) -> ActionSpec:
    return ActionSpec(components, STEPS, STEPS, DT_S)


def path_of(seed: int = 0) -> np.ndarray:
    """Poses on a random path, float64 [STEPS + 1, 6]."""
    rng = np.random.default_rng(seed)
    start = np.array([0.4, 0.0, 0.3, 0.2, 2.5, -0.4])
    return start + np.cumsum(rng.normal(0.0, 0.05, (STEPS + 1, 6)), axis=0)


@pytest.mark.parametrize('frame', ['base', 'end_effector'])
@pytest.mark.parametrize(
    ('mode', 'rotation'),
    [
        ('velocity', 'axis_angle'),
        ('delta', 'axis_angle'),
        ('delta', 'euler_xyz'),
        ('delta', 'quaternion_xyzw'),
        ('delta', 'rot6d'),
    ],
)
def test_the_switch_moves_along_the_recorded_poses(frame: str, mode: str, rotation: str) -> None:
    dims = {'axis_angle': 3, 'euler_xyz': 3, 'quaternion_xyzw': 4, 'rot6d': 6}[rotation]
    unit = '1' if dims == 3 else ''
    position = replace(POSITION, mode=mode, frame=frame)
    turning = ActionComponent('rotation', dims, 'ee_rotation', mode, rotation=rotation, frame=frame, unit=unit)
    poses = path_of()
    motions = Motions(spec_of(position, turning), POSE_AXES, PER_UNIT, frozenset())
    assert motions.ahead == 1
    actions = motions.actions(poses).astype(np.float64)
    assert actions.shape == (STEPS, 3 + dims)
    placed = (Placed.of(LIBERO, position, slice(0, 3)), Placed.of(LIBERO, turning, slice(3, 3 + dims)))
    pose = Pose(poses[0, :3], to_matrix('axis_angle', poses[0, 3:]))
    for row, wanted in zip(actions, poses[1:], strict=True):
        pose = next_pose(pose, *placed, row, Moment(np.zeros(8), DT_S, DT_S))
        np.testing.assert_allclose(pose.position, wanted[:3], atol=1e-6)
        np.testing.assert_allclose(pose.rotation, to_matrix('axis_angle', wanted[3:]), atol=1e-5)


def test_absolute_poses_and_joints_are_what_was_recorded() -> None:
    spec = spec_of(
        ActionComponent('position', 3, 'ee_position', 'absolute', unit='m'),
        ActionComponent('rotation', 6, 'ee_rotation', 'absolute', rotation='rot6d'),
    )
    poses = path_of()
    motions = Motions(spec, POSE_AXES, (0.0, 0.0), frozenset())
    assert motions.ahead == 0
    actions = motions.actions(poses)
    assert len(actions) == STEPS + 1
    np.testing.assert_allclose(actions[:, :3], poses[:, :3], atol=1e-6)
    np.testing.assert_allclose(actions[2, 3:], from_matrix('rot6d', to_matrix('axis_angle', poses[2, 3:])), atol=1e-6)


def test_joints_in_degrees_and_their_velocities() -> None:
    spec = spec_of(
        ActionComponent('arm', 2, 'joint', 'absolute', unit='deg'),
        ActionComponent('wrist', 1, 'joint', 'velocity', unit='rad/s'),
        ActionComponent('gripper', 1, 'gripper', 'absolute', unit='1'),
    )
    rows = np.array([[0.1, 0.2, 0.3, 50.0], [0.3, 0.2, 0.4, 60.0]])
    actions = Motions(spec, ('a', 'b', 'c', 'grip'), (0.0, 0.0), frozenset({'grip'})).actions(rows)
    np.testing.assert_allclose(actions, [[*np.rad2deg([0.1, 0.2]), 0.1 / DT_S, 50.0]], rtol=1e-6)


def test_recorded_twists_become_deltas_and_velocities() -> None:
    rows = np.tile([0.1, 0.0, -0.2, 0.0, 0.4, 0.0], (STEPS, 1))
    motions = Motions(spec_of(POSITION, ROTATION), TWIST_AXES, PER_UNIT, frozenset())
    assert motions.ahead == 0
    np.testing.assert_allclose(motions.actions(rows)[0], rows[0] * DT_S / np.repeat(PER_UNIT, 3), atol=1e-6)
    rates = [replace(one, mode='velocity', unit='') for one in (POSITION, ROTATION)]
    np.testing.assert_allclose(
        Motions(spec_of(*rates), TWIST_AXES, PER_UNIT, frozenset()).actions(rows)[0], rows[0], atol=1e-6
    )


def test_a_robot_file_names_what_the_actions_follow_from() -> None:
    spec = spec_of(POSITION, ROTATION, GRIPPER)
    assert recorded_targets(LIBERO, spec) == (*POSE_AXES, 'finger_joint')
    with pytest.raises(ConfigError, match=r'has 8 joint_names.*must be one for each column'):
        recorded_targets(LIBERO, spec_of(POSITION, ROTATION))
    keys = ('position_lower', 'position_upper', 'velocity_max', 'step_max')
    limits = dict(zip(keys, ([-1.0] * 7, *[[1.0] * 7] * 3), strict=True))
    twist = {'joint_names': list(TWIST_AXES), 'command_type': 'twist_stamped', 'command_topic': 'twist'}
    grip = {'joint_names': ['grip'], 'command_topic': 'grip'}
    units = ['m/s'] * 3 + ['rad/s'] * 3 + ['m']
    servo = RobotConfig.from_mapping(
        {'joint_names': [*TWIST_AXES, 'grip'], 'units': units, 'outputs': ['t', 'g'], 't': twist, 'g': grip, **limits}
    )
    assert recorded_targets(servo, spec) == (*TWIST_AXES, 'grip')


@pytest.mark.parametrize(
    ('components', 'names', 'per_unit', 'text'),
    [
        ((POSITION, ROTATION), POSE_AXES[:5], PER_UNIT, 'action_names has 5 names: must have 6'),
        ((POSITION,), POSE_AXES[:3], (0.0, 0.5), 'translation_per_unit must be'),
        ((ROTATION,), POSE_AXES[3:], (0.05, 0.0), 'rotation_per_unit must be'),
        ((replace(POSITION, frame='end_effector'),), POSE_AXES[:3], PER_UNIT, 'frame of the end effector'),
        ((replace(POSITION, frame='end_effector'), ROTATION), TWIST_AXES, PER_UNIT, 'frame of the end effector'),
    ],
)
def test_names_and_units_that_do_not_fit_are_refused(
    components: tuple[ActionComponent, ...], names: tuple[str, ...], per_unit: tuple[float, float], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        Motions(spec_of(*components), names, per_unit, frozenset())


STATE = StateSpec(
    (
        StatePart('position', 3, 'ee_position', unit='m'),
        StatePart('rotation', 3, 'ee_rotation', rotation='axis_angle', unit='rad'),
        StatePart('fingers', 2, 'gripper', unit='m'),
    )
)
OFT = replace(
    SPEC,
    cameras=('front',),
    joint_names=(*POSE_AXES, 'left_finger', 'right_finger'),
    action_dim=7,
    components=(POSITION, ROTATION, GRIPPER),
    state=STATE,
)
TURN = to_matrix('axis_angle', np.array([0.0, np.pi, 0.0]))


class Seen:
    """A backbone that keeps its observations."""

    spec = OFT

    def __init__(self) -> None:
        self.observations: list[Observation] = []

    def infer(self, observation: Observation) -> VlaOutput:
        self.observations.append(observation)
        return VlaOutput(np.zeros(OFT.feature_dim, np.float32), np.zeros((OFT.chunk_size, 7), np.float32))


POSE_MS, POSE_DELAY_MS = 40.0, 13.0
"""Period of the poses and their delay against the images [ms]."""


def write_pose(recorder: Recorder, at_ms: float, position: np.ndarray, topic: str = '/tip') -> None:
    types = recorder.make('geometry_msgs/msg/Point', x=position[0], y=position[1], z=position[2])
    turn = from_matrix('quaternion_xyzw', TURN)
    quaternion = recorder.make('geometry_msgs/msg/Quaternion', x=turn[0], y=turn[1], z=turn[2], w=turn[3])
    pose = recorder.make('geometry_msgs/msg/Pose', position=types, orientation=quaternion)
    recorder.write(topic, recorder.make('geometry_msgs/msg/PoseStamped', stamp=at_ms, pose=pose), at_ms + 1.0)


@pytest.fixture
def teleoperated(tmp_path: Path) -> Path:
    """A recording without VLA: images and commands every 50 ms, and poses at other times, which move by 0.1 m/s."""
    folder = tmp_path / 'teleoperated'
    names = [*(f'joint{number}' for number in range(1, 8)), 'finger_joint']
    with recording(folder) as recorder:
        for number in range(50):
            at_ms = POSE_DELAY_MS + POSE_MS * number
            write_pose(recorder, at_ms, np.array([0.4 + 1e-4 * at_ms, 0.0, 0.3]))
        for tick in range(40):
            at_ms = 50.0 * tick
            recorder.image(FRONT, at_ms)
            finger = 0.04 if tick >= 20 else 0.0
            recorder.joints('/joint_states', at_ms, [0.0] * 7 + [finger], names)
            recorder.trajectory('/joint_command', at_ms, [[0.0] * 7 + [finger]], names=names)
    return folder


def test_a_recording_of_a_person_gives_observations_and_deltas(teleoperated: Path) -> None:
    with Bag(teleoperated) as bag:
        found = guess(bag, OFT, read_robot_file(CONFIG / 'sim_arm_libero.yaml'))
        again = teleoperated.parent / 'mapping.yaml'
        again.write_text(as_yaml(found.mapping))
        assert load_mapping(again) == replace(found.mapping, instruction=load_mapping(again).instruction)
        backbone = Seen()
        rows = list(BackboneSteps(bag, found.mapping, backbone, '').rows([]))
    assert 'the motions of /tip' in '; '.join(found.notes)
    assert len(rows) == len(backbone.observations) > 15
    for row, seen in zip(rows, backbone.observations, strict=True):
        tick = round((row.stamp_ns - BEGIN_NS) / (50 * MS))
        finger = 0.04 if tick >= 20 else 0.0
        np.testing.assert_allclose(seen.state['position'], [0.4 + 0.005 * tick, 0.0, 0.3], atol=1e-4 * POSE_MS)
        np.testing.assert_allclose(to_matrix('axis_angle', seen.state['rotation']), TURN, atol=1e-5)
        np.testing.assert_allclose(seen.state['fingers'], [finger, -finger], atol=1e-7)
        if row.recorded_action is None:
            continue
        opens = [1.0 if tick + step >= 20 else 0.0 for step in range(OFT.chunk_size)]
        np.testing.assert_allclose(row.recorded_action[:, 0], 0.005 / 0.05, atol=1e-4)
        np.testing.assert_allclose(row.recorded_action[:, 1:6], 0.0, atol=1e-5)
        np.testing.assert_allclose(row.recorded_action[:, 6], opens, atol=1e-6)
    assert sum(row.recorded_action is not None for row in rows) > 12


def test_joints_of_a_policy_in_degrees_are_read_in_degrees(teleoperated: Path) -> None:
    spec = replace(
        SPEC,
        cameras=('front',),
        joint_names=('joint1', 'finger_joint'),
        action_dim=2,
        state=StateSpec((StatePart('arm', 1, 'joint', unit='deg'), StatePart('gripper', 1, 'gripper'))),
        components=(
            ActionComponent('arm', 1, 'joint', 'absolute', unit='deg'),
            ActionComponent('gripper', 1, 'gripper', 'absolute'),
        ),
    )
    assert spec.joints_in_degrees == {'joint1'}
    folder = teleoperated.parent / 'turned'
    with recording(folder) as recorder:
        for tick in range(20):
            recorder.image(FRONT, 50.0 * tick)
            recorder.joints('/joint_states', 50.0 * tick, [np.pi / 6.0, 0.02], ('joint1', 'finger_joint'))
    with Bag(folder) as bag:
        (first, *_) = Observations(bag, guess(bag, spec).mapping, spec)
    np.testing.assert_allclose(first.observation.joint_positions, [30.0, 0.02], rtol=1e-6)


def test_per_unit_of_a_mapping_file_is_checked(tmp_path: Path) -> None:
    file = tmp_path / 'mapping.yaml'
    for value in ([0.05], [0.05, -1.0], 'two'):
        file.write_text(yaml.safe_dump({'steps': '/vla_step', 'per_unit': value}))
        with pytest.raises(ConfigError, match=r'per_unit.*two numbers >= 0'):
            load_mapping(file)
    file.write_text(yaml.safe_dump({'steps': '/vla_step', 'per_unit': [0.05, 0.5]}))
    assert load_mapping(file).per_unit == PER_UNIT


def test_actions_without_a_size_of_their_unit_are_refused_before_the_recording_is_read(teleoperated: Path) -> None:
    with Bag(teleoperated) as bag:
        mapping = replace(guess(bag, OFT, read_robot_file(CONFIG / 'sim_arm_libero.yaml')).mapping, per_unit=(0.0, 0.0))
        with pytest.raises(BagError, match="actions: component 'position' has the unit 1"):
            Observations(bag, mapping, OFT)
