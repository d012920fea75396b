# SPDX-License-Identifier: Apache-2.0
"""F8: simulated time jumps forward or back, or stops.

* Forward: the current chunk is too old, so the robot holds until a step of the new time arrives. The episode continues,
  and its steps have no gap.
* Back, as when a bag loops: the robot holds. The running episode makes no step until time passes the stamp of its last
  step, so no stamp reaches a memory twice. A new episode starts at once.
* Stopped: no message gets older on a stopped clock. A watchdog on the steady clock holds the robot until time advances.
"""

import os
import time

import numpy as np
import pytest
from aura_ros.action import RunEpisode
from aura_ros.msg import GateSample, PolicyStatus, VlaStep
from cpu_wait import CpuWait
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fakes import AURA_OFFSET, JOINTS, POSE, READING
from rclpy.action import ActionClient
from ros_graph import CONFIG
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from aura_ros.ros import conversions, qos
from aura_ros.ros.sensor_messages import image_to_msg, joints_to_msg

DRIVEN = POSE + AURA_OFFSET
TICK_S = 0.05
TIMING = ('--params-file', str(CONFIG / 'real_time.yaml'))
ROBOT = ('--params-file', str(CONFIG / 'sim_arm.yaml'))
pytestmark = [pytest.mark.graph, pytest.mark.fault('F8'), pytest.mark.timeout(180)]


class Bag:
    """Publishes time, images and joints in real time, with stamps that are multiples of 50 ms."""

    def __init__(self, graph):
        self.now_ns = 100_000_000_000
        """Simulated time [ns]."""
        self.playing = True
        """Whether time passes. Nothing is published otherwise, as by a paused player."""
        self.images_enabled = True
        """Whether the cameras publish."""
        self._ticks = 0
        self._pixels = np.full((128, 128, 3), 60, np.uint8)
        self._reading = np.full(len(JOINTS), READING)
        self._reading[-1] = 0.0
        make = graph.node.create_publisher
        self._clock = make(Clock, '/clock', qos.CLOCK)
        self._joints = make(JointState, 'joint_states', qos.JOINT_STATES_OUT)
        topics = [f'camera/{camera}/image_raw' for camera in ('front', 'wrist')]
        self._cameras = [make(Image, topic, qos.CAMERA_OUT) for topic in topics]
        graph.node.create_timer(TICK_S, self._tick)

    def _tick(self):
        if not self.playing:
            return
        self.now_ns += round(TICK_S * 1e9)
        self._ticks += 1
        self._clock.publish(Clock(clock=conversions.to_stamp(self.now_ns)))
        self._joints.publish(joints_to_msg(JOINTS, self._reading, np.zeros(len(JOINTS)), self.now_ns))
        if self.images_enabled and self._ticks % 2 == 0:
            for camera in self._cameras:
                camera.publish(image_to_msg(self._pixels, self.now_ns, 'camera'))

    def jump(self, seconds):
        """Change the time; the next tick publishes it."""
        self.now_ns += round(seconds * 1e9)


