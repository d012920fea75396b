# SPDX-License-Identifier: Apache-2.0
"""policy_switch_node on the graph: when it publishes actions, holds, or nothing."""

import numpy as np
import pytest
from aura_ros.msg import ActionChunk
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from switch_rig import AURA, BASE, KV, LEASE_S, NAMES, ROBOT, SwitchRig
from trajectory_msgs.msg import JointTrajectory

from aura_ros.nodes.policy_switch.node import PolicySwitchNode
from aura_ros.ros import conversions, qos
from aura_ros.ros.sensor_messages import joints_to_msg


@pytest.fixture
def rig(graph):
    return SwitchRig(graph)


def test_a_dry_run_publishes_status_but_no_command(graph):
    rig = SwitchRig(graph, enable_control=False)
    rig.drive()
    assert not rig.status.control_enabled and rig.status.newest_stamp[AURA].sec > 0
    assert not rig.commands


def test_control_can_be_enabled_and_disabled_while_it_runs(graph):
    rig = SwitchRig(graph, enable_control=False)
    rig.drive()
    assert rig.node.set_parameters([Parameter('enable_control', value=True)])[0].successful
    sent = graph.sent(rig.node, 'joint_command')
    graph.until(lambda: rig.commands, 'a command')
    rig.drive()
    rig.node.set_parameters([Parameter('enable_control', value=False)])
    graph.until(lambda: not rig.status.control_enabled, 'control disabled')
    count = len(sent)
    assert list(sent[-1].points[-1].positions) == [0.0, 0.0]  # the last one held the robot where it was measured
    rig.drive()
    assert len(sent) == count


def test_chunks_of_the_driving_policy_become_limited_commands(graph, rig):
    rig.drive(value=3.0)
    graph.until(lambda: rig.target == [1.0, 1.0], 'the upper limit')
    first = np.array([command.points[0].positions for command in rig.commands])
    assert np.abs(np.diff(first, axis=0)).max() <= 0.5 + 1e-9
    assert list(rig.commands[-1].joint_names) == NAMES
    graph.until(lambda: rig.status.clipped > 0, 'clipped commands are counted')


@pytest.mark.fault('F27')
@pytest.mark.parametrize(('parameters', 'stamped'), [({}, False), ({'command_stamp': 'now'}, True)])
def test_commands_have_the_stamp_zero_unless_asked_for(graph, parameters, stamped):
    rig = SwitchRig(graph, **parameters)
    rig.drive()
    assert {conversions.to_ns(command.header.stamp) > 0 for command in rig.commands} == {stamped}


@pytest.mark.fault('F20')
@pytest.mark.parametrize('kind', ['publisher', 'switch'])
def test_a_second_publisher_of_commands_holds_the_robot(graph, rig, kind, measured):
    rig.drive()
    if kind == 'switch':  # of the same name
        second = graph.inside(PolicySwitchNode, **ROBOT, autostart=True, enable_control=True, policy='kv')
        assert second.autostart()
        name = '/policy_switch_node'
    else:
        second = graph.node.create_publisher(JointTrajectory, 'joint_command', qos.COMMAND)
        name = '/tester'
    text = f'/joint_command has another publisher: {name}:'
    rig.wait_for_diagnostic('switch', text, DiagnosticStatus.ERROR)
    if kind == 'switch':
        assert text in second._switch.status.blocked
    # A hold between two chunks comes first where the machine is busy.
    graph.until(lambda: rig.status.holding and text in rig.status.reason, 'hold')
    for _ in range(5):
        rig.measure(0.0, 0.0)
        rig.chunk(AURA, 0.2)
        graph.spin(0.05)
        assert rig.status.holding
    if kind == 'switch':
        second.teardown()
    else:
        graph.node.destroy_publisher(second)
    rig.drive()
    measured(f'second {kind}: held with ERROR, driven on when it had left')


