# SPDX-License-Identifier: Apache-2.0
"""recorder on the graph: topics, order, clock and notes; losses after a failure or a kill."""

import signal
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rosbags')

from aura_ros.msg import VlaStep, WriteEvent
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from memory_policy import step
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from aura_ros.common.errors import BagError
from aura_ros.nodes.memory.node import MemoryNode
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

    def status(self, text, level):
        """Wait until /diagnostics contains `text`; return the status."""

        def found():
            return next(
                (
                    status
                    for message in self.diagnostics
                    for status in message.status
                    if status.name == 'recorder: recording' and text in status.message and status.level == LEVELS[level]
                ),
                None,
            )

        return self.graph.until(found, text)

    def read(self, *topics):
        """End the recorder; returns (topic, log_ns, message) of topics."""
        self.node.teardown()
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
    rig.node.teardown()
    with Bag(rig.path) as bag:
        notes = {key: yaml.safe_load(text) for key, text in bag.metadata.items()}
    assert notes['aura_ros/parameters']['/memory_node']['on_new_episode'] == 'keep'
    assert notes['aura_ros/parameters']['/recorder']['path'] == str(rig.path)
    assert notes['aura_ros/backbone_hashes'] == ['ab' * 32]
    assert 'aura.safetensors' in notes['aura_ros/weights'] and 'rosbags' in notes['aura_ros/versions']
    assert notes['aura_ros/dropped'] == {}


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
    assert 'dropped of /instruction' in {entry.key for entry in rig.status('dropped: ', 'WARN').values}
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
