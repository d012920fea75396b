# SPDX-License-Identifier: Apache-2.0
"""No value of a message and no damaged message ends the monitor."""

import array
import itertools
import math

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('pyqtgraph')
pytest.importorskip('pytestqt')
from aura_ros.msg import CacheStatus, GateSample, MemoryState, PolicyStatus, VlaStep, WriteEvent
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from monitor_stage import Stage
from sensor_msgs.msg import CompressedImage

from aura_ros.ros import qos
from aura_ros.rqt import translate
from aura_ros.rqt.bridge import OwnBridge
from aura_ros.rqt.frames import FrameBuffer
from aura_ros.rqt.points import GatePoint

KINDS = {
    GateSample: lambda message: translate.gate(message, 0),
    VlaStep: lambda message: translate.step(message, 0),
    WriteEvent: translate.write,
    MemoryState: translate.state,
    CacheStatus: translate.cache,
    PolicyStatus: translate.policy,
}
INTEGERS = (0, 1, 2**63 - 1, 2**63, 2**64 - 1)
REALS = (math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-45, 0.0)


def extreme(kind, number, sec, values):
    """A message with an extreme value in each field of a number."""
    message = kind()
    message.header.stamp.sec = sec
    for name, of in message.get_fields_and_field_types().items():
        if of in ('uint8', 'uint16', 'uint32', 'uint64'):
            setattr(message, name, min(number, 2 ** int(of[4:]) - 1))
        elif of == 'float':
            setattr(message, name, next(values))
    if kind is MemoryState:
        message.fast_weights = array.array('f', itertools.islice(values, 1024))
        message.row_age = np.full(32, number, np.uint64)
    elif kind is GateSample:
        message.policy = 1 + sec % 2
    return message


@pytest.mark.fault('F36')
def test_any_number_in_any_field_can_be_shown_and_saved(qtbot, monkeypatch, tmp_path, measured):
    stage, values = Stage(qtbot, monkeypatch), itertools.cycle(REALS)
    model = stage.monitor.model
    # PyQt ends the process when a slot raises, so the test calls what the timer would call.
    count = 0
    for sec, (number, later) in enumerate(itertools.product(INTEGERS, repeat=2), 100):
        for kind, make in KINDS.items():
            point = make(extreme(kind, number if sec % 3 else later, sec, values))
            stage.receive([point], after_s=0.2)
            count += 1
        if sec % 5 == 0:
            stage.settle()
    model.cursor = 110.0
    stage.settle()
    stage.monitor.save_png(tmp_path / 'page.png')
    stage.monitor.save_csv(tmp_path / 'page.csv')
    assert int(model.gate().seq.max()) == 2**63 - 1 and (tmp_path / 'page.csv').stat().st_size > 1000
    measured(f'{count} messages with every integer up to 2^64 - 1 and NaN, Inf, 3e38: shown, drawn and saved')


@pytest.mark.fault('F36')
def test_a_huge_report_is_cut():
    values = [KeyValue(key=f'{number} late', value='9' * 1_000_000) for number in range(200)]
    name, message = f'memory_node: {"x" * 1_000_000}', 'y' * 1_000_000
    status = DiagnosticStatus(name=name, hardware_id='memory_node', level=b'\xff', message=message, values=values)
    (point,) = translate.diagnostics(DiagnosticArray(status=[status]), '')
    assert len(point.name) + len(point.message) + sum(map(len, point.values.values())) < 100_000


@pytest.mark.fault('F36')
@pytest.mark.parametrize('data', [b'', b'\0\1', b'\0\1\0\0\1\2\3', b'\0\1\0\0' + b'\xff' * 40, b'\0\1\0\0' + bytes(8)])
def test_a_damaged_image_message_yields_no_thumbnail(data):
    frames = FrameBuffer()
    frames.add(CompressedImage, data)
    for stamp_s in (0.0, -1.0 + 4.294967295):
        frames.request(stamp_s)
    assert frames.thumbnails() == []


@pytest.mark.graph
@pytest.mark.fault('F36')
def test_damaged_messages_do_not_end_the_bridge(graph, monkeypatch, measured):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    topics = {
        'aura/gate': (GateSample, qos.GATE),
        'aura/memory_state': (MemoryState, qos.MEMORY_STATE),
        'aura/write_event': (WriteEvent, qos.WRITE_EVENT),
        '/diagnostics': (DiagnosticArray, qos.DIAGNOSTICS),
        'camera/front/image_raw/compressed': (CompressedImage, qos.CAMERA_OUT),
    }
    publishers = {name: graph.node.create_publisher(kind, name, profile) for name, (kind, profile) in topics.items()}
    bridge = OwnBridge()
    received = []

    def arrived():
        publishers['aura/gate'].publish(GateSample(policy=1))
        received.extend(bridge.drain())
        return sum(isinstance(point, GatePoint) for point in received) > 5

    try:
        graph.until(arrived, 'gates before')
        for publisher in publishers.values():
            graph.matched(publisher)
            for data in (b'\0\1\0\0', b'\0\1\0\0' + b'\xff' * 64, b'\0\1\0\0\1', bytes(12), b'\0\1\0\0' + b'\1' * 5000):
                publisher.publish(data)
        received.clear()
        graph.until(arrived, 'gates after damaged messages')
    finally:
        assert bridge.close()
    measured('25 damaged messages on 5 topics: later messages arrive')
