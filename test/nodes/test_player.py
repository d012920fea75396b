# SPDX-License-Identifier: Apache-2.0
"""player: converted messages, timing and errors; parity is in test/replay."""

import os
import stat
import time
from dataclasses import replace
from typing import ClassVar
from unittest.mock import MagicMock

import numpy as np
import pytest
import yaml

pytest.importorskip('rosbags')

from fakes import JOINTS, SPEC
from player_rig import BEGIN_NS, MAPPING, NS, PERIOD_NS, PlayerRig, cdr, pixels, recorded
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from aura_ros.common.errors import BagError, ConfigError
from aura_ros.nodes.player import bag_play
from aura_ros.nodes.player.messages import Streams, instruction_at_start
from aura_ros.nodes.player.playback import Pace, PlayerConfig, find_playback
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.writer import Recording
from aura_ros.replay.steps.mapping import Instruction, JointStream, Mapping
from aura_ros.ros import conversions
from aura_ros.ros.sensor_messages import image_to_msg
from aura_ros.vla.images import picture


# Converted messages.
# --------------------------------------------------------------------------------------------------
def played(path, mapping=MAPPING):
    with Bag(path) as bag:
        streams = Streams(bag, mapping, SPEC)
        return [pair for sample in bag.samples(streams.topics) for pair in streams.messages(sample)]


def test_topics_are_renamed_and_messages_are_unchanged(tmp_path):
    found = played(recorded(tmp_path / 'bag', 2))
    assert [topic for topic, _ in found[:3]] == ['camera/front/image_raw', 'camera/wrist/image_raw', 'joint_states']
    # serialised: nothing of the image was touched
    assert found[1][1] == cdr(image_to_msg(pixels(100), BEGIN_NS + 10_000_000, 'hand'))


def test_joints_are_renamed_and_converted(tmp_path):
    names = tuple(f'axis_{index}' for index in range(len(JOINTS)))
    path = recorded(tmp_path / 'bag', 3, names=names, factor=180.0 / np.pi)
    joints = (JointStream('/robot/joints', dict(zip(JOINTS, names, strict=True)), 'deg'),)
    mapping = Mapping(MAPPING.cameras, joints, (), MAPPING.instruction)
    messages = [message for topic, message in played(path, mapping) if topic == 'joint_states']
    assert list(messages[2].name) == list(JOINTS)
    assert np.allclose(messages[2].position, 0.02)
    assert conversions.to_ns(messages[2].header.stamp) == BEGIN_NS + 2 * PERIOD_NS + 10_000_000


def test_compressed_images_stay_compressed(tmp_path):
    path = recorded(tmp_path / 'bag', 1, compressed=True)
    with Bag(path) as bag:
        streams = Streams(bag, MAPPING, SPEC)
        (sample,) = bag.samples(['/hand'])
        ((topic, data),) = streams.messages(replace(sample, stamp_ns=7 * NS))
        message = deserialize_message(data, CompressedImage)
    assert streams.images == {'camera/front/image_raw': Image, 'camera/wrist/image_raw/compressed': CompressedImage}
    assert topic == 'camera/wrist/image_raw/compressed'
    assert conversions.to_ns(message.header.stamp) == 7 * NS, 'vla_node refuses an unstamped image'
    assert (picture(message) == 100).all()
    found = dict(played(path))
    assert bytes(message.data) in found['camera/wrist/image_raw/compressed']


def test_parameters_name_the_recorded_topics(tmp_path):
    names = {'cameras': '{wrist: left_eye, front: /hand}', 'joint_states_topic': 'robot/joints'}
    with Bag(recorded(tmp_path / 'bag', 2)) as bag:
        config = PlayerConfig(bag='b', backbone='fakes:ScriptedVla', instruction='go on', **names)
        mapping = find_playback(config, bag, MagicMock()).mapping
        assert mapping.cameras == {'front': '/hand', 'wrist': '/left_eye'}
        assert mapping.joints == (JointStream('/robot/joints'),)
        with pytest.raises(ConfigError, match='missing: wrist; unknown: none'):
            find_playback(replace(config, cameras='{front: /hand}'), bag, MagicMock())
        with pytest.raises(BagError, match='has no topic /nothing'):
            find_playback(replace(config, cameras='{front: /hand, wrist: /nothing}'), bag, MagicMock())
        with pytest.raises(BagError, match='has no topic /nothing'):
            Streams(bag, replace(mapping, cameras={'front': '/hand', 'wrist': '/nothing'}), SPEC)


