# SPDX-License-Identifier: Apache-2.0
"""F1 and F18: memory_node is killed or stopped while it writes. State that it reported as durable survives."""

import os
import random
import signal
import time

import numpy as np
import pytest
from aura_ros.msg import GateSample, VlaStep, WriteEvent
from cpu_wait import CpuWait
from fakes import CHUNK_LEN, FEATURES, JOINTS, SPEC, aura

from aura_ros.memory import Step
from aura_ros.ros import conversions, qos
from aura_ros.state.store import StateStore

EPISODE = '00000000-0000-4000-8000-000000000001'
PERIOD_S = 0.004
pytestmark = [pytest.mark.graph, pytest.mark.timeout(900)]


class MemoryRuns:
    """Runs of the memory node on one state file, with steps faster than those of a robot."""

    def __init__(self, graph, path):
        self.graph, self.path = graph, path
        self.events = graph.listen(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
        self.gates = graph.listen(GateSample, 'aura/gate', qos.GATE)
        self._steps = graph.node.create_publisher(VlaStep, 'vla_step', qos.step())
        self.seq = -1

    def begin(self):
        """Start the node; return its process after the first gate sample."""
        self.gates.clear()
        process = self.graph.start(
            'memory_node',
            memory='fakes:aura',
            state_file=self.path,
            on_new_episode='keep',
            autostart=True,
            max_age_s=0.0,
        )
        self.graph.matched(self._steps)
        self.feed_until(lambda: self.gates, 'the first gate sample')
        return process

    def feed(self):
        """Publish the next step and process messages."""
        self.seq += 1
        step = Step(
            EPISODE,
            self.seq,
            1_000_000_000 + self.seq * 1_000_000,
            np.full(FEATURES, 0.5, np.float32),
            np.zeros((CHUNK_LEN, len(JOINTS)), np.float32),
            0.05,
            1.0,
        )
        self._steps.publish(conversions.step_to_msg(step))
        self.graph.spin(PERIOD_S)

    def feed_until(self, done, what, seconds=60.0):
        """Publish steps until `done`."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f'timed out: {what}\n{self.graph.logs()}'
            self.feed()

    @property
    def durable(self):
        """The newest write that was reported as durable; None before the first."""
        durable = [event for event in self.events if event.durability == WriteEvent.DURABILITY_DURABLE]
        return max(durable, key=lambda event: event.seq, default=None)

    def restore(self):
        """Read the file as the node does; return the snapshot, the memory, and the time without CPU waiting [s]."""
        memory = aura()
        began, wait = time.monotonic(), CpuWait()
        store = StateStore(self.path, SPEC.backbone_hash, memory.state_layout, len(memory.export()))
        try:
            loaded = store.load()
        finally:
            store.close()
        memory.restore(loaded.snapshot.payload)
        return loaded.snapshot, memory, time.monotonic() - began - wait.seconds


@pytest.mark.fault('F1')
@pytest.mark.parametrize('kills', [5, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(9000)])])
def test_state_reported_as_durable_survives_a_kill(graph, tmp_path, measured, kills):
    runs, rng = MemoryRuns(graph, tmp_path / 'aura.state'), random.Random(kills)
    writes, slowest_s, seen_before = 0, 0.0, 0
    for _ in range(kills):
        runs.events.clear()
        process = runs.begin()
        assert f'restored from {runs.path}' in graph.log('memory_node')
        runs.feed_until(lambda: runs.durable, 'a durable write')
        for _ in range(rng.randrange(40)):
            runs.feed()
        time.sleep(rng.random() * PERIOD_S)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        graph.spin(0.05)
        snapshot, memory, seconds = runs.restore()
        assert snapshot.episode_id == EPISODE
        assert snapshot.seq >= runs.durable.seq
        assert snapshot.writes >= runs.durable.writes
        if snapshot.seq == runs.durable.seq:
            assert memory.crc() == runs.durable.state_crc32
        assert memory.seen > seen_before, 'the memory started empty instead of continuing'
        assert seconds <= 1.0
        seen_before, slowest_s = memory.seen, max(slowest_s, seconds)
        writes += sum(event.durability == WriteEvent.DURABILITY_DURABLE for event in runs.events)
    measured(f'{kills} kills, {writes} durable writes, 0 lost; restored in {slowest_s * 1e3:.1f} ms at most')


@pytest.mark.fault('F18')
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_write_ends_the_node_cleanly(graph, tmp_path, measured, number):
    runs = MemoryRuns(graph, tmp_path / 'aura.state')
    slowest_s = 0.0
    for extra in range(3):
        process = runs.begin()
        runs.feed_until(lambda extra=extra: len(runs.gates) > 30 + extra, '30 steps')
        signalled, wait, waited_s = time.monotonic(), CpuWait(os.getpid(), process.pid), 0.0
        process.send_signal(number)
        while process.poll() is None and time.monotonic() < signalled + 30.0:
            runs.feed()
            waited_s = wait.seconds
        assert process.wait(1.0) == 0, graph.log('memory_node')
        seconds = time.monotonic() - signalled
        assert seconds - waited_s <= 3.0
        graph.spin(0.05)
        assert runs.restore()[0].seq >= runs.gates[-1].seq
        slowest_s = max(slowest_s, seconds)
    measured(f'{number.name}: exits within {slowest_s:.2f} s, the last step is stored')
