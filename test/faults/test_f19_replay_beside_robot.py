# SPDX-License-Identifier: Apache-2.0
"""F19: sources of inputs and goals are started beside a robot; they refuse, and the robot stands still."""

import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rosbags')

from aura_ros.msg import PolicyStatus
from player_rig import PlayerRig, recorded
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String
from whole_graph import WholeGraph

from aura_ros.nodes.sim.node import SimNode
from aura_ros.ros.foreign import SharedGraphError
from aura_ros.tools.launch.reader import read

LAUNCH = Path(__file__).parents[2] / 'launch'
pytestmark = [pytest.mark.graph, pytest.mark.fault('F19'), pytest.mark.timeout(240)]


@pytest.mark.parametrize('namespace', ['/', '/replay'])
def test_a_recording_is_not_played_beside_a_robot(graph, tmp_path, measured, namespace):
    live = WholeGraph(graph, lockstep=False, rounds=100_000)
    graph.until(lambda: len(live.commands) > 20, 'commands of the idle robot')
    bag = recorded(tmp_path / 'bag', 20)
    rig = PlayerRig(graph, tmp_path)
    code, output = rig.play(bag, '-r', f'__ns:={namespace}', player='own')
    assert code == 1 and '/policy_switch_node is a policy switch' in output and 'Traceback' not in output, output
    assert not rig.clocks and not rig.steps and 'episode' not in graph.log('vla_node')
    assert all(status.holding for status in live.statuses)
    moved = np.ptp([command.points[-1].positions for command in live.commands], axis=0).max()
    assert moved == 0.0
    measured(f'player beside a live robot, namespace {namespace}: refused, 0 rad moved, 0 steps')


@pytest.mark.parametrize(
    ('kind', 'topic'),
    [
        (Clock, '/clock'),
        (JointState, 'joint_states'),
        (Image, 'camera/front/image_raw'),
        (CompressedImage, 'camera/wrist/image_raw/compressed'),
        (String, 'instruction'),
        (PolicyStatus, '/left/renamed'),
    ],
)
def test_the_player_names_each_other_source(graph, tmp_path, kind, topic):
    graph.node.create_publisher(kind, topic, 1)
    code, output = PlayerRig(graph, tmp_path).play(recorded(tmp_path / 'bag', 2), player='own')
    assert code == 1 and '/tester' in output and topic in output, output


def test_a_running_player_ends_when_a_robot_appears(graph, tmp_path, measured):
    rig = PlayerRig(graph, tmp_path)
    rig.start()
    process = rig.begin(recorded(tmp_path / 'bag', 150), player='own')
    graph.until(lambda: len(rig.steps) > 3, 'steps')
    graph.node.create_publisher(PolicyStatus, 'policy_status', 1)
    graph.until(lambda: process.poll() is not None, 'the end of the player')
    assert process.returncode == 1 and '/tester is a policy switch' in graph.log('player')
    graph.until(lambda: 'cancelled after' in graph.log('vla_node'), 'the end of the episode')
    measured('robot that appears during a replay: the player ends and cancels its episode')


def test_ctrl_c_cancels_the_episode_of_the_player(graph, tmp_path):
    rig = PlayerRig(graph, tmp_path)
    rig.start()
    process = rig.begin(recorded(tmp_path / 'bag', 150), player='own')
    graph.until(lambda: len(rig.steps) > 3, 'steps')
    process.send_signal(signal.SIGINT)
    graph.until(lambda: process.poll() is not None, 'the end of the player')
    assert process.returncode == 130, graph.log('player')
    graph.until(lambda: 'cancelled after' in graph.log('vla_node'), 'the end of the episode')


def test_a_shared_graph_can_be_allowed(graph, tmp_path):
    graph.node.create_publisher(PolicyStatus, 'policy_status', 1)
    rig = PlayerRig(graph, tmp_path)
    rig.start()
    code, output = rig.play(recorded(tmp_path / 'bag', 20), player='own', allow_shared_graph=True)
    assert code == 0, output


@pytest.mark.parametrize(('kind', 'topic'), [(Clock, '/clock'), (JointState, 'joint_states')])
def test_a_simulator_refuses_a_graph_with_another_robot(graph, measured, kind, topic):
    publisher = graph.node.create_publisher(kind, topic, 1)
    with pytest.raises(SharedGraphError, match=topic):
        graph.inside(SimNode, simulation='fakes:FakeSimulation')
    allowed = graph.inside(SimNode, simulation='fakes:FakeSimulation', allow_shared_graph=True)
    assert allowed.config.allow_shared_graph
    graph.node.destroy_publisher(publisher)
    measured(f'sim_node beside a publisher of {topic}: refused')


def test_a_second_simulator_ends_and_the_first_continues(graph):
    live = WholeGraph(graph, lockstep=False, rounds=100_000)
    graph.until(lambda: live.commands, 'commands')
    second = graph.start('sim_node', simulation='fakes:FakeSimulation', task='recall')
    graph.until(lambda: second.poll() is not None, 'the end of the second simulator')
    assert second.returncode == 1 and '/sim_node publishes /joint_states' in graph.log('sim_node')
    assert live.processes['sim_node'].poll() is None, graph.logs()


def test_the_panel_refuses_a_graph_with_another_robot(graph, measured):
    live = WholeGraph(graph, lockstep=False, rounds=100_000)
    graph.until(lambda: live.commands, 'commands')
    graph.node.create_publisher(JointState, 'joint_states', 1)
    panel = graph.start('panel', lockstep=False)
    graph.until(lambda: panel.poll() is not None, 'the end of the panel')
    assert panel.returncode == 1 and '/tester publishes /joint_states' in graph.log('panel'), graph.log('panel')
    assert 'episode' not in graph.log('vla_node')
    measured('panel beside a second source of joint states: refused before its first request')


@pytest.mark.parametrize('number', ['1', '100', '101'])
def test_a_replay_has_a_domain_and_a_namespace_of_its_own(monkeypatch, number):
    monkeypatch.setenv('ROS_DOMAIN_ID', number)
    plan = read(LAUNCH / 'replay.launch.yaml', {'bag': 'run'})
    (domain,) = {node.environment['ROS_DOMAIN_ID'] for node in plan.nodes}
    assert domain != number and 0 <= int(domain) <= 101
    assert all('__ns:=/replay' in node.arguments for node in plan.nodes)