@pytest.mark.fault('F20')
def test_an_inactive_switch_does_not_hold_the_active_one(graph, rig, measured):
    rig.drive()
    second = graph.inside(PolicySwitchNode, **ROBOT, autostart=True, enable_control=True, policy='kv')
    second.trigger_configure()
    graph.discovered_by('policy_switch_node')
    for _ in range(5):
        rig.drive()
        assert not rig.status.holding
    assert graph.node.count_publishers('joint_command') == 1
    second.trigger_activate()
    graph.until(lambda: 'another publisher' in rig.status.reason, 'hold')
    second.trigger_deactivate()
    rig.drive()
    measured('second switch configured and not active: no influence; active: both hold; inactive again: driven on')


def test_without_chunks_the_robot_is_held_in_place(graph, rig):
    rig.drive()

    def held():
        rig.measure(0.05, -0.05)
        graph.spin(0.02)
        return rig.status.holding

    graph.until(held, 'hold')
    assert 'no chunk of aura' in rig.status.reason
    rig.wait_for_diagnostic('switch', 'holding', DiagnosticStatus.WARN)
    graph.until(lambda: rig.target in ([0.05, -0.05], [0.0, 0.0]), 'the measured position')
    assert rig.status.holds == 1


def test_bad_chunks_are_refused_and_counted(graph, rig):
    rig.drive()
    rig.chunk(AURA, float('nan'))
    rig.chunk(AURA, 0.1, seq=0)
    rig.chunk(AURA, 0.1, stamp_ns=rig.now() - 2_000_000_000, seq=100)
    graph.until(lambda: rig.status.rejected >= 3, 'three refusals')
    rig.wait_for_diagnostic('inputs', 'non_finite', DiagnosticStatus.WARN)


def test_a_switch_is_acknowledged_when_in_effect_and_no_old_command_follows(graph, rig):
    rig.drive(value=0.2)
    answer = rig.select(KV)
    sent, acknowledged = graph.sent(rig.node, 'joint_command'), []
    answer.add_done_callback(lambda _: acknowledged.append(len(sent)))
    after = 0

    def again():
        nonlocal after
        rig.measure(0.0, 0.0)
        rig.chunk(AURA, 0.2)
        rig.chunk(KV, -0.2)
        graph.spin(0.05)
        after += bool(acknowledged)
        return after > 10

    graph.until(again, 'ten periods after the answer')
    found = answer.result()
    assert found.success and (found.old_policy, found.new_policy) == (AURA, KV), found.reason
    assert acknowledged
    later = [list(command.points[-1].positions) for command in sent[acknowledged[0] :]]
    assert later and all(position <= 0.0 for target in later for position in target)
    assert rig.status.policy == KV and rig.status.effective_seq == found.effective_seq


def test_the_base_policy_drives_from_the_steps_themselves(graph):
    rig = SwitchRig(graph, policy='base')
    rig.drive(value=0.3, policy=BASE)
    graph.until(lambda: rig.target and rig.target[0] == pytest.approx(0.3), 'the base action')


def test_an_unknown_policy_is_refused(graph, rig):
    answer = rig.select(7)
    graph.until(answer.done, 'answer')
    assert not answer.result().success and '7' in answer.result().reason


def test_a_selection_that_is_replaced_is_answered(graph, rig):
    rig.drive()
    first = rig.select(KV)
    graph.until(lambda: rig.status.pending_policy == KV or first.done(), 'pending')
    second = rig.select(BASE)
    graph.until(lambda: first.done() and second.done(), 'both answers')
    assert second.result().success and second.result().new_policy == BASE


def test_a_lost_policy_holds_the_robot_until_it_returns(graph, rig):
    rig.drive()
    graph.node.destroy_publisher(rig.chunks.pop(AURA))
    rig.wait_for_diagnostic('switch', 'aura/action_chunk', DiagnosticStatus.ERROR)
    graph.until(lambda: rig.status.holding, 'hold')
    assert 'aura/action_chunk' in rig.status.reason
    refused = rig.select(AURA)
    graph.until(refused.done, 'answer')
    assert not refused.result().success
    rig.chunks[AURA] = graph.node.create_publisher(ActionChunk, 'aura/action_chunk', qos.chunk(LEASE_S))
    graph.matched(rig.chunks[AURA])
    rig.drive()


