# SPDX-License-Identifier: Apache-2.0
"""Steps of a second publisher do not end the episode that a memory is in."""

import time

import pytest
from aura_ros.msg import VlaStep, WriteEvent
from diagnostic_msgs.msg import DiagnosticArray
from memory_policy import FIRST, SECOND, Policy, step
from ros_graph import knows_publishers

from aura_ros.nodes.kv_baseline import KvBaselineNode
from aura_ros.nodes.memory import source
from aura_ros.nodes.memory.node import MemoryNode
from aura_ros.ros import qos
from aura_ros.state.reading import read_state_file

pytestmark = pytest.mark.fault('F26')


def live(seq, episode=FIRST):
    return step(seq, episode, stamp_ns=time.time_ns())


def refused(graph, name):
    """Return a function that returns the number of foreign steps that the node reports."""
    arrays = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)

    def count():
        found = [each for array in arrays for each in array.status if each.name == f'{name}: steps']
        return next((each.value for each in found[-1].values if each.key == 'foreign'), '0') if found else '0'

    return count


@pytest.fixture
def patient(monkeypatch):
    """Take no publisher as gone because it is silent."""
    monkeypatch.setattr(source, '_SILENT_S', 60.0)
    monkeypatch.setattr(source, '_LONGEST_SILENCE_S', 60.0)


@knows_publishers
@pytest.mark.parametrize(
    ('episode', 'seq'), [(SECOND, 0), (FIRST, 4), (FIRST, 2**62)], ids=['new episode', 'same episode', 'far ahead']
)
def test_a_foreign_step_changes_nothing(graph, tmp_path, patient, measured, episode, seq):
    path = tmp_path / 'aura.state'
    count = refused(graph, 'memory_node')
    policy = Policy(graph, MemoryNode, 'aura', max_age_s=60.0, state_file=str(path))
    events = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
    policy.feed(*(live(seq) for seq in range(4)), answers=4)
    graph.until(lambda: len(events) == 2 and events[-1].durability == WriteEvent.DURABILITY_DURABLE, 'durable writes')
    intruder = graph.node.create_publisher(VlaStep, 'vla_step', qos.step())
    graph.matched(intruder)
    before = read_state_file(path).slots
    for number in range(5):
        intruder.publish(live(seq + number, episode))
    graph.until(lambda: count() == '5', 'five foreign steps')
    assert read_state_file(path).slots == before
    policy.feed(live(4), answers=5)
    assert policy.seqs == [0, 1, 2, 3, 4] and policy.node.session.order.missed == 0
    measured(f'memory node, step {seq} of {"the running" if episode == FIRST else "another"} episode: refused, counted')


def test_the_next_publisher_takes_over_when_the_first_one_has_left(graph, patient):
    policy = Policy(graph, KvBaselineNode, 'kv', max_age_s=60.0)
    policy.feed(live(0), answers=1)
    graph.node.destroy_publisher(policy.steps)
    graph.until(lambda: not policy.node.count_publishers('vla_step'), 'no publisher')
    policy.steps = graph.node.create_publisher(VlaStep, 'vla_step', qos.step())
    graph.matched(policy.steps)
    policy.feed(live(0, SECOND), answers=2)


def test_the_next_publisher_takes_over_from_one_that_is_silent(graph, monkeypatch):
    """A killed publisher stays in the graph for seconds."""
    monkeypatch.setattr(source, '_SILENT_S', 0.0)
    monkeypatch.setattr(source, '_SILENT_PERIODS', 0.0)
    policy = Policy(graph, KvBaselineNode, 'kv', max_age_s=60.0)
    policy.feed(live(0), answers=1)
    second = graph.node.create_publisher(VlaStep, 'vla_step', qos.step())
    graph.matched(second)
    second.publish(live(0, SECOND))
    graph.until(lambda: len(policy.chunks) == 2, 'a chunk of the second episode')
