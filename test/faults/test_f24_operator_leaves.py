# SPDX-License-Identifier: Apache-2.0
"""F24: the client that started an episode leaves the graph; the episode ends, and the robot holds."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from aura_ros.action import RunEpisode
from aura_ros.msg import PolicyStatus
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.action import ActionClient
from rclpy.node import Node
from ros_graph import ROOT
from vla_rig import VlaRig
from whole_graph import WholeGraph

from aura_ros.ros import qos

pytestmark = [pytest.mark.graph, pytest.mark.fault('F24'), pytest.mark.timeout(240)]
REASON = 'the operator is gone: a client of run_episode left the graph'
OPERATOR = """\
from aura_ros.client import AuraClient
with AuraClient(timeout_s=60.0) as client:
    client.run_episode('go on')
"""
WATCHER = """\
from aura_ros.client import AuraClient
with AuraClient(timeout_s=60.0) as client:
    client.status()
"""


def client(graph, script):
    """Start a script in the domain of the graph."""
    environment = dict(
        os.environ, ROS_DOMAIN_ID=str(graph.domain), PYTHONPATH=f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'
    )
    return subprocess.Popen([sys.executable, '-c', script], env=environment)


def test_the_robot_holds_after_its_operator_was_killed(graph, measured):
    live = WholeGraph(graph, lockstep=False, rounds=100_000)
    operator = client(graph, OPERATOR)
    try:
        live.driven()
        live.more_steps()
    finally:
        operator.send_signal(signal.SIGKILL)
        operator.wait()
    killed = time.monotonic()
    graph.until(lambda: REASON in graph.log('vla_node'), 'the end of the episode')
    ended_s = time.monotonic() - killed
    graph.until(lambda: live.statuses[-1].holding, 'the robot holds')
    # A hold settles at the measured position.
    graph.spin(1.0)
    first = len(live.commands)
    graph.until(lambda: len(live.commands) > first + 20, 'commands')
    assert np.ptp([command.points[-1].positions for command in live.commands[first:]], axis=0).max() == 0.0
    live.wait_for_diagnostic('vla_node: operator', REASON, DiagnosticStatus.WARN)
    assert live.begin(), 'another operator can start an episode'
    measured(f'operator killed (-9): the episode ended and the robot held after {ended_s:.1f} s')


def another(graph):
    """Return a second node with a client of run_episode that vla_node has discovered."""
    node = Node('second', context=graph.context)
    return node, ActionClient(node, RunEpisode, 'run_episode')


def leave(node, action):
    action.destroy()
    node.destroy_node()


def test_the_reason_is_in_the_result(graph, measured):
    rig = VlaRig(graph, operator_lease_s=0.2)
    node, action = another(graph)
    graph.until(lambda: rig.node.count_clients('run_episode/_action/send_goal') == 2, 'both clients')
    handle = rig.goal()
    rig.step()
    rig.wait_for_diagnostic('operator', 'connected')
    leave(node, action)
    found = rig.result(handle).result
    assert not found.success and found.reason.startswith(REASON) and 'operator_lease_s 0.2' in found.reason
    measured('a client that leaves by itself: the episode is aborted, with the reason in result and diagnostics')


def test_a_client_that_joins_later_has_no_influence(graph):
    rig = VlaRig(graph, operator_lease_s=0.05)
    handle = rig.goal(max_steps=3)
    rig.step()
    node, action = another(graph)
    graph.until(lambda: rig.node.count_clients('run_episode/_action/send_goal') == 2, 'both clients')
    leave(node, action)
    graph.until(lambda: rig.node.count_clients('run_episode/_action/send_goal') == 1, 'the second one is gone')
    graph.spin(0.5)
    rig.step()
    rig.step()
    assert rig.result(handle).result.success


def test_without_a_lease_the_episode_goes_on(graph):
    rig = VlaRig(graph, operator_lease_s=0.0)
    node, action = another(graph)
    graph.until(lambda: rig.node.count_clients('run_episode/_action/send_goal') == 2, 'both clients')
    handle = rig.goal(max_steps=2)
    rig.step()
    rig.wait_for_diagnostic('operator', 'operator_lease_s is 0')
    leave(node, action)
    graph.until(lambda: rig.node.count_clients('run_episode/_action/send_goal') == 1, 'one client')
    graph.spin(0.5)
    rig.step()
    assert rig.result(handle).result.success


def test_a_client_that_only_watches_is_no_operator(graph):
    rig = VlaRig(graph)
    publisher = graph.node.create_publisher(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
    watcher = client(graph, WATCHER)

    def ended():
        assert rig.node.count_clients('run_episode/_action/send_goal') == 1
        publisher.publish(PolicyStatus())
        return watcher.poll() is not None

    graph.until(ended, 'the end of the watcher')
    assert watcher.returncode == 0
