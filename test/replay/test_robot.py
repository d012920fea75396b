# SPDX-License-Identifier: Apache-2.0
"""Recordings of robots with a robot file: topics, units and names of the action without a mapping of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from recordings import BEGIN_NS, FRONT, MS, SPEC, Recorder, recording

from aura_ros.common.errors import BagError, ConfigError
from aura_ros.control import JointMap, JointSources
from aura_ros.control.outputs import POSE_AXES
from aura_ros.control.robot_file import CheckedFile, read_robot_file
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import POLICY_STATUS
from aura_ros.recordings.types import PARAMETERS
from aura_ros.replay.main import main as replay
from aura_ros.replay.run import mapping_of
from aura_ros.replay.steps.align import Observations
from aura_ros.replay.steps.checks import action_track, topic_types
from aura_ros.replay.steps.features import BackboneSteps
from aura_ros.replay.steps.mapping import ActionStream, Instruction, JointStream, Mapping
from aura_ros.replay.steps.mapping_file import as_yaml, load_mapping
from aura_ros.replay.steps.recorded import RecordedSteps
from aura_ros.train.features import main as features
from aura_ros.vla.protocol import BackboneSpec, Observation, VlaOutput

ARM_STATES, HAND_STATES = '/arm/joint_states', '/hand/joint_states'
ARM_COMMANDS, HAND_COMMANDS, TWIST = (
    '/arm_controller/joint_trajectory',
    '/hand_controller/commands',
    '/servo/twist_cmds',
)
ONE_CAMERA = replace(SPEC, cameras=('front',))
GRIPPER = replace(ONE_CAMERA, joint_names=('a', 'b', 'finger'))
TWISTS = replace(ONE_CAMERA, joint_names=('a', 'b'), action_dim=6)
AXES = ('linear_x', 'linear_y', 'linear_z', 'angular_x', 'angular_y', 'angular_z')
OPEN_M = 0.08


def robot_file(folder: Path, names: Any = GRIPPER.joint_names, top: Any = None, **values: Any) -> Path:
    """Write a robot file."""
    size = len(names)
    limits = {'position_lower': [-9.0] * size, 'position_upper': [9.0] * size}
    speeds = {'velocity_max': [1.0] * size, 'step_max': [0.5] * size}
    robot = {'joint_names': list(names), **limits, **speeds, **values}
    path = folder / 'robot.yaml'
    path.write_text(yaml.safe_dump({'/**': {'ros__parameters': {**(top or {}), 'robot': robot}}}), encoding='utf-8')
    return path


def gripper_file(folder: Path, command_type: str = 'float64_multi_array', **values: Any) -> Path:
    """Write the robot file of two joints and a gripper of 0..1, whose driver takes 0..OPEN_M."""
    return robot_file(
        folder,
        joint_state_topics=[ARM_STATES, HAND_STATES],
        outputs=['arm', 'hand'],
        arm={'joint_names': ['a', 'b'], 'command_topic': ARM_COMMANDS},
        hand={'joint_names': ['finger'], 'command_topic': HAND_COMMANDS, 'command_type': command_type},
        mapped_joints=['finger'],
        map_finger={'policy': [0.0, 1.0], 'robot': [0.0, OPEN_M], **values},
    )


def flat(path: Path, **added: Any) -> dict[str, Any]:
    """Return the parameters of a robot file as a node lists them."""

    def walk(values: dict[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in values.items():
            found |= walk(value, f'{prefix}{key}.') if isinstance(value, dict) else {prefix + key: value}
        return found

    return walk(yaml.safe_load(path.read_text())['/**']['ros__parameters'], '') | added


def array(recorder: Recorder, topic: str, stamp: float, *values: float) -> None:
    """Write a Float64MultiArray."""
    layout = recorder.make('std_msgs/msg/MultiArrayLayout', dim=[], data_offset=0)
    data = np.array(values, np.float64)
    recorder.write(topic, recorder.make('std_msgs/msg/Float64MultiArray', layout=layout, data=data), stamp)


def twist(recorder: Recorder, topic: str, stamp: float, *values: float) -> None:
    """Write a TwistStamped."""
    parts = {
        name: recorder.make('geometry_msgs/msg/Vector3', **dict(zip('xyz', three, strict=True)))
        for name, three in (('linear', values[:3]), ('angular', values[3:]))
    }
    value = recorder.make('geometry_msgs/msg/Twist', **parts)
    recorder.write(topic, recorder.make('geometry_msgs/msg/TwistStamped', stamp=stamp, twist=value), stamp)


def drive(recorder: Recorder, hand: bool = True) -> None:
    """Record two seconds in which the robot does what `Vla` proposes; the gripper is commanded once."""
    recorder.text('/instruction', 'put it back', 0)
    for tick in range(40):
        at = tick * 50.0
        recorder.joints(ARM_STATES, at, [0.1, 0.2], ('a', 'b'))
        recorder.joints(HAND_STATES, at, [OPEN_M * 0.25], ('finger',))
        recorder.image(FRONT, at + 1)
        recorder.trajectory(ARM_COMMANDS, at, [[0.3, 0.4]], names=('a', 'b'))
        if hand and tick == 0:
            array(recorder, HAND_COMMANDS, at, OPEN_M * 0.75)


class Vla:
    """Proposes constant actions in the unit of the policy."""

    def __init__(self, spec: BackboneSpec, *action: float) -> None:
        self.spec, self._action = spec, action

    def infer(self, observation: Observation) -> VlaOutput:
        """Return the action for the whole chunk."""
        actions = np.tile(np.array(self._action, np.float32), (self.spec.chunk_size, 1))
        return VlaOutput(np.zeros(self.spec.feature_dim, np.float32), actions)


def mapped(
    folder: Path, given: CheckedFile | None, spec: BackboneSpec = GRIPPER, mapping: Mapping | None = None
) -> tuple[Mapping, str]:
    """Return the mapping of a recording, and its notes."""
    with Bag(folder) as bag:
        found, notes = mapping_of(bag, mapping, '', spec, given)
    return found, '\n'.join(notes)


def errors(folder: Path, mapping: Mapping, vla: Vla) -> np.ndarray:
    """Return |action - recorded action| of all steps, [N, C, A]."""
    with Bag(folder) as bag:
        rows = list(BackboneSteps(bag, mapping, vla, 'digest').rows([]))
    found = [np.abs(row.base_action - row.recorded_action) for row in rows if row.recorded_action is not None]
    assert len(found) > 15
    return np.array(found)


def write(folder: Path, fill: Callable[[Recorder], Any], **notes: str) -> Path:
    with recording(folder, **notes) as recorder:
        fill(recorder)
    return folder


def test_a_robot_that_follows_its_policy_has_no_error(tmp_path: Path) -> None:
    robot = read_robot_file(gripper_file(tmp_path))
    bag = write(tmp_path / 'bag', drive)
    mapping, notes = mapped(bag, robot)
    assert mapping.joints == (JointStream(ARM_STATES), JointStream(HAND_STATES))
    assert mapping.actions == (
        ActionStream(ARM_COMMANDS),
        ActionStream(HAND_COMMANDS, columns=('finger',), tolerance_s=3600.0),
    )
    assert 'finger [0.0, 0.08] = [0.0, 1.0]' in notes and 'as in the robot file' in notes
    found = errors(bag, mapping, Vla(GRIPPER, 0.3, 0.4, 0.75))
    assert found.max() < 1e-7
    found = errors(bag, mapping, Vla(GRIPPER, 0.3, 0.4, 0.5))
    np.testing.assert_allclose(found[..., 2], 0.25, atol=1e-7)  # in the unit of the policy
    with Bag(bag) as opened:
        seen = next(iter(Observations(opened, mapping, GRIPPER)))
    np.testing.assert_allclose(seen.observation.joint_positions, [0.1, 0.2, 0.25], atol=1e-7)


def test_the_recorded_parameters_of_the_robot_are_used(tmp_path: Path) -> None:
    values = flat(gripper_file(tmp_path), **{'robot.units': [], 'robot.map_finger.threshold': float('nan')})
    parameters = yaml.safe_dump({'/left/policy_switch_node': values, '/left/vla_node': {'max_age_s': 0.5}})
    bag = write(tmp_path / 'bag', drive, **{PARAMETERS: parameters})
    mapping, notes = mapped(bag, None)
    assert errors(bag, mapping, Vla(GRIPPER, 0.3, 0.4, 0.75)).max() < 1e-7
    assert 'as in the recorded parameters of the robot: finger' in notes
    # A given file precedes the recorded one, and a mapping without `maps` gets those that were recorded.
    half = read_robot_file(gripper_file(tmp_path, policy=[0.0, 2.0]))
    assert mapped(bag, half)[0].sources.maps['finger'].policy == (0.0, 2.0)
    topics = Mapping(
        {'front': FRONT}, (JointStream(ARM_STATES), JointStream(HAND_STATES)), (ActionStream(ARM_COMMANDS),)
    )
    found, _ = mapped(bag, None, mapping=topics)
    assert (found.joints, found.actions) == (topics.joints, topics.actions)
    assert found.sources == mapping.sources


def test_the_programs_take_the_robot_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('aura_ros.vla.load_backbone', lambda *_: Vla(GRIPPER, 0.3, 0.4, 0.75))
    robot, bag = str(gripper_file(tmp_path)), str(write(tmp_path / 'bag', drive))
    assert replay([bag, '--robot', robot, '--guess']) == 0
    (tmp_path / 'mapping.yaml').write_text(capsys.readouterr().out)
    assert load_mapping(tmp_path / 'mapping.yaml') == mapped(tmp_path / 'bag', read_robot_file(Path(robot)))[0]
    words = [
        '--robot',
        robot,
        '--policies',
        'base',
        '--cache',
        str(tmp_path / 'cache'),
        '--output',
        str(tmp_path / 'out'),
    ]
    assert replay([bag, *words]) == 0
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert report['summary']['policies'][0]['error']['mean'] == pytest.approx(0.0, abs=1e-7)
    assert features([bag, '--robot', robot, '--work-dir', str(tmp_path / 'work')]) == 0
    (file,) = (tmp_path / 'work').rglob('*.npz')
    with np.load(file) as arrays:
        assert arrays['go'].sum() > 15
        np.testing.assert_allclose(arrays['expert'], arrays['base'], atol=1e-7)


@pytest.mark.parametrize(('text', 'used'), [('{front: cam1}', True), ('{front: /none}', False), ('{a: cam1}', False)])
def test_the_recorded_cameras_of_vla_node_are_used(tmp_path: Path, text: str, used: bool) -> None:
    def fill(recorder: Recorder) -> None:
        drive(recorder)
        recorder.image('/cam1', 1)

    parameters = yaml.safe_dump({'/vla_node': {'cameras': text}, '/left/policy_switch_node': {'a': 1}})
    mapping, notes = mapped(write(tmp_path / 'bag', fill, **{PARAMETERS: parameters}), None)
    assert mapping.cameras == {'front': '/cam1' if used else FRONT}
    assert ('the recorded parameters of vla_node' in notes) is used


def test_a_recorded_switch_without_its_parameters_is_named(tmp_path: Path) -> None:
    def fill(recorder: Recorder) -> None:
        drive(recorder)
        recorder.raw('/left/policy_status', POLICY_STATUS, b'', 0)

    missing = 'the parameters of the policy switch were not recorded, so units are guessed: add --robot FILE'
    assert missing in mapped(write(tmp_path / 'switch', fill), None)[1]
    assert missing not in mapped(write(tmp_path / 'no_switch', drive), None)[1]
    assert missing not in mapped(tmp_path / 'switch', read_robot_file(gripper_file(tmp_path)))[1]


def test_what_was_recorded_of_another_robot_is_not_used(tmp_path: Path) -> None:
    values = flat(gripper_file(tmp_path))
    two = yaml.safe_dump({'/left/policy_switch_node': values, '/right/policy_switch_node': values})
    mapping, notes = mapped(write(tmp_path / 'two', drive, **{PARAMETERS: two}), None)
    assert not mapping.sources.maps and 'several robots were recorded' in notes
    one = yaml.safe_dump({'/policy_switch_node': values})
    spec = replace(GRIPPER, action_dim=2)
    mapping, notes = mapped(write(tmp_path / 'one', drive, **{PARAMETERS: one}), None, spec)
    assert not mapping.sources.maps
    assert 'the recorded robot file is not used: the robot file has 3 joint_names: must be 2' in notes
    bad = yaml.safe_dump({'/policy_switch_node': values | {'robot.step_max': [0.0, 1.0, 1.0]}})
    mapping, notes = mapped(write(tmp_path / 'bad', drive, **{PARAMETERS: bad}), None)
    assert (
        not mapping.sources.maps and 'the recorded robot file is not used: /policy_switch_node: step_max of a' in notes
    )
    with pytest.raises(ConfigError, match='the robot file has 3 joint_names: must be 2'):
        mapped(tmp_path / 'one', read_robot_file(gripper_file(tmp_path)), spec)


def test_a_mapping_file_can_name_the_robot_file(tmp_path: Path) -> None:
    gripper_file(tmp_path)
    file = tmp_path / 'mapping.yaml'
    file.write_text(f'cameras: {{front: {FRONT}}}\nrobot: robot.yaml\ninstruction: /instruction\n')
    bag = write(tmp_path / 'bag', drive)
    mapping, _ = mapped(bag, None, mapping=load_mapping(file))
    assert errors(bag, mapping, Vla(GRIPPER, 0.3, 0.4, 0.75)).max() < 1e-7
    file.write_text(as_yaml(mapping))
    assert load_mapping(file) == mapping, 'what is used can be written as a file'
    file.write_text(f'cameras: {{front: {FRONT}}}\nrobot: none.yaml\n')
    with pytest.raises(ConfigError, match='none'):
        load_mapping(file)


def test_columns_of_the_user_stay_by_the_names_of_the_backbone(tmp_path: Path) -> None:
    """The maps of the robot apply to them too."""
    parameters = yaml.safe_dump({'/policy_switch_node': flat(gripper_file(tmp_path))})
    bag = write(tmp_path / 'bag', drive, **{PARAMETERS: parameters})
    spec = replace(GRIPPER, joint_names=('x', 'y', 'g'))
    mine = Mapping(
        {'front': FRONT},
        (JointStream(ARM_STATES, {'x': 'a', 'y': 'b'}), JointStream(HAND_STATES, {'g': 'finger'})),
        (
            ActionStream(ARM_COMMANDS, columns={'x': 'a', 'y': 'b'}),
            ActionStream(HAND_COMMANDS, columns=('g',), tolerance_s=60.0),
        ),
        Instruction('/instruction'),
    )
    for given in (None, read_robot_file(tmp_path / 'robot.yaml')):
        mapping, _ = mapped(bag, given, spec, mine)
        assert mapping.action_names == ()
        assert errors(bag, mapping, Vla(spec, 0.3, 0.4, 0.75)).max() < 1e-7


def test_a_gripper_behind_an_action_is_measured(tmp_path: Path) -> None:
    robot = read_robot_file(gripper_file(tmp_path, 'gripper_command'))
    bag = write(tmp_path / 'bag', lambda recorder: drive(recorder, hand=False))
    mapping, notes = mapped(bag, robot)
    assert mapping.actions[1:] == (ActionStream(HAND_STATES, tolerance_s=3600.0, only=('finger',)),)
    assert 'the goals of an action are not recorded' in notes
    assert errors(bag, mapping, Vla(GRIPPER, 0.3, 0.4, 0.25)).max() < 1e-7

    def reported(recorder: Recorder) -> None:
        drive(recorder, hand=False)
        for tick in range(40):
            recorder.joints(f'{HAND_COMMANDS}/commanded', tick * 50.0, [OPEN_M], ('finger',))

    bag = write(tmp_path / 'reported', reported)
    mapping, _ = mapped(bag, robot)
    assert mapping.actions[1].topic == f'{HAND_COMMANDS}/commanded'
    assert errors(bag, mapping, Vla(GRIPPER, 0.3, 0.4, 1.0)).max() < 1e-7


def test_a_command_that_was_not_recorded_is_missing(tmp_path: Path) -> None:
    robot = read_robot_file(gripper_file(tmp_path))
    mapping, notes = mapped(write(tmp_path / 'bag', lambda recorder: drive(recorder, hand=False)), robot)
    assert mapping.actions == ()
    assert f'robot file: {HAND_COMMANDS} has no recorded message' in notes


def twist_bag(folder: Path, **notes: str) -> Path:
    def fill(recorder: Recorder) -> None:
        recorder.text('/instruction', 'put it back', 0)
        for tick in range(40):
            at = tick * 50.0
            recorder.joints('/joint_states', at, [0.1, 0.2], ('a', 'b'))
            recorder.image(FRONT, at + 1)
            twist(recorder, TWIST, at, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)

    return write(folder, fill, **notes)


@pytest.mark.parametrize('topic', [TWIST, 'joint_command'])
def test_twists_are_compared_column_by_column(tmp_path: Path, topic: str) -> None:
    """Also if a launch file renamed the topic of the commands."""
    path = robot_file(tmp_path, AXES, {'command_topic': topic}, command_type='twist_stamped')
    bag = twist_bag(tmp_path / 'bag', **{PARAMETERS: yaml.safe_dump({'/policy_switch_node': flat(path)})})
    for given in (read_robot_file(path), None):
        mapping, _ = mapped(bag, given, TWISTS)
        assert mapping.action_names == AXES
        assert errors(bag, mapping, Vla(TWISTS, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)).max() < 1e-7
        found = errors(bag, mapping, Vla(TWISTS, 0.1, 0.2, 0.3, 0.4, 0.5, 0.0))
        np.testing.assert_allclose(found.max(axis=(0, 1)), [0, 0, 0, 0, 0, 0.6], atol=1e-7)
        with Bag(bag) as opened:
            assert BackboneSteps(opened, mapping, Vla(TWISTS), 'digest').info.joint_names == AXES


def test_the_commands_of_a_mobile_base_are_columns_of_its_twists(tmp_path: Path) -> None:
    axes = ('base_linear_x', 'base_angular_z')
    path = robot_file(tmp_path, axes, {'command_topic': TWIST}, command_type='base_twist')
    bag = twist_bag(tmp_path / 'bag')
    spec = replace(TWISTS, action_dim=2)
    mapping, _ = mapped(bag, read_robot_file(path), spec)
    assert mapping.action_names == axes
    assert errors(bag, mapping, Vla(spec, 0.1, 0.6)).max() < 1e-7
    found = errors(bag, mapping, Vla(spec, 0.1, 0.0))
    np.testing.assert_allclose(found.max(axis=(0, 1)), [0, 0.6], atol=1e-7)


def test_a_pose_is_compared_as_a_rotation_vector(tmp_path: Path) -> None:
    axes = ('position_x', 'position_y', 'position_z', 'rotation_x', 'rotation_y', 'rotation_z')
    tool = {'joint_names': list(axes), 'command_type': 'pose_stamped', 'command_topic': '/tool', 'state_topic': '/at'}
    low, high = [-1.0] * 3 + [-1.6] * 3, [1.0] * 3 + [1.6] * 3
    path = robot_file(tmp_path, axes, outputs=['tool'], tool=tool, position_lower=low, position_upper=high)

    def fill(recorder: Recorder) -> None:
        recorder.text('/instruction', 'put it back', 0)
        position = recorder.make('geometry_msgs/msg/Point', x=0.1, y=0.2, z=0.3)
        half = 0.4
        turn = recorder.make('geometry_msgs/msg/Quaternion', x=0.0, y=0.0, z=np.sin(half), w=np.cos(half))
        pose = recorder.make('geometry_msgs/msg/Pose', position=position, orientation=turn)
        for tick in range(40):
            at = tick * 50.0
            recorder.joints('/joint_states', at, [0.1, 0.2], ('a', 'b'))
            recorder.image(FRONT, at + 1)
            recorder.write('/tool', recorder.make('geometry_msgs/msg/PoseStamped', stamp=at, pose=pose), at)

    bag = write(tmp_path / 'bag', fill)
    mapping, _ = mapped(bag, read_robot_file(path), TWISTS)
    assert errors(bag, mapping, Vla(TWISTS, 0.1, 0.2, 0.3, 0, 0, 0.8)).max() < 1e-6


def test_without_its_joints_a_recording_is_refused(tmp_path: Path) -> None:
    robot = read_robot_file(gripper_file(tmp_path))
    with pytest.raises(BagError, match='has no measured joints'):
        mapped(write(tmp_path / 'bag', lambda recorder: recorder.image(FRONT, 0)), robot)


def test_maps_and_ages_of_the_user_go_by_the_recorded_name_too(tmp_path: Path) -> None:
    bag = write(tmp_path / 'bag', drive)
    spec = replace(GRIPPER, joint_names=('a', 'b', 'grip'))
    maps = {'finger': JointMap('finger', (0.0, 1.0), (0.0, OPEN_M))}
    mapping = Mapping(
        {'front': FRONT},
        (JointStream(ARM_STATES), JointStream(HAND_STATES, {'grip': 'finger'})),
        (ActionStream(ARM_COMMANDS), ActionStream(HAND_COMMANDS, columns=('grip',), tolerance_s=3600.0)),
        sources=JointSources(maps=maps),
    )
    found, _ = mapped(bag, None, spec, mapping)
    assert errors(bag, found, Vla(spec, 0.3, 0.4, 0.75)).max() < 1e-7
    with Bag(bag) as opened:
        seen = next(iter(Observations(opened, found, spec)))
        np.testing.assert_allclose(seen.observation.joint_positions, [0.1, 0.2, 0.25], atol=1e-7)
        for sources, key in (
            (JointSources(maps={'fingr': JointMap('fingr', (0.0, 1.0), (0.0, OPEN_M))}), 'maps'),
            (JointSources(max_age_s={'fingr': 0.5}), 'joint_max_age_s'),
        ):
            wrong = replace(found, sources=sources)
            for stream in (Observations, RecordedSteps):
                with pytest.raises(BagError, match=f'{key} has fingr: must be one of a, b, finger, grip'):
                    stream(opened, wrong, spec)


def test_the_ages_of_the_robot_file_are_used(tmp_path: Path) -> None:
    bag = write(tmp_path / 'bag', drive)
    path = gripper_file(tmp_path)
    values = yaml.safe_load(path.read_text())
    values['/**']['ros__parameters']['robot']['joint_max_age_s'] = [0.1, 0.1, 5.0]
    path.write_text(yaml.safe_dump(values))
    robot = read_robot_file(path)
    mapping, notes = mapped(bag, robot)
    assert mapping.sources.max_age_s == {'a': 0.1, 'b': 0.1, 'finger': 5.0} and 'more rarely' not in notes
    by_hand = Mapping({'front': FRONT}, (JointStream(ARM_STATES), JointStream(HAND_STATES)), max_joint_age_s=0.2)
    assert not mapped(bag, robot, mapping=by_hand)[0].sources.max_age_s


def poses(recorder: Recorder, topic: str, *angles: float) -> None:
    """Write a PoseStamped for each angle about x [rad], every 50 ms."""
    for number, angle in enumerate(angles):
        turn = recorder.make('geometry_msgs/msg/Quaternion', x=np.sin(angle / 2.0), y=0.0, z=0.0, w=np.cos(angle / 2.0))
        at = recorder.make('geometry_msgs/msg/Point', x=0.4, y=0.0, z=0.3)
        value = recorder.make('geometry_msgs/msg/Pose', position=at, orientation=turn)
        stamp = number * 50.0
        recorder.write(topic, recorder.make('geometry_msgs/msg/PoseStamped', stamp=stamp, pose=value), stamp)


@pytest.mark.parametrize('first', [3.0, 3.3])
def test_a_recorded_rotation_is_the_one_that_the_limits_or_the_pose_before_select(tmp_path: Path, first: float) -> None:
    spec = replace(ONE_CAMERA, action_dim=6, chunk_size=1, n_action_steps=1)

    def fill(recorder: Recorder) -> None:
        poses(recorder, '/target_pose', first, 3.3)
        recorder.joints('/joint_states', 0, [0, 0, 0])
        recorder.image(FRONT, 0)

    bag = write(tmp_path / 'bag', fill)
    path = robot_file(
        tmp_path,
        POSE_AXES,
        outputs=['arm'],
        arm={
            'joint_names': list(POSE_AXES),
            'command_topic': '/target_pose',
            'command_type': 'pose_stamped',
            'state_topic': '/pose',
        },
        position_lower=[-1.0, -1.0, -1.0, 2.0, -1.0, -1.0],
        position_upper=[1.0, 1.0, 1.0, 4.2, 1.0, 1.0],
    )
    mapping, _ = mapped(bag, read_robot_file(path), spec)
    assert mapping.rotation_middle == (pytest.approx(3.1), 0.0, 0.0)
    # Without limits the first pose has the shorter vector, and the next one is nearest to it.
    shorter = 0.0 if first < np.pi else -2.0 * np.pi
    for one, offset in ((mapping, 0.0), (replace(mapping, rotation_middle=()), shorter)):
        with Bag(bag) as opened:
            track = action_track(opened, one, spec, topic_types(opened, one))
            for sample in opened.samples(['/target_pose']):
                track.add(sample)
        found = [track.chunk(BEGIN_NS + at * MS, 1, MS)[0, 3] for at in (0, 50)]
        np.testing.assert_allclose(found, [first + offset, 3.3 + offset], atol=1e-6)


def test_a_gripper_without_commands_and_positions_leaves_no_action_errors(tmp_path: Path) -> None:
    def fill(recorder: Recorder) -> None:
        for at in range(0, 500, 50):
            recorder.joints(ARM_STATES, at, [0.1, 0.2], ('a', 'b'))
            recorder.trajectory(ARM_COMMANDS, at, [[0.3, 0.4]], names=('a', 'b'))
            recorder.image(FRONT, at)

    bag = write(tmp_path / 'bag', fill)
    spec = replace(GRIPPER, joint_names=('a', 'b'), action_dim=3)
    mapping, notes = mapped(bag, read_robot_file(gripper_file(tmp_path, 'gripper_command')), spec)
    assert mapping.actions == () and 'its measured position is' not in notes
    assert 'finger has neither recorded commands nor a measured position' in notes
    with Bag(bag) as opened:
        assert len(list(Observations(opened, mapping, replace(spec, action_dim=2))))
