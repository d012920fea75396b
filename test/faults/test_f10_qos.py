# SPDX-License-Identifier: Apache-2.0
"""F10: endpoints with incompatible quality of service exchange nothing; the nodes report it at once."""

import os
import time

import pytest
from aura_ros.msg import GateSample, VlaStep, WriteEvent
from cpu_wait import CpuWait
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from aura_ros.ros import qos

PROMISED_S = 1.0
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SOON = QoSProfile(depth=1, deadline=Duration(seconds=0.1))
LEASED = QoSProfile(depth=1, liveliness_lease_duration=Duration(seconds=0.01))
# Node, topic, what the test opens there, and the policy that keeps the two apart.
MISMATCHES = [
    ('memory_node', '/vla_step', 'publish', VlaStep, BEST_EFFORT, 'reliability'),
    ('memory_node', '/aura/gate', 'subscribe', GateSample, LATCHED, 'durability'),
    ('memory_node', '/aura/write_event', 'subscribe', WriteEvent, SOON, 'deadline'),
    ('vla_node', '/vla_step', 'subscribe', VlaStep, LEASED, 'liveliness'),
    ('vla_node', '/camera/front/image_raw', 'publish', Image, BEST_EFFORT, 'reliability'),
]
pytestmark = [pytest.mark.graph, pytest.mark.fault('F10')]


class Listener:
    """What the `qos` check of each node says, and when it was received [s, steady clock]."""

    def __init__(self, graph):
        self.newest = {}
        graph.node.create_subscription(DiagnosticArray, '/diagnostics', self._on, qos.DIAGNOSTICS)

    def _on(self, message):
        for status in message.status:
            node, check = status.name.split(': ')
            if check == 'qos':
                self.newest[node] = status

    def says(self, node, *words):
        status = self.newest.get(node)
        return status is not None and all(word in status.message for word in words)


def test_mismatches_are_reported_by_topic_and_policy_within_a_second(graph, measured):
    nodes = (
        graph.start('memory_node', memory='fakes:aura', autostart=True),
        graph.start('vla_node', backbone='fakes:ScriptedVla', autostart=True, camera_reliability='reliable'),
    )
    listener, undo = Listener(graph), []
    for node in ('memory_node', 'vla_node'):
        graph.until(lambda node=node: listener.says(node, 'all connections match'), f'{node} is up')
    took, waited = {}, {}
    # One after the other and never closed: the second of a node, which was in ERROR already, must be as quick.
    for node, topic, do, kind, profile, policy in MISMATCHES:
        began, wait = time.monotonic(), CpuWait(os.getpid(), *(node.pid for node in nodes))
        if do == 'publish':
            publisher = graph.node.create_publisher(kind, topic, profile)
            undo.append(lambda publisher=publisher: graph.node.destroy_publisher(publisher))
        else:
            subscription = graph.node.create_subscription(kind, topic, lambda _: None, profile)
            undo.append(lambda subscription=subscription: graph.node.destroy_subscription(subscription))
        graph.until(lambda node=node, words=(topic, policy): listener.says(node, *words), f'{node}: {topic}, {policy}')
        took[f'{topic} {policy}'], waited[f'{topic} {policy}'] = time.monotonic() - began, wait.seconds
        assert listener.newest[node].level == DiagnosticStatus.ERROR
    measured(
        f'{len(took)} mismatches of 4 policies reported after {min(took.values()):.2f} to {max(took.values()):.2f} s'
    )
    assert all(seconds - waited[name] <= PROMISED_S for name, seconds in took.items()), (took, waited)

    for close in undo:
        close()
    for node in ('memory_node', 'vla_node'):
        graph.until(lambda node=node: listener.says(node, 'all connections match'), f'{node} recovers')
