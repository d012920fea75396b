# SPDX-License-Identifier: Apache-2.0
"""All five nodes as real processes with scripted parts, and the test as the one who runs episodes."""

import itertools
import time

import numpy as np
from aura_ros.action import RunEpisode
from aura_ros.msg import ArmStatus, GateSample, TaskEvent
from diagnostic_msgs.msg import DiagnosticArray
from fakes import JOINTS, READING
from rclpy.action import ActionClient
from rclpy.qos import QoSProfile
from ros_graph import CONFIG
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from aura_ros.nodes import qos
from aura_ros.nodes.sim_messages import image_to_msg, joints_to_msg

ROBOT = ('--params-file', str(CONFIG / 'sim_arm.yaml'))
# The test must not lose a command while it is busy.
_EVERY_COMMAND = QoSProfile(depth=1000)
_GOAL_S = 5.0


class Whole:
    """The graph, what it says, and its processes by node.

    Args:
        graph: the domain to start in.
        lockstep: whether the simulation waits for the graph.
        rounds: length of the episode [s].
        backbone, simulation: of fakes.py.
        more: further parameters: `vla={...}`, `arms={...}` for both memory arms, `sim={...}`.
    """

    def __init__(self, graph, lockstep, rounds, backbone='ScriptedVla', simulation='FakeSimulation', **more):
        self.graph = graph
        timing = ('--params-file', str(CONFIG / f'{"lockstep" if lockstep else "real_time"}.yaml'))
        common = {'autostart': True, 'use_sim_time': lockstep}
        arms = {**common, **more.get('arms', {})}
        self._starts = {
            'vla_node': (
                timing,
                {
                    # the three other nodes: a step is never repeated
                    'backbone': f'fakes:{backbone}',
                    'step_subscribers': 3,
                    **common,
                    **more.get('vla', {}),
                },
            ),
            'memory_node': (timing, {'memory': 'fakes:aura', **arms}),
            'kv_baseline_node': (timing, {'memory': 'fakes:kv', **arms}),
            'arm_switch_node': ((*timing, *ROBOT), {'enable_control': True, **common}),
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
        self.statuses = graph.listen(ArmStatus, 'arm_status', qos.ARM_STATUS)
        self.gates = graph.listen(GateSample, 'aura/gate', qos.GATE)
        self.events = graph.listen(TaskEvent, 'sim/event', qos.TASK_EVENT)
        self.commands = graph.listen(JointTrajectory, 'joint_command', _EVERY_COMMAND)
        self.diagnostics = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self.client = ActionClient(graph.node, RunEpisode, 'run_episode')
        for name in ('vla_node', 'memory_node', 'kv_baseline_node', 'arm_switch_node'):
            self.start(name)
        graph.until(self.client.server_is_ready, 'run_episode')
        graph.until(lambda: self.statuses, 'arm_status')
        for name in ('memory_node', 'kv_baseline_node'):
            graph.until(lambda name=name: 'is ready' in graph.log(name), name)
        self.start('sim_node')

    def start(self, name):
        """Start a node, or start it anew."""
        arguments, parameters = self._starts[name]
        self.processes[name] = self.graph.start(name, *arguments, **parameters)

    def begin(self, max_steps=0):
        """Begin an episode whose first step the test will see; returns the goal's handle."""
        self.graph.discovered_by('vla_node', 'memory_node', 'kv_baseline_node', 'arm_switch_node')

        def accepted():
            goal = RunEpisode.Goal(instruction='go on', max_steps=max_steps)
            future = self.client.send_goal_async(goal)
            # One that went to a node just killed is never answered.
            end = time.monotonic() + _GOAL_S
            self.graph.until(lambda: future.done() or time.monotonic() > end, 'answer to the goal')
            return future.result() if future.done() and future.result().accepted else None

        return self.graph.until(accepted, 'an accepted goal')

    def driven(self):
        """Wait until an arm drives."""
        try:
            self.graph.until(lambda: not self.statuses[-1].holding, 'an arm drives')
        except AssertionError as error:
            error.add_note(f'the last of {len(self.statuses)} statuses: {self.statuses[-1]}')
            error.add_note(f'the last diagnostics: {self.diagnostics[-5:]}')
            raise

    def more_steps(self, count=5):
        """Wait until the memory has applied `count` more steps."""
        wanted = len(self.gates) + count
        self.graph.until(lambda: len(self.gates) >= wanted, f'{count} more steps')

    def told(self, name, text, level, since=0):
        """Wait until /diagnostics says `text` under `name`; returns the message. `since`: how many messages to skip."""

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
    """Cameras and joint states at ten times the rate of the embedded robot and a bit, from the test's own node.

    Attributes:
        sent: sets of images sent so far [1].
    """

    CAMERA_HZ, JOINT_HZ = 120.0, 240.0

    def __init__(self, graph):
        self._node = graph.node
        self.sent = 0
        self._pixels = np.full((128, 128, 3), 60, np.uint8)
        self._reading = np.full(len(JOINTS), READING)
        self._reading[-1] = 0.0
        cameras = ('front', 'wrist')
        self._cameras = [
            self._node.create_publisher(Image, f'camera/{camera}/image_raw', qos.CAMERA_OUT) for camera in cameras
        ]
        self._joints = self._node.create_publisher(JointState, 'joint_states', qos.JOINT_STATES_OUT)
        self._timers = [
            self._node.create_timer(1.0 / self.CAMERA_HZ, self._show),
            self._node.create_timer(1.0 / self.JOINT_HZ, self._feel),
        ]

    def _show(self):
        stamp_ns = self._node.get_clock().now().nanoseconds
        for camera in self._cameras:
            camera.publish(image_to_msg(self._pixels, stamp_ns, 'camera'))
        self.sent += 1

    def _feel(self):
        stamp_ns = self._node.get_clock().now().nanoseconds
        self._joints.publish(joints_to_msg(JOINTS, self._reading, np.zeros(len(JOINTS)), stamp_ns))

    def stop(self):
        """Send nothing more."""
        for timer in self._timers:
            timer.cancel()
