# SPDX-License-Identifier: Apache-2.0
"""Steps of an earlier time that reach a memory node in use: its memory and its file stay as they are."""

import time

import pytest
from aura_ros.msg import WriteEvent
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from memory_policy import FIRST, SECOND, Policy, step

from aura_ros.nodes.kv_baseline import KvBaselineNode
from aura_ros.nodes.memory.node import MemoryNode
from aura_ros.ros import qos
from aura_ros.state.reading import read_state_file

pytestmark = pytest.mark.fault('F28')
S = 1_000_000_000
YEAR = 365 * 86_400 * S


def live(seq, episode=FIRST, age_ns=0):
    return step(seq, episode, stamp_ns=time.time_ns() - age_ns)


def reported(graph, name):
    """A function that returns the values of the newest diagnostics of the steps."""
    arrays = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)

    def newest():
        found = [each for array in arrays for each in array.status if each.name == name]
        return (found[-1].level, {each.key: each.value for each in found[-1].values}) if found else (None, {})

    return newest


@pytest.mark.parametrize(('age_ns', 'kind'), [(YEAR, 'stale'), (-YEAR // 1000, 'future'), (2 * S, 'old_stamp')])
def test_an_episode_of_another_time_replaces_nothing(graph, tmp_path, measured, age_ns, kind):
    path = tmp_path / 'aura.state'
    newest = reported(graph, 'memory_node: steps')
    policy = Policy(graph, MemoryNode, 'aura', max_age_s=5.0, state_file=str(path))
    events = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    policy.feed(*(live(seq) for seq in range(4)), answers=4)
    graph.until(lambda: len(events) == 2 and events[-1].durability == WriteEvent.DURABILITY_DURABLE, 'durable writes')
    before = read_state_file(path).slots
    for seq in range(6):
        policy.steps.publish(live(seq, SECOND, age_ns))
    graph.until(lambda: newest()[1].get(kind) == '6', f'6 steps counted as {kind}')
    assert newest()[0] == DiagnosticStatus.WARN
    assert read_state_file(path).slots == before
    policy.feed(live(4), answers=5)
    assert policy.seqs == [0, 1, 2, 3, 4] and policy.node.session.order.missed == 0
    assert policy.node.session.order.episode_id == FIRST
    measured(f'6 steps of another time: counted as {kind}, file unchanged, the live episode goes on without a gap')


def test_a_restart_does_not_make_an_old_step_new(graph, tmp_path, measured):
    policy = Policy(graph, MemoryNode, 'aura', max_age_s=60.0, state_file=str(tmp_path / 'aura.state'))
    newest = reported(graph, 'memory_node: steps')
    stamp_ns = time.time_ns()
    policy.feed(step(0, FIRST, stamp_ns=stamp_ns - S), step(0, SECOND, stamp_ns=stamp_ns), answers=2)
    policy.node.trigger_deactivate()
    policy.node.trigger_cleanup()
    assert policy.node.autostart()
    graph.matched(policy.steps)
    assert policy.node.session.order.stamp_ns == stamp_ns
    policy.steps.publish(step(1, FIRST, stamp_ns=stamp_ns - S + 1))  # the episode before
    policy.steps.publish(step(1, SECOND, stamp_ns=stamp_ns))  # the last observation under another number
    graph.until(lambda: newest()[1].get('old_stamp') == '2', 'both refused')
    policy.feed(step(1, SECOND, stamp_ns=stamp_ns + 1), answers=3)
    assert (policy.node.session.order.episode_id, policy.node.session.order.seq) == (SECOND, 1)
    measured('after a restart: a step of the episode before and a repeated stamp are refused as old_stamp')


def test_the_cache_checks_the_age_too(graph):
    newest = reported(graph, 'kv_baseline_node: steps')
    policy = Policy(graph, KvBaselineNode, 'kv', max_age_s=5.0)
    policy.feed(live(0), answers=1)
    policy.steps.publish(live(0, SECOND, YEAR))
    graph.until(lambda: newest()[1].get('stale') == '1', 'a stale step')
    policy.feed(live(1), answers=2)
