# SPDX-License-Identifier: Apache-2.0
"""F13: the memory node continues while other nodes are killed and restarted."""

import os
import signal
import subprocess
import sys
import time

import pytest
from aura_ros.msg import GateSample, MemoryState
from aura_ros.srv import SelectPolicy
from cpu_wait import CpuWait
from diagnostic_msgs.msg import DiagnosticStatus
from ros_graph import ROOT
from whole_graph import WholeGraph

from aura_ros.ros import conversions, qos

AURA, KV = 1, 2
PROMISED_S = 1.0
pytestmark = [pytest.mark.graph, pytest.mark.fault('F13'), pytest.mark.timeout(240)]


@pytest.fixture
def whole(graph):
    """Return a graph that has made some steps. Its memories keep their state across episodes."""
    found = WholeGraph(graph, lockstep=False, rounds=100_000, policies={'on_new_episode': 'keep'})
    found.states = graph.listen(MemoryState, 'aura/memory_state', qos.MEMORY_STATE)
    found.begin()
    found.driven()
    found.more_steps()
    return found


def kill(whole, name):
    """Kill a node; return the seconds until /diagnostics reports the loss, by the stamp of the report.

    The time limit excludes the time that policy_switch_node waited for a processor.
    """
    since, process = len(whole.diagnostics), whole.processes[name]
    killed_ns, wait = time.time_ns(), CpuWait(whole.processes['policy_switch_node'].pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    topic = {'vla_node': 'vla_step', 'kv_baseline_node': 'kv/action_chunk'}[name]
    message = whole.wait_for_diagnostic(
        'policy_switch_node: switch', f'{topic} has no publisher', DiagnosticStatus.ERROR, since
    )
    reported_s = (conversions.to_ns(message.header.stamp) - killed_ns) * 1e-9
    assert reported_s - wait.seconds <= PROMISED_S
    return reported_s


def assert_memory_is_unaffected(whole):
    """Assert that every step so far was applied exactly once and that the memory was not reset."""
    graph, steps = whole.graph, len(whole.gates)
    assert whole.processes['memory_node'].poll() is None
    # The scripted memory counts its steps. MemoryState is published twice a second.
    graph.until(lambda: whole.states[-1].vector[0] >= steps, 'the current state')
    episodes = {}
    for gate in whole.gates:
        episodes.setdefault(gate.episode_id, []).append(gate.seq)
    assert all(seqs == list(range(len(seqs))) for seqs in episodes.values()), episodes
    values = [
        status
        for message in whole.diagnostics
        for status in message.status
        if status.name.startswith('memory_node') and status.level != DiagnosticStatus.OK
    ]
    assert not values, values


def test_vla_node_is_killed_and_restarted(graph, whole, measured):
    reported_s = kill(whole, 'vla_node')
    assert_memory_is_unaffected(whole)
    before, since = len(whole.gates), len(whole.diagnostics)
    began = time.monotonic()
    whole.start('vla_node')
    whole.wait_for_diagnostic('vla_node: lifecycle', 'active', DiagnosticStatus.OK, since)
    whole.begin()
    graph.until(lambda: len(whole.gates) > before, 'a step of the restarted vla_node')
    back_s = time.monotonic() - began
    whole.driven()
    whole.more_steps()
    assert_memory_is_unaffected(whole)
    assert len({gate.episode_id for gate in whole.gates}) == 2
    measured(f'vla_node: loss reported after {reported_s:.2f} s, drives again {back_s:.1f} s after its start')


def test_the_baseline_is_killed_and_restarted(graph, whole, measured):
    reported_s = kill(whole, 'kv_baseline_node')
    whole.more_steps()
    assert_memory_is_unaffected(whole)
    graph.until(lambda: not whole.statuses[-1].holding, 'a policy drives')
    assert whole.statuses[-1].policy == AURA
    refused = graph.call(SelectPolicy, 'select_policy', SelectPolicy.Request(policy=KV))
    assert not refused.success and 'kv/action_chunk' in refused.reason
    kv_gates = graph.listen(GateSample, 'kv/gate', qos.GATE)
    whole.start('kv_baseline_node')
    graph.until(lambda: kv_gates, 'a step of the restarted baseline')
    found = graph.until(
        lambda: (
            (answer := graph.call(SelectPolicy, 'select_policy', SelectPolicy.Request(policy=KV))).success and answer
        ),
        'kv',
    )
    assert found.new_policy == KV
    assert_memory_is_unaffected(whole)
    measured(f'baseline: loss reported after {reported_s:.2f} s; selected again after its return')


def test_the_monitor_is_killed_and_restarted(graph, whole, measured, tmp_path):
    def watch(name):
        code = 'import sys; from aura_ros.tools.topics.main import main; sys.exit(main(["echo", "/aura/write_event"]))'
        environment = dict(os.environ, ROS_DOMAIN_ID=str(graph.domain), PYTHONUNBUFFERED='1', PYTHONPATH=str(ROOT))
        log = tmp_path / name
        with log.open('w') as file:
            return subprocess.Popen([sys.executable, '-c', code], env=environment, stdout=file, stderr=file), log

    killed, log = watch('first')
    graph.until(lambda: log.read_text().count('durability') >= 3, 'the monitor shows writes')
    killed.kill()
    killed.wait()
    whole.more_steps(10)
    assert_memory_is_unaffected(whole)
    began = time.monotonic()
    again, log = watch('again')
    graph.until(lambda: 'durability' in log.read_text(), 'the new monitor shows writes')
    back_s = time.monotonic() - began
    graph.until(lambda: log.read_text().count('durability') >= len(whole.gates) // 3, 'earlier writes')
    again.terminate()
    assert again.wait(30) == 130
    # The history is latched, so it contains the first write.
    assert 'seq: 0\n' in log.read_text()
    assert_memory_is_unaffected(whole)
    measured(f'monitor: shows all writes, including earlier ones, {back_s:.1f} s after its start')
