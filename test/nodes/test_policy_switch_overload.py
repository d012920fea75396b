# SPDX-License-Identifier: Apache-2.0
"""Oversized and malformed messages and a busy executor: commands continue, or the robot holds."""

import threading
import time

import numpy as np
import pytest
from aura_ros.msg import ActionChunk, VlaStep
from cpu_wait import CpuWait
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import serialize_message
from ros_graph import knows_publishers
from switch_rig import AURA, BASE, EPISODE, LEASE_S, SwitchRig

from aura_ros.ros import entities, qos
from aura_ros.ros.sensor_messages import joints_to_msg

PERIOD_S = 0.05


@pytest.fixture
def rig(graph):
    return SwitchRig(graph)


def joints(names, now_ns):
    return joints_to_msg(names, np.arange(len(names)) * 1e-6, np.zeros(len(names)), now_ns)


@pytest.mark.fault('F21')
@pytest.mark.parametrize(
    ('names', 'text'),
    [
        ([f'x{k}' for k in range(20_000)] + ['x19999'], 'bytes: must have 131072 at most'),
        ([f'x{k}' for k in range(2_000)] + ['x1999'], '2001 names: must have 1024 at most'),
        ([f'x{k}' for k in range(1_000)] + ['a', 'b', 'a'], 'has the joint a twice'),
        (['x' * 100_000, 'b', 'b'], 'has the joint b twice'),
    ],
    ids=['20,000 names', '2,000 names', 'twice', 'long name'],
)
def test_oversized_joint_states_are_refused_at_once(graph, rig, measured, names, text):
    rig.drive()
    took_s = []
    callback = next(each for each in rig.node.subscriptions if each.topic_name == '/joint_states').callback

    def timed(raw, info):
        since = time.thread_time()
        callback(raw, info)
        took_s.append(time.thread_time() - since)

    next(each for each in rig.node.subscriptions if each.topic_name == '/joint_states').callback = timed
    rig.joints.publish(joints(names, rig.now()))
    rig.wait_for_diagnostic('inputs', text, DiagnosticStatus.WARN)
    assert max(took_s) < PERIOD_S
    rig.drive()
    measured(f'{len(names)} names: refused in {max(took_s) * 1e3:.1f} ms of processor time')


@pytest.mark.fault('F21')
def test_messages_that_cannot_be_converted_are_refused(graph, rig, measured):
    rig.drive()
    rig.joints.publish(serialize_message(joints(['a', 'b'], rig.now()))[:40])
    rig.wait_for_diagnostic('inputs', 'joint_states: message cannot be converted', DiagnosticStatus.WARN)
    rig.chunks[AURA].publish(serialize_message(rig.message(AURA, 0.1))[:40])
    rig.wait_for_diagnostic('inputs', 'policy 1: shape: message cannot be converted', DiagnosticStatus.WARN)
    rig.drive()
    measured('cut messages: refused and counted')


@pytest.mark.fault('F21')
def test_a_busy_executor_does_not_prevent_the_hold(graph, rig, measured):
    """The test and the node share an executor, so a loop of the test keeps it busy."""
    rig.drive()
    sent, times = graph.sent(rig.node, 'joint_command'), []
    (publisher,) = (each for each in rig.node.publishers if each.topic_name == '/joint_command')
    publish = publisher.publish
    publisher.publish = lambda message: (publish(message), times.append(time.monotonic()))
    graph.until(lambda: times, 'a command')
    wait = CpuWait(threads=(threading.get_native_id(), rig.node._watchdog.thread_id))
    count, since = len(sent), times[-1]
    gaps, waits = [], []
    while time.monotonic() - since < 1.0:
        sum(range(1000))
        if len(times) > count + len(gaps):
            waits.append(wait.seconds - sum(waits))
            gaps.append(times[count + len(gaps)] - [since, *times[count:]][len(gaps)])
    assert max(gap - waited for gap, waited in zip(gaps, waits, strict=True)) <= 2 * PERIOD_S
    positions = [list(message.points[0].positions) for message in sent[count:]]
    assert len(positions) >= 5 and positions[-1] == [0.0, 0.0], 'held where it was measured'
    rig.wait_for_diagnostic('inputs', 'control late', DiagnosticStatus.WARN)
    assert int(rig.values('switch')['holds by the watchdog']) >= 5
    rig.drive()
    longest, waited = max(zip(gaps, waits, strict=True))
    measured(
        f'executor busy for 1 s: {len(gaps)} holds, the longest gap {longest / PERIOD_S:.2f} periods, in which both '
        f'threads waited {waited / PERIOD_S:.2f} periods for a processor'
    )


@pytest.mark.fault('F26')
@knows_publishers
def test_a_second_publisher_does_not_disturb_the_episode(graph, rig, measured):
    rig.drive(policy=AURA)
    rig.chunk(BASE, 0.2)
    graph.until(lambda: rig.status.newest_stamp[BASE].sec, 'a step')
    make = graph.node.create_publisher
    steps, chunks = (
        make(VlaStep, 'vla_step', qos.step(LEASE_S)),
        make(ActionChunk, 'aura/action_chunk', qos.chunk(LEASE_S)),
    )
    graph.matched(steps)
    graph.matched(chunks)
    for count in (1, 2, 3):
        seq = dict(rig.seq)
        steps.publish(rig.message(BASE, -0.5, episode='intruder', seq=0))
        chunks.publish(rig.message(AURA, -0.5, episode='intruder', seq=0))
        rig.seq = seq
        graph.until(lambda count=count: rig.values('switch').get('base foreign') == str(count), 'foreign step')
        graph.until(lambda count=count: rig.values('switch').get('aura foreign') == str(count), 'foreign chunk')
        rig.drive()
        rig.chunk(BASE, 0.2)
    assert rig.status.episode_id == EPISODE
    rig.wait_for_diagnostic('inputs', 'foreign', DiagnosticStatus.WARN)
    graph.node.destroy_publisher(rig.chunks[AURA])
    rig.chunks[AURA] = chunks
    rig.drive()
    measured('3 foreign steps and chunks: each counted, driven on; the second publisher takes over when the first left')


@pytest.mark.fault('F26')
def test_a_second_publisher_holds_the_robot_where_messages_do_not_name_theirs(graph, rig, measured, monkeypatch):
    monkeypatch.setattr(entities, 'publisher_id', lambda _: b'')
    rig.drive(policy=AURA)
    second = graph.node.create_publisher(ActionChunk, 'aura/action_chunk', qos.chunk(LEASE_S))
    graph.matched(second)
    rig.chunk(AURA, 0.2)
    rig.wait_for_diagnostic('inputs', 'aura/action_chunk has several publishers', DiagnosticStatus.WARN)
    graph.until(lambda: rig.status.holding, 'the hold')
    graph.node.destroy_publisher(second)
    rig.drive(policy=AURA)
    measured('where rclpy does not report publishers (Jazzy): the robot is held until one publisher is left')
