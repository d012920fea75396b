# SPDX-License-Identifier: Apache-2.0
"""Offline and live replay of one bag give the same gate decisions, write events and final state, bit for bit.

The bag is recorded here, from the embedded robot that the real nodes drive. Offline is what `aura replay` does, without
ROS; live is the player in lock-step, vla_node and memory_node, each a process of its own.
"""

from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('rosbags')
pytest.importorskip('mujoco')

from aura_ros.msg import MemoryState
from bag_rig import MemoryOutput, record, stop
from ros_graph import Graph, free_domain

from aura_ros.recordings.bags import Bag
from aura_ros.replay.disk_arrays import DiskArrays
from aura_ros.replay.evaluate import run_policy
from aura_ros.replay.policies import PolicyOptions, make_policy
from aura_ros.replay.steps.arrays import Steps
from aura_ros.replay.steps.features import BackboneSteps
from aura_ros.replay.steps.mapping_file import load_mapping
from aura_ros.replay.steps.recorded import RecordedSteps
from aura_ros.ros import qos
from aura_ros.vla import load_backbone

pytestmark = [pytest.mark.graph, pytest.mark.render, pytest.mark.fault('F16'), pytest.mark.timeout(300)]
MAPPING = """\
cameras: {front: /camera/front/image_raw, wrist: /camera/wrist/image_raw}
joints: /joint_states
instruction: /instruction
steps: /vla_step
slop_s: 0.0
"""


@dataclass(frozen=True)
class Recorded:
    """A bag, its mapping, and the messages of the memory during the recording."""

    bag: Path
    mapping: Path
    gates: list
    events: list
    final_crc: int


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
    """A recorded episode of the embedded robot in lock-step."""
    folder = tmp_path_factory.mktemp('parity')
    with free_domain() as number, closing(Graph(number, folder)) as live:
        recorder = record(live, folder / 'bag')
        assert stop(live, recorder) == 0, live.logs()
    (folder / 'mapping.yaml').write_text(MAPPING)
    with Bag(folder / 'bag') as bag:
        gates, events, states = (
            [sample.message for sample in bag.samples([f'/aura/{topic}'])]
            for topic in ('gate', 'write_event', 'memory_state')
        )
    return Recorded(folder / 'bag', folder / 'mapping.yaml', _gates(gates), _events(events), states[-1].state_crc32)


def _gates(messages):
    """Return what is compared of each gate sample: everything except the times of this machine."""
    return [(one.seq, _ns(one), one.gate, one.threshold, one.surprise, one.written) for one in messages]


def _events(messages):
    """Return what is compared of each write event: everything except the fields of the storage device."""
    return [
        (
            one.seq,
            _ns(one),
            one.gate,
            one.threshold,
            one.surprise,
            one.action_change,
            one.delta_norm,
            one.writes,
            one.bytes_written,
            one.state_crc32,
        )
        for one in messages
    ]


def _ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def _offline(steps: Steps):
    """Return gates and events of a replay without ROS, and the CRC-32 of its last state."""
    options = PolicyOptions(steps.features.shape[1], steps.base_actions.shape[1:], steps.info.backbone_hash)
    run = run_policy(make_policy('aura', options), steps, DiskArrays())
    assert not run.refused and not run.missed
    columns = (steps.seqs, steps.stamps_ns, run.gate, run.threshold, run.surprise, run.written)
    gates = list(zip(*(column.tolist() for column in columns), strict=True))
    events = [
        (
            one.seq,
            one.stamp_ns,
            one.gate,
            one.threshold,
            one.surprise,
            one.action_change,
            one.delta_norm,
            one.writes,
            one.bytes_written,
            one.state_crc32,
        )
        for one in run.writes
    ]
    return gates, events, run.state_crc32


def _steps(stream):
    return Steps.of(stream.info, list(stream.rows([])))


