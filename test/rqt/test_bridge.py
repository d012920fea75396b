# SPDX-License-Identifier: Apache-2.0
"""The monitor's bridge on a real graph: it hears what is said, however it is said, and leaves nothing behind."""

import array
import itertools
import threading

import numpy as np
import pytest
from aura_ros.msg import ArmStatus, CacheStatus, GateSample, MemoryState, VlaStep, WriteEvent
from aura_ros.srv import SelectArm
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from fakes import CHUNK_LEN, FEATURES, JOINTS
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

from aura_ros.nodes import conversions, qos
from aura_ros.nodes.conversions import Step
from aura_ros.nodes.sim_messages import image_to_msg
from aura_ros.rqt import robots, translate
from aura_ros.rqt.bridge import OwnBridge, SpunBridge
from aura_ros.rqt.frames import Frames
from aura_ros.rqt.model import (
    ArmPoint,
    CachePoint,
    DiagnosticPoint,
    GatePoint,
    MonitorModel,
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


def gate(seq, arm=1):
    return stamped(GateSample, S + seq * S // 5, episode_id=EPISODE, seq=seq, arm=arm, gate=0.25, state_bytes=4224)


def write(seq):
    return stamped(
        WriteEvent, S + seq * S // 5, episode_id=EPISODE, seq=seq, arm=1, gate=0.75, durability=2, state_crc32=9
    )


def vla_step(seq, stamp_ns):
    actions = np.zeros((CHUNK_LEN, len(JOINTS)), np.float32)
    step = Step(EPISODE, seq, stamp_ns, np.full(FEATURES, 0.5, np.float32), actions, 0.05, 12.5)
    return conversions.step_to_msg(step, 'base_link')


class Listener:
    """A bridge, and all that it has told."""

    def __init__(self, graph, bridge):
        self._graph, self.bridge = graph, bridge
        self.points = []

    def of(self, kind):
        self.points += self.bridge.drain()
        return [point for point in self.points if isinstance(point, kind)]

    def until(self, kind, count=1, tick=lambda: None):
        def heard():
            tick()
            return len(self.of(kind)) >= count

        self._graph.until(heard, f'{count} {kind.__name__} in {self.points}')
        return self.of(kind)


@pytest.fixture
def listen(graph, monkeypatch):
    """Start bridges with a thread of their own on the graph's domain."""
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    bridges = []

    def start(**options):
        bridges.append(OwnBridge(**options))
        return Listener(graph, bridges[-1])

    yield start
    for bridge in bridges:
        bridge.close()


@pytest.fixture
def publish(graph):
    """Make publishers on the tester's node."""
    return lambda kind, topic, profile: graph.node.create_publisher(kind, topic, profile)


def test_every_topic_arrives_as_its_point(graph, publish, listen):
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
        'arm_status': (
            stamped(
                ArmStatus,
                arm=1,
                pending_arm=2,
                effective_seq=5,
                control_enabled=True,
                holding=True,
                reason='why',
                clipped=6,
                rejected=7,
                holds=8,
                episode_id=EPISODE,
            ),
            qos.ARM_STATUS,
        ),
    }
    publishers = {topic: publish(type(message), topic, profile) for topic, (message, profile) in messages.items()}
    listener = listen(camera='')
    for topic, publisher in publishers.items():
        graph.matched(publisher)
        publisher.publish(messages[topic][0])
    step = listener.until(StepPoint)[0]
    assert (step.stamp_s, step.seq, step.inference_ms, step.episode_id) == (3.0, 3, 12.5, EPISODE)
    assert np.isnan(step.delay_s)  # a stamp of a simulation tells nothing of it
    found = listener.until(GatePoint)[0]
    assert (found.stamp_s, found.seq, found.gate, found.state_bytes, found.arm) == (1.6, 3, 0.25, 4224, 1)
    found = listener.until(WritePoint)[0]
    assert (found.seq, found.gate, found.durability, found.crc) == (3, 0.75, 2, 9)
    found = listener.until(StatePoint)[0]
    assert (found.weights.shape, found.weights.dtype, found.row_age.tolist()) == ((32, 32), np.float32, list(range(32)))
    assert listener.until(CachePoint) == [CachePoint(1.0, 3, 4, 1024, 0)]
    assert listener.until(ArmPoint) == [ArmPoint(1.0, 1, 2, 5, True, True, 'why', 6, 7, 8, EPISODE)]


def test_a_real_stamp_tells_how_long_the_way_was(graph, publish, listen):
    steps = publish(VlaStep, 'vla_step', qos.step())
    listener = listen(camera='')
    graph.matched(steps)
    steps.publish(vla_step(0, graph.node.get_clock().now().nanoseconds - S // 4))
    assert 0.25 <= listener.until(StepPoint)[0].delay_s < 5.0


def test_a_monitor_that_joins_late_hears_the_writes_before(graph, publish, listen):
    events = publish(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    publish(GateSample, 'aura/gate', qos.GATE)
    for seq in range(50):
        events.publish(write(seq))
    assert [point.seq for point in listen(camera='').until(WritePoint, 50)] == list(range(50))


@pytest.mark.parametrize('order', [(BEST_EFFORT, LATCHED), (LATCHED, BEST_EFFORT)])
def test_it_follows_publishers_whose_quality_of_service_changes(graph, publish, listen, order):
    first, second = order
    gates = publish(GateSample, 'aura/gate', first)
    listener = listen(camera='')
    graph.matched(gates)
    gates.publish(gate(0))
    listener.until(GatePoint)
    graph.node.destroy_publisher(gates)
    gates = publish(GateSample, 'aura/gate', second)
    seqs = iter(range(1, 10_000))
    listener.until(GatePoint, 3, tick=lambda: gates.publish(gate(next(seqs))))
    heard = [point.seq for point in listener.of(GatePoint)]
    assert heard == sorted(set(heard))


def test_two_publishers_of_different_kinds_are_both_heard(graph, publish, listen):
    ends = [publish(GateSample, 'aura/gate', profile) for profile in (LATCHED, BEST_EFFORT)]
    listener = listen(camera='')
    seqs = iter(range(10_000))

    def tick():
        ends[0].publish(gate(next(seqs), arm=1))
        ends[1].publish(gate(next(seqs), arm=2))

    graph.until(lambda: tick() or {point.arm for point in listener.of(GatePoint)} == {1, 2}, 'both publishers')


@pytest.mark.graph
def test_a_node_that_is_killed_and_started_again_is_heard_without_anybody_doing_anything(graph, publish, listen):
    steps = publish(VlaStep, 'vla_step', qos.step())
    listener, model = listen(camera=''), MonitorModel()
    told = iter(range(100_000))

    def go_on():
        seq = next(told)
        steps.publish(vla_step(seq, S + seq * S // 5))

    for _ in range(2):
        process = graph.start('memory_node', memory='fakes:aura', autostart=True)
        before = len(listener.of(GatePoint))
        listener.until(GatePoint, before + 3, tick=go_on)
        states = len(listener.of(StatePoint))
        listener.until(StatePoint, states + 1, tick=go_on)
        process.kill()
        process.wait()
    for point in listener.points:
        model.ingest(point, 0.0)
    assert model.jumps == 0
    seqs = model.gate().seq.tolist()
    assert seqs == sorted(set(seqs))
    assert [node.name for node in model.header(0.0).nodes] == ['memory_node']


# Cameras. ---------------------------------------------------------------------------------------------------------
def pixels(shade, height=240, width=320):
    return np.full((height, width, 3), (shade, 10, 200), np.uint8)


def test_a_write_brings_what_the_camera_saw(graph, publish, listen):
    images = publish(Image, 'camera/front/image_raw', qos.CAMERA_OUT)
    events = publish(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    publish(GateSample, 'aura/gate', qos.GATE)
    listener = listen()
    for publisher in (images, events):
        graph.matched(publisher)
    for seq in (0, 1):
        images.publish(image_to_msg(pixels(50 + seq), S + seq * S // 5, 'camera'))
    events.publish(write(0))
    thumbnail = listener.until(Thumbnail)[0]
    assert (thumbnail.stamp_s, thumbnail.rgb.shape) == (1.0, (120, 160, 3))
    assert thumbnail.rgb[60, 80].tolist() == [50, 10, 200]


def test_of_a_camera_that_is_published_twice_only_the_smaller_stream_is_taken(graph, publish, listen):
    raw = publish(Image, 'camera/front/image_raw', qos.CAMERA_OUT)
    small = publish(CompressedImage, 'camera/front/image_raw/compressed', qos.CAMERA_OUT)
    publish(GateSample, 'aura/gate', qos.GATE)
    listener = listen()
    graph.matched(small)
    graph.until(lambda: subscribers(graph), 'the gate')
    graph.spin(1.2)  # two looks at the publishers
    assert (small.get_subscription_count(), raw.get_subscription_count()) == (1, 0)
    assert listener.of(Thumbnail) == []


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
def test_frames_are_found_by_their_stamps_whichever_comes_first(kind):
    frames = Frames()
    frames.add(kind, frame(1, S, kind))
    frames.want(1.0)
    frames.want(1.2)
    assert [thumbnail.rgb[0, 0, 0] for thumbnail in frames.found()] == [1]
    assert frames.found() == []
    frames.add(kind, frame(2, S + S // 5, kind))
    assert [thumbnail.stamp_s for thumbnail in frames.found()] == [1.2]


def test_of_a_stream_of_writes_two_a_second_are_decoded_and_a_few_in_a_row_all():
    frames, made = Frames(), []
    for number in range(90):
        stamp_ns = S + number * S // 30
        frames.add(Image, frame(1, stamp_ns))
        frames.want(stamp_ns * 1e-9)
        made += [thumbnail.stamp_s for thumbnail in frames.found()]
    assert made[:4] == pytest.approx([1.0, 1.0 + 1 / 30, 1.0 + 2 / 30, 1.1])
    assert 8 <= len(made) <= 10
    assert min(b - a for a, b in itertools.pairwise(made[4:])) > 0.4, 'evenly'


def test_frames_are_bounded_and_forget_what_can_no_longer_come():
    frames = Frames()
    for number in range(200):
        frames.add(Image, frame(1, S + number * S // 10))
    assert len(frames) == 64
    big = serialize_message(image_to_msg(np.zeros((1080, 1920, 3), np.uint8), 100 * S, 'camera'))
    for _ in range(10):
        frames.add(Image, big)
    assert len(frames) <= 24_000_000 // len(big)
    frames.want(50.0)  # older than all
    assert frames.found() == []
    frames.want(101.0)
    frames.add(Image, frame(1, 102 * S))
    assert frames.found() == []
    frames.add(Image, frame(1, 101 * S))  # too late: it began anew
    assert frames.found() == []


def test_a_picture_that_cannot_be_read_is_counted():
    frames = Frames()
    broken = stamped(CompressedImage, format='jpeg', data=array.array('B', b'no'))
    frames.add(CompressedImage, serialize_message(broken))
    frames.want(1.0)
    assert (frames.found(), frames.failures) == ([], 1)


# Robots. ----------------------------------------------------------------------------------------------------------
def test_robots_are_the_namespaces_of_our_publishers():
    ours = ['aura_ros/msg/GateSample']
    topics = [
        ('/aura/gate', ours),
        ('/left/aura/gate', ours),
        ('/left/arm_status', ['aura_ros/msg/ArmStatus']),
        ('/cell/right/kv/gate', ours),
        ('/other/aura/gate', ['std_msgs/msg/Float32']),
        ('/heard/aura/gate', ours),
    ]
    assert robots.find(topics, lambda topic: not topic.startswith('/heard')) == ('', '/cell/right', '/left')
    assert [robots.label(name) for name in ('', '/left')] == ['(no namespace)', 'left']


def test_one_of_several_robots_is_heard_and_another_can_be_chosen(graph, publish, listen):
    ends = {name: publish(GateSample, f'{name}/aura/gate', qos.GATE) for name in ('/left', '/right')}
    listener = listen(camera='', namespace='/left')
    seqs = iter(range(100_000))

    def tick():
        ends['/left'].publish(gate(next(seqs), arm=1))
        ends['/right'].publish(gate(next(seqs), arm=2))

    assert {point.arm for point in listener.until(GatePoint, 3, tick)} == {1}
    graph.until(lambda: listener.bridge.robots() == ['/left', '/right'], 'both robots')
    listener.bridge.select_robot('/right')
    listener.points.clear()
    assert {point.arm for point in listener.until(GatePoint, 3, tick)} == {2}
    assert listener.bridge.namespace == '/right'


def test_without_a_name_the_first_robot_is_taken(graph, publish, listen):
    listener = listen(camera='')
    assert (listener.bridge.namespace, listener.bridge.robots()) == (None, [])
    gates = publish(GateSample, '/b/aura/gate', qos.GATE)
    seqs = iter(range(100_000))
    listener.until(GatePoint, tick=lambda: gates.publish(gate(next(seqs))))
    assert listener.bridge.namespace == '/b'


def statuses(*told):
    more = {'level': b'\1', 'message': 'text', 'values': [KeyValue(key='k', value='v')]}
    return DiagnosticArray(status=[DiagnosticStatus(name=name, hardware_id=part, **more) for name, part in told])


def test_diagnostics_are_of_our_nodes_of_this_robot():
    message = statuses(
        ('memory_node: state', 'memory_node'),
        ('left/memory_node: state', 'memory_node'),
        ('left/renamed: state', 'memory_node'),
        ('gripper: heat', 'gripper'),
        ('memory_node', ''),
    )
    assert list(translate.diagnostics(message, '')) == [DiagnosticPoint('memory_node: state', 1, 'text', {'k': 'v'})]
    assert [point.name for point in translate.diagnostics(message, '/left')] == ['memory_node: state'] * 2


# Asking. ----------------------------------------------------------------------------------------------------------
def asked(graph, listener, arm):
    answers = []
    listener.bridge.select_arm(arm, lambda *answer: answers.append(answer))
    graph.until(lambda: listener.of(object) is not None and answers, 'an answer')
    assert len(answers) == 1
    return answers[0]


def test_it_only_looks_unless_it_may_ask(graph, listen):
    success, text = asked(graph, listen(namespace='', camera=''), 2)
    assert not success
    assert 'allow_control' in text


def test_an_arm_can_be_asked_for_while_everything_is_still_heard(graph, publish, listen):
    def select(request, response):
        response.success, response.new_arm, response.effective_seq = request.arm == 2, request.arm, 17
        response.reason = '' if response.success else 'arm 0 is lost'
        return response

    gates = publish(GateSample, 'aura/gate', qos.GATE)
    graph.node.create_service(SelectArm, 'select_arm', select)
    listener = listen(camera='', allow_control=True)
    graph.until(lambda: listener.bridge.namespace is not None, 'the robot')
    assert asked(graph, listener, 2) == (True, 'kv drives from step 17')
    assert asked(graph, listener, 0) == (False, 'arm 0 is lost')
    seqs = iter(range(100_000))
    listener.until(GatePoint, 3, tick=lambda: gates.publish(gate(next(seqs))))


def test_a_switch_that_is_not_there_is_said(graph, listen):
    success, text = asked(graph, listen(namespace='', camera='', allow_control=True), 1)
    assert (success, text) == (False, 'nobody offers /select_arm: is arm_switch_node active?')


# Bounds, and the end. ---------------------------------------------------------------------------------------------
def test_what_nobody_fetches_is_bounded_and_counted(graph, publish, listen, monkeypatch):
    monkeypatch.setattr('aura_ros.rqt.bridge._ROOM', 20)
    gates = publish(GateSample, 'aura/gate', qos.GATE)
    listener = listen(camera='')
    graph.matched(gates)
    seqs = iter(range(100_000))
    graph.until(lambda: gates.publish(gate(next(seqs))) or listener.bridge.dropped >= 10, 'dropped points')
    points = listener.bridge.drain()
    assert len(points) == 20
    assert points[-1].seq - points[0].seq == 19


def subscribers(graph, topic='aura/gate'):
    infos = graph.node.get_subscriptions_info_by_topic(graph.node.resolve_topic_name(topic))
    return [info for info in infos if info.node_name in ('monitor', graph.node.get_name())]


def test_closing_leaves_no_thread_no_subscription_and_no_node(graph, publish, listen):
    gates = publish(GateSample, 'aura/gate', qos.GATE)
    threads = set(threading.enumerate())
    listener = listen(camera='')
    graph.matched(gates)
    assert {thread.name for thread in set(threading.enumerate()) - threads} == {'monitor bridge'}
    listener.bridge.close()
    listener.bridge.close()
    assert set(threading.enumerate()) == threads
    graph.until(lambda: not subscribers(graph) and 'monitor' not in graph.node.get_node_names(), 'the monitor to leave')


def test_opening_and_closing_again_and_again_leaves_nothing(graph, publish, listen):
    gates = publish(GateSample, 'aura/gate', qos.GATE)
    threads = threading.active_count()
    for _ in range(5):
        listener = listen(camera='')
        graph.matched(gates)
        listener.bridge.close()
        graph.until(lambda: not subscribers(graph), 'the subscription to go')
    assert threading.active_count() == threads


def test_on_a_node_that_rqt_spins_it_hears_and_leaves_the_node_as_it_was(graph, publish):
    node = graph.node
    gates = publish(GateSample, 'aura/gate', qos.GATE)
    before = len(list(node.subscriptions)), len(list(node.timers)), len(list(node.clients))
    bridge = SpunBridge(node, camera='')
    listener = Listener(graph, bridge)
    seqs = iter(range(100_000))
    listener.until(GatePoint, 5, tick=lambda: gates.publish(gate(next(seqs))))
    heard = [point.seq for point in listener.of(GatePoint)]
    assert heard == list(range(heard[0], heard[-1] + 1))
    closing = threading.Thread(target=bridge.close)
    closing.start()
    graph.until(lambda: not closing.is_alive(), 'the end of close')
    assert (len(list(node.subscriptions)), len(list(node.timers)), len(list(node.clients))) == before
    bridge.close()


def test_on_a_node_that_nobody_spins_any_more_closing_does_not_hang(graph):
    before = len(list(graph.node.timers))
    bridge = SpunBridge(graph.node, camera='')
    graph.executor.remove_node(graph.node)
    bridge.close()
    assert len(list(graph.node.timers)) == before
    graph.executor.add_node(graph.node)
