# SPDX-License-Identifier: Apache-2.0
"""The bridge on a real graph: it receives every topic with any quality of service, and cleans up."""

import array
import itertools
import threading

import numpy as np
import pytest
from aura_ros.msg import CacheStatus, GateSample, MemoryState, PolicyStatus, VlaStep, WriteEvent
from aura_ros.srv import SelectPolicy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from fakes import CHUNK_LEN, FEATURES, JOINTS
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

from aura_ros.memory import Step
from aura_ros.ros import conversions, qos
from aura_ros.ros.sensor_messages import image_to_msg
from aura_ros.rqt import robots, translate
from aura_ros.rqt.bridge import OwnBridge, SpunBridge
from aura_ros.rqt.frames import FrameBuffer
from aura_ros.rqt.memory_log import MemoryEventKind
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.points import (
    CachePoint,
    DiagnosticPoint,
    GatePoint,
    PolicyPoint,
    StatePoint,
    StepPoint,
    Thumbnail,
    WritePoint,
)

S = 1_000_000_000
EPISODE = '00000000-0000-4000-8000-000000000001'
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=200, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def stamped(kind, ns=S, **fields):
    message = kind(**fields)
    message.header.stamp = conversions.to_stamp(ns)
    return message


def gate(seq, policy=1):
    return stamped(
        GateSample, S + seq * S // 5, episode_id=EPISODE, seq=seq, policy=policy, gate=0.25, state_bytes=4224
    )


def write(seq):
    return stamped(
        WriteEvent, S + seq * S // 5, episode_id=EPISODE, seq=seq, policy=1, gate=0.75, durability=2, state_crc32=9
    )


def vla_step(seq, stamp_ns):
    actions = np.zeros((CHUNK_LEN, len(JOINTS)), np.float32)
    step = Step(EPISODE, seq, stamp_ns, np.full(FEATURES, 0.5, np.float32), actions, 0.05, 12.5)
    return conversions.step_to_msg(step)


class Receiver:
    """A bridge and all its points."""

    def __init__(self, graph, bridge):
        self._graph, self.bridge = graph, bridge
        self.points = []

    def of(self, kind):
        self.points += self.bridge.drain()
        return [point for point in self.points if isinstance(point, kind)]

    def until(self, kind, count=1, tick=lambda: None):
        def received():
            tick()
            return len(self.of(kind)) >= count

        self._graph.until(received, f'{count} {kind.__name__} in {self.points}')
        return self.of(kind)


@pytest.fixture
def start_bridge(graph, monkeypatch):
    """Start bridges with their own thread on the domain of the graph."""
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    bridges = []

    def start(**options):
        bridges.append(OwnBridge(**options))
        return Receiver(graph, bridges[-1])

    yield start
    for bridge in bridges:
        bridge.close()


@pytest.fixture
def publish(graph):
    """Make publishers on the node of the test."""
    return lambda kind, topic, profile: graph.node.create_publisher(kind, topic, profile)


def test_every_topic_arrives_as_its_point(graph, publish, start_bridge):
    array_of = lambda count: array.array('f', [0.5] * count)  # noqa: E731
    messages = {
        'vla_step': (vla_step(3, 3 * S), qos.step()),
        'aura/gate': (gate(3), qos.GATE),
        'aura/write_event': (write(3), qos.WRITE_EVENT),
        'aura/memory_state': (
            stamped(
                MemoryState,
                episode_id=EPISODE,
                seq=3,
                fast_weights=array_of(1024),
                vector=array_of(32),
                row_age=np.arange(32, dtype=np.uint64),
                state_crc32=4,
            ),
            qos.MEMORY_STATE,
        ),
        'kv/cache_status': (stamped(CacheStatus, seq=3, entries=4, bytes=1024, window=0), qos.CACHE_STATUS),
        'policy_status': (
            stamped(
                PolicyStatus,
                policy=1,
                pending_policy=2,
                effective_seq=5,
                control_enabled=True,
                holding=True,
                reason='why',
                clipped=6,
                rejected=7,
                holds=8,
                episode_id=EPISODE,
            ),
            qos.POLICY_STATUS,
        ),
    }
    publishers = {topic: publish(type(message), topic, profile) for topic, (message, profile) in messages.items()}
    receiver = start_bridge(camera='')
    for topic, publisher in publishers.items():
        graph.matched(publisher)
        publisher.publish(messages[topic][0])
    step = receiver.until(StepPoint)[0]
    assert (step.stamp_s, step.seq, step.inference_ms, step.episode_id) == (3.0, 3, 12.5, EPISODE)
    assert np.isnan(step.delay_s)  # the stamp of a simulation yields no delay
    found = receiver.until(GatePoint)[0]
    assert (found.stamp_s, found.seq, found.gate, found.state_bytes, found.policy) == (1.6, 3, 0.25, 4224, 1)
    found = receiver.until(WritePoint)[0]
    assert (found.seq, found.gate, found.durability, found.crc) == (3, 0.75, 2, 9)
    found = receiver.until(StatePoint)[0]
    assert (found.weights.shape, found.weights.dtype, found.row_age.tolist()) == ((32, 32), np.float32, list(range(32)))
    assert receiver.until(CachePoint) == [CachePoint(1.0, 3, 4, 1024, 0)]
    assert receiver.until(PolicyPoint) == [PolicyPoint(1.0, 1, 2, 5, True, True, 'why', 6, 7, 8, EPISODE)]


