# SPDX-License-Identifier: Apache-2.0
"""F16: the same steps twice through the real memory node: the same write events and the same state, to the bit."""

import signal

import numpy as np
import pytest
from aura_ros.msg import ActionChunk, MemoryState, VlaStep, WriteEvent
from whole_graph import WholeGraph

from aura_ros.memory import Step, load_memory
from aura_ros.ros import conversions, qos

EPISODE = '00000000-0000-4000-8000-000000000016'
PERIOD_NS = 200_000_000
# Steps under way at most: their queue holds ten.
_AHEAD = 5
pytestmark = [pytest.mark.graph, pytest.mark.fault('F16'), pytest.mark.timeout(240)]


class Player:
    """Gives recorded steps to a memory node that was just started."""

    def __init__(self, graph):
        self.graph = graph
        self.events = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
        self.states = graph.listen(MemoryState, 'aura/memory_state', qos.MEMORY_STATE)
        self._chunks = graph.listen(ActionChunk, 'aura/action_chunk', qos.chunk())

    def play(self, steps, **parameters):
        """Give `steps` to a new process; returns what `_exactly` says of its write events and of its last state."""
        graph = self.graph
        # It listens only when the test listens to its chunks, by which it answers each step.
        process = graph.start('memory_node', autostart=True, chunk_subscribers=1, **parameters)
        publisher = graph.node.create_publisher(VlaStep, 'vla_step', qos.step())
        listeners = int('vla_step' in graph.received)
        graph.matched(publisher, 1 + listeners)
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
        found = _exactly(*self.events), _exactly(self.states[-1])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        graph.node.destroy_publisher(publisher)
        graph.until(lambda: not graph.node.count_publishers(topics[0]), 'memory_node is gone')
        return found

    def _writes(self):
        return self.events[-1].writes if self.events else 1


def _exactly(*messages):
    """Return all fields as text, floats so that no two differ in a bit and read alike.

    Not serialised: the padding between two fields is left as it was in memory.
    """
    return [repr(message) for message in messages]


def _random_steps(count, memory):
    """Return steps of random features in a few clusters, as a camera that sees some scenes again and again."""
    random = np.random.default_rng(16)
    scenes = random.standard_normal((6, memory.feature_dim)).astype(np.float32)
    steps = []
    for seq in range(count):
        features = scenes[random.integers(6)] + 0.5 * random.standard_normal(memory.feature_dim).astype(np.float32)
        actions = random.uniform(-0.5, 0.5, (8, 8)).astype(np.float32)
        step = Step(EPISODE, seq, (1 + seq) * PERIOD_NS, features, actions, 0.05, 1.0, memory.backbone_hash)
        steps.append(conversions.step_to_msg(step))
    return steps


def test_the_shipped_memory_repeats_itself_to_the_bit(graph, measured):
    steps = _random_steps(500, load_memory('aura'))
    player = Player(graph)
    (events, state), (again, state_again) = player.play(steps), player.play(steps)
    assert len(events) > 5, 'too few writes for the test to mean anything'
    assert events == again and state == state_again
    crc = player.states[-1].state_crc32
    measured(f'500 steps twice: {len(events)} write events and the state (CRC-32 {crc:08x}) equal to the bit')
    # And not because it always says the same.
    other_events, other_state = player.play(steps[100:])
    assert other_state != state and other_events != events


def test_a_replay_equals_the_live_run(graph, measured):
    # Four listeners: the three other nodes and the test.
    live = WholeGraph(graph, lockstep=False, rounds=100_000, vla={'step_subscribers': 4})
    steps = graph.listen(VlaStep, 'vla_step', qos.step())
    player = Player(graph)
    handle = live.begin(max_steps=30)
    result = handle.get_result_async()
    graph.until(result.done, 'the episode', timeout_s=60.0)
    graph.until(lambda: len(steps) == 30 and len(player.events) == 10, 'all steps and events')
    steps = list(steps)
    graph.until(lambda: player.states[-1].seq == 29, 'the last state')
    events = _exactly(*player.events)
    state = _exactly(player.states[-1])
    for process in live.processes.values():
        process.send_signal(signal.SIGTERM)
    assert [process.wait(30) for process in live.processes.values()] == [0] * 5
    topics = ('vla_step', 'aura/write_event')
    graph.until(lambda: graph.node.count_publishers(topics[1]) == 0, 'the live graph is gone')
    assert player.play(steps, memory='fakes:aura') == (events, state)
    measured('live against replay: 30 steps, 10 events, equal to the bit')
