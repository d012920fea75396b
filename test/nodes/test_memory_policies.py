# SPDX-License-Identifier: Apache-2.0
"""Both memory policies on the graph: each step once and in order, and everything is reported."""

from dataclasses import replace

import numpy as np
import pytest
from aura_ros.msg import CacheStatus, MemoryState, WriteEvent
from aura_ros.srv import ResetMemory
from diagnostic_msgs.msg import DiagnosticArray
from fakes import AURA_OFFSET, KV_OFFSET
from memory_policy import FIRST, SECOND, Policy, step

from aura_ros.nodes.kv_baseline import KvBaselineNode
from aura_ros.nodes.memory.node import MemoryNode
from aura_ros.ros import conversions, qos


@pytest.fixture(params=[(MemoryNode, 'aura', AURA_OFFSET), (KvBaselineNode, 'kv', KV_OFFSET)], ids=['aura', 'kv'])
def policy(request, graph):
    make, kind, offset = request.param
    found = Policy(graph, make, kind)
    found.offset = offset
    return found


def test_each_step_becomes_one_chunk_and_one_gate_sample(policy):
    policy.feed(step(0), step(1), answers=2)
    chunk, gate = policy.chunks[1], policy.gates[1]
    assert chunk.policy == policy.node.policy == gate.policy
    assert (chunk.seq, chunk.episode_id) == (1, FIRST) == (gate.seq, gate.episode_id)
    assert conversions.to_ns(chunk.header.stamp) == 1_200_000_000
    assert chunk.header.frame_id == 'base_link'
    np.testing.assert_allclose(chunk.actions, 1 + policy.offset, rtol=1e-6)
    assert gate.gate == 0.75 and gate.state_bytes == 4224 and gate.step_us > 0


def test_duplicates_overtaken_and_late_steps_are_not_applied(graph, policy):
    diagnostics = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    messages = [step(0), step(2), step(2), step(1), step(0, SECOND), step(3), step(1, SECOND)]
    policy.feed(*messages, answers=4)
    assert policy.seqs == [0, 2, 0, 1]
    assert policy.node.memory.seen == 2  # the second episode has reset it
    assert policy.node.session.order.missed == 1
    name = f'{policy.node.get_name()}: steps'

    def counted():
        values = [
            {entry.key: entry.value for entry in status.values}
            for array in diagnostics
            for status in array.status
            if status.name == name
        ]
        counts = {'gap': '1', 'duplicate': '1', 'out_of_order': '1', 'late': '1'}
        return any(counts.items() <= found.items() for found in values)

    graph.until(counted, 'all four kinds counted on /diagnostics')


def test_a_step_that_is_not_finite_changes_nothing(policy):
    policy.feed(step(0), step(1, features=np.nan), step(2), answers=2)
    assert policy.seqs == [0, 2]
    assert policy.node.memory.seen == 2 and policy.node.session.order.missed == 1


def test_a_step_of_another_size_is_refused_not_fatal(policy):
    message = step(0)
    message.base_action = message.base_action[:-1]
    policy.feed(message, step(1), answers=1)
    assert policy.seqs == [1]


@pytest.mark.fault('F5')
def test_the_output_of_a_users_memory_is_not_published_unless_finite(policy, monkeypatch, measured):
    whole = policy.node.memory.step

    def broken(z, base):
        return replace(whole(z, base), gate=np.nan if base[0, 0] == 1 else 0.75)

    monkeypatch.setattr(policy.node.memory, 'step', broken)
    policy.feed(step(0), step(1), step(2), answers=2)
    assert policy.seqs == [0, 2]
    measured(f'{policy.node.policy}: gate NaN: no chunk, no gate sample, no event')


def test_an_episode_id_that_no_state_file_can_hold_is_refused(policy):
    policy.feed(step(0, episode='Übung'), step(0), answers=1)
    assert policy.node.memory.seen == 1 and policy.node.session.order.episode_id == FIRST


def test_a_step_of_another_vla_is_refused(policy):
    foreign = step(0)
    foreign.backbone_hash = 'cd' * 32
    own = step(1)
    own.backbone_hash = policy.node.memory.backbone_hash
    policy.feed(foreign, own, answers=1)
    assert policy.seqs == [1] and policy.node.memory.seen == 1


def test_a_reset_keeps_the_step_order(graph, policy):
    policy.feed(step(0), step(1), answers=2)
    answer = graph.call(ResetMemory, f'{policy.prefix}/reset_memory', ResetMemory.Request())
    assert answer.success and answer.seq == 1
    assert policy.node.memory.seen == 0
    policy.feed(step(2), answers=3)
    assert policy.node.session.order.missed == 0


def test_memory_may_be_kept_from_episode_to_episode(graph):
    policy = Policy(graph, MemoryNode, 'aura', on_new_episode='keep')
    policy.feed(step(0), step(0, SECOND), answers=2)
    assert policy.node.memory.seen == 2


def test_nothing_is_published_while_inactive(graph, policy):
    policy.feed(step(0), answers=1)
    policy.node.trigger_deactivate()
    taken, sent = graph.taken(policy.node, 'vla_step'), graph.sent(policy.node, f'{policy.prefix}/action_chunk')
    policy.steps.publish(step(1))
    graph.until(lambda: taken, 'the step is taken')
    assert not sent and policy.node.memory.seen == 1
    policy.node.trigger_activate()
    policy.feed(step(2), answers=2)
    assert policy.node.session.order.missed == 1


def test_late_subscribers_receive_writes_and_state(graph):
    policy = Policy(graph, MemoryNode, 'aura')
    policy.feed(*(step(seq) for seq in range(5)), answers=5)
    writes = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    states = graph.listen(MemoryState, 'aura/memory_state', qos.MEMORY_STATE)
    graph.until(lambda: len(writes) == 2 and states and states[-1].seq == 4, 'the past')
    assert [event.seq for event in writes] == [0, 3]
    assert (writes[1].writes, writes[1].bytes_written) == (2, 8448)
    assert states[-1].state_crc32 == policy.node.memory.crc()
    assert writes[1].state_crc32 != states[-1].state_crc32


def test_the_size_of_the_cache_is_published(graph):
    sizes = graph.listen(CacheStatus, 'kv/cache_status', qos.CACHE_STATUS)
    policy = Policy(graph, KvBaselineNode, 'kv')
    policy.feed(step(0), step(1), answers=2)
    graph.until(lambda: sizes and sizes[-1].seq == 1, 'cache status')
    assert sizes[-1].entries == 2


def test_the_cost_of_a_durable_cache_is_reported(graph):
    diagnostics = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    policy = Policy(graph, KvBaselineNode, 'kv', storage_tbw_bytes=1e12)
    policy.feed(step(0), step(1), answers=2)

    def reported():
        found = [each for array in diagnostics for each in array.status if each.name.endswith(': storage')]
        values = {entry.key: entry.value for entry in found[-1].values} if found else {}
        return values if values.get('logical_bytes', '0') != '0' else None

    values = graph.until(reported, 'storage')
    # two synced appends of at least a page and the file's length each, however small the entries
    assert int(values['device_bytes']) >= 4 * 4096
    assert float(values['storage_life_years']) > 0