def test_without_the_vla_every_policy_is_lost(graph, rig):
    rig.drive()
    graph.node.destroy_publisher(rig.steps)
    rig.wait_for_diagnostic('switch', 'lost: base, aura, kv', DiagnosticStatus.ERROR)
    graph.until(lambda: rig.status.holding, 'hold')
    assert 'vla_step' in rig.status.reason


def test_a_policy_without_liveliness_is_reported(graph):
    chunks = graph.node.create_publisher(ActionChunk, 'aura/action_chunk', qos.chunk(0.0))
    rig = SwitchRig(graph)
    rig.wait_for_diagnostic('qos', 'aura/action_chunk', DiagnosticStatus.ERROR)
    assert chunks.get_subscription_count() <= 1


def test_stale_joints_hold_the_robot(graph):
    rig = SwitchRig(graph, joint_max_age_s=0.2)
    rig.drive()

    def again():
        rig.chunk(AURA, 0.2)
        graph.spin(0.1)
        return rig.status.holding

    graph.until(again, 'hold without joint_states')
    assert 'joint positions' in rig.status.reason


def test_deactivation_holds_once_and_publishes_nothing_after_it(graph, rig):
    rig.drive()
    sent = graph.sent(rig.node, 'joint_command')
    taken = [graph.taken(rig.node, topic) for topic in ('joint_states', 'aura/action_chunk')]
    rig.node.trigger_deactivate()
    count = len(sent)
    # The hold moves towards the measured position as far as the time since the last command allows.
    before = sent[-2].points[-1].positions if count > 1 else rig.target
    assert np.all(np.abs(sent[-1].points[-1].positions) <= np.abs(before))
    graph.until(lambda: rig.status.holding, 'status of the last hold')
    rig.measure(0.0, 0.0)
    rig.chunk(AURA, 0.2)
    graph.until(lambda: all(taken), 'both are taken')
    graph.spin(0.2)  # some control periods
    assert len(sent) == count
    rig.node.trigger_activate()
    rig.drive()


class Lockstep(SwitchRig):
    """The same, paced by the test's joint_states."""

    def __init__(self, graph, **parameters):
        super().__init__(
            graph, tick_source='joint_states', joint_reliability='reliable', liveliness_lease_s=0.0, **parameters
        )
        self.t0 = self.now()
        self.taken = graph.taken(self.node, 'joint_states')

    def at(self, tick):
        return self.t0 + tick * 50_000_000

    def tick(self, tick):
        self.measure(0.0, 0.0, stamp_ns=self.at(tick))

    def answered(self, tick):
        def stamps():
            return [conversions.to_ns(command.header.stamp) for command in self.commands]

        self.graph.until(lambda: self.at(tick) in stamps(), f'command of tick {tick}')
        assert stamps().count(self.at(tick)) == 1


def test_lockstep_answers_each_stamp_once_and_waits_for_the_next_chunk(graph):
    rig = Lockstep(graph)
    rig.tick(0)
    rig.answered(0)
    assert rig.status.holding
    rig.chunk(AURA, 0.2, stamp_ns=rig.at(0))
    graph.until(lambda: rig.status.newest_stamp[AURA].sec > 0, 'chunk')
    for tick in (1, 2, 3):
        rig.tick(tick)
        rig.answered(tick)
    sent = graph.sent(rig.node, 'joint_command')
    rig.tick(4)
    graph.until(lambda: len(rig.taken) == 5, 'the tick is taken')
    graph.spin(0.2)  # some control periods
    assert not sent  # due, and the next chunk is not there
    rig.chunk(AURA, 0.3, stamp_ns=rig.at(4))
    rig.answered(4)
    assert rig.target == pytest.approx([0.3, 0.3])


def test_lockstep_sends_the_same_command_for_a_tick_that_is_sent_again(graph):
    rig = Lockstep(graph)
    rig.tick(0)
    rig.answered(0)
    rig.tick(0)
    graph.until(lambda: len(rig.commands) == 2, 'the command again')
    assert rig.commands[0] == rig.commands[1]


