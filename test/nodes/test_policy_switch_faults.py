# SPDX-License-Identifier: Apache-2.0
"""Bad chunks, bad joints and a stopped clock: refused, counted, reported, and the robot is held."""

import re

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from switch_rig import AURA, KV, SwitchRig

from aura_ros.ros import conversions, qos


@pytest.fixture
def rig(graph):
    return SwitchRig(graph)


def counted(rig, name, values):
    """Wait until /diagnostics shows these counts under `name`."""
    wanted = {key: str(value) for key, value in values.items()}
    rig.graph.until(lambda: wanted.items() <= rig.values(name).items(), f'{name}: {wanted}')


@pytest.mark.fault('F5', 'F7')
def test_every_refused_chunk_is_counted_under_its_reason_and_logged_once(graph, rig, capfd, measured):
    rig.drive()
    seq, now_ns = rig.seq[AURA], rig.now()
    rig.chunk(AURA, 0.1, seq=seq + 3)
    counted(rig, 'switch', {'aura gap': 3, 'missed steps': 3})
    bad = {
        'non_finite': {'value': float('nan')},
        'duplicate': {'seq': seq + 3},
        'out_of_order': {'seq': seq + 1},
        'stale': {'stamp_ns': now_ns - 2_000_000_000, 'episode': 'b'},
        'unstamped': {'stamp_ns': 0},
        'future': {'stamp_ns': now_ns + 60_000_000_000, 'episode': 'b'},
        'episode': {'episode': ''},
    }
    for reason, fields in bad.items():
        for count in (1, 2):
            rig.chunk(AURA, **({'value': 0.1, 'seq': seq + 4} | fields))
            counted(rig, 'switch', {f'aura {reason}': count})
    rig.wait_for_diagnostic('inputs', 'policy 1:', DiagnosticStatus.WARN)
    graph.until(lambda: rig.status.rejected == 2 * len(bad), 'all of them in policy_status')
    log = capfd.readouterr().err
    for reason in (*bad, 'gap'):
        assert len(re.findall(f'policy 1: {reason}', log)) == 1, reason
    measured(f'{len(bad)} kinds of bad chunk and a gap: each counted under its reason, 1 log line each')


def test_a_policy_is_not_driven_by_the_topic_of_another(graph, rig):
    rig.drive()
    step = rig.seq[AURA] + 10
    rig.chunks[KV].publish(rig.message(AURA, 0.9, seq=step))
    counted(rig, 'switch', {'kv policy': 1})
    assert rig.status.newest_seq[AURA] < step
    rig.wait_for_diagnostic('inputs', 'a chunk of policy 1 arrived on the topic of policy 2', DiagnosticStatus.WARN)


@pytest.mark.fault('F13')
def test_a_node_that_delivers_is_not_lost(graph, rig, measured):
    """Under load, the middleware can report a loss of liveliness and miss its return."""
    rig.drive()
    before_ns = rig.now()
    rig.node._on_liveliness(AURA, 'aura/action_chunk', 0)
    rig.chunk(AURA, 0.1, stamp_ns=before_ns)  # sent by a node that has died since
    counted(rig, 'inputs', {'policy 1: lost': 1})
    rig.chunk(AURA, 0.1, stamp_ns=rig.now() + 60_000_000_000)
    counted(rig, 'inputs', {'policy 1: lost': 2})
    assert 'aura/action_chunk' in rig.node._switch.status.lost[AURA]
    rig.drive()
    assert not rig.node._switch.status.lost
    measured('return missed by the middleware: drives again with a chunk whose observation is later than the loss')


@pytest.mark.fault('F13')
def test_a_loss_that_the_middleware_misses_is_found_in_the_graph(graph, rig, monkeypatch, measured):
    rig.drive()
    peers, missed = rig.node._peers, []
    update = peers.update

    def miss_the_first_loss(topic, alive, now_ns):
        if not alive and not missed:
            missed.append(topic)
            return frozenset(), frozenset()
        return update(topic, alive, now_ns)

    monkeypatch.setattr(peers, 'update', miss_the_first_loss)
    graph.node.destroy_publisher(rig.chunks[AURA])
    graph.until(lambda: AURA in rig.node._switch.status.lost, 'the loss')
    assert missed == ['aura/action_chunk']
    graph.until(lambda: rig.status.holding and 'aura/action_chunk' in rig.status.reason, 'hold')
    measured('loss missed by the middleware: found in the graph, held')


