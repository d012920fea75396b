# SPDX-License-Identifier: Apache-2.0
"""AuraClient against the real nodes, with scripted backbone, memories and simulation."""

import threading
from contextlib import contextmanager

import pytest
from aura_ros.action import RunEpisode
from aura_ros.srv import ResetMemory, SaveState, SelectPolicy
from rclpy.action import ActionServer, GoalResponse
from whole_graph import WholeGraph

from aura_ros.client import AuraClient, GraphError
from aura_ros.common.errors import ConfigError

pytestmark = pytest.mark.graph


@pytest.fixture
def robot(domain, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    with AuraClient(timeout_s=30.0) as client:
        yield client


@pytest.fixture
def whole(graph, tmp_path):
    return WholeGraph(graph, lockstep=False, rounds=1000, policies={'state_file': str(tmp_path / 'state')})


@contextmanager
def spinning(executor):
    """Run the executor of the test's own node in a thread."""
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def until_driven(robot):
    """Run an episode until a policy drives. All nodes have found each other then."""
    episode = robot.start_episode('go on', retry_s=10.0)
    assert robot.spin_until(lambda: not robot.status().holding, 60.0), robot.status()
    episode.cancel()


def test_a_whole_session(whole, robot, tmp_path):
    robot.wait_for()
    assert robot.missing() == []
    assert robot.start_task('recall', rounds=1000) == 'recall it'
    robot.select_policy('kv', retry_s=10.0)
    assert robot.status().policy == 'kv'
    robot.select_policy('aura')
    until_driven(robot)

    steps = []
    result = robot.run_episode('go on', max_steps=10, feedback=lambda progress: steps.append(progress.step))
    assert (result.success, result.steps, result.reason) == (True, 10, 'all 10 steps made')
    assert result.writes in (3, 4)  # the scripted memory writes in every third step
    assert steps == sorted(steps) and steps[-1] <= 9

    status = robot.status()
    assert (status.policy, status.pending_policy, status.episode_id) == ('aura', 'aura', result.episode_id)
    assert status.control_enabled and set(status.newest_steps) == {'base', 'aura', 'kv'}

    saved = robot.save_state()
    assert saved.path == str(tmp_path / 'state') and saved.seq == 9
    assert robot.reset_memory() == 9 and robot.reset_memory('kv') == 9


def test_an_episode_without_limit_is_cancelled(whole, robot):
    robot.start_task('recall', rounds=1000)
    until_driven(robot)
    episode = robot.start_episode('go on', retry_s=10.0)
    assert robot.spin_until(lambda: episode.progress is not None and episode.progress.step >= 3, 30.0)
    assert not episode.done
    with pytest.raises(GraphError, match=r'still runs after 0\.1 s'):
        episode.wait(0.1)
    result = episode.cancel()
    assert result.success and result.steps >= 4 and episode.done, result.reason

    def interrupt(progress):
        if progress.step >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        robot.run_episode('go on', feedback=interrupt)
    whole.graph.until(lambda: robot.run_episode('go on', max_steps=1).success, 'the next episode')


def test_a_missing_node_is_named_with_the_fix(domain, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    with AuraClient('/left', timeout_s=0.5) as robot:
        text = (
            rf"policy_switch_node not found within 0\.5 s \(namespace '/left', ROS_DOMAIN_ID {domain}\)\. "
            r'Start the graph, for example with `aura launch aura\.launch\.yaml`'
        )
        for request in (lambda: robot.select_policy('aura'), robot.status):
            with pytest.raises(GraphError, match=text):
                request()
        with pytest.raises(GraphError, match=r'sim_node not found .*`aura launch sim\.launch\.yaml`'):
            robot.start_task('recall')
        assert robot.missing('vla_node', 'sim_node') == ['vla_node', 'sim_node']


def test_a_refusal_and_silence_are_errors(graph, robot):
    def refuse(_, response):
        response.reason = 'the state file is locked by another process'
        return response

    graph.node.create_service(SaveState, 'aura/save_state', refuse)
    graph.node.create_service(SelectPolicy, 'select_policy', refuse)
    graph.node.create_service(ResetMemory, 'aura/reset_memory', refuse)
    server = ActionServer(graph.node, RunEpisode, 'run_episode', print, goal_callback=lambda _: GoalResponse.REJECT)
    with spinning(graph.executor):
        with pytest.raises(GraphError, match='memory_node does not save its state: the state file is locked'):
            robot.save_state()
        with pytest.raises(GraphError, match='policy_switch_node does not select kv: the state file'):
            robot.select_policy('kv', retry_s=0.6)
        with pytest.raises(GraphError, match='vla_node refuses the episode'):
            robot.run_episode('go on')
    robot.timeout_s = 0.5
    with pytest.raises(GraphError, match=r'policy_switch_node does not respond within 0\.5 s'):
        robot.select_policy('kv')
    server.destroy()


@pytest.mark.parametrize(
    ('request_', 'text'),
    [
        (lambda robot: robot.select_policy('arm'), "policy = 'arm' is unknown, allowed: base, aura, kv"),
        (lambda robot: robot.start_task('dance'), "task = 'dance', allowed: one or more of recall, "),
        (lambda robot: robot.reset_memory('gru'), "memory = 'gru' is unknown, allowed: aura, kv"),
        (lambda _: AuraClient('9 lives'), "namespace = '9 lives' is not a ROS name"),
    ],
)
def test_a_wrong_argument_is_named_before_any_request(robot, request_, text):
    with pytest.raises(ConfigError, match=text):
        request_(robot)
