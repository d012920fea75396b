# SPDX-License-Identifier: Apache-2.0
"""The real graph from its launch file, by launch_pytest or by `aura launch`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aura_ros.tools.launch.testing import Graph, launch_fixture, launch_test

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('mujoco')
pytest.importorskip('aura_ros.msg', reason='the messages are not built')

from aura_ros.action import RunEpisode  # noqa: E402
from aura_ros.msg import ActionChunk, PolicyStatus  # noqa: E402
from lifecycle_msgs.msg import State  # noqa: E402
from lifecycle_msgs.srv import GetState  # noqa: E402
from rclpy.action import ActionClient  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

LAUNCH = Path(__file__).parents[2] / 'launch'
LIFECYCLE_NODES = ('vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node')
TIMEOUT_S = 60.0
pytestmark = [pytest.mark.graph, pytest.mark.render]


@launch_fixture
def graph() -> Graph:
    """The simulator in real time and the graph, in a namespace of its own."""
    return Graph(LAUNCH / 'sim.launch.yaml', {'namespace': 'tested', 'policy': 'kv', 'task': 'visible'})


@contextmanager
def _observer() -> Iterator[tuple[Node, Callable[[Callable[[], bool], str], None]]]:
    """Yield a node and a function that spins it until a condition holds."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node('observer', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def until(condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < end, f'waited {TIMEOUT_S} s for {what}'
            executor.spin_once(timeout_sec=0.1)

    try:
        yield node, until
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


@launch_test(graph)
def test_nodes_become_active_and_the_simulation_runs() -> None:
    with _observer() as (node, until):
        for name in LIFECYCLE_NODES:
            client = node.create_client(GetState, f'/tested/{name}/get_state')
            until(client.service_is_ready, f'the service of {name}')

            def active(client=client) -> bool:
                response = client.call_async(GetState.Request())
                until(response.done, 'a response')
                return response.result().current_state.id == State.PRIMARY_STATE_ACTIVE

            until(active, f'{name} to be active')

        joints: list[JointState] = []
        status: list[PolicyStatus] = []
        node.create_subscription(JointState, '/tested/joint_states', joints.append, 1)
        node.create_subscription(PolicyStatus, '/tested/policy_status', status.append, 1)
        until(lambda: len(joints) > 3 and bool(status), 'joint states and the policy status')
        assert joints[-1].header.stamp != joints[0].header.stamp
        assert status[-1].policy == ActionChunk.POLICY_KV
        _run_an_episode(node, until)


def _run_an_episode(node: Node, until: Callable[[Callable[[], bool], str], None]) -> None:
    """Run three steps; vla_node accepts the images only if all nodes share one clock."""
    client = ActionClient(node, RunEpisode, '/tested/run_episode')
    until(client.server_is_ready, 'run_episode')
    goal = client.send_goal_async(RunEpisode.Goal(instruction='go on', max_steps=3))
    until(goal.done, 'the response to the goal')
    assert goal.result().accepted
    result = goal.result().get_result_async()
    until(result.done, 'three steps')
    assert result.result().result.steps == 3
    client.destroy()
