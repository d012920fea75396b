# SPDX-License-Identifier: Apache-2.0
"""recorder on the graph: topics, order, clock and notes; losses after a failure or a kill."""

import signal
from pathlib import Path

import pytest
import rclpy
import yaml

pytest.importorskip('rosbags')

from aura_ros.msg import PolicyStatus, VlaStep, WriteEvent
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from memory_policy import step
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos import qos_profile_sensor_data as SENSOR
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray, Header, String
from switch_rig import NAMES, ROBOT

from aura_ros.common.errors import BagError, ConfigError
from aura_ros.nodes.memory.node import MemoryNode
from aura_ros.nodes.policy_switch.node import PolicySwitchNode
from aura_ros.nodes.recorder import coverage
from aura_ros.nodes.recorder.node import Recorder
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.writer import NOTES
from aura_ros.ros import conversions, qos

LEVELS = {'OK': DiagnosticStatus.OK, 'WARN': DiagnosticStatus.WARN, 'ERROR': DiagnosticStatus.ERROR}


class Rig:
    """A recorder in this process, with publishers for it."""

    def __init__(self, graph, path, **parameters):
        self.graph, self.path = graph, path
        self.diagnostics = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self.node = graph.inside(Recorder, path=str(path), **parameters)

    def publisher(self, kind, topic, profile):
        """A publisher that the recorder listens to."""
        publisher = self.graph.node.create_publisher(kind, topic, profile)
        self.graph.matched(publisher)
        return publisher

    def taken(self, topic, count):
        """Wait until so many messages of a topic are in the file."""
        self.graph.until(lambda: self.node.recording.written[topic] >= count, f'{count} messages of {topic}')

    def offers(self):
        """End the recorder; returns the profiles of each topic in metadata.yaml and those in the MCAP channels."""
        self.end()
        whole = yaml.safe_load((self.path / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
        topics = [each['topic_metadata'] for each in whole['topics_with_message_count']]
        with Reader(self.path) as reader:
            inside = {each.topic: each.ext.offered_qos_profiles for each in reader.connections}
        return {each['name']: each['offered_qos_profiles'] for each in topics}, inside

    def status(self, text, level, value=''):
        """Wait until /diagnostics contains `text`, and a value with this key if one is given."""

        def found():
            return next(
                (
                    status
                    for message in self.diagnostics
                    for status in message.status
                    if status.name == 'recorder: recording' and text in status.message and status.level == LEVELS[level]
                    if not value or value in {entry.key for entry in status.values}
                ),
                None,
            )

        return self.graph.until(found, text)

    def end(self):
        """End the recorder, and wait for the file; on a busy machine it takes longer than the recorder waits."""
        self.node.teardown()
        self.node.recording._thread.join(30.0)

    def read(self, *topics):
        """End the recorder; returns (topic, log_ns, message) of topics."""
        self.end()
        with Bag(self.path) as bag:
            assert not bag.partial
            return [(sample.topic, sample.log_ns, sample.message) for sample in bag.samples(topics)]


def test_everything_published_is_recorded_including_latched_messages(graph, tmp_path):
    early = graph.node.create_publisher(String, 'instruction', qos.INSTRUCTION)
    early.publish(String(data='latched before the recorder came up'))
    rig = Rig(graph, tmp_path / 'bag')
    graph.matched(early)
    unreliable = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    loose = rig.publisher(String, 'joint_command', unreliable)  # any type, any quality of service
    steps = rig.publisher(VlaStep, 'vla_step', qos.step(0.5))
    for seq in range(3):
        steps.publish(step(seq, features=0.1 * seq))
    loose.publish(String(data='move'))
    for topic, count in {'/instruction': 1, '/vla_step': 3, '/joint_command': 1}.items():
        rig.taken(topic, count)
    found = rig.read('/instruction', '/vla_step', '/joint_command')
    assert [message.data for topic, _, message in found if topic == '/instruction'] == [
        'latched before the recorder came up'
    ]
    recorded = [message for topic, _, message in found if topic == '/vla_step']
    assert [message.seq for message in recorded] == [0, 1, 2]
    sent = [list(step(seq, features=0.1 * seq).features) for seq in range(3)]
    assert [message.features.tolist() for message in recorded] == sent
    log = [log_ns for _, log_ns, _ in found]
    assert log == sorted(set(log)), 'no two messages may have the same time, or their order is lost'


class Driver:
    """A robot's driver and the nodes of its graph, with topics of any name and in any namespace."""

    def __init__(self, graph, namespace='', prefix=''):
        self.graph = graph
        self.node = self._node(graph, 'driver', namespace)
        make = self.node.create_publisher
        self.publishers = [
            make(Image, f'{prefix}/cam7/image_raw', SENSOR),
            make(JointState, f'{prefix}/arm/states', SENSOR),
            make(JointState, f'{prefix}/gripper/states', 10),
        ]
        make(Image, f'{prefix}/cam8/image_raw', SENSOR)  # no node of the graph uses it
        switch = self._node(graph, 'switch', namespace)
        for publisher in self.publishers:
            switch.create_subscription(publisher.msg_type, publisher.topic_name, lambda _: None, SENSOR)
        self.publishers.append(switch.create_publisher(Float64MultiArray, f'{prefix}/arm/commands', qos.COMMAND))
        switch.create_publisher(PolicyStatus, 'policy_status', qos.POLICY_STATUS)

    @staticmethod
    def _node(graph, name, namespace):
        node = rclpy.create_node(name, namespace=namespace, context=graph.context, start_parameter_services=False)
        graph.executor.add_node(node)
        node.teardown = lambda: None
        graph._inside.append(node)
        return node

    def matched(self):
        """Wait until the recorder has subscribed to each topic; the graph's own node is the other subscriber."""
        for publisher in self.publishers:
            self.graph.matched(publisher, 1 if publisher.topic_name.endswith('commands') else 2)

    def publish(self):
        for publisher in self.publishers:
            publisher.publish(publisher.msg_type())


def test_whatever_the_graph_uses_is_recorded_and_no_other_robot(graph, tmp_path):
    rig = Rig(graph, tmp_path / 'bag')
    driver, other = Driver(graph), Driver(graph, 'left', '/left')
    driver.matched()
    driver.publish()
    other.publish()
    topics = ['/cam7/image_raw', '/arm/states', '/gripper/states', '/arm/commands']
    for topic in topics:
        rig.taken(topic, 1)
    assert not {topic for topic in rig.node._topics if topic.startswith(('/left', '/cam8'))}
    assert {topic for topic, _, _ in rig.read(*topics)} == set(topics)
    with Bag(rig.path) as bag:
        assert yaml.safe_load(bag.metadata['aura_ros/warnings']) == []


def test_images_can_be_left_out(graph, tmp_path):
    rig = Rig(graph, tmp_path / 'bag', images=False)
    driver = Driver(graph)
    graph.matched(driver.publishers[1], 2)
    driver.publish()
    rig.taken('/arm/states', 1)
    assert '/cam7/image_raw' not in rig.node._topics


def test_commands_are_recorded_when_the_robot_file_has_no_units(graph, tmp_path):
    rig = Rig(graph, tmp_path / 'bag')
    topic = '/my_arm/joint_trajectory'
    switch = graph.inside(PolicySwitchNode, command_topic=topic, autostart=True, enable_control=True, **ROBOT)
    assert switch.autostart()
    joints = rig.publisher(JointState, 'joint_states', qos.JOINT_STATES_OUT)

    def commanded():
        now = graph.node.get_clock().now().to_msg()
        joints.publish(JointState(header=Header(stamp=now), name=NAMES, position=[0.0, 0.0]))
        return rig.node.recording.written[topic]

    graph.until(commanded, 'a command that holds the robot')
    graph.until(lambda: '/policy_switch_node' in rig.node._survey.found, 'the parameters of the switch')
    found = rig.node._survey.found['/policy_switch_node']
    assert found['robot.joint_names'] == ['a', 'b'] and found['command_topic'] == topic
    assert 'robot.units' not in found


def test_the_quality_of_service_of_each_publisher_is_recorded(graph, tmp_path):
    rig = Rig(graph, tmp_path / 'bag')
    latched = rig.publisher(String, 'instruction', qos.INSTRUCTION)
    steps = rig.publisher(VlaStep, 'vla_step', qos.step(0.5))
    states = rig.publisher(JointState, 'joint_states', SENSOR)
    for publisher in (latched, steps, states):
        publisher.publish(publisher.msg_type())
    for topic in ('/instruction', '/vla_step', '/joint_states'):
        rig.taken(topic, 1)
    volatile = rig.publisher(String, 'instruction', QoSProfile(depth=10))
    volatile.publish(String(data='of a volatile publisher'))
    graph.until(lambda: len(rig.node._topics['/instruction'].offers) == 2, 'the second publisher')
    metadata, inside = rig.offers()
    assert [each['durability'] for each in metadata['/instruction']] == ['transient_local', 'volatile']
    assert {each['reliability'] for each in metadata['/instruction']} == {'reliable'}
    assert metadata['/vla_step'][0]['liveliness_lease_duration'] == {'sec': 0, 'nsec': 500_000_000}
    assert metadata['/vla_step'][0]['deadline'] == {'sec': 9223372036, 'nsec': 854775807}  # infinite, as in rosbag2
    assert [each['reliability'] for each in metadata['/joint_states']] == ['best_effort']
    assert inside['/instruction'][0].durability == QosDurability.TRANSIENT_LOCAL
    assert inside['/joint_states'][0].reliability == QosReliability.BEST_EFFORT


def test_what_is_missing_and_what_vanishes_is_reported_and_noted(graph, tmp_path, monkeypatch):
    monkeypatch.setattr(coverage, '_START_S', 0.5)
    monkeypatch.setattr(coverage, '_GONE_S', 0.2)
    rig = Rig(graph, tmp_path / 'bag')
    driver = Driver(graph)
    camera, states, gripper, _ = driver.publishers
    driver.matched()
    for publisher in (camera, states, gripper):
        publisher.publish(publisher.msg_type())
    rig.status('no command is recorded', 'WARN')
    rig.taken('/cam7/image_raw', 1)
    driver.node.destroy_publisher(camera)
    rig.status('/cam7/image_raw vanished', 'WARN')
    rig.end()
    with Bag(rig.path) as bag:
        noted = '\n'.join(yaml.safe_load(bag.metadata['aura_ros/warnings']))
    assert 'no command is recorded' in noted and '/cam7/image_raw vanished' in noted


def test_a_type_of_any_installed_package_is_recorded(graph, tmp_path):
    strings = pytest.importorskip('test_msgs.msg', reason='ros-test-msgs is not installed').Strings
    rig = Rig(graph, tmp_path / 'bag', more_topics=['/more'])
    publisher = rig.publisher(strings, '/more', 10)
    publisher.publish(strings(string_value='of a package of its own'))
    rig.taken('/more', 1)
    assert [message.string_value for _, _, message in rig.read('/more')] == ['of a package of its own']


def test_simulated_time_is_the_time_of_the_bag(graph, tmp_path):
    rig = Rig(graph, tmp_path / 'bag', use_sim_time=True)
    instruction = rig.publisher(String, 'instruction', qos.INSTRUCTION)
    instruction.publish(String(data='before time began'))
    graph.until(lambda: rig.node._early, 'the instruction')
    clock = rig.publisher(Clock, '/clock', qos.CLOCK)
    for second in (7, 8):
        clock.publish(Clock(clock=conversions.to_stamp(second * 10**9)))
        graph.until(lambda sec=second: rig.node.get_clock().now().nanoseconds == sec * 10**9, f'{second} s')
        instruction.publish(String(data=f'at {second}'))
        rig.taken('/instruction', second - 5)
    found = rig.read('/instruction')
    assert [message.data for _, _, message in found] == ['before time began', 'at 7', 'at 8']
    assert [log_ns // 10**9 for _, log_ns, _ in found] == [7, 7, 8]


def test_the_notes_have_parameters_versions_and_hashes(graph, tmp_path):
    node = graph.inside(MemoryNode, memory='fakes:aura', autostart=True, on_new_episode='keep')
    rig = Rig(graph, tmp_path / 'bag')
    assert node.autostart()
    steps = rig.publisher(VlaStep, 'vla_step', qos.step())
    graph.matched(steps, 2)
    message = step(0)
    message.backbone_hash = 'ab' * 32
    steps.publish(message)
    rig.taken('/vla_step', 1)
    graph.until(lambda: '/memory_node' in rig.node._survey.found, 'the parameters of memory_node')
    rig.end()
    with Bag(rig.path) as bag:
        notes = {key: yaml.safe_load(text) for key, text in bag.metadata.items()}
    assert notes['aura_ros/parameters']['/memory_node']['on_new_episode'] == 'keep'
    assert notes['aura_ros/parameters']['/recorder']['path'] == str(rig.path)
    assert notes['aura_ros/backbone_hashes'] == ['ab' * 32]
    assert 'aura.safetensors' in notes['aura_ros/weights'] and 'rosbags' in notes['aura_ros/versions']
    assert notes['aura_ros/dropped'] == {}


def test_a_name_that_is_not_a_topic_is_refused_before_a_bag_is_made(graph, tmp_path):
    with pytest.raises(ConfigError, match="'more_topics': 'my topic' is not a topic"):
        graph.inside(Recorder, path=str(tmp_path / 'bag'), more_topics=['my topic'])
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(graph, tmp_path):
    (tmp_path / 'bag').mkdir()
    rig = Rig(graph, tmp_path / 'bag')
    assert rig.node.recording.path == tmp_path / 'bag-2'
    assert not list((tmp_path / 'bag').iterdir())


def test_dropped_messages_are_counted_and_reported(graph, tmp_path, monkeypatch):
    rig = Rig(graph, tmp_path / 'bag')
    recording = rig.node.recording
    instruction = rig.publisher(String, 'instruction', qos.INSTRUCTION)
    monkeypatch.setattr(recording, '_queue_bytes', 0)
    instruction.publish(String(data='there is no room'))
    rig.status('dropped: ', 'WARN', value='dropped of /instruction')
    monkeypatch.undo()
    instruction.publish(String(data='there is room again'))
    rig.taken('/instruction', 1)
    assert [message.data for _, _, message in rig.read('/instruction')] == ['there is room again']


def test_a_full_disk_ends_the_recording_and_not_the_graph(graph, tmp_path, monkeypatch):
    rig = Rig(graph, tmp_path / 'bag')
    instruction = rig.publisher(String, 'instruction', qos.INSTRUCTION)

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(rig.node.recording._writer, 'write', full)
    instruction.publish(String(data='lost'))
    rig.status('No space left on device', 'ERROR')
    instruction.publish(String(data='lost, too'))
    rig.status('the messages before that can be read', 'ERROR')
    rig.node.teardown()


@pytest.mark.timeout(240)
def test_a_killed_recorder_loses_at_most_the_last_second(graph, tmp_path):
    path = Path(tmp_path / 'bag')
    process = graph.start('recorder', path=path)
    events = graph.node.create_publisher(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    graph.matched(events)
    for seq in range(50):
        events.publish(WriteEvent(seq=seq, episode_id='e'))
    file = path / 'bag.mcap'

    def recorded():
        if not file.exists():
            return []
        try:
            with Bag(path) as bag:
                return [sample.message.seq for sample in bag.samples(['/aura/write_event'])]
        except BagError:  # not even its first second is written
            return []

    # read while it is written, which is what a kill leaves
    graph.until(lambda: recorded() == list(range(50)) and (path / NOTES).exists(), 'the events, in the file')
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Bag(path) as bag:
        assert 'metadata.yaml is missing' in bag.partial
        assert [sample.message.seq for sample in bag.samples(['/aura/write_event'])] == list(range(50))
    assert 'aura_ros/versions' in yaml.safe_load((path / NOTES).read_text())