def test_vla_node_converts_the_joints_if_its_robot_file_has_maps(tmp_path):
    size = len(JOINTS)
    limits = {'position_lower': [-4.0] * size, 'position_upper': [4.0] * size}
    robot = {'joint_names': list(JOINTS), 'velocity_max': [1.0] * size, 'step_max': [0.1] * size, **limits}
    maps = {'mapped_joints': ['finger_joint'], 'map_finger_joint': {'policy': [0.0, 1.0], 'robot': [0.0, 0.04]}}
    plain, mapped = (tmp_path / name for name in ('plain.yaml', 'mapped.yaml'))
    for file, values in ((plain, robot), (mapped, {**robot, **maps, 'joint_state_topics': ['/robot/joints']})):
        file.write_text(yaml.safe_dump({'/**': {'ros__parameters': {'robot': values}}}))
    mapping = tmp_path / 'mapping.yaml'
    mapping.write_text('cameras: {front: /left_eye, wrist: /hand}\nrobot: mapped.yaml\n')
    with Bag(recorded(tmp_path / 'bag', 2)) as bag:

        def played_as(robot_file, mapping=''):
            config = PlayerConfig(
                bag='b', backbone='fakes:ScriptedVla', instruction='go on', robot_file=robot_file, mapping=mapping
            )
            return find_playback(config, bag, MagicMock()).mapping

        for mapped_by in ('', str(mapping)):
            found = played_as(str(mapped), mapped_by)
            assert found.joints == (JointStream('/robot/joints'),)
            assert not found.sources.maps
        assert set(played_as(str(plain), str(mapping)).sources.maps) == {'finger_joint'}
        assert set(played_as('', str(mapping)).sources.maps) == {'finger_joint'}


def test_the_first_instruction_is_found(tmp_path):
    recording = Recording(tmp_path / 'bag', 1 << 20)
    recording.topic('/say', 'std_msgs/msg/String')
    recording.put('/say', 5, cdr(String(data='first')))
    recording.put('/say', 6, cdr(String(data='second')))
    assert recording.close(30.0)
    with Bag(tmp_path / 'bag') as bag:
        assert instruction_at_start(bag, Mapping({}, instruction=Instruction('/say'))) == 'first'
        assert instruction_at_start(bag, MAPPING) == 'go on'


def test_the_instruction_in_force_at_the_start_is_found(tmp_path):
    recording = Recording(tmp_path / 'bag', 1 << 20)
    recording.topic('/say', 'std_msgs/msg/String')
    for log_ns, text in ((5, ''), (6, 'first'), (7, 'second'), (8, ' '), (9, 'third')):
        recording.put('/say', log_ns, cdr(String(data=text)))
    assert recording.close(30.0)
    with Bag(tmp_path / 'bag') as bag:
        mapping = Mapping({}, instruction=Instruction('/say'))
        assert [instruction_at_start(bag, mapping, at) for at in (0, 6, 8, 20)] == ['first', 'first', 'second', 'third']


def test_pictures_dated_by_their_arrival_get_its_time_as_their_stamp(tmp_path):
    mapping = replace(MAPPING, arrival_cameras=frozenset({'front', 'wrist'}))
    with Bag(recorded(tmp_path / 'bag', 1, compressed=True)) as bag:
        streams = Streams(bag, mapping, SPEC)
        assert streams.unchanged() is None
        samples = [replace(sample, stamp_ns=7 * NS + 5) for sample in bag.samples(streams.topics)]
        found = dict(pair for sample in samples for pair in streams.messages(sample))
        assert found['camera/front/image_raw'] == cdr(image_to_msg(pixels(50), 7 * NS + 5, 'eye'))
        message = deserialize_message(found['camera/wrist/image_raw/compressed'], CompressedImage)
        assert (message.header.stamp.sec, message.header.stamp.nanosec, message.format) == (7, 5, 'png')


def test_a_pace_skips_long_gaps_and_reports_them():
    class Graph:
        def spin_until(self, done, seconds):
            time.sleep(seconds)

        def spin_some(self):
            pass

    class Log:
        said: ClassVar[list[str]] = []

        def warning(self, text):
            self.said.append(text)

    ticks = []
    pace = Pace(Graph(), 1000.0, ticks.append, Log())
    for at_ns in (0, 59 * NS, 1_700_000_000 * NS, 1_700_000_001 * NS):
        pace.wait(at_ns)
    assert Log.said == ['1699999941 s without messages are skipped']
    assert ticks[-1] == 1_700_000_001 * NS


