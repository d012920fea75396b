# SPDX-License-Identifier: Apache-2.0
"""Both memory arms on the graph: each step once and in order, and everything told."""

from dataclasses import replace

import numpy as np
import pytest
from aura_ros.msg import CacheStatus, MemoryState, WriteEvent
from aura_ros.srv import ResetMemory
from diagnostic_msgs.msg import DiagnosticArray
from fakes import AURA_OFFSET, KV_OFFSET
from memory_arm import FIRST, SECOND, Arm, step

from aura_ros.nodes import conversions, qos
from aura_ros.nodes.kv_baseline_node import KvBaselineNode
from aura_ros.nodes.memory_node import MemoryNode


@pytest.fixture(params=[(MemoryNode, 'aura', AURA_OFFSET), (KvBaselineNode, 'kv', KV_OFFSET)], ids=['aura', 'kv'])
def arm(request, graph):
    make, kind, offset = request.param
    found = Arm(graph, make, kind)
    found.offset = offset
    return found


def test_each_step_becomes_one_chunk_and_one_gate_sample(arm):
    arm.feed(step(0), step(1), answers=2)
    chunk, gate = arm.chunks[1], arm.gates[1]
    assert chunk.arm == arm.node.arm == gate.arm
    assert (chunk.seq, chunk.episode_id) == (1, FIRST) == (gate.seq, gate.episode_id)
    assert conversions.to_ns(chunk.header.stamp) == 1_200_000_000
    assert chunk.header.frame_id == 'base_link'
    np.testing.assert_allclose(chunk.actions, 1 + arm.offset, rtol=1e-6)
    assert gate.gate == 0.75 and gate.state_bytes == 4224 and gate.step_us > 0


def test_duplicates_overtaken_and_late_steps_are_not_applied(graph, arm):
    diagnostics = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    messages = [step(0), step(2), step(2), step(1), step(0, SECOND), step(3), step(1, SECOND)]
    arm.feed(*messages, answers=4)
    assert arm.seqs == [0, 2, 0, 1]
    assert arm.node.memory.seen == 2  # the second episode has reset it
    assert arm.node.order.missed == 1
    name = f'{arm.node.get_name()}: steps'

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


def test_a_step_that_is_not_finite_changes_nothing(arm):
    arm.feed(step(0), step(1, features=np.nan), step(2), answers=2)
    assert arm.seqs == [0, 2]
    assert arm.node.memory.seen == 2 and arm.node.order.missed == 0


def test_a_step_of_another_size_is_refused_by_the_memory_not_fatal(graph, arm):
    message = step(0)
    message.base_action = message.base_action[:-1]
    arm.feed(message, step(1), answers=1)
    assert arm.seqs == [1]


@pytest.mark.fault('F5')
def test_a_memory_of_ones_own_that_gives_no_numbers_is_not_heard(arm, monkeypatch, measured):
    whole = arm.node.memory.step

    def broken(z, base):
        return replace(whole(z, base), gate=np.nan if base[0, 0] == 1 else 0.75)

    monkeypatch.setattr(arm.node.memory, 'step', broken)
    arm.feed(step(0), step(1), step(2), answers=2)
    assert arm.seqs == [0, 2]
    measured(f'{arm.node.arm}: gate NaN: no chunk, no gate sample, no event')


def test_an_episode_whose_name_no_file_could_keep_is_refused(arm):
    arm.feed(step(0, episode='Übung'), step(0), answers=1)
    assert arm.node.memory.seen == 1 and arm.node.order.episode_id == FIRST


def test_a_step_of_another_vla_is_refused(arm):
    foreign = step(0)
    foreign.policy_hash = 'cd' * 32
    own = step(1)
    own.policy_hash = arm.node.memory.backbone_hash
    arm.feed(foreign, own, answers=1)
    assert arm.seqs == [1] and arm.node.memory.seen == 1


def test_reset_forgets_but_counts_on(graph, arm):
    arm.feed(step(0), step(1), answers=2)
    answer = graph.call(ResetMemory, f'{arm.prefix}/reset_memory', ResetMemory.Request())
    assert answer.success and answer.seq == 1
    assert arm.node.memory.seen == 0
    arm.feed(step(2), answers=3)
    assert arm.node.order.missed == 0


def test_memory_may_be_kept_from_episode_to_episode(graph):
    arm = Arm(graph, MemoryNode, 'aura', on_new_episode='keep')
    arm.feed(step(0), step(0, SECOND), answers=2)
    assert arm.node.memory.seen == 2


def test_nothing_is_said_while_inactive(graph, arm):
    arm.feed(step(0), answers=1)
    arm.node.trigger_deactivate()
    taken, sent = graph.taken(arm.node, 'vla_step'), graph.sent(arm.node, f'{arm.prefix}/action_chunk')
    arm.steps.publish(step(1))
    graph.until(lambda: taken, 'the step is taken')
    assert not sent and arm.node.memory.seen == 1
    arm.node.trigger_activate()
    arm.feed(step(2), answers=2)
    assert arm.node.order.missed == 1


def test_writes_and_state_are_told_to_late_listeners(graph):
    arm = Arm(graph, MemoryNode, 'aura')
    arm.feed(*(step(seq) for seq in range(5)), answers=5)
    writes = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    states = graph.listen(MemoryState, 'aura/memory_state', qos.MEMORY_STATE)
    graph.until(lambda: len(writes) == 2 and states and states[-1].seq == 4, 'the past')
    assert [event.seq for event in writes] == [0, 3]
    assert (writes[1].writes, writes[1].bytes_written) == (2, 8448)
    assert states[-1].state_crc32 == arm.node.memory.crc()
    assert writes[1].state_crc32 != states[-1].state_crc32


def test_the_cache_tells_its_size(graph):
    sizes = graph.listen(CacheStatus, 'kv/cache_status', qos.CACHE_STATUS)
    arm = Arm(graph, KvBaselineNode, 'kv')
    arm.feed(step(0), step(1), answers=2)
    graph.until(lambda: sizes and sizes[-1].seq == 1, 'cache status')
    assert sizes[-1].entries == 2


def test_what_keeping_the_cache_would_cost_is_told(graph):
    diagnostics = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    arm = Arm(graph, KvBaselineNode, 'kv', media_tbw_bytes=1e12)
    arm.feed(step(0), step(1), answers=2)

    def told():
        found = [each for array in diagnostics for each in array.status if each.name.endswith(': storage')]
        values = {entry.key: entry.value for entry in found[-1].values} if found else {}
        return values if values.get('logical_bytes', '0') != '0' else None

    values = graph.until(told, 'storage')
    # two synced appends of at least a page and the file's length each, however small the entries
    assert int(values['device_bytes']) >= 4 * 4096
    assert float(values['media_life_years']) > 0
