# SPDX-License-Identifier: Apache-2.0
"""vla_node in the process of the test. The test publishes its inputs and acts as its client."""

from collections import Counter

import numpy as np
from aura_ros.action import RunEpisode
from aura_ros.msg import GateSample, PolicyStatus, VlaStep
from diagnostic_msgs.msg import DiagnosticArray
from fakes import JOINTS
from rclpy.action import ActionClient
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String

from aura_ros.nodes.vla.node import VlaNode
from aura_ros.ros import conversions, qos
from aura_ros.ros.sensor_messages import image_to_msg, joints_to_msg

PIXELS = np.full((128, 128, 3), 51, np.uint8)


def _stamp_ns(message):
    return conversions.to_ns(message.header.stamp)


CAMERAS = {'camera/front/image_raw': Image, 'camera/wrist/image_raw': Image}


class VlaRig:
    """vla_node in this process, with publishers for its inputs and a client."""

    def __init__(self, graph, images=CAMERAS, **parameters):
        """Start; `images` gives the type of each camera's topic, the reference first."""
        self.graph = graph
        # One subscription only, because vla_node counts them.
        self.steps = graph.received['vla_step'] = []
        graph.node.create_subscription(VlaStep, 'vla_step', self._on_step, qos.step())
        self.diagnostics = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        make = graph.node.create_publisher
        self.cameras = [make(kind, topic, qos.CAMERA_OUT) for topic, kind in images.items()]
        self.joints = make(JointState, 'joint_states', qos.JOINT_STATES_OUT)
        self.instructions = make(String, 'instruction', qos.INSTRUCTION)
        self.gates = make(GateSample, 'aura/gate', qos.GATE)
        usual = {'backbone': 'fakes:ScriptedVla', 'autostart': True, 'camera_reliability': 'reliable'}
        self.node = graph.inside(VlaNode, **usual | parameters)
        self._begun, self._handled = 0, 0
        self._count_inferences()
        assert self.node.autostart()
        self._sent = graph.sent(self.node, 'vla_step')
        for camera in self.cameras:
            graph.matched(camera)
        names = [publisher.topic_name for publisher in (*self.cameras, self.joints)]
        self._taken = [graph.taken(self.node, name, _stamp_ns) for name in names]
        # The part of the policy switch: it executes each step at once, unless a test sets `executes` to False.
        self.executes = True
        self.policy_status = make(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
        self.client = ActionClient(graph.node, RunEpisode, 'run_episode')
        graph.until(self.client.server_is_ready, 'run_episode')
        for publisher in (self.joints, self.instructions, self.gates, self.policy_status):
            graph.matched(publisher)
        self.feedback = []
        self._shown = Counter()

    def _on_step(self, step):
        self.steps.append(step)
        if self.executes:
            self.status(step.episode_id, step.seq)

    def status(self, episode_id, seq, holding=False, reason='aura drives'):
        message = PolicyStatus(episode_id=episode_id, policy=1, holding=holding, reason=reason)
        message.newest_seq = np.array([seq, seq, seq], np.uint64)
        self.policy_status.publish(message)

    def _count_inferences(self):
        """Count the inferences that begin, and those whose result the node has handled."""
        infer, call_soon = self.node._infer, self.node._call_soon

        def counted(job):
            self._begun += 1
            return infer(job)

        def handled(call):
            def counted_call():
                call()
                self._handled += 1

            call_soon(counted_call)

        self.node._infer, self.node._call_soon = counted, handled

    def settled(self, stamp_ns):
        """Return whether the node has received the inputs of `stamp_ns` and finished their processing."""
        arrived = all(stamps.count(stamp_ns) >= self._shown[stamp_ns] for stamps in self._taken)
        return arrived and self.node._worker.idle and self._begun == self._handled

    def offer(self, stamp_ns, **inputs):
        """Publish one set of inputs and wait until the node has processed it."""
        self.show(stamp_ns, **inputs)
        self.graph.until(lambda: self.settled(stamp_ns), 'the inputs are processed')

    def infer_until_resumed(self):
        """Publish inputs until an inference begins, which lasts until `resume`; return the stamp of the inputs [ns]."""
        stamp_ns = 0

        def begun():
            nonlocal stamp_ns
            if not stamp_ns or self.settled(stamp_ns):
                stamp_ns = self.now()
                self.show(stamp_ns)
            return self._begun > self._handled

        self.graph.until(begun, 'inference')
        return stamp_ns

    def now(self):
        return self.graph.node.get_clock().now().nanoseconds

    def goal(self, instruction='go on', max_steps=0):
        request = RunEpisode.Goal(instruction=instruction, max_steps=max_steps)
        future = self.client.send_goal_async(request, self.feedback.append)
        self.graph.until(future.done, 'answer to the goal')
        return future.result()

    def result(self, handle):
        future = handle.get_result_async()
        self.graph.until(future.done, 'result')
        return future.result()

    def show(self, stamp_ns, pixels=PIXELS, positions=None, encoding=None):
        """Publish one set of inputs with one stamp."""
        for camera in self.cameras:
            message = image_to_msg(pixels, stamp_ns, 'camera')
            if encoding:
                message.encoding = encoding
            camera.publish(message)
        self.send_joints(stamp_ns, positions)
        self._shown[stamp_ns] += 1

    def send_joints(self, stamp_ns, positions=None):
        """Publish the joint positions, by default zeros."""
        zeros = np.zeros(len(JOINTS))
        positions = zeros if positions is None else positions
        self.joints.publish(joints_to_msg(JOINTS, positions, zeros, stamp_ns))

    def step(self, **inputs):
        """Publish one set of inputs after another until the next step arrives; return the step."""
        count = len(self.steps)
        stamp_ns = 0

        def again():
            nonlocal stamp_ns
            if len(self._sent) == count and (not stamp_ns or self.settled(stamp_ns)):
                stamp_ns = self.now()
                self.show(stamp_ns, **inputs)
            return len(self.steps) > count

        self.graph.until(again, 'a step')
        return self.steps[count]

    def values(self, name):
        """Return the newest diagnostic values of the check `name`."""
        found = [
            {entry.key: entry.value for entry in status.values}
            for message in self.diagnostics
            for status in message.status
            if status.name.endswith(name)
        ]
        return found[-1] if found else {}

    def wait_for_diagnostic(self, name, text, level=None, meanwhile=lambda: None):
        """Wait until the check `name` reports `text`; call `meanwhile` repeatedly until then."""

        def found():
            meanwhile()
            return any(
                status.name.endswith(name) and text in status.message and (level is None or status.level == level)
                for message in self.diagnostics
                for status in message.status
            )

        self.graph.until(found, f'{name}: {text}')