# ros2 bag play.
# --------------------------------------------------------------------------------------------------
@pytest.fixture
def ros2(tmp_path, monkeypatch):
    """A `ros2` that writes its arguments to a file; returns that file."""
    said = tmp_path / 'said'
    program = tmp_path / 'bin/ros2'
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$4" = --help ] || printf "%s\\n" "$@" > {said}\nexit ${{ROS2_CODE:-0}}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv('PATH', f'{program.parent}{os.pathsep}{os.environ["PATH"]}')
    return said


def test_ros2_bag_play_plays_a_recording_that_needs_no_changes(tmp_path, ros2):
    with Bag(recorded(tmp_path / 'bag', 1)) as bag:
        remap = Streams(bag, MAPPING, SPEC).unchanged()
    assert bag_play.chosen('auto', remap)
    assert not bag_play.chosen('own', remap)
    bag_play.play(tmp_path / 'bag', remap, 2.0, (3 * NS, 4 * NS), lambda done, _: done())
    words = ros2.read_text().split('\n')
    assert words[:4] == ['bag', 'play', str(tmp_path / 'bag'), '--clock']
    assert words[words.index('--rate') + 1] == '2' and words[words.index('--start-offset') + 1] == '3.000000000'
    assert '/left_eye:=camera/front/image_raw' in words and '/robot/joints:=joint_states' in words


def test_a_failure_of_ros2_bag_play_is_an_error(tmp_path, ros2, monkeypatch):
    monkeypatch.setenv('ROS2_CODE', '3')
    with pytest.raises(ConfigError, match='ended with 3'):
        bag_play.play(tmp_path, {'/a': 'b'}, 1.0, (0, NS), lambda done, _: done())
    assert not bag_play.chosen('auto', {'/a': 'b'}), 'bag play is not installed'


def test_a_recording_that_needs_changes_is_played_by_the_node(tmp_path, ros2):
    with Bag(recorded(tmp_path / 'bag', 1, compressed=True)) as bag:
        assert Streams(bag, MAPPING, SPEC).unchanged()['/hand'] == 'camera/wrist/image_raw/compressed'
        shared = Mapping({'front': '/hand', 'wrist': '/hand'}, MAPPING.joints)
        assert Streams(bag, shared, SPEC).unchanged() is None
        degrees = Mapping(MAPPING.cameras, (JointStream('/robot/joints', unit='deg'),))
        assert Streams(bag, degrees, SPEC).unchanged() is None
    assert not bag_play.chosen('auto', None)
    with pytest.raises(ConfigError, match='player:=own'):
        bag_play.chosen('ros2', None)


def test_ros2_is_refused_if_it_is_not_installed(monkeypatch):
    monkeypatch.setenv('PATH', '/nowhere')
    assert not bag_play.chosen('auto', {'/a': 'b'})
    with pytest.raises(ConfigError, match='install rosbag2'):
        bag_play.chosen('ros2', {'/a': 'b'})


@pytest.mark.parametrize(
    ('given', 'reported'),
    [
        ({}, "'bag' is empty"),
        ({'bag': 'b', 'policies': ('aura', 'gru')}, "'policies' has 'gru': must be of aura, kv"),
        ({'bag': 'b', 'lockstep': True, 'player': 'ros2'}, "must be 'own' in lock-step"),
    ],
)
def test_parameters_that_exclude_each_other_are_refused(given, reported):
    with pytest.raises(ConfigError, match=reported):
        PlayerConfig(**given).check()


# On the graph.
# --------------------------------------------------------------------------------------------------
@pytest.fixture
def rig(graph, tmp_path):
    return PlayerRig(graph, tmp_path)


@pytest.mark.timeout(240)
def test_in_lockstep_each_observation_makes_its_step(rig, tmp_path):
    rig.start(sync_slop_s=0.0)
    code, said = rig.play(recorded(tmp_path / 'bag', 12), lockstep=True)
    assert code == 0, said
    stamps = [conversions.to_ns(step.header.stamp) for step in rig.steps]
    assert stamps == [BEGIN_NS + frame * PERIOD_NS for frame in range(12)]
    assert [step.seq for step in rig.steps] == list(range(12))
    # the scripted VLA adds 0.01 to the joints it sees, so a step shows which ones they were
    assert np.allclose([step.base_action[0] for step in rig.steps], [0.01 * frame + 0.01 for frame in range(12)])
    rig.graph.until(lambda: len(rig.gates) == 12, 'all gates')
    assert '12 steps, 4 writes' in said


