# SPDX-License-Identifier: Apache-2.0
"""The middleware enforces the security policy, and the robot still moves.

These tests make keys with `ros2 security` as in docs/security.md. They need sros2 and a middleware that is built with
security, as in the binary packages of ROS. The wheels have neither; test_security_policy.py runs without them.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ros_graph import CONFIG, ROOT
from security_policy import POLICY

CLIENT = ROOT / 'test' / 'support' / 'secured_client.py'
TIMING = ('--params-file', str(CONFIG / 'real_time.yaml'))
ROBOT = ('--params-file', str(CONFIG / 'sim_arm.yaml'))
pytestmark = [pytest.mark.graph, pytest.mark.timeout(300)]


def _make_keys(folder: Path, domain: int) -> Path:
    if not shutil.which('ros2') or subprocess.run(['ros2', 'security', '-h'], capture_output=True).returncode:
        pytest.skip('needs `ros2 security` of the package sros2')
    command = ['ros2', 'security', 'generate_artifacts', '-k', str(folder), '-p', str(POLICY)]
    # The tool itself runs without security. Keys are valid for one domain only.
    environment = dict(os.environ, ROS_DOMAIN_ID=str(domain), ROS_SECURITY_ENABLE='false')
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return folder


def _try(domain: int, enclave: str, what: str, *arguments: str, **environment: str) -> dict[str, object]:
    """Run secured_client.py and return its result; the empty `enclave` runs it without keys."""
    names = ['--ros-args', '-r', f'__node:={enclave.rsplit("/", 1)[-1] or "foreign"}']
    names += ['--enclave', enclave] if enclave else []
    secure = 'true' if enclave else 'false'
    done = subprocess.run(
        [sys.executable, str(CLIENT), what, *arguments, *names],
        env=dict(os.environ, ROS_DOMAIN_ID=str(domain), ROS_SECURITY_ENABLE=secure) | environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.stdout, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def enforced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Require keys for all processes that start from now on; return the folder of the keys."""
    keys = tmp_path / 'keys'
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    monkeypatch.setenv('ROS_SECURITY_STRATEGY', 'Enforce')
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', str(keys))
    return keys


@pytest.fixture
def secured(graph, enforced: Path):
    """A graph with a running episode, in which each node has its own keys."""
    _make_keys(enforced, graph.domain)
    probe = _try(graph.domain, '/aura/monitor', 'listen', 'policy_status', '--short')
    if 'security libraries' in str(probe.get('outside')) or 'security support' in str(probe.get('outside')):
        pytest.skip('this middleware is built without security')
    assert 'outside' not in probe, probe

    def start(name: str, *arguments: str, **parameters: object) -> None:
        graph.start(name, '--enclave', f'/aura/{name}', *arguments, **parameters)

    # On a busy machine a node may be slow to renew its lease.
    common = {'autostart': True, 'liveliness_lease_s': 5.0}
    start('vla_node', *TIMING, backbone='fakes:ScriptedVla', **common)
    start('memory_node', *TIMING, memory='fakes:aura', **common)
    start('kv_baseline_node', *TIMING, memory='fakes:kv', **common)
    start('policy_switch_node', *TIMING, *ROBOT, enable_control=True, **common)
    start('sim_node', simulation='fakes:FakeSimulation', task='recall', rounds=1000, lockstep=False)
    graph.until(lambda: 'drives' in graph.log('policy_switch_node'), 'the policy switch is up')
    assert _try(graph.domain, '/aura/operator', 'episode', '') == {'accepted': True}
    return graph


@pytest.mark.parametrize('name', ['vla_node', 'memory_node', 'policy_switch_node'])
def test_node_without_keys_does_not_start(graph, enforced, name):
    (enforced / 'enclaves').mkdir(parents=True)
    process = graph.start(name, '--enclave', f'/aura/{name}', autostart=True)
    assert process.wait(60) != 0
    assert 'SECURITY ERROR' in graph.log(name)


@pytest.mark.slow
def test_enclaves_have_only_the_rights_of_the_policy(secured):
    def attempt(enclave, *arguments):
        return _try(secured.domain, enclave, *arguments)

    # The robot moves, and a monitor receives its topics.
    assert attempt('/aura/monitor', 'driven', 'policy_status') == {'driven': True}
    assert attempt('/aura/monitor', 'listen', 'joint_command')['received']
    assert attempt('/aura/monitor', 'listen', 'aura/write_event')['received']
    for service in ('select_policy', 'aura/reset_memory', 'policy_switch_node/set_parameters'):
        assert attempt('/aura/operator', 'call', service) == {'ready': True, 'answered': True}, service
    # The keys of an enclave do not grant the rights of another enclave.
    for enclave, what, name in (
        ('/aura/monitor', 'publish', 'joint_command'),
        ('/aura/monitor', 'publish', 'instruction'),
        ('/aura/monitor', 'call', 'select_policy'),
        ('/aura/monitor', 'call', 'aura/reset_memory'),
        ('/aura/monitor', 'call', 'aura/save_state'),
        ('/aura/monitor', 'call', 'policy_switch_node/set_parameters'),
        ('/aura/memory_node', 'publish', 'joint_command'),
        ('/aura/memory_node', 'call', 'select_policy'),
        ('/aura/kv_baseline_node', 'publish', 'aura/write_event'),
        ('/aura/operator', 'publish', 'joint_command'),
    ):
        assert 'denied' in attempt(enclave, what, name, '--short'), (enclave, what, name)


@pytest.mark.slow
def test_process_without_keys_exchanges_no_messages(secured):
    def attempt(*arguments):
        return _try(secured.domain, '', *arguments, '--short')

    assert attempt('publish', 'joint_command') == {'matched': 0}
    assert attempt('publish', 'aura/write_event') == {'matched': 0}
    assert attempt('call', 'select_policy') == {'ready': False, 'answered': False}
    assert attempt('call', 'policy_switch_node/set_parameters') == {'ready': False, 'answered': False}
    assert attempt('listen', 'joint_command') == {'received': 0}


@pytest.mark.slow
def test_keys_of_another_authority_are_rejected(secured, tmp_path):
    forged = _make_keys(tmp_path / 'forged', secured.domain)

    def attempt(*arguments):
        return _try(
            secured.domain, '/aura/policy_switch_node', *arguments, '--short', ROS_SECURITY_KEYSTORE=str(forged)
        )

    assert attempt('publish', 'joint_command') == {'matched': 0}
    assert attempt('listen', 'joint_command').get('received', 0) == 0