def test_lockstep_holds_when_the_next_chunk_is_missing(graph):
    rig = Lockstep(graph, lockstep_timeout_s=0.5)
    rig.chunk(AURA, 0.2, stamp_ns=rig.at(0))
    rig.tick(1)
    rig.answered(1)
    rig.tick(4)
    rig.answered(4)
    graph.until(lambda: rig.status.holding, 'hold')
    assert 'lockstep_timeout_s' in rig.status.reason


def test_lockstep_drives_with_joints_in_separate_messages(graph):
    rig = Lockstep(graph, lockstep_timeout_s=30.0, robot__joint_state_topics=['joint_states', 'hand/joint_states'])
    hand = graph.node.create_publisher(JointState, 'hand/joint_states', qos.JOINT_STATES_OUT)
    graph.matched(hand)

    def send(publisher, name, tick):
        publisher.publish(joints_to_msg([name], np.zeros(1), np.zeros(1), rig.at(tick)))

    rig.chunk(AURA, 0.2, stamp_ns=rig.at(0))
    graph.until(lambda: rig.status.newest_stamp[AURA].sec > 0, 'chunk')
    for tick in (0, 1, 2):
        send(rig.joints, 'a', tick)
        send(rig.joints, 'wheel', tick)
        graph.until(lambda tick=tick: len(rig.taken) == 2 * tick + 2, 'the arm is taken')
        graph.spin(0.2)  # several looks of the switch
        assert len(rig.commands) == tick  # the hand of this tick is missing
        send(hand, 'b', tick)
        rig.answered(tick)
    assert not rig.status.holding and rig.target == pytest.approx([0.2, 0.2])


def test_lockstep_holds_when_a_joint_is_missing(graph):
    rig = Lockstep(graph, lockstep_timeout_s=0.2, robot__joint_max_age_s=[1.0, 0.05])
    rig.tick(0)
    rig.answered(0)
    rig.chunk(AURA, 0.2, stamp_ns=rig.at(0))
    # The position of `b` at tick 0 is too old at tick 3.
    rig.joints.publish(joints_to_msg(['a'], np.zeros(1), np.zeros(1), rig.at(3)))
    graph.until(lambda: rig.status.holding and rig.status.reason.endswith('not finite: b'), 'hold with the name')


def test_lockstep_switches_while_the_simulation_is_stopped(graph):
    rig = Lockstep(graph)
    rig.chunk(AURA, 0.2, stamp_ns=rig.at(0))
    rig.tick(1)
    rig.answered(1)
    answer = rig.select(KV)
    graph.until(answer.done, 'answer')
    assert answer.result().success and answer.result().new_policy == KV


def test_lockstep_switches_to_a_slow_policy_without_a_hold(graph):
    rig = Lockstep(graph, lockstep_timeout_s=60.0, select_timeout_s=60.0)
    rig.chunk(AURA, 0.2, stamp_ns=rig.at(0))
    rig.tick(1)
    rig.answered(1)
    rig.tick(4)
    graph.until(lambda: len(rig.taken) == 2, 'the tick is taken')
    answer = rig.select(KV)
    graph.spin(1.5)  # the simulation sends nothing, because it waits for the command
    assert not answer.done() and len(rig.commands) == 1
    rig.chunk(KV, 0.3, stamp_ns=rig.at(4))
    rig.answered(4)
    graph.until(answer.done, 'answer')
    assert answer.result().success and rig.target == pytest.approx([0.3, 0.3])
    assert rig.status.holds == 0


def test_lockstep_accepts_a_step_before_the_clock_message(graph):
    rig = Lockstep(graph)
    rig.chunk(AURA, 0.2, stamp_ns=rig.now() + 10_000_000_000)
    graph.until(lambda: rig.status.newest_stamp[AURA].sec > 0, 'the chunk is accepted')
    assert rig.status.rejected == 0


def test_lockstep_needs_stamped_commands(graph):
    node = graph.inside(
        PolicySwitchNode, tick_source='joint_states', robot__command_type='float64_multi_array', **ROBOT
    )
    assert node.trigger_configure().name == 'FAILURE'
    assert 'joint_trajectory' in node._problem
