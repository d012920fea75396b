# SPDX-License-Identifier: Apache-2.0
"""The security policy grants only the documented rights, and each node exactly the rights that it uses.

These tests run without DDS security. test_security_enforce.py tests enforcement by the middleware.
"""

from contextlib import suppress
from itertools import pairwise

import pytest
from ros_graph import CONFIG, ROOT
from security_policy import Rights, granted

from aura_ros.client import AuraClient
from aura_ros.nodes.memory.node import MemoryNode
from aura_ros.nodes.recorder.node import Recorder
from aura_ros.ros.graph import message_class, open_graph
from aura_ros.ros.watch import Watch
from aura_ros.tools.launch.reader import read
from aura_ros.tools.panel.observer import GraphObserver

LAUNCH = ROOT / 'launch'
NODES = {'vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node', 'sim_node'}
OPERATOR, MONITOR, RECORDER = '/aura/operator', '/aura/monitor', '/aura/recorder'
# Topics that several nodes publish.
SHARED = {'/diagnostics', '/parameter_events', '/rosout'}
# vla_node subscribes to one of these sets.
COMPRESSED = {f'/camera/{name}/image_raw/compressed' for name in ('front', 'wrist')}
RAW = {f'/camera/{name}/image_raw' for name in ('front', 'wrist')}


def _holders(right: str, name: str) -> set[str]:
    return {enclave.removeprefix('/aura/') for enclave, rights in granted().items() if rights.may(right, name)}


# Rights that the policy grants.
# --------------------------------------------------------------------------------------------------
def test_every_node_has_an_enclave_of_its_own():
    assert set(granted()) == {f'/aura/{name}' for name in NODES} | {OPERATOR, MONITOR, RECORDER}


@pytest.mark.parametrize(
    ('topic', 'holder'),
    [
        ('/joint_command', 'policy_switch_node'),
        ('/policy_status', 'policy_switch_node'),
        ('/vla_step', 'vla_node'),
        ('/aura/action_chunk', 'memory_node'),
        ('/aura/gate', 'memory_node'),
        ('/aura/memory_state', 'memory_node'),
        ('/aura/write_event', 'memory_node'),
        ('/kv/action_chunk', 'kv_baseline_node'),
        ('/joint_states', 'sim_node'),
        ('/clock', 'sim_node'),
    ],
)
def test_topic_has_one_publisher(topic, holder):
    assert _holders('publish', topic) == {holder}


def test_every_other_topic_has_one_publisher_or_is_shared_on_purpose():
    topics = {topic for rights in granted().values() for topic in rights.publish} - SHARED
    assert {topic: _holders('publish', topic) for topic in topics if len(_holders('publish', topic)) != 1} == {
        # The simulator publishes its task; the operator sets the task of a real robot.
        '/instruction': {'sim_node', 'operator'}
    }


def test_only_the_operator_may_send_requests():
    services = {name for rights in granted().values() for name in rights.reply}
    assert {
        '/select_policy',
        '/aura/reset_memory',
        '/aura/save_state',
        '/policy_switch_node/set_parameters',
        '/memory_node/change_state',
        '/run_episode/_action/send_goal',
    } <= services
    for service in services:
        # The recorder reads the parameters of all nodes.
        reads = service.endswith(('/get_parameters', '/list_parameters'))
        assert _holders('request', service) <= {'operator'} | ({'recorder'} if reads else set()), service


def test_the_operator_can_reach_every_service_of_every_node():
    operator = granted()[OPERATOR]
    services = {name for node in NODES for name in granted()[f'/aura/{node}'].reply}
    assert [name for name in sorted(services) if not operator.may('request', name)] == []


def test_each_service_has_one_server():
    services = {name for node in NODES for name in granted()[f'/aura/{node}'].reply}
    assert {name: _holders('reply', name) for name in services if len(_holders('reply', name)) != 1} == {}


def test_a_monitor_may_subscribe_to_everything_and_publish_nothing():
    monitor = granted()[MONITOR]
    published = {topic for rights in granted().values() for topic in rights.publish}
    assert [topic for topic in sorted(published) if not monitor.may('subscribe', topic)] == []
    assert monitor.publish == {'/rosout', '/parameter_events'}  # every rclpy node has these
    assert monitor.request == set()


def test_one_line_moves_the_policy_to_a_namespace():
    moved = granted('/left')
    assert moved['/aura/policy_switch_node'].publish >= {'/left/joint_command', '/diagnostics'}
    assert not moved['/aura/policy_switch_node'].may('publish', '/joint_command')
    assert moved[MONITOR].may('subscribe', '/left/vla_step') and moved[MONITOR].may('subscribe', '/clock')
    assert not moved[MONITOR].may('subscribe', '/right/vla_step')