@pytest.mark.quiet
@pytest.mark.timeout(240)
@pytest.mark.parametrize('compressed', [False, True])
def test_in_real_time_messages_keep_their_stamps_and_their_pace(rig, tmp_path, compressed):
    rig.start(sync_slop_s=0.05)
    # the recorder's clock had begun at 1 s
    bag = recorded(tmp_path / 'bag', 20, log_offset_ns=-BEGIN_NS + NS, compressed=compressed)
    code, said = rig.play(bag, player='own')
    assert code == 0, said
    stamps = [conversions.to_ns(message.header.stamp) for message in rig.joints]
    expected = [BEGIN_NS + frame * PERIOD_NS + 10_000_000 for frame in range(20)]
    # The player waits for vla_node, and not for the subscription of the test.
    assert len(stamps) > 10 and stamps == expected[-len(stamps) :]
    times = [conversions.to_ns(message.clock) for message in rig.clocks]
    assert times == sorted(times), 'time never goes back'
    assert times[-1] - times[0] >= 19 * PERIOD_NS and abs(times[-1] - stamps[-1]) < NS // 10
    assert len(times) > 100, 'the time is also published between the messages'
    assert len(rig.steps) > 5, said


@pytest.mark.timeout(240)
@pytest.mark.parametrize('lockstep', [False, True])
def test_each_episode_of_a_dataset_is_an_episode_of_the_graph(rig, tmp_path, lockstep):
    pytest.importorskip('av')
    from lerobot_sets import CAMERA, LENGTHS, STATE, version_3

    rig.mapping.write_text(f'cameras: {{front: {CAMERA}, wrist: {CAMERA}}}\njoints: {STATE}\ninstruction: task\n')
    rig.start(sync_slop_s=0.0 if lockstep else 0.05)
    code, said = rig.play(version_3(tmp_path / 'set', JOINTS), lockstep=lockstep)
    assert code == 0, said
    rig.graph.until(lambda: len(rig.gates) == len(rig.steps), 'all gates')
    # the first joint is the number of the episode and a fraction, to which the scripted VLA adds 0.01
    recorded = [int(step.base_action[0]) for step in rig.steps]
    live = list(dict.fromkeys(step.episode_id for step in rig.steps))
    assert len(live) == len(LENGTHS), said
    assert [live.index(step.episode_id) for step in rig.steps] == recorded
    first = [next(step for step in rig.steps if step.episode_id == name) for name in live]
    assert [step.seq for step in first] == [0, 0, 0]
    if lockstep:
        assert len(rig.steps) == sum(-(-length // 4) for length in LENGTHS)  # a step for four frames


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ('bag', 'more', 'reported', 'exit_code'),
    [
        ('no-bag', {}, 'no-bag does not exist', 1),
        ('bag', {'mapping': 'no-mapping.yaml'}, 'no-mapping.yaml', 2),
        ('bag', {'from_s': 100.0}, 'from_s = 100, to_s = 0: must be a span within', 2),
        ('bag', {'source': 'steps'}, 'has no VlaStep', 1),
        ('bag', {'lockstep': True, 'start_timeout_s': 1.0}, 'vla_node, a subscription to camera/front/image_raw', 1),
    ],
)
def test_an_unplayable_recording_ends_the_player_with_one_sentence(rig, tmp_path, bag, more, reported, exit_code):
    recorded(tmp_path / 'bag', 2)
    code, said = rig.play(tmp_path / bag, **more)
    assert code == exit_code and reported in said
    assert 'Traceback' not in said


@pytest.mark.timeout(240)
def test_a_memory_that_does_not_answer_is_named_after_the_time_out(rig, tmp_path):
    rig.start(sync_slop_s=0.0)
    code, said = rig.play(
        recorded(tmp_path / 'bag', 2),
        lockstep=True,
        policies='[aura, kv]',
        stall_timeout_s=2.0,
        start_timeout_s=2.0,
        backbone='fakes:ScriptedVla',
    )
    assert code == 1
    assert 'kv_baseline_node' in said
