# SPDX-License-Identifier: Apache-2.0
"""F16: the real memory node processes the same steps twice; write events and state are identical."""

import signal

import numpy as np
import pytest
from aura_ros.msg import ActionChunk, MemoryState, VlaStep, WriteEvent
from whole_graph import WholeGraph

from aura_ros.memory import Step, load_memory
from aura_ros.ros import conversions, qos

EPISODE = '00000000-0000-4000-8000-000000000016'
PERIOD_NS = 200_000_000
# Largest number of unanswered steps; the queue has ten places.
_AHEAD = 5
pytestmark = [pytest.mark.graph, pytest.mark.fault('F16'), pytest.mark.timeout(240)]


class StepPlayer:
    """Publishes recorded steps to a new memory node."""

    def __init__(self, graph):
        self.graph = graph
        self.events = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
        self.states = graph.listen(MemoryState, 'aura/memory_state', qos.MEMORY_STATE)
        self._chunks = graph.listen(ActionChunk, 'aura/action_chunk', qos.chunk())

    def play(self, steps, **parameters):
        """Publish `steps` to a new process; return its write events and its last state as exact text."""
        graph = self.graph
        # The node processes no step before it has a subscriber of its chunks, which is the test.
        process = graph.start('memory_node', autostart=True, chunk_subscribers=1, max_age_s=0.0, **parameters)
        publisher = graph.node.create_publisher(VlaStep, 'vla_step', qos.step())
        subscribers = int('vla_step' in graph.received)
        graph.matched(publisher, 1 + subscribers)
        graph.discovered_by('memory_node')
        topics = ('aura/write_event', 'aura/memory_state')
        graph.until(lambda: all(graph.node.count_publishers(topic) for topic in topics), 'memory_node publishes')
        self.events.clear()
        self.states.clear()
        self._chunks.clear()
        for count, step in enumerate(steps):
            publisher.publish(step)
            graph.until(lambda least=count - _AHEAD: len(self._chunks) > least, 'an answer')
        graph.until(lambda: self.states and self.states[-1].seq == steps[-1].seq, 'the last state')
        graph.until(lambda: len(self.events) >= self._writes(), 'all write events')
        found = _exact_text(*self.events), _exact_text(self.states[-1])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        graph.node.destroy_publisher(publisher)
        graph.until(lambda: not graph.node.count_publishers(topics[0]), 'memory_node is gone')
        return found

    def _writes(self):
        return self.events[-1].writes if self.events else 1


def _exact_text(*messages):
    """Return all fields as text, in which different floats differ.

    Serialized messages cannot be compared, because the padding between fields has arbitrary content.
    """
    return [repr(message) for message in messages]


def _random_steps(count, memory):
    """Return steps with random features in a few clusters, as from a camera that shows the same scenes repeatedly."""
    random = np.random.default_rng(16)
    scenes = random.standard_normal((6, memory.feature_dim)).astype(np.float32)
    steps = []
    for seq in range(count):
        features = scenes[random.integers(6)] + 0.5 * random.standard_normal(memory.feature_dim).astype(np.float32)
        actions = random.uniform(-0.5, 0.5, (8, 8)).astype(np.float32)
        step = Step(EPISODE, seq, (1 + seq) * PERIOD_NS, features, actions, 0.05, 1.0, memory.backbone_hash)
        steps.append(conversions.step_to_msg(step))
    return steps


def test_the_shipped_memory_is_repeatable_bit_for_bit(graph, measured):
    steps = _random_steps(500, load_memory('aura'))
    player = StepPlayer(graph)
    (events, state), (repeated_events, repeated_state) = player.play(steps), player.play(steps)
    assert len(events) > 5, 'too few writes'
    assert events == repeated_events and state == repeated_state
    crc = player.states[-1].state_crc32
    measured(f'500 steps twice: {len(events)} write events and the state (CRC-32 {crc:08x}) equal bit for bit')
    # Other steps lead to other events and another state.
    other_events, other_state = player.play(steps[100:])
    assert other_state != state and other_events != events


def test_a_replay_equals_the_live_run(graph, measured):
    # Four subscribers: the three other nodes and the test.
    live = WholeGraph(graph, lockstep=False, rounds=100_000, vla={'step_subscribers': 4})
    steps = graph.listen(VlaStep, 'vla_step', qos.step())
    player = StepPlayer(graph)
    handle = live.begin(max_steps=30)
    result = handle.get_result_async()
    graph.until(result.done, 'the episode', timeout_s=60.0)
    graph.until(lambda: len(steps) == 30 and len(player.events) == 10, 'all steps and events')
    steps = list(steps)
    graph.until(lambda: player.states[-1].seq == 29, 'the last state')
    events = _exact_text(*player.events)
    state = _exact_text(player.states[-1])
    for process in live.processes.values():
        process.send_signal(signal.SIGTERM)
    assert [process.wait(30) for process in live.processes.values()] == [0] * 5
    topics = ('vla_step', 'aura/write_event')
    graph.until(lambda: graph.node.count_publishers(topics[1]) == 0, 'the live graph is gone')
    assert player.play(steps, memory='fakes:aura') == (events, state)
    measured('live against replay: 30 steps, 10 events, equal bit for bit')