class Rig:
    """vla_node, memory_node and policy_switch_node on simulated time, in an episode that the AURA policy drives."""

    def __init__(self, graph):
        self.graph = graph
        common = {'use_sim_time': True, 'autostart': True}
        graph.start('vla_node', *TIMING, backbone='fakes:MarkedVla', step_subscribers=3, **common)
        graph.start('memory_node', *TIMING, memory='fakes:aura', chunk_subscribers=1, **common)
        self.switch = graph.start(
            'policy_switch_node', *TIMING, *ROBOT, enable_control=True, command_stamp='now', **common
        )
        self.bag = Bag(graph)
        self.steps = graph.listen(VlaStep, 'vla_step', qos.step())
        self.gates = graph.listen(GateSample, 'aura/gate', qos.GATE)
        self.statuses = graph.listen(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
        self.commands = graph.listen(JointTrajectory, 'joint_command', qos.COMMAND)
        self.diagnostics = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self._client = ActionClient(graph.node, RunEpisode, 'run_episode')
        graph.until(self._client.server_is_ready, 'run_episode')
        graph.discovered_by('vla_node', 'memory_node', 'policy_switch_node')
        self.handle = None
        self.episode()
        self.driven(0)

    def episode(self):
        """End the previous episode and start a new one."""
        if self.handle is not None:
            result = self.handle.get_result_async()
            self.graph.until(self.handle.cancel_goal_async().done, 'cancelled')
            self.graph.until(result.done, 'the end of the previous episode')
        future = self._client.send_goal_async(RunEpisode.Goal(instruction='go on'))
        self.graph.until(future.done, 'answer to the goal')
        self.handle = future.result()
        assert self.handle.accepted

    def driven(self, since):
        """Wait until the AURA policy drives, at least four commands after the first `since`."""
        self.graph.until(lambda: len(self.commands) > since + 3 and self.commanded(DRIVEN), 'a policy drives')

    def held(self, reason):
        """Wait for a hold with `reason`; return its commands of half a second, and the seconds until the hold.

        The seconds are measured on the steady clock.
        """
        began = time.monotonic()
        self.graph.until(lambda: self.statuses[-1].holding and reason in self.statuses[-1].reason, f'hold: {reason}')
        took_s, count = time.monotonic() - began, len(self.commands)
        # The first command may be older than the status.
        self.graph.until(lambda: len(self.commands) > count + 10, 'commands continue')
        return {command.points[0].positions[0] for command in self.commands[count + 1 :]}, took_s

    def commanded(self, value):
        """Return whether the newest command is `value`."""
        return abs(self.commands[-1].points[0].positions[0] - value) < 1e-5


@pytest.fixture
def rig(graph):
    return Rig(graph)


def stamps(steps):
    return [conversions.to_ns(step.header.stamp) for step in steps]


def assert_no_stamp_reached_the_memory_twice(rig):
    """Assert that the steps of each episode have no gap, have increasing stamps, and were applied once."""
    rig.graph.until(lambda: len(rig.gates) >= len(rig.steps), 'all steps at the memory')
    for episode in {step.episode_id for step in rig.steps}:
        steps = [step for step in rig.steps if step.episode_id == episode]
        assert [step.seq for step in steps] == list(range(len(steps)))
        assert np.diff(stamps(steps)).min(initial=1) > 0
        gates = [gate.seq for gate in rig.gates if gate.episode_id == episode]
        assert gates == list(range(len(gates)))


def test_a_jump_forward_holds_until_a_step_of_the_new_time(graph, rig, measured):
    first = len(rig.commands)
    boundary_ns = rig.bag.now_ns + 30_000_000_000
    rig.bag.images_enabled = False
    rig.bag.jump(60.0)
    assert rig.held('no chunk')[0] == {READING}
    rig.bag.images_enabled = True
    graph.until(lambda: stamps(rig.steps)[-1] > boundary_ns, 'a step of the new time')
    fresh_ns = next(stamp for stamp in stamps(rig.steps) if stamp > boundary_ns)
    rig.driven(len(rig.commands))
    between = [
        command.points[0].positions[0]
        for command in rig.commands[first:]
        if boundary_ns < conversions.to_ns(command.header.stamp) < fresh_ns
    ]
    # The first command may still be on its way to the measured position, within the limits of the elapsed time.
    assert len(between) > 1 and all(abs(position - READING) < 1e-5 for position in between[1:]), 'an old chunk drove'
    assert len({step.episode_id for step in rig.steps}) == 1
    assert_no_stamp_reached_the_memory_twice(rig)
    measured(f'60 s forward: {len(between)} commands until a step of the new time, all held; same episode continues')


def test_a_bag_that_loops_repeats_no_stamp(graph, rig, measured):
    rig.driven(len(rig.commands))
    last_ns, made = rig.bag.now_ns, len(rig.steps)
    rig.bag.jump(-2.0)
    held, held_s = rig.held('clock moved back')
    assert held == {READING}
    # The repeated stamps are ignored. The episode continues after them.
    graph.until(lambda: len(rig.steps) > made + 2, 'the episode continues')
    assert stamps(rig.steps)[made + 1] > last_ns - 500_000_000
    rig.driven(len(rig.commands))
    assert len({step.episode_id for step in rig.steps}) == 1
    assert_no_stamp_reached_the_memory_twice(rig)
    measured(f'bag loops by 2 s: held after {held_s:.2f} s, no stamp used twice, continues after the last stamp')


def test_after_a_jump_back_a_new_episode_starts_at_once(graph, rig, measured):
    rig.bag.jump(-50.0)
    assert rig.held('clock moved back')[0] == {READING}
    made = len(rig.steps)
    rig.episode()
    graph.until(lambda: len(rig.steps) > made and rig.steps[-1].seq >= 2, 'steps of the new episode')
    rig.driven(len(rig.commands))
    assert len({step.episode_id for step in rig.steps}) == 2
    assert_no_stamp_reached_the_memory_twice(rig)
    measured('50 s back: held; a new episode drives at once')


def test_a_stopped_clock_is_detected_by_the_steady_clock(graph, rig, measured):
    wait = CpuWait(os.getpid(), rig.switch.pid)
    rig.bag.playing = False
    before = len(rig.diagnostics)
    held, held_s = rig.held('clock has stopped')
    waited_s = wait.seconds
    # The robot may not move while time stands still, so the last command is repeated.
    assert len(held) == 1

    def reported():
        return any(
            status.name == 'vla_node: inputs'
            and 'nothing for' in status.message
            and status.level == DiagnosticStatus.ERROR
            for message in rig.diagnostics[before:]
            for status in message.status
        )

    graph.until(reported, 'vla_node reports missing inputs')
    made = len(rig.steps)
    rig.bag.playing = True
    graph.until(lambda: len(rig.steps) > made, 'steps continue with time')
    rig.driven(len(rig.commands))
    assert len({step.episode_id for step in rig.steps}) == 1
    assert_no_stamp_reached_the_memory_twice(rig)
    measured(f'clock stops: held after {held_s:.2f} s; the same episode continues when time advances')
    # clock_timeout_s is 0.5 s.
    assert held_s - waited_s < 2.0
