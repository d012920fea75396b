# SPDX-License-Identifier: Apache-2.0
"""policy_switch_node in the process of the test. The test acts as all policies and as the robot."""

import numpy as np
from aura_ros.msg import ActionChunk, PolicyStatus, VlaStep
from aura_ros.srv import SelectPolicy
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from aura_ros.memory import Step
from aura_ros.nodes.policy_switch.node import PolicySwitchNode
from aura_ros.ros import conversions, qos
from aura_ros.ros.sensor_messages import joints_to_msg

EPISODE = '00000000-0000-4000-8000-000000000001'
NAMES = ['a', 'b']
BASE, AURA, KV = 0, 1, 2
# A long lease, because a slow test machine must not look like a dead process. test_graph.py tests the detection of a
# killed node.
LEASE_S = 10.0
ROBOT = {
    'robot__joint_names': NAMES,
    'robot__position_lower': [-1.0, -1.0],
    'robot__position_upper': [1.0, 1.0],
    'robot__velocity_max': [10.0, 10.0],
    'robot__step_max': [0.5, 0.5],
}


class SwitchRig:
    """policy_switch_node in this process, with publishers for all its inputs."""

    def __init__(self, graph, **parameters):
        self.graph = graph
        self.commands = graph.listen(JointTrajectory, 'joint_command', qos.COMMAND)
        self.statuses = graph.listen(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
        self.diagnostics = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        lease_s = parameters.setdefault('liveliness_lease_s', LEASE_S)
        make = graph.node.create_publisher
        self.steps = make(VlaStep, 'vla_step', qos.step(lease_s))
        self.chunks = {
            AURA: make(ActionChunk, 'aura/action_chunk', qos.chunk(lease_s)),
            KV: make(ActionChunk, 'kv/action_chunk', qos.chunk(lease_s)),
        }
        self.joints = make(JointState, 'joint_states', qos.JOINT_STATES_OUT)
        defaults = {'enable_control': True, 'policy': 'aura', 'autostart': True}
        # On a busy test machine the measured joints must not become stale.
        parameters = defaults | {'joint_max_age_s': 10.0} | parameters
        self.node = graph.inside(PolicySwitchNode, **(ROBOT | parameters))
        assert self.node.autostart()
        for publisher in (self.steps, *self.chunks.values(), self.joints):
            graph.matched(publisher)
        graph.until(lambda: self.statuses, 'policy_status')
        commanded = [
            topic
            for key, topic in parameters.items()
            if key.endswith('__command_topic') and parameters.get(key.replace('_topic', '_type')) != 'gripper_command'
        ]
        for topic in commanded or ['joint_command']:
            graph.until(lambda topic=topic: graph.node.count_publishers(topic), topic)
        self.seq = dict.fromkeys((BASE, AURA, KV), 0)

    def now(self):
        return self.graph.node.get_clock().now().nanoseconds

    def measure(self, *positions, stamp_ns=None):
        stamp_ns = self.now() if stamp_ns is None else stamp_ns
        found = np.array(positions)
        self.joints.publish(joints_to_msg(NAMES, found, np.zeros(2), stamp_ns))

    def message(self, policy, value, stamp_ns=None, seq=None, episode=EPISODE, joints=2, components=()):
        """Return a chunk of eight equal actions of a policy; for the base policy, return a VlaStep."""
        seq = self.seq[policy] if seq is None else seq
        self.seq[policy] = seq + 1
        stamp_ns = self.now() if stamp_ns is None else stamp_ns
        step = Step(
            episode,
            seq,
            stamp_ns,
            np.ones(3, np.float32),
            np.zeros((8, joints), np.float32),
            0.05,
            frame_id='base_link',
            components=components,
        )
        if policy == BASE:
            message = conversions.step_to_msg(step)
            message.base_action = conversions.float32s(np.full(8 * joints, value))
        else:
            message = conversions.chunk_to_msg(step, policy, np.zeros((8, joints)))
            message.actions = conversions.float32s(np.full(8 * joints, value))
        return message

    def chunk(self, policy, value, **about):
        """Publish such a chunk on the topic of its policy."""
        topic = self.steps if policy == BASE else self.chunks[policy]
        topic.publish(self.message(policy, value, **about))

    def drive(self, value=0.2, policy=AURA):
        """Publish joints and chunks until `policy` drives the robot."""

        def again():
            self.measure(0.0, 0.0)
            self.chunk(policy, value)
            self.graph.spin(0.1)
            return self.status.policy == policy and not self.status.holding

        self.graph.until(again, f'policy {policy} drives')

    @property
    def status(self):
        return self.statuses[-1]

    @property
    def target(self):
        return list(self.commands[-1].points[-1].positions) if self.commands else None

    def select(self, policy):
        """Request a policy; return the future of the response."""
        client = self.graph.node.create_client(SelectPolicy, 'select_policy')
        self.graph.until(client.service_is_ready, 'select_policy')
        return client.call_async(SelectPolicy.Request(policy=policy))

    def values(self, name):
        """Return the newest diagnostic values of the check `name`."""
        found = [
            {entry.key: entry.value for entry in status.values}
            for message in self.diagnostics
            for status in message.status
            if status.name.endswith(name)
        ]
        return found[-1] if found else {}

    def wait_for_diagnostic(self, name, text, level):
        """Wait until the check `name` reports `text` with `level`."""

        def found():
            return any(
                status.name.endswith(name) and text in status.message and status.level == level
                for message in self.diagnostics
                for status in message.status
            )

        self.graph.until(found, f'{name}: {text}')