def test_a_system_time_stamp_yields_the_delay(graph, publish, start_bridge):
    steps = publish(VlaStep, 'vla_step', qos.step())
    receiver = start_bridge(camera='')
    graph.matched(steps)
    steps.publish(vla_step(0, graph.node.get_clock().now().nanoseconds - S // 4))
    assert 0.25 <= receiver.until(StepPoint)[0].delay_s < 5.0


def test_a_monitor_that_joins_late_receives_the_earlier_writes(graph, publish, start_bridge):
    events = publish(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    publish(GateSample, 'aura/gate', qos.GATE)
    for seq in range(50):
        events.publish(write(seq))
    assert [point.seq for point in start_bridge(camera='').until(WritePoint, 50)] == list(range(50))


@pytest.mark.parametrize('order', [(BEST_EFFORT, LATCHED), (LATCHED, BEST_EFFORT)])
def test_it_follows_publishers_that_change_their_quality_of_service(graph, publish, start_bridge, order):
    first, second = order
    gates = publish(GateSample, 'aura/gate', first)
    receiver = start_bridge(camera='')
    graph.matched(gates)
    gates.publish(gate(0))
    receiver.until(GatePoint)
    graph.node.destroy_publisher(gates)
    gates = publish(GateSample, 'aura/gate', second)
    seqs = iter(range(1, 10_000))
    receiver.until(GatePoint, 3, tick=lambda: gates.publish(gate(next(seqs))))
    received = [point.seq for point in receiver.of(GatePoint)]
    assert received == sorted(set(received))


def test_publishers_with_different_quality_of_service_are_both_received(graph, publish, start_bridge):
    ends = [publish(GateSample, 'aura/gate', profile) for profile in (LATCHED, BEST_EFFORT)]
    receiver = start_bridge(camera='')
    seqs = iter(range(10_000))

    def tick():
        ends[0].publish(gate(next(seqs), policy=1))
        ends[1].publish(gate(next(seqs), policy=2))

    graph.until(lambda: tick() or {point.policy for point in receiver.of(GatePoint)} == {1, 2}, 'both publishers')


@pytest.mark.graph
def test_a_node_that_is_killed_and_restarted_is_received_again(graph, publish, start_bridge):
    steps = publish(VlaStep, 'vla_step', qos.step())
    receiver, model = start_bridge(camera=''), MonitorModel()
    seqs = iter(range(100_000))

    def go_on():
        seq = next(seqs)
        steps.publish(vla_step(seq, S + seq * S // 5))

    for _ in range(2):
        process = graph.start('memory_node', memory='fakes:aura', autostart=True, max_age_s=0.0)
        before = len(receiver.of(GatePoint))
        receiver.until(GatePoint, before + 3, tick=go_on)
        states = len(receiver.of(StatePoint))
        receiver.until(StatePoint, states + 1, tick=go_on)
        receiver.until(DiagnosticPoint, len(receiver.of(DiagnosticPoint)) + 1, tick=go_on)
        process.kill()
        process.wait()
    for point in receiver.points:
        model.ingest(point, 0.0)
    assert model.jumps == 0
    seqs = model.gate().seq.tolist()
    assert seqs == sorted(set(seqs))
    assert [node.name for node in model.header(0.0).nodes] == ['memory_node']
    assert [event.kind for event in model.memory_events()] == [MemoryEventKind.LOST], 'it has no state file'


# Cameras. ---------------------------------------------------------------------------------------------------------
def pixels(shade, height=240, width=320):
    return np.full((height, width, 3), (shade, 10, 200), np.uint8)


def test_a_write_yields_its_camera_image(graph, publish, start_bridge):
    images = publish(Image, 'camera/front/image_raw', qos.CAMERA_OUT)
    events = publish(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    publish(GateSample, 'aura/gate', qos.GATE)
    receiver = start_bridge()
    for publisher in (images, events):
        graph.matched(publisher)
    for seq in (0, 1):
        images.publish(image_to_msg(pixels(50 + seq), S + seq * S // 5, 'camera'))
    events.publish(write(0))
    thumbnail = receiver.until(Thumbnail)[0]
    assert (thumbnail.stamp_s, thumbnail.rgb.shape) == (1.0, (120, 160, 3))
    assert thumbnail.rgb[60, 80].tolist() == [50, 10, 200]


def test_only_the_compressed_stream_of_a_camera_is_subscribed(graph, publish, start_bridge):
    raw = publish(Image, 'camera/front/image_raw', qos.CAMERA_OUT)
    small = publish(CompressedImage, 'camera/front/image_raw/compressed', qos.CAMERA_OUT)
    publish(GateSample, 'aura/gate', qos.GATE)
    receiver = start_bridge()
    graph.matched(small)
    graph.until(lambda: subscribers(graph), 'the gate')
    graph.spin(1.2)  # two searches for publishers
    assert (small.get_subscription_count(), raw.get_subscription_count()) == (1, 0)
    assert receiver.of(Thumbnail) == []


def frame(shade, stamp_ns, kind=Image):
    message = image_to_msg(pixels(shade), stamp_ns, 'camera')
    if kind is CompressedImage:
        import cv2

        data = cv2.imencode('.png', pixels(shade)[:, :, ::-1])[1].tobytes()
        compressed = CompressedImage(format='png', data=array.array('B', data))
        compressed.header = message.header
        message = compressed
    return serialize_message(message)


@pytest.mark.parametrize('kind', [Image, CompressedImage])
def test_frames_are_found_by_their_stamps_in_any_order(kind):
    frames = FrameBuffer()
    frames.add(kind, frame(1, S, kind))
    frames.request(1.0)
    frames.request(1.2)
    assert [thumbnail.rgb[0, 0, 0] for thumbnail in frames.thumbnails()] == [1]
    assert frames.thumbnails() == []
    frames.add(kind, frame(2, S + S // 5, kind))
    assert [thumbnail.stamp_s for thumbnail in frames.thumbnails()] == [1.2]


def test_a_burst_of_writes_is_decoded_and_a_stream_twice_a_second():
    frames, made = FrameBuffer(), []
    for number in range(90):
        stamp_ns = S + number * S // 30
        frames.add(Image, frame(1, stamp_ns))
        frames.request(stamp_ns * 1e-9)
        made += [thumbnail.stamp_s for thumbnail in frames.thumbnails()]
    assert made[:4] == pytest.approx([1.0, 1.0 + 1 / 30, 1.0 + 2 / 30, 1.1])
    assert 8 <= len(made) <= 10
    assert min(b - a for a, b in itertools.pairwise(made[4:])) > 0.4, 'evenly spaced'


def test_frames_are_bounded_and_drop_late_requests():
    frames = FrameBuffer()
    for number in range(200):
        frames.add(Image, frame(1, S + number * S // 10))
    assert len(frames) == 64
    big = serialize_message(image_to_msg(np.zeros((1080, 1920, 3), np.uint8), 100 * S, 'camera'))
    for _ in range(10):
        frames.add(Image, big)
    assert len(frames) <= 24_000_000 // len(big)
    frames.request(50.0)  # older than all
    assert frames.thumbnails() == []
    frames.request(101.0)
    frames.add(Image, frame(1, 102 * S))
    assert frames.thumbnails() == []
    frames.add(Image, frame(1, 101 * S))  # the clock went back: the buffer is empty again
    assert frames.thumbnails() == []


def test_the_newest_frame_is_a_live_picture_twice_a_second():
    frames, shown = FrameBuffer(), []
    assert frames.newest(0.0) == []
    for number in range(30):
        frames.add(Image, frame(number, S + number * S // 10))
        shown += frames.newest(5.0 + number / 10)
    assert [point.stamp_s for point in shown] == pytest.approx([1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
    assert shown[0].rgb.shape == (240, 320, 3)


def test_an_image_that_cannot_be_decoded_is_counted():
    frames = FrameBuffer()
    broken = stamped(CompressedImage, format='jpeg', data=array.array('B', b'no'))
    frames.add(CompressedImage, serialize_message(broken))
    frames.request(1.0)
    assert (frames.thumbnails(), frames.failures) == ([], 1)


# Robots. ----------------------------------------------------------------------------------------------------------
def test_robots_are_the_namespaces_of_our_publishers():
    ours = ['aura_ros/msg/GateSample']
    topics = [
        ('/aura/gate', ours),
        ('/left/aura/gate', ours),
        ('/left/policy_status', ['aura_ros/msg/PolicyStatus']),
        ('/cell/right/kv/gate', ours),
        ('/other/aura/gate', ['std_msgs/msg/Float32']),
        ('/silent/aura/gate', ours),
    ]
    assert robots.find(topics, lambda topic: not topic.startswith('/silent')) == ('', '/cell/right', '/left')
    assert [robots.label(name) for name in ('', '/left')] == ['(no namespace)', 'left']


def test_one_of_several_robots_is_received_and_another_can_be_selected(graph, publish, start_bridge):
    ends = {name: publish(GateSample, f'{name}/aura/gate', qos.GATE) for name in ('/left', '/right')}
    receiver = start_bridge(camera='', namespace='/left')
    seqs = iter(range(100_000))

    def tick():
        ends['/left'].publish(gate(next(seqs), policy=1))
        ends['/right'].publish(gate(next(seqs), policy=2))

    assert {point.policy for point in receiver.until(GatePoint, 3, tick)} == {1}
    graph.until(lambda: receiver.bridge.robots() == ['/left', '/right'], 'both robots')
    receiver.bridge.select_robot('/right')
    receiver.points.clear()
    assert {point.policy for point in receiver.until(GatePoint, 3, tick)} == {2}
    assert receiver.bridge.namespace == '/right'


def test_without_a_namespace_the_first_robot_is_received(graph, publish, start_bridge):
    receiver = start_bridge(camera='')
    assert (receiver.bridge.namespace, receiver.bridge.robots()) == (None, [])
    gates = publish(GateSample, '/b/aura/gate', qos.GATE)
    seqs = iter(range(100_000))
    receiver.until(GatePoint, tick=lambda: gates.publish(gate(next(seqs))))
    assert receiver.bridge.namespace == '/b'


def statuses(*parts):
    more = {'level': b'\1', 'message': 'text', 'values': [KeyValue(key='k', value='v')]}
    return DiagnosticArray(status=[DiagnosticStatus(name=name, hardware_id=part, **more) for name, part in parts])


def test_diagnostics_of_other_nodes_and_robots_are_ignored():
    message = statuses(
        ('memory_node: state', 'memory_node'),
        ('left/memory_node: state', 'memory_node'),
        ('left/renamed: state', 'memory_node'),
        ('gripper: heat', 'gripper'),
        ('memory_node', ''),
    )
    assert list(translate.diagnostics(message, '')) == [DiagnosticPoint('memory_node: state', 1, 'text', {'k': 'v'})]
    assert [point.name for point in translate.diagnostics(message, '/left')] == ['memory_node: state'] * 2


# Requests. --------------------------------------------------------------------------------------------------------
def requested(graph, receiver, policy):
    answers = []
    receiver.bridge.select_policy(policy, lambda *answer: answers.append(answer))
    graph.until(lambda: receiver.of(object) is not None and answers, 'an answer')
    assert len(answers) == 1
    return answers[0]


def test_it_is_read_only_without_allow_control(graph, start_bridge):
    success, text = requested(graph, start_bridge(namespace='', camera=''), 2)
    assert not success
    assert '--allow-control' in text


def test_a_policy_can_be_requested_while_points_still_arrive(graph, publish, start_bridge):
    def select(request, response):
        response.success, response.new_policy, response.effective_seq = request.policy == 2, request.policy, 17
        response.reason = '' if response.success else 'policy 0 is lost'
        return response

    gates = publish(GateSample, 'aura/gate', qos.GATE)
    graph.node.create_service(SelectPolicy, 'select_policy', select)
    receiver = start_bridge(camera='', allow_control=True)
    graph.until(lambda: receiver.bridge.namespace is not None, 'the robot')
    assert requested(graph, receiver, 2) == (True, 'kv drives from step 17')
    assert requested(graph, receiver, 0) == (False, 'policy 0 is lost')
    seqs = iter(range(100_000))
    receiver.until(GatePoint, 3, tick=lambda: gates.publish(gate(next(seqs))))


def test_a_missing_policy_switch_is_reported(graph, start_bridge):
    success, text = requested(graph, start_bridge(namespace='', camera='', allow_control=True), 1)
    assert (success, text) == (False, 'service /select_policy is not available: is policy_switch_node active?')


# Bounds and closing. ---------------------------------------------------------------------------------------------
def test_points_that_are_not_fetched_are_bounded_and_counted(graph, publish, start_bridge, monkeypatch):
    monkeypatch.setattr('aura_ros.rqt.bridge._MAX_POINTS', 20)
    gates = publish(GateSample, 'aura/gate', qos.GATE)
    receiver = start_bridge(camera='')
    graph.matched(gates)
    seqs = iter(range(100_000))
    graph.until(lambda: gates.publish(gate(next(seqs))) or receiver.bridge.dropped >= 10, 'dropped points')
    points = receiver.bridge.drain()
    assert len(points) == 20
    assert points[-1].seq - points[0].seq == 19


def subscribers(graph, topic='aura/gate'):
    infos = graph.node.get_subscriptions_info_by_topic(graph.node.resolve_topic_name(topic))
    return [info for info in infos if info.node_name in ('monitor', graph.node.get_name())]


def test_closing_removes_thread_subscription_and_node(graph, publish, start_bridge):
    gates = publish(GateSample, 'aura/gate', qos.GATE)
    threads = set(threading.enumerate())
    receiver = start_bridge(camera='')
    graph.matched(gates)
    assert {thread.name for thread in set(threading.enumerate()) - threads} == {'monitor bridge'}
    receiver.bridge.close()
    receiver.bridge.close()
    assert set(threading.enumerate()) == threads
    graph.until(lambda: not subscribers(graph) and 'monitor' not in graph.node.get_node_names(), 'the monitor to leave')


def test_repeated_opening_and_closing_cleans_up(graph, publish, start_bridge):
    gates = publish(GateSample, 'aura/gate', qos.GATE)
    threads = threading.active_count()
    for _ in range(5):
        receiver = start_bridge(camera='')
        graph.matched(gates)
        receiver.bridge.close()
        graph.until(lambda: not subscribers(graph), 'the subscription to go')
    assert threading.active_count() == threads


def test_a_bridge_on_a_spun_node_receives_and_cleans_up(graph, publish):
    node = graph.node
    gates = publish(GateSample, 'aura/gate', qos.GATE)
    before = len(list(node.subscriptions)), len(list(node.timers)), len(list(node.clients))
    bridge = SpunBridge(node, camera='')
    receiver = Receiver(graph, bridge)
    seqs = iter(range(100_000))
    receiver.until(GatePoint, 5, tick=lambda: gates.publish(gate(next(seqs))))
    received = [point.seq for point in receiver.of(GatePoint)]
    assert received == list(range(received[0], received[-1] + 1))
    closing = threading.Thread(target=bridge.close)
    closing.start()
    graph.until(lambda: not closing.is_alive(), 'the end of close')
    assert (len(list(node.subscriptions)), len(list(node.timers)), len(list(node.clients))) == before
    bridge.close()


def test_closing_does_not_hang_on_a_node_that_is_no_longer_spun(graph):
    before = len(list(graph.node.timers))
    bridge = SpunBridge(graph.node, camera='')
    graph.executor.remove_node(graph.node)
    bridge.close()
    assert len(list(graph.node.timers)) == before
    graph.executor.add_node(graph.node)
