# SPDX-License-Identifier: Apache-2.0
"""A viewer receives each message of every publisher once, whatever quality of service the publishers offer."""

from itertools import product
from types import SimpleNamespace

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from aura_ros.ros import watch as module
from aura_ros.ros.graph import TopicView
from aura_ros.ros.watch import Watch, matching_policies

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
LATCHED, VOLATILE = DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE
ALL = list(product((RELIABLE, BEST_EFFORT), (LATCHED, VOLATILE)))


def profile(reliability, durability):
    return QoSProfile(depth=10, reliability=reliability, durability=durability)


@pytest.mark.parametrize('offered', [ALL, ALL[:1], ALL[1:3], ALL[3:], [*ALL, *ALL]])
def test_each_offer_has_a_subscription(offered):
    assert matching_policies([SimpleNamespace(qos_profile=profile(*one)) for one in offered]) == frozenset(offered)


def test_without_publishers_everything_matches():
    assert matching_policies([]) == {(BEST_EFFORT, VOLATILE)}


def texts_of(watch, graph, found, count):
    def arrived():
        watch.match()
        return len(found) >= count

    graph.until(arrived, f'{count} messages')
    graph.spin(0.3)
    return sorted(found)


def test_latched_and_volatile_publishers_are_received_together_and_once(graph):
    """The messages that were latched before the viewer came are received too."""
    make, found = graph.node.create_publisher, []
    publishers = [make(String, 'mixed', profile(*one)) for one in ALL]
    publishers[0].publish(String(data='early'))
    graph.until(lambda: graph.node.count_publishers('mixed') == len(ALL), 'the publishers')
    watch = Watch(TopicView(graph.node), '/mixed', String, lambda message, _: found.append(message.data), depth=10)
    assert texts_of(watch, graph, found, 1) == ['early']
    for publisher in publishers:
        graph.matched(publisher, 2 if publisher is publishers[1] or publisher is publishers[2] else 1)
    for number, publisher in enumerate(publishers):
        publisher.publish(String(data=f'{number}'))
    assert texts_of(watch, graph, found, 5) == ['0', '1', '2', '3', 'early']
    watch.close()


def test_a_publisher_that_joins_repeats_nothing(graph):
    make, found = graph.node.create_publisher, []
    latched = make(String, 'joined', profile(RELIABLE, LATCHED))
    watch = Watch(TopicView(graph.node), '/joined', String, lambda message, _: found.append(message.data), depth=10)
    for number in range(3):
        latched.publish(String(data=f'{number}'))
    assert texts_of(watch, graph, found, 3) == ['0', '1', '2']
    volatile = make(String, 'joined', profile(BEST_EFFORT, VOLATILE))

    def matched():
        watch.match()
        return volatile.get_subscription_count()

    graph.until(matched, 'the subscription of the second publisher')
    volatile.publish(String(data='3'))
    assert texts_of(watch, graph, found, 4) == ['0', '1', '2', '3']
    graph.node.destroy_publisher(volatile)
    graph.until(lambda: graph.node.count_publishers('joined') == 1, 'the end of the second publisher')
    watch.match()
    latched.publish(String(data='4'))
    assert texts_of(watch, graph, found, 5) == ['0', '1', '2', '3', '4']
    watch.close()


def test_the_number_of_known_messages_is_bounded(graph):
    watch = Watch(TopicView(graph.node), '/bounded', String, lambda *_: None, depth=1, raw=True)
    for number in range(3 * module._KNOWN):
        watch._on_message(b'', {'source_timestamp': 1 + number, 'publisher_gid': None})
    assert len(watch._known) == module._KNOWN
    watch.close()
