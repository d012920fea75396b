# SPDX-License-Identifier: Apache-2.0
"""vla_node beside a robot whose joints arrive in separate messages, on several topics, or in other units."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import JOINTS
from sensor_msgs.msg import JointState
from vla_rig import VlaRig

from aura_ros.common.errors import ConfigError
from aura_ros.nodes.vla.node import VlaNode
from aura_ros.ros import conversions, qos
from aura_ros.ros.conversions import to_stamp

ARM, FINGER = JOINTS[:7], JOINTS[7]
ROBOT = {'robot__joint_names': list(JOINTS)}
INVERTED = {
    'robot__mapped_joints': [FINGER],
    f'robot__map_{FINGER}__policy': [0.0, 1.0],
    f'robot__map_{FINGER}__robot': [0.8, 0.0],
}


class SplitRig(VlaRig):
    """vla_node with the finger's joint in messages of its own."""

    def __init__(self, graph, finger='joint_states', **parameters):
        self.finger_joints = graph.node.create_publisher(JointState, finger, qos.JOINT_STATES_OUT)
        self.finger_late_ns = 0
        topics = {'robot__joint_state_topics': list(dict.fromkeys(['joint_states', finger]))}
        super().__init__(graph, **(ROBOT | topics | parameters))
        graph.matched(self.finger_joints)

    def send(self, publisher, names, positions, stamp_ns):
        message = JointState(name=list(names), position=[float(position) for position in positions])
        message.header.stamp = to_stamp(stamp_ns)
        publisher.publish(message)

    def send_joints(self, stamp_ns, positions=None):
        positions = np.zeros(8) if positions is None else positions
        self.send(self.finger_joints, ['wheel', FINGER], [9.0, positions[7]], stamp_ns - self.finger_late_ns)
        self.send(self.joints, ARM, positions[:7], stamp_ns)


def measured_joints(message):
    """Return the joint positions that the scripted backbone received."""
    return conversions.step_from_msg(message).base_action[0] - np.float32(0.01)


@pytest.mark.parametrize('finger', ['joint_states', 'hand/joint_states'])
def test_joints_of_separate_messages_are_merged(graph, finger):
    rig = SplitRig(graph, finger)
    rig.goal()
    positions = np.arange(8) / 10.0
    message = rig.step(positions=positions)
    np.testing.assert_allclose(measured_joints(message), positions, atol=1e-6)
    assert not [reason for reason in rig.values('inputs') if 'joint_states' in reason]


def test_the_policy_reads_a_mapped_joint_in_its_own_unit(graph):
    rig = SplitRig(graph, 'hand/joint_states', **INVERTED)
    rig.goal()
    message = rig.step(positions=np.array([0.1] * 7 + [0.6]))
    np.testing.assert_allclose(measured_joints(message), [0.1] * 7 + [0.25], atol=1e-6)


def test_a_joint_that_is_too_old_is_named(graph):
    rig = SplitRig(graph, 'hand/joint_states', input_timeout_s=0.3)
    rig.finger_late_ns = 200_000_000
    rig.goal()
    rig.wait_for_diagnostic(
        'inputs', f'joint_states: {FINGER} is 0.200 s from front', DiagnosticStatus.ERROR, lambda: rig.offer(rig.now())
    )
    assert not rig.steps
    rig.finger_late_ns = 0
    rig.step()


def test_a_slow_joint_may_have_an_age_of_its_own(graph):
    rig = SplitRig(graph, 'hand/joint_states', robot__joint_max_age_s=[0.06] * 7 + [1.0])
    rig.finger_late_ns = 200_000_000
    rig.goal()
    rig.step()


def test_a_joint_that_never_arrives_is_named(graph):
    rig = SplitRig(graph, 'hand/joint_states', input_timeout_s=0.3)
    rig.send_joints = lambda stamp_ns, _=None: rig.send(rig.joints, ARM, np.zeros(7), stamp_ns)
    rig.goal()
    rig.wait_for_diagnostic(
        'inputs', f'joint_states: {FINGER}: nothing received', DiagnosticStatus.ERROR, lambda: rig.offer(rig.now())
    )
    assert not rig.steps


def test_a_good_message_does_not_hide_the_bad_one_of_another_topic(graph):
    rig = SplitRig(graph, 'hand/joint_states')
    rig.goal()
    rig.send_joints = lambda stamp_ns, _=None: (
        rig.send(rig.joints, ARM, np.full(7, np.nan), stamp_ns),
        rig.send(rig.finger_joints, [FINGER], [0.0], stamp_ns),
    )
    arrived = rig.node._inputs
    graph.until(lambda: rig.offer(rig.now()) or 'joint_states rejected' in arrived.counts, 'rejected')
    for _ in range(3):
        rig.offer(rig.now())
        graph.spin(0.1)
        assert arrived.problem().startswith('joint_states ') and 'hand/' not in arrived.problem()
    del rig.send_joints
    graph.until(lambda: rig.offer(rig.now()) or not arrived.problem(), 'a good message of the arm')


def test_a_bad_map_is_refused(graph):
    node = graph.inside(VlaNode, backbone='fakes:ScriptedVla', **(ROBOT | {'robot__mapped_joints': [FINGER]}))
    with pytest.raises(ConfigError, match=f'map_{FINGER}.policy'):
        node.configure()
