# SPDX-License-Identifier: Apache-2.0
"""What other programs do in the graph, and the refusal to start beside them."""

from contextlib import contextmanager

import pytest
from aura_ros.action import RunEpisode
from aura_ros.msg import PolicyStatus
from aura_ros.srv import SelectPolicy
from rclpy.action import ActionServer
from rclpy.node import Node
from sensor_msgs.msg import JointState

from aura_ros.ros import foreign


@contextmanager
def other(graph, name='other', namespace='/'):
    """A second node in the graph, with a namespace."""
    node = Node(name, namespace=namespace, context=graph.context)
    try:
        yield node
    finally:
        node.destroy_node()


def test_publishers_of_others_are_named_and_own_ones_are_not(graph):
    me = graph.node
    me.create_publisher(JointState, 'joint_states', 1)
    with other(graph, 'robot', '/left') as robot:
        robot.create_publisher(JointState, '/joint_states', 1)
        graph.until(lambda: me.count_publishers('joint_states') == 2, 'both publishers')
        assert foreign.foreign_publishers(me, ['joint_states']) == ['/left/robot publishes /joint_states']
        assert foreign.foreign_publishers(me, ['joint_states'], ['/left/robot']) == []
        assert foreign.foreign_publishers(me, ['left/joint_states']) == []


def test_a_second_node_of_the_same_name_is_foreign(graph):
    me = graph.node
    with other(graph, me.get_name()) as twin:
        twin.create_publisher(JointState, 'joint_states', 1)
        graph.until(lambda: me.count_publishers('joint_states') == 1, 'the publisher')
        assert foreign.foreign_publishers(me, ['joint_states']) == ['/tester publishes /joint_states']


def test_a_policy_switch_is_found_in_every_namespace_and_under_every_name(graph):
    with other(graph, 'renamed', '/left') as robot:
        robot.create_publisher(PolicyStatus, 'my_status', 1)
        text = '/left/renamed is a policy switch (it publishes /left/my_status)'
        graph.until(lambda: foreign.policy_switches(graph.node) == [text], 'the switch')


def test_two_servers_are_named(graph):
    me = graph.node

    def found():
        return foreign.several_servers(me, ['select_policy'], ['run_episode'])

    with other(graph, 'one') as one, other(graph, 'two') as two:
        one.create_service(SelectPolicy, 'select_policy', lambda _, response: response)
        servers = [ActionServer(node, RunEpisode, 'run_episode', lambda _: None) for node in (one, two)]
        graph.until(lambda: found() == ['run_episode has 2 servers (/one, /two)'], 'two actions')
        two.create_service(SelectPolicy, 'select_policy', lambda _, response: response)
        graph.until(lambda: len(found()) == 2, 'two services')
        for server in servers:
            server.destroy()


def test_a_program_waits_for_discovery_before_it_decides(graph):
    me, turns = graph.node, []
    with other(graph, 'late') as late:

        def wait(seconds):
            turns.append(seconds)
            if len(turns) == 10:
                late.create_publisher(JointState, 'joint_states', 1)
            graph.spin(seconds)

        with pytest.raises(foreign.SharedGraphError, match='/late publishes /joint_states') as error:
            foreign.refuse_foreign(me, lambda: foreign.foreign_publishers(me, ['joint_states']), wait)
    assert f'ROS_DOMAIN_ID {graph.domain}' in str(error.value) and "'allow_shared_graph'" in str(error.value)
    foreign.refuse_foreign(me, list)
