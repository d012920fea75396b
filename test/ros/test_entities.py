# SPDX-License-Identifier: Apache-2.0
"""Connections that exchange nothing are found and named."""

import pytest
from rclpy.duration import Duration
from rclpy.qos import LivelinessPolicy, QoSProfile
from std_msgs.msg import String

from aura_ros.ros import qos
from aura_ros.ros.diagnostics import ERROR, OK
from aura_ros.ros.entities import EntityOwner


@pytest.mark.parametrize(
    ('offered', 'wanted', 'policy'),
    [
        (qos.sensor('best_effort', 1), qos.sensor('reliable', 1), 'reliability'),
        (qos.step(), qos.MEMORY_STATE, 'durability'),
        (qos.step(), qos.step(0.5), 'liveliness'),
        (qos.step(1.0), qos.step(0.5), 'liveliness'),
        (qos.step(), QoSProfile(depth=1, liveliness=LivelinessPolicy.MANUAL_BY_TOPIC), 'liveliness'),
        (qos.step(), QoSProfile(depth=1, deadline=Duration(seconds=1)), 'deadline'),
        (QoSProfile(depth=1, deadline=Duration(seconds=1)), qos.step(), ''),
        (qos.step(0.5), qos.step(1.0), ''),
        (qos.step(0.5), qos.step(), ''),
        (qos.WRITE_EVENT, qos.WRITE_EVENT_LIVE, ''),
        (qos.CAMERA_OUT, qos.sensor('best_effort', 1), ''),
    ],
)
def test_both_endpoints_report_why_they_are_incompatible(graph, offered, wanted, policy):
    one, other = EntityOwner(graph.node), EntityOwner(graph.node)
    publisher = one.publisher(String, 'topic', offered)
    other.subscription(String, 'topic', lambda _: None, wanted)
    graph.until(lambda: graph.node.count_subscribers('topic'), 'the subscription')
    if not policy:
        graph.matched(publisher)
    for status in (one.qos_status(), other.qos_status()):
        assert status.level == (ERROR if policy else OK)
        assert not policy or ('/topic' in status.message and policy in status.message)
    other.destroy()
    one.destroy()
