# SPDX-License-Identifier: Apache-2.0
"""What a recording misses: missing streams, late and vanished ones. Times are given, not waited for."""

from collections import Counter

import pytest

pytest.importorskip('rosbags')

from aura_ros.nodes.recorder.coverage import _MOST_WARNINGS, CAMERA, COMMAND, JOINTS, Coverage, role
from aura_ros.nodes.recorder.graph_topics import GraphTopics

STATE, IMAGE, TRAJECTORY = 'sensor_msgs/msg/JointState', 'sensor_msgs/msg/Image', 'trajectory_msgs/msg/JointTrajectory'
GRAPH = GraphTopics(
    frozenset({'vla_node', 'policy_switch_node'}),
    {'/policy_status': 'aura_ros/msg/PolicyStatus', '/arm/command': TRAJECTORY},
    {'/cam0': IMAGE, '/arm/states': STATE, '/gripper/states': STATE, '/instruction': 'std_msgs/msg/String'},
)
ALL = {'/cam0': (IMAGE, 1), '/arm/states': (STATE, 1), '/gripper/states': (STATE, 1), '/arm/command': (TRAJECTORY, 1)}
WRITTEN = Counter(dict.fromkeys(ALL, 5))


@pytest.mark.parametrize(
    ('topic', 'kind', 'found'),
    [
        ('/cam2/image_raw', IMAGE, CAMERA),
        ('/cam2/image_raw/compressed', 'sensor_msgs/msg/CompressedImage', CAMERA),
        ('/gripper/joint_states', STATE, JOINTS),
        ('/leader/joint_states', STATE, COMMAND),
        ('/arm_controller/joint_trajectory', TRAJECTORY, COMMAND),
        ('/forward_position_controller/commands', 'std_msgs/msg/Float64MultiArray', COMMAND),
        ('/servo_node/delta_twist_cmds', 'geometry_msgs/msg/TwistStamped', COMMAND),
        ('/gripper/command', 'control_msgs/msg/GripperCommand', COMMAND),
        ('/target', 'geometry_msgs/msg/PoseStamped', COMMAND),
        ('/imu', 'sensor_msgs/msg/Imu', ''),
        ('/instruction', 'std_msgs/msg/String', ''),
    ],
)
def test_a_topic_is_classified_by_type_and_name(topic, kind, found):
    assert role(topic, kind) == found


def test_a_complete_recording_has_no_warning():
    coverage = Coverage(True, 0.0)
    for now in (0.0, 1.0, 60.0):
        assert coverage.look(ALL, now) == [] and coverage.check(GRAPH, WRITTEN, now) == []
    assert coverage.check(GRAPH, WRITTEN, 61.0, ended=True) == [] and coverage.warnings == []


@pytest.mark.parametrize(
    ('silent', 'text'),
    [
        (['/arm/command'], 'no command is recorded: no message on a command topic; a dry run'),
        (['/arm/states', '/gripper/states'], 'no joint state is recorded: no message on /arm/states, /gripper/states'),
        (['/gripper/states'], '/gripper/states has no message, but the graph subscribes to it'),
        (['/cam0'], 'no camera is recorded: no message on /cam0'),
    ],
)
def test_what_is_missing_is_reported_once_and_ends(silent, text):
    coverage = Coverage(True, 0.0)
    coverage.look(ALL, 0.0)
    written = Counter({topic: count for topic, count in WRITTEN.items() if topic not in silent})
    assert coverage.check(GRAPH, written, 9.0) == []  # the graph may still be starting
    (found,) = coverage.check(GRAPH, written, 11.0)
    assert found.startswith(text)
    assert coverage.check(GRAPH, written, 12.0) == [] and coverage.missing == [found]
    assert coverage.check(GRAPH, WRITTEN, 13.0) == [] and coverage.missing == []
    assert coverage.warnings == [found]


def test_a_short_recording_is_checked_at_its_end():
    coverage = Coverage(True, 0.0)
    coverage.look(ALL, 0.0)
    assert len(coverage.check(GRAPH, Counter(), 2.0, ended=True)) == 3


def test_without_a_graph_everything_is_expected_and_the_namespace_is_named():
    found = Coverage(True, 0.0).check(GraphTopics(), Counter(), 11.0)
    assert [text.split(' is recorded')[0] for text in found] == ['no joint state', 'no command', 'no camera']
    assert all('__ns:=NAMESPACE' in text for text in found)


def test_a_graph_without_a_switch_needs_no_commands_and_images_can_be_off():
    memory = GraphTopics(frozenset({'memory_node'}), {'/aura/gate': 'aura_ros/msg/GateSample'}, {})
    assert Coverage(True, 0.0).check(memory, Counter(), 11.0) == []
    vla = GraphTopics(frozenset({'vla_node'}), {'/vla_step': 'aura_ros/msg/VlaStep'}, GRAPH.subscribed)
    coverage = Coverage(False, 0.0)
    coverage.look(ALL, 0.0)
    assert coverage.check(vla, Counter({'/arm/states': 1, '/gripper/states': 1}), 11.0) == []


def test_a_stream_that_appears_late_is_reported():
    coverage = Coverage(True, 0.0)
    coverage.look({topic: ALL[topic] for topic in ('/arm/states', '/arm/command')}, 3.0)
    assert coverage.look(ALL, 9.0) == []
    late = {'/cam9': (IMAGE, 1), '/say': ('std_msgs/msg/String', 1), '/log': ('rcl_interfaces/msg/Log', 1)}
    assert coverage.look(ALL | late, 42.0) == ['/cam9 appeared 42 s after the start of the recording']


def test_a_stream_that_vanishes_is_reported_and_so_is_its_return():
    coverage = Coverage(True, 0.0)
    gone = ALL | {'/cam0': (IMAGE, 0), '/say': ('std_msgs/msg/String', 0)}
    coverage.look(ALL, 20.0)
    assert coverage.look(gone, 21.5) == []  # a node that is started again is back by then
    assert coverage.look(gone, 22.5) == ['/cam0 vanished: its publishers are gone']
    assert coverage.look(gone, 30.0) == [] and coverage.gone == ['/cam0']
    assert coverage.look(ALL, 31.0) == ['/cam0 has a publisher again'] and coverage.gone == []


def test_the_number_of_noted_warnings_is_bounded():
    coverage = Coverage(True, 0.0)
    for number in range(10 * _MOST_WARNINGS):
        coverage.refuse(f'/topic{number} is not recorded')
    assert len(coverage.warnings) == _MOST_WARNINGS