def _live(graph, recorded, last, last_write, **player):
    """Play the bag through fresh nodes, up to step `last`; the last write is of step `last_write`."""
    received = MemoryOutput(graph)
    states = graph.listen(MemoryState, 'aura/memory_state', qos.MEMORY_STATE)
    graph.start('memory_node', autostart=True, use_sim_time=True, chunk_subscribers=0)
    listeners = ['memory_node']
    if player['source'] == 'inputs':
        graph.start(
            'vla_node',
            autostart=True,
            use_sim_time=True,
            camera_reliability='reliable',
            sync_slop_s=0.0,
            step_subscribers=2,
        )
    graph.until(lambda: all('is ready' in graph.log(name) for name in listeners), 'the nodes')
    graph.until(
        lambda: graph.node.count_publishers('aura/gate') and graph.node.count_publishers('aura/write_event'),
        'memory_node',
    )
    process = graph.start(
        'player',
        bag=recorded.bag,
        mapping=recorded.mapping,
        lockstep=True,
        policies='[aura]',
        step_subscribers=1,
        **player,
    )
    graph.until(lambda: process.poll() is not None, 'the player', timeout_s=120.0)
    assert process.returncode == 0, graph.logs()
    graph.until(lambda: states and states[-1].seq == last, 'the last state')
    graph.until(lambda: received.events and received.events[-1].seq == last_write, 'all write events')
    return _gates(received.gates), _events(received.events), states[-1].state_crc32


def _agree(received, gates):
    """Check that the received gates are among all gates. On a busy machine a listener may miss some."""
    expected = {gate[0]: gate for gate in gates}
    assert len(received) > len(gates) // 2
    assert received == [expected[gate[0]] for gate in received]


def test_offline_replay_equals_the_live_graph_bit_for_bit(recorded, graph, measured):
    with Bag(recorded.bag) as bag:
        steps = _steps(BackboneSteps(bag, load_mapping(recorded.mapping), load_backbone('embedded'), 'parity'))
    gates, events, crc = _offline(steps)
    assert len(gates) > 20 and events, 'too few to compare'
    live_gates, live_events, live_crc = _live(graph, recorded, gates[-1][0], events[-1][0], source='inputs')
    _agree(live_gates, gates)
    assert live_events == events
    assert live_crc == crc
    # Both equal what the memory did during the recording, up to the first image that the recorder missed: the graph
    # does not wait for the recorder, so it may miss images on a busy machine.
    stamps = {seq: stamp_ns for seq, stamp_ns, *_ in recorded.gates}
    whole = list(takewhile(lambda gate: stamps.get(gate[0], gate[1]) == gate[1], gates))
    _agree([gate for gate in recorded.gates if gate[0] < len(whole)], whole)
    measured(
        f'offline and live: {len(gates)} gates, {len(events)} write events, state {crc:08x} equal; '
        f'{len(whole)} gates as during the recording'
    )


def test_recorded_steps_reproduce_the_write_events_bit_for_bit(recorded, graph, measured):
    with Bag(recorded.bag) as bag:
        steps = _steps(RecordedSteps(bag, load_mapping(recorded.mapping), load_backbone('embedded').spec))
    gates, events, crc = _offline(steps)
    _agree(recorded.gates, gates)
    assert (events, crc) == (recorded.events, recorded.final_crc)
    live_gates, live_events, live_crc = _live(graph, recorded, gates[-1][0], events[-1][0], source='steps')
    _agree(live_gates, gates)
    assert (live_events, live_crc) == (events, crc)
    measured(f'recorded steps: {len(gates)} steps, {len(events)} write events, state {crc:08x} equal, offline and live')


def test_a_difference_of_one_bit_is_found(recorded):
    with Bag(recorded.bag) as bag:
        steps = _steps(RecordedSteps(bag, load_mapping(recorded.mapping), load_backbone('embedded').spec))
    last = recorded.events[-1][0]  # what the earlier writes stored may be overwritten at the end
    steps.features[last] = np.nextafter(steps.features[last], np.inf, dtype=np.float32)
    _, events, crc = _offline(steps)
    assert events != recorded.events and crc != recorded.final_crc
