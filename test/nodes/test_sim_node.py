# SPDX-License-Identifier: Apache-2.0
"""sim_node on the graph, with a robot that follows every command at once."""

import numpy as np
import pytest
from aura_ros.msg import PolicyStatus, TaskEvent
from aura_ros.srv import StartTask
from fakes import JOINTS
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from aura_ros.common.errors import ConfigError
from aura_ros.nodes.sim.node import SimNode
from aura_ros.ros import conversions, qos

FAKE = 'fakes:FakeSimulation'
TICK_NS = 50_000_000


class Rig:
    """sim_node in this process, with the test as its controller and its policies."""

    def __init__(self, graph, **parameters):
        self.graph = graph
        self.joints = graph.listen(JointState, 'joint_states', qos.JOINT_STATES_OUT)
        self.images = graph.listen(Image, 'camera/front/image_raw', qos.CAMERA_OUT)
        self.clocks = graph.listen(Clock, '/clock', qos.CLOCK)
        self.events = graph.listen(TaskEvent, 'sim/event', qos.TASK_EVENT)
        self.instructions = graph.listen(String, 'instruction', qos.INSTRUCTION)
        self.commands = graph.node.create_publisher(JointTrajectory, 'joint_command', qos.COMMAND)
        self.statuses = graph.node.create_publisher(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
        self.node = graph.inside(SimNode, simulation=FAKE, **parameters)
        graph.matched(self.commands)
        graph.matched(self.statuses)
        for publisher in self.node.publishers:
            if publisher.topic_name.lstrip('/') in {topic.lstrip('/') for topic in graph.received}:
                graph.matched(publisher)
        for topic in graph.received:
            graph.until(lambda topic=topic: graph.node.count_publishers(topic), topic)

    def start(self, lockstep, rounds=1000, task='recall'):
        request = StartTask.Request(task=task, split='train', seed=0, rounds=rounds, lockstep=lockstep)
        return self.graph.call(StartTask, 'sim/start_task', request)

    def command(self, value, stamp_ns=0, names=JOINTS):
        message = JointTrajectory(joint_names=list(names))
        message.header.stamp = conversions.to_stamp(stamp_ns)
        message.points.append(_point(value))
        self.commands.publish(message)

    def answer(self, stamp_ns):
        """Report that all policies have processed the image of `stamp_ns`."""
        status = PolicyStatus()
        status.newest_stamp = [conversions.to_stamp(stamp_ns)] * 3
        self.statuses.publish(status)

    def stamps(self):
        return [conversions.to_ns(message.header.stamp) for message in self.joints]


def _point(value):
    from trajectory_msgs.msg import JointTrajectoryPoint

    return JointTrajectoryPoint(positions=conversions.float64s(np.full(len(JOINTS), value)))


@pytest.fixture
def rig(graph):
    return Rig(graph)


def test_lockstep_waits_for_the_command_and_all_policies(graph, rig):
    assert rig.start(lockstep=True).instruction == 'recall it'
    received = (rig.joints, rig.images, rig.events, rig.clocks, rig.instructions)
    graph.until(lambda: all(received), 'the first tick')
    t0 = rig.stamps()[0]
    assert conversions.to_ns(rig.images[0].header.stamp) == t0
    assert conversions.to_ns(rig.clocks[-1].clock) == t0
    assert rig.instructions[-1].data == 'recall it'
    taken = graph.taken(rig.node, 'joint_command')
    rig.command(0.1, t0)
    graph.until(lambda: taken, 'the command is taken')
    count = len(rig.joints)
    graph.until(lambda: len(rig.joints) > count + 1, 'the first tick, again and again')
    assert set(rig.stamps()) == {t0}  # no policy has processed the image
    rig.command(0.2, t0 - TICK_NS)  # not for this tick
    rig.answer(t0)
    graph.until(lambda: rig.stamps()[-1] == t0 + TICK_NS, 'the second tick')
    # The first tick ignores the command, so that runs are repeatable.
    np.testing.assert_allclose(rig.joints[-1].position, rig.joints[0].position)
    for tick in (1, 2, 3):
        rig.command(0.1 * tick, t0 + tick * TICK_NS)
        graph.until(lambda tick=tick: rig.stamps()[-1] == t0 + (tick + 1) * TICK_NS, 'a tick')
        np.testing.assert_allclose(rig.joints[-1].position, 0.1 * tick)
    image_stamps = {conversions.to_ns(image.header.stamp) for image in rig.images}
    graph.until(
        lambda: len(rig.images) and conversions.to_ns(rig.images[-1].header.stamp) == t0 + 4 * TICK_NS, 'the next image'
    )
    assert image_stamps <= {t0, t0 + 4 * TICK_NS}


def test_lockstep_repeats_a_tick_until_the_policies_respond(graph, rig):
    rig.start(lockstep=True)
    graph.until(lambda: len(rig.joints) >= 4, 'the first tick, again and again')
    assert len(set(rig.stamps())) == 1


def test_time_never_goes_back_from_task_to_task(graph, rig):
    rig.start(lockstep=True)
    graph.until(lambda: rig.joints, 'a tick')
    t0 = rig.stamps()[0]
    rig.start(lockstep=True, task='visible')
    graph.until(lambda: rig.stamps()[-1] > t0, 'the next task')
    graph.until(lambda: rig.instructions[-1].data == 'visible it', 'its instruction')


def test_real_time_applies_the_newest_command_and_keeps_it(graph, rig):
    rig.start(lockstep=False)
    graph.until(lambda: rig.joints, 'joint states')
    rig.command(0.3)
    graph.until(lambda: rig.joints[-1].position[0] == pytest.approx(0.3), 'the command')
    count = len(rig.joints)
    graph.until(lambda: len(rig.joints) > count + 5, 'more ticks')
    np.testing.assert_allclose(rig.joints[-1].position, 0.3)
    now = graph.node.get_clock().now().nanoseconds
    assert abs(rig.stamps()[-1] - now) < 5_000_000_000 and not rig.clocks


def test_real_time_with_a_clock_of_its_own(graph):
    rig = Rig(graph, publish_clock=True)
    rig.start(lockstep=False)
    graph.until(lambda: len(rig.clocks) > 3 and len(rig.joints) > 3, 'ticks')
    assert set(np.diff(rig.stamps())) == {TICK_NS}


def test_invalid_commands_are_rejected(graph, rig):
    rig.start(lockstep=False)
    graph.until(lambda: rig.joints, 'joint states')
    for count, (value, names) in enumerate([(0.5, JOINTS[:-1]), (float('nan'), JOINTS)], 1):
        rig.command(value, names=names)
        graph.until(lambda c=count: rig.node._faults.counts.get('rejected') == c, 'a refusal')
    np.testing.assert_allclose(rig.joints[-1].position, 0.0)


def test_the_end_of_an_episode_is_published(graph, rig):
    rig.start(lockstep=False, rounds=1)
    graph.until(lambda: rig.events and rig.events[-1].last, 'the last event')
    start = conversions.to_ns(rig.events[0].header.stamp)
    assert conversions.to_ns(rig.events[-1].header.stamp) > start


def test_an_unknown_task_is_refused_with_the_reason(graph):
    pytest.importorskip('mujoco')
    node = graph.inside(SimNode)
    request = StartTask.Request(task='nonsense', split='train', rounds=1)
    answer = graph.call(StartTask, 'sim/start_task', request)
    assert not answer.success and 'nonsense' in answer.reason and 'recall' in answer.reason
    assert node._simulation is None


def test_an_unknown_barrier_policy_is_refused(graph):
    with pytest.raises(ConfigError, match='barrier_policies'):
        graph.inside(SimNode, barrier_policies=['base', 'lidar'])
