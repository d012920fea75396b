# SPDX-License-Identifier: Apache-2.0
"""The graph with security enforced: what the policy forbids does not happen, and the robot moves.

The keys are made by `ros2 security` as docs/security.md says, so these need sros2 and a middleware
with security built in, as ROS's own binary packages have it; the wheels of the Python package index
have neither. What holds without them is tested everywhere.
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
        pytest.skip('there is no `ros2 security` (package sros2) to make keys with')
    command = ['ros2', 'security', 'generate_artifacts', '-k', str(folder), '-p', str(POLICY)]
    # no security for the tool itself, and keys count for one domain only
    environment = dict(os.environ, ROS_DOMAIN_ID=str(domain), ROS_SECURITY_ENABLE='false')
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return folder


def _try(domain: int, enclave: str, what: str, *arguments: str, **environment: str) -> dict[str, object]:
    """Let a process of its own try something; `enclave` '' is one without keys."""
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
    """Everything started from now on must have keys; returns where they are looked for."""
    keys = tmp_path / 'keys'
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    monkeypatch.setenv('ROS_SECURITY_STRATEGY', 'Enforce')
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', str(keys))
    return keys


@pytest.fixture
def secured(graph, enforced: Path):
    """The graph, each node with its own keys, and an episode that runs."""
    _make_keys(enforced, graph.domain)
    alone = _try(graph.domain, '/aura/monitor', 'listen', 'policy_status', '--stubborn')
    if 'security libraries' in str(alone.get('outside')) or 'security support' in str(alone.get('outside')):
        pytest.skip('this middleware is built without security')
    assert 'outside' not in alone, alone

    def start(name: str, *arguments: str, **parameters: object) -> None:
        graph.start(name, '--enclave', f'/aura/{name}', *arguments, **parameters)

    # a busy machine must not look like a dead node
    lasting = {'autostart': True, 'liveliness_lease_s': 5.0}
    start('vla_node', *TIMING, backbone='fakes:ScriptedVla', **lasting)
    start('memory_node', *TIMING, memory='fakes:aura', **lasting)
    start('kv_baseline_node', *TIMING, memory='fakes:kv', **lasting)
    start('policy_switch_node', *TIMING, *ROBOT, enable_control=True, **lasting)
    start('sim_node', simulation='fakes:FakeSimulation', task='recall', rounds=1000, lockstep=False)
    graph.until(lambda: 'drives' in graph.log('policy_switch_node'), 'the policy switch is up')
    assert _try(graph.domain, '/aura/operator', 'episode', '') == {'accepted': True}
    return graph


@pytest.mark.parametrize('name', ['vla_node', 'memory_node', 'policy_switch_node'])
def test_without_keys_no_node_starts(graph, enforced, name):
    (enforced / 'enclaves').mkdir(parents=True)
    process = graph.start(name, '--enclave', f'/aura/{name}', autostart=True)
    assert process.wait(60) != 0
    assert 'SECURITY ERROR' in graph.log(name)


@pytest.mark.slow
def test_each_may_what_the_policy_allows_and_no_more(secured):
    def tried(enclave, *arguments):
        return _try(secured.domain, enclave, *arguments)

    # the robot moves, and who may listen hears it
    assert tried('/aura/monitor', 'driven', 'policy_status') == {'driven': True}
    assert tried('/aura/monitor', 'listen', 'joint_command')['heard']
    assert tried('/aura/monitor', 'listen', 'aura/write_event')['heard']
    for service in ('select_policy', 'aura/reset_memory', 'policy_switch_node/set_parameters'):
        assert tried('/aura/operator', 'call', service) == {'ready': True, 'answered': True}, service
    # keys of one enclave do not open another's doors
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
        assert 'denied' in tried(enclave, what, name, '--stubborn'), (enclave, what, name)


@pytest.mark.slow
def test_who_has_no_keys_is_not_heard_and_hears_nothing(secured):
    def tried(*arguments):
        return _try(secured.domain, '', *arguments, '--stubborn')

    assert tried('publish', 'joint_command') == {'matched': 0}
    assert tried('publish', 'aura/write_event') == {'matched': 0}
    assert tried('call', 'select_policy') == {'ready': False, 'answered': False}
    assert tried('call', 'policy_switch_node/set_parameters') == {'ready': False, 'answered': False}
    assert tried('listen', 'joint_command') == {'heard': 0}


@pytest.mark.slow
def test_keys_of_another_authority_do_not_count(secured, tmp_path):
    forged = _make_keys(tmp_path / 'forged', secured.domain)

    def tried(*arguments):
        return _try(
            secured.domain, '/aura/policy_switch_node', *arguments, '--stubborn', ROS_SECURITY_KEYSTORE=str(forged)
        )

    assert tried('publish', 'joint_command') == {'matched': 0}
    assert tried('listen', 'joint_command').get('heard', 0) == 0
