# SPDX-License-Identifier: Apache-2.0
"""F8: simulated time jumps, stops, or repeats; the nodes react as documented.

* Forward: the chunk in use is of the past, so the robot is held until there is a step of the new time. The episode goes
  on, its steps without a gap.
* Back, as when a bag loops: the robot is held. The running episode makes no step until time has passed that of its
  last step, so no stamp reaches a memory twice; a new episode begins at once.
* Standing: nothing gets old on a clock that stands, so the steady clock tells: the robot is held. It goes on with time.
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
from rclpy.qos import QoSProfile
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
    """Plays time, cameras and joints at the pace of the steady clock, its stamps on a grid of 50 ms.

    Attributes:
        now_ns: simulated time [ns].
        moving: whether time passes; while it stands nothing is sent at all, as with a player that is paused.
        seeing: whether the cameras send.
    """

    def __init__(self, graph):
        self.now_ns, self.moving, self.seeing = 100_000_000_000, True, True
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
        if not self.moving:
            return
        self.now_ns += round(TICK_S * 1e9)
        self._ticks += 1
        self._clock.publish(Clock(clock=conversions.to_stamp(self.now_ns)))
        self._joints.publish(joints_to_msg(JOINTS, self._reading, np.zeros(len(JOINTS)), self.now_ns))
        if self.seeing and self._ticks % 2 == 0:
            for camera in self._cameras:
                camera.publish(image_to_msg(self._pixels, self.now_ns, 'camera'))

    def jump(self, seconds):
        """Move time; the next tick shows it."""
        self.now_ns += round(seconds * 1e9)


class Rig:
    """VLA, memory and switch on simulated time, in an episode, the aura policy driving."""

    def __init__(self, graph):
        self.graph = graph
        common = {'use_sim_time': True, 'autostart': True}
        graph.start('vla_node', *TIMING, backbone='fakes:MarkedVla', step_subscribers=3, **common)
        graph.start('memory_node', *TIMING, memory='fakes:aura', chunk_subscribers=1, **common)
        self.switch = graph.start('policy_switch_node', *TIMING, *ROBOT, enable_control=True, **common)
        self.bag = Bag(graph)
        self.steps = graph.listen(VlaStep, 'vla_step', qos.step())
        self.gates = graph.listen(GateSample, 'aura/gate', qos.GATE)
        self.statuses = graph.listen(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
        self.commands = graph.listen(JointTrajectory, 'joint_command', QoSProfile(depth=1000))
        self.diagnostics = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self._client = ActionClient(graph.node, RunEpisode, 'run_episode')
        graph.until(self._client.server_is_ready, 'run_episode')
        graph.discovered_by('vla_node', 'memory_node', 'policy_switch_node')
        self.handle = None
        self.episode()
        self.driven(0)

    def episode(self):
        """Begin an episode, after the one before has ended."""
        if self.handle is not None:
            result = self.handle.get_result_async()
            self.graph.until(self.handle.cancel_goal_async().done, 'cancelled')
            self.graph.until(result.done, 'the end of the episode before')
        future = self._client.send_goal_async(RunEpisode.Goal(instruction='go on'))
        self.graph.until(future.done, 'answer to the goal')
        self.handle = future.result()
        assert self.handle.accepted

    def driven(self, since):
        """Wait until a policy drives, at least four commands after `since`."""
        self.graph.until(lambda: len(self.commands) > since + 3 and self.commanded(DRIVEN), 'a policy drives')

    def held(self, reason):
        """Wait until the robot is held for `reason`; returns the commands of half a second of it, and seconds until it.

        Seconds are on the steady clock.
        """
        began = time.monotonic()
        self.graph.until(lambda: self.statuses[-1].holding and reason in self.statuses[-1].reason, f'hold: {reason}')
        took_s, count = time.monotonic() - began, len(self.commands)
        # The first may have been on its way when the status came.
        self.graph.until(lambda: len(self.commands) > count + 10, 'commands go on')
        return {command.points[0].positions[0] for command in self.commands[count + 1 :]}, took_s

    def commanded(self, value):
        """Whether the newest command is `value`."""
        return abs(self.commands[-1].points[0].positions[0] - value) < 1e-5


@pytest.fixture
def rig(graph):
    return Rig(graph)


def stamps(steps):
    return [conversions.to_ns(step.header.stamp) for step in steps]


def no_stamp_reached_the_memory_twice(rig):
    """Within each episode steps are numbered without a gap, stamped ever later, and applied once."""
    rig.graph.until(lambda: len(rig.gates) >= len(rig.steps), 'all steps at the memory')
    for episode in {step.episode_id for step in rig.steps}:
        steps = [step for step in rig.steps if step.episode_id == episode]
        assert [step.seq for step in steps] == list(range(len(steps)))
        assert np.diff(stamps(steps)).min(initial=1) > 0
        gates = [gate.seq for gate in rig.gates if gate.episode_id == episode]
        assert gates == list(range(len(gates)))


def test_a_jump_forward_holds_until_there_is_a_step_of_the_new_time(graph, rig, measured):
    first = len(rig.commands)
    boundary_ns = rig.bag.now_ns + 30_000_000_000
    rig.bag.seeing = False
    rig.bag.jump(60.0)
    assert rig.held('no chunk')[0] == {READING}
    rig.bag.seeing = True
    graph.until(lambda: stamps(rig.steps)[-1] > boundary_ns, 'a step of the new time')
    fresh_ns = next(stamp for stamp in stamps(rig.steps) if stamp > boundary_ns)
    rig.driven(len(rig.commands))
    between = [
        command.points[0].positions[0]
        for command in rig.commands[first:]
        if boundary_ns < conversions.to_ns(command.header.stamp) < fresh_ns
    ]
    assert between and all(abs(position - READING) < 1e-5 for position in between), 'the past drove in the new time'
    assert len({step.episode_id for step in rig.steps}) == 1
    no_stamp_reached_the_memory_twice(rig)
    measured(f'60 s forward: {len(between)} commands until a step of the new time, all held; on in the same episode')


def test_a_bag_that_loops_gives_no_stamp_twice(graph, rig, measured):
    rig.driven(len(rig.commands))
    last_ns, made = rig.bag.now_ns, len(rig.steps)
    rig.bag.jump(-2.0)
    held, held_s = rig.held('clock moved back')
    assert held == {READING}
    # The same stamps come again, and lead to nothing; after them the episode goes on.
    graph.until(lambda: len(rig.steps) > made + 2, 'the episode goes on')
    assert stamps(rig.steps)[made + 1] > last_ns - 500_000_000
    rig.driven(len(rig.commands))
    assert len({step.episode_id for step in rig.steps}) == 1
    no_stamp_reached_the_memory_twice(rig)
    measured(f'bag loops by 2 s: held after {held_s:.2f} s, no stamp used twice, on when time had passed')


def test_after_a_jump_back_a_new_episode_begins_at_once(graph, rig, measured):
    rig.bag.jump(-50.0)
    assert rig.held('clock moved back')[0] == {READING}
    made = len(rig.steps)
    rig.episode()
    graph.until(lambda: len(rig.steps) > made and rig.steps[-1].seq >= 2, 'steps of the new episode')
    rig.driven(len(rig.commands))
    assert len({step.episode_id for step in rig.steps}) == 2
    no_stamp_reached_the_memory_twice(rig)
    measured('50 s back: held; a new episode drives at once')


def test_a_stopped_clock_is_detected_on_the_steady_clock(graph, rig, measured):
    wait = CpuWait(os.getpid(), rig.switch.pid)
    rig.bag.moving = False
    count = len(rig.diagnostics)
    held, held_s = rig.held('clock has stopped')
    waited_s = wait.seconds
    # In no time nothing may move: it is kept where it was sent last.
    assert len(held) == 1

    def reported():
        return any(
            status.name == 'vla_node: inputs'
            and 'nothing for' in status.message
            and status.level == DiagnosticStatus.ERROR
            for message in rig.diagnostics[count:]
            for status in message.status
        )

    graph.until(reported, 'vla_node reports silent inputs')
    made = len(rig.steps)
    rig.bag.moving = True
    graph.until(lambda: len(rig.steps) > made, 'steps go on with time')
    rig.driven(len(rig.commands))
    assert len({step.episode_id for step in rig.steps}) == 1
    no_stamp_reached_the_memory_twice(rig)
    measured(f'clock stands: held after {held_s:.2f} s; on with time, in the same episode')
    # Its clock_timeout_s is 0.5 s.
    assert held_s - waited_s < 2.0