@pytest.mark.fault('F5', 'F7')
def test_unusable_joints_are_counted_and_hold_the_robot(graph, capfd, measured):
    rig = SwitchRig(graph, joint_max_age_s=0.5)
    rig.drive()
    now_ns = rig.now()
    rig.measure(0.0, 0.0, stamp_ns=now_ns)
    bad = {
        'joint_states unstamped': {'stamp_ns': 0},
        'joint_states out_of_order': {'stamp_ns': now_ns - 10_000_000},
        'joint_states': {'positions': (0.0, float('nan'))},
    }
    for kind, fields in bad.items():
        for count in (1, 2):
            rig.measure(*fields.get('positions', (0.7, 0.7)), stamp_ns=fields.get('stamp_ns'))
            counted(rig, 'inputs', {kind: count})
    rig.chunk(AURA, 0.2)
    graph.until(lambda: rig.status.holding and 'joint positions' in rig.status.reason, 'hold')
    rig.drive()
    stale = 'joint_states stale'
    graph.until(lambda: stale in rig.values('inputs'), stale)
    log = capfd.readouterr().err
    for kind in (*bad, stale):
        assert len(re.findall(rf'\[WARN\].*: {kind}: ', log)) == 1, kind
    # None of them was taken for where the robot is.
    assert np.abs([command.points[0].positions for command in rig.commands]).max() <= 0.2 + 1e-6
    measured(f'{len(bad) + 1} kinds of bad joint state: counted, 1 log line each, held')


def test_a_robot_outside_its_limits_is_reported_and_not_commanded(graph, rig):
    def reported():
        rig.measure(0.0, 1.9)
        rig.chunk(AURA, 0.2)
        graph.spin(0.05)
        return 'b is at 1.9, outside its position limits -1..1' in rig.status.reason

    graph.until(reported, 'the reason')
    assert rig.status.holding and not rig.commands
    rig.drive()
    assert rig.commands


def test_changes_by_limits_are_reported_by_joint(graph, rig):
    def reported():
        rig.drive(value=3.0)
        return re.match(r'a \d+, b \d+', rig.values('switch').get('clipped by position', ''))

    graph.until(reported, 'by joint')


@pytest.mark.fault('F8')
def test_a_stopped_clock_holds_the_robot_on_the_steady_clock(graph, measured):
    clock = graph.node.create_publisher(Clock, '/clock', qos.CLOCK)
    graph.node.set_parameters([Parameter('use_sim_time', value=True)])
    rig = SwitchRig(graph, use_sim_time=True, clock_timeout_s=0.3)
    graph.matched(clock, 2)
    time_ns = 1_000_000_000

    def pass_time(done):
        nonlocal time_ns
        time_ns += 20_000_000
        clock.publish(Clock(clock=conversions.to_stamp(time_ns)))
        if time_ns % 100_000_000 == 0:
            rig.measure(0.0, 0.0, stamp_ns=time_ns)
            rig.chunk(AURA, 0.2, stamp_ns=time_ns)
        graph.spin(0.02)
        return done()

    graph.until(lambda: pass_time(lambda: not rig.status.holding), 'driven')
    graph.until(lambda: rig.status.holding, 'held')
    assert rig.status.reason == 'the ROS clock has stopped'
    count = len(rig.commands)
    graph.until(lambda: len(rig.commands) > count + 3, 'holds are commanded')
    assert rig.target == pytest.approx([0.0, 0.0])
    graph.until(lambda: pass_time(lambda: not rig.status.holding), 'driven again')
    measured('clock that stands: held on the steady clock, on with time')