@pytest.mark.parametrize('name', ['aura', 'sim', 'demo'])
def test_the_launch_files_set_the_enclave_of_each_node(name):
    for node in read(LAUNCH / f'{name}.launch.yaml', {'record': 'run'}).nodes:
        enclave = OPERATOR if node.executable == 'panel' else f'/aura/{node.executable}'
        given = [after for word, after in pairwise(node.arguments) if word == '--enclave']
        assert given == [enclave] and enclave in granted()


# Rights that the nodes use.
# --------------------------------------------------------------------------------------------------
def _used_rights(observer, name, namespace):
    """Return the topics and services of a running node that `observer` has discovered."""
    queries = (
        observer.get_publisher_names_and_types_by_node,
        observer.get_subscriber_names_and_types_by_node,
        observer.get_client_names_and_types_by_node,
        observer.get_service_names_and_types_by_node,
    )
    if (name, namespace) not in observer.get_node_names_and_namespaces():
        return Rights()
    return Rights(*({found for found, _ in query(name, namespace)} for query in queries))


@pytest.mark.graph
@pytest.mark.timeout(240)
@pytest.mark.parametrize(('namespace', 'transport'), [('/', 'raw'), ('/left', 'compressed')])
def test_each_node_uses_exactly_the_rights_of_its_enclave(graph, namespace, transport):
    timing = ('-r', f'__ns:={namespace}', '--params-file', str(CONFIG / 'real_time.yaml'))
    robot = ('--params-file', str(CONFIG / 'sim_arm.yaml'))
    common = {'autostart': True, 'use_sim_time': True}
    suffix = '' if transport == 'raw' else '/compressed'
    # Quoted twice, because the command line of a node reads YAML.
    cameras = f"'{{front: camera/front/image_raw{suffix}, wrist: camera/wrist/image_raw{suffix}}}'"
    graph.start('vla_node', *timing, backbone='fakes:ScriptedVla', cameras=cameras, **common)
    graph.start('memory_node', *timing, memory='fakes:aura', **common)
    graph.start('kv_baseline_node', *timing, memory='fakes:kv', **common)
    graph.start('policy_switch_node', *timing, *robot, **common)
    graph.start(
        'sim_node',
        '-r',
        f'__ns:={namespace}',
        simulation='fakes:FakeSimulation',
        task='recall',
        rounds=1,
        use_sim_time=True,
    )
    policy = granted(namespace)
    unused = {namespace.rstrip('/') + topic for topic in (COMPRESSED if transport == 'raw' else RAW)}
    policy['/aura/vla_node'].subscribe -= unused

    def same():
        return all(_used_rights(graph.node, name, namespace) == policy[f'/aura/{name}'] for name in NODES)

    # Discovery takes a while; the assertions below report any remaining difference.
    with suppress(AssertionError):
        graph.until(same, 'each node uses all its rights')
    for name in NODES:
        used, allowed = _used_rights(graph.node, name, namespace), policy[f'/aura/{name}']
        assert used.beyond(allowed) == [], f'{name} uses rights that its enclave does not grant'
        assert allowed.beyond(used) == [], f'{name} does not use all rights that its enclave grants'


def test_the_panel_uses_only_rights_of_its_enclave(graph, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    with AuraClient(node_name='panel') as client:
        GraphObserver(client.node)
        graph.until(lambda: _used_rights(graph.node, 'panel', '/').request, 'the panel is discovered')
        used = _used_rights(client.node, 'panel', '/')
    assert '/select_policy' in used.request and '/aura/write_event' in used.subscribe
    assert used.beyond(granted()[OPERATOR]) == []


def test_the_recorder_uses_only_rights_of_its_enclave(graph, tmp_path):
    pytest.importorskip('rosbags')
    recorder = graph.inside(Recorder, path=str(tmp_path / 'bag'))
    graph.inside(MemoryNode, memory='fakes:aura', autostart=True).autostart()
    graph.until(lambda: '/memory_node' in recorder._survey.found, 'parameters')
    graph.until(
        lambda: '/aura/gate' in _used_rights(graph.node, 'recorder', '/').subscribe, 'the recorder is discovered'
    )
    assert _used_rights(graph.node, 'recorder', '/').beyond(granted()[RECORDER]) == []


def test_the_viewer_uses_only_rights_of_the_monitor(graph, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    with open_graph() as viewer:
        kind = message_class('std_msgs/msg/String')
        Watch(viewer, '/instruction', kind, lambda *_: None, depth=1)
        used = _used_rights(viewer.node, viewer.node.get_name(), '/')
    assert '/instruction' in used.subscribe
    assert used.beyond(granted()[MONITOR]) == []
