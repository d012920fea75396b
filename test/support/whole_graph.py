# SPDX-License-Identifier: Apache-2.0
"""All five nodes as real processes with fake parts. The test runs the episodes."""

import itertools
import time

import numpy as np
from aura_ros.action import RunEpisode
from aura_ros.msg import GateSample, PolicyStatus, TaskEvent
from diagnostic_msgs.msg import DiagnosticArray
from fakes import JOINTS, READING
from rclpy.action import ActionClient
from ros_graph import CONFIG
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from aura_ros.ros import qos
from aura_ros.ros.sensor_messages import image_to_msg, joints_to_msg

ROBOT = ('--params-file', str(CONFIG / 'sim_arm.yaml'))
_GOAL_S = 5.0


class WholeGraph:
    """The processes of all nodes, and the messages that they publish.

    Args:
        graph: the domain of the nodes.
        lockstep: whether the simulation waits for the graph.
        rounds: length of the episode [s].
        backbone, simulation: classes in fakes.py.
        more: further parameters of the nodes: `vla={...}`, `policies={...}` for both memory nodes, `sim={...}`; and
            `robot`, the robot file.
    """

    def __init__(self, graph, lockstep, rounds, backbone='ScriptedVla', simulation='FakeSimulation', **more):
        self.graph = graph
        timing = ('--params-file', str(CONFIG / f'{"lockstep" if lockstep else "real_time"}.yaml'))
        common = {'autostart': True, 'use_sim_time': lockstep}
        policies = {**common, **more.get('policies', {})}
        self._starts = {
            'vla_node': (
                timing,
                {
                    # A step is never sent again, so vla_node waits for the three other nodes.
                    'backbone': f'fakes:{backbone}',
                    'step_subscribers': 3,
                    **common,
                    **more.get('vla', {}),
                },
            ),
            'memory_node': (timing, {'memory': 'fakes:aura', **policies}),
            'kv_baseline_node': (timing, {'memory': 'fakes:kv', **policies}),
            'policy_switch_node': (
                (*timing, *more.get('robot', ROBOT)),
                {'enable_control': True, 'command_stamp': 'now', **common},
            ),
            'sim_node': (
                (),
                {
                    'simulation': f'fakes:{simulation}',
                    'task': 'recall',
                    'rounds': rounds,
                    'lockstep': lockstep,
                    'use_sim_time': lockstep,
                    **more.get('sim', {}),
                },
            ),
        }
        self.processes = {}
        self.statuses = graph.listen(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
        self.gates = graph.listen(GateSample, 'aura/gate', qos.GATE)
        self.events = graph.listen(TaskEvent, 'sim/event', qos.TASK_EVENT)
        self.commands = graph.listen(JointTrajectory, 'joint_command', qos.COMMAND)
        self.diagnostics = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self.client = ActionClient(graph.node, RunEpisode, 'run_episode')
        for name in ('vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node'):
            self.start(name)
        graph.until(self.client.server_is_ready, 'run_episode')
        graph.until(lambda: self.statuses, 'policy_status')
        for name in ('memory_node', 'kv_baseline_node'):
            graph.until(lambda name=name: 'is ready' in graph.log(name), name)
        self.start('sim_node')

    def start(self, name):
        """Start or restart a node."""
        arguments, parameters = self._starts[name]
        self.processes[name] = self.graph.start(name, *arguments, **parameters)

    def begin(self, max_steps=0):
        """Start an episode whose first step reaches the test; return the handle of the goal."""
        self.graph.discovered_by('vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node')

        def accepted():
            goal = RunEpisode.Goal(instruction='go on', max_steps=max_steps)
            future = self.client.send_goal_async(goal)
            # A goal that was sent to a node just before its kill is never answered.
            end = time.monotonic() + _GOAL_S
            self.graph.until(lambda: future.done() or time.monotonic() > end, 'answer to the goal')
            return future.result() if future.done() and future.result().accepted else None

        return self.graph.until(accepted, 'an accepted goal')

    def driven(self):
        """Wait until a policy drives."""
        try:
            self.graph.until(lambda: not self.statuses[-1].holding, 'a policy drives')
        except AssertionError as error:
            error.add_note(f'the last of {len(self.statuses)} statuses: {self.statuses[-1]}')
            error.add_note(f'the last diagnostics: {self.diagnostics[-5:]}')
            raise

    def more_steps(self, count=5):
        """Wait until the memory has applied `count` more steps."""
        wanted = len(self.gates) + count
        self.graph.until(lambda: len(self.gates) >= wanted, f'{count} more steps')

    def wait_for_diagnostic(self, name, text, level, since=0):
        """Wait until the check `name` reports `text`, skip the first `since` messages, and return the message."""

        def found():
            return next(
                (
                    message
                    for message in itertools.islice(self.diagnostics, since, None)
                    for status in message.status
                    if status.name == name and text in status.message and status.level == level
                ),
                None,
            )

        return self.graph.until(found, f'{name}: {text}')


class Flood:
    """Publishes images and joint states at more than ten times the rates of the embedded robot."""

    CAMERA_HZ, JOINT_HZ = 120.0, 240.0

    def __init__(self, graph):
        self._node = graph.node
        self.sent = 0
        """Number of sent sets of images [1]."""
        self._pixels = np.full((128, 128, 3), 60, np.uint8)
        self._reading = np.full(len(JOINTS), READING)
        self._reading[-1] = 0.0
        cameras = ('front', 'wrist')
        self._cameras = [
            self._node.create_publisher(Image, f'camera/{camera}/image_raw', qos.CAMERA_OUT) for camera in cameras
        ]
        self._joints = self._node.create_publisher(JointState, 'joint_states', qos.JOINT_STATES_OUT)
        self._timers = [
            self._node.create_timer(1.0 / self.CAMERA_HZ, self._publish_images),
            self._node.create_timer(1.0 / self.JOINT_HZ, self._publish_joints),
        ]

    def _publish_images(self):
        stamp_ns = self._node.get_clock().now().nanoseconds
        for camera in self._cameras:
            camera.publish(image_to_msg(self._pixels, stamp_ns, 'camera'))
        self.sent += 1

    def _publish_joints(self):
        stamp_ns = self._node.get_clock().now().nanoseconds
        self._joints.publish(joints_to_msg(JOINTS, self._reading, np.zeros(len(JOINTS)), stamp_ns))

    def stop(self):
        """Stop publishing."""
        for timer in self._timers:
            timer.cancel()
