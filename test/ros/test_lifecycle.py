# SPDX-License-Identifier: Apache-2.0
"""Nodes as real processes: transitions from outside, clean ends, clear refusals."""

import signal

import pytest
from aura_ros.msg import PolicyStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from ros_graph import CONFIG, TIMEOUT_S

from aura_ros.ros import qos

ROBOT = ('--params-file', str(CONFIG / 'sim_arm.yaml'))
NODES = {
    'vla_node': ((), {'backbone': 'fakes:ScriptedVla'}),
    'memory_node': ((), {'memory': 'fakes:aura'}),
    'kv_baseline_node': ((), {'memory': 'fakes:kv'}),
    'policy_switch_node': (ROBOT, {}),
}
pytestmark = pytest.mark.graph


def state(graph, name):
    return graph.call(GetState, f'{name}/get_state', GetState.Request(), repeats=2).current_state.id


def change(graph, name, transition):
    request = ChangeState.Request(transition=Transition(id=transition))
    return graph.call(ChangeState, f'{name}/change_state', request).success


@pytest.mark.parametrize('name', NODES)
def test_the_whole_life_of_a_node(graph, name):
    arguments, parameters = NODES[name]
    process = graph.start(name, *arguments, **parameters)
    assert state(graph, name) == State.PRIMARY_STATE_UNCONFIGURED
    for transition, then in (
        (Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE),
        (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE),
        (Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE),
        (Transition.TRANSITION_CLEANUP, State.PRIMARY_STATE_UNCONFIGURED),
        (Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE),
        (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE),
    ):
        assert change(graph, name, transition), graph.logs()
        assert state(graph, name) == then
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 0, graph.logs()
    assert 'Traceback' not in graph.log(name)


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('name', [*NODES, 'sim_node'])
def test_a_signal_ends_a_node_cleanly(graph, name, how):
    arguments, parameters = NODES.get(name, ((), {}))
    if name != 'sim_node':
        parameters = parameters | {'autostart': True}
    # one of an earlier test may still be known for a moment: it must not pass for this one
    graph.until(lambda: name not in graph.node.get_node_names(), f'end of {name}')
    process = graph.start(name, *arguments, **parameters)
    graph.until(lambda: name in graph.node.get_node_names(), name)
    process.send_signal(how)
    process.send_signal(how)
    assert process.wait(TIMEOUT_S) == 0, graph.logs()
    assert 'Traceback' not in graph.log(name)


@pytest.mark.parametrize(
    ('name', 'parameters', 'texts'),
    [
        ('vla_node', {'backbone': 'nonsense'}, ('backbone', 'nonsense', 'embedded')),
        ('vla_node', {'max_age_s': -1.0}, ('max_age_s', '-1.0', '0.001..60')),
        ('memory_node', {'on_new_episode': 'perhaps'}, ('on_new_episode', "'reset', 'keep'")),
        ('policy_switch_node', {}, ('robot.joint_names', 'config/sim_arm.yaml')),
    ],
)
def test_a_node_that_cannot_start_reports_why_in_one_line_and_fails(graph, name, parameters, texts):
    process = graph.start(name, autostart=True, **parameters)
    assert process.wait(TIMEOUT_S) == 1
    lines = [line for line in graph.log(name).splitlines() if 'ERROR' in line]
    assert len(lines) == 1, graph.log(name)
    for text in texts:
        assert text in lines[0]


def test_a_failed_configure_can_be_repeated_after_a_correction(graph):
    node = graph.inside(_memory, memory='fakes:aura', on_new_episode='perhaps')
    assert node.trigger_configure().name == 'FAILURE'
    from rclpy.parameter import Parameter

    assert node.set_parameters([Parameter('on_new_episode', value='keep')])[0].successful
    assert node.trigger_configure().name == 'SUCCESS'


def _memory(**kwargs):
    from aura_ros.nodes.memory.node import MemoryNode

    return MemoryNode(**kwargs)


def test_bad_limits_refuse_to_configure(graph):
    process = graph.start('policy_switch_node', *ROBOT, autostart=True, robot__step_max='[0.1]')
    assert process.wait(TIMEOUT_S) == 1
    assert 'step_max has 1 entries: must be 8' in graph.log('policy_switch_node')


def test_memory_and_switch_import_no_torch(graph, monkeypatch):
    monkeypatch.setenv('PYTHONVERBOSE', '1')
    status = graph.listen(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
    for name in ('memory_node', 'kv_baseline_node', 'policy_switch_node'):
        arguments, parameters = NODES[name]
        graph.start(name, *arguments, autostart=True, **parameters)
    graph.until(lambda: status, 'policy_status')
    for name in ('memory_node', 'kv_baseline_node'):
        graph.until(lambda name=name: 'is ready' in graph.log(name), name)
    for name in ('memory_node', 'kv_baseline_node', 'policy_switch_node'):
        assert "import 'torch'" not in graph.log(name)
        assert "import 'numpy'" in graph.log(name)
