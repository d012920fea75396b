# SPDX-License-Identifier: Apache-2.0
"""Messages that are too large or cannot be converted are refused before they are converted, in every node."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from memory_policy import Policy, step
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory
from vla_rig import VlaRig

from aura_ros.common import limits
from aura_ros.nodes.memory.node import MemoryNode
from aura_ros.nodes.sim.node import SimNode
from aura_ros.ros import qos
from aura_ros.ros.sensor_messages import joints_to_msg

pytestmark = pytest.mark.fault('F21')


def wait_for(graph, name, text, key=''):
    """Wait until the diagnostics of `name` contain `text`, as the message or as the value of `key`."""
    arrays = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)

    def found():
        reports = (each for array in arrays for each in array.status if each.name == name)
        if key:
            return any(value.key == key and value.value == text for each in reports for value in each.values)
        return any(text in each.message for each in reports)

    graph.until(found, f'{name}: {text}')


def test_vla_node_refuses_oversized_messages(graph, monkeypatch, measured):
    monkeypatch.setattr('aura_ros.nodes.vla.cameras.IMAGE_BYTES', 100_000)
    rig = VlaRig(graph)
    names = [f'joint{number}' for number in range(30_000)]
    rig.joints.publish(joints_to_msg(names, np.zeros(30_000), np.zeros(30_000), rig.now()))
    wait_for(graph, 'vla_node: inputs', '1', 'joint_states rejected')
    rig.cameras[0].publish(Image(height=300, width=200, encoding='rgb8', step=600, data=bytes(180_000)))
    wait_for(graph, 'vla_node: inputs', '1', 'front rejected')
    rig.instructions.publish(String(data='x' * 100_000))
    wait_for(graph, 'vla_node: backbone', f'must have {limits.INSTRUCTION_BYTES} at most')
    rig.goal(max_steps=1)
    rig.offer(rig.now())
    graph.until(lambda: rig.steps, 'a step')
    measured('vla_node: joint states, image and instruction beyond their limit: refused and counted')


def test_a_memory_node_refuses_steps_that_cannot_be_converted(graph, measured):
    policy = Policy(graph, MemoryNode, 'aura')
    whole = serialize_message(step(0))
    for raw in (whole[:40], whole[:-4], whole + bytes(limits.STEP_BYTES)):
        policy.steps.publish(raw)
    wait_for(graph, 'memory_node: steps', 'rejected: message has')
    policy.feed(step(0), answers=1)
    measured('memory_node: cut and oversized steps: refused and counted')


def test_the_simulator_refuses_an_oversized_command(graph):
    graph.inside(SimNode, simulation='fakes:FakeSimulation')
    publisher = graph.node.create_publisher(JointTrajectory, 'joint_command', qos.COMMAND)
    graph.matched(publisher)
    publisher.publish(JointTrajectory(joint_names=[f'joint{number}' for number in range(30_000)]))
    wait_for(graph, 'sim_node: commands', 'rejected: message has')
