# SPDX-License-Identifier: Apache-2.0
"""The collector turns messages in any order into the record of the right episode."""

from __future__ import annotations

from aura_ros.bench.robot.collector import EpisodeCollector
from aura_ros.bench.robot.records import EpisodeRecord, GateRecord
from aura_ros.common.provenance import versions, weight_hashes

START = 1_700_000_000_000_000_000
TICK = 200_000_000


def point(seq: int, written: bool = False) -> GateRecord:
    return GateRecord(0.0, seq, 0.9 if written else 0.1, 0.5, written, 20.0, 4224)


def blank(episode_id: str, steps: int) -> EpisodeRecord:
    return EpisodeRecord('recall', 'aura', 'evaluation', 0, 2, episode_id, steps, 0.0, 1.0, (), {})


def test_collects_one_episode() -> None:
    collector = EpisodeCollector(['old'])
    collector.add_step('aura', 'old', START - TICK, point(99, True))
    collector.add_event(START, 0, 0, 'red', False)
    for seq in (1, 0, 2, 2):  # out of order and twice
        collector.add_step('aura', 'new', START + seq * TICK, point(seq, seq == 1))
    collector.add_write_event('new', 1)
    collector.add_write_event('old', 99)
    assert collector.newest_seq('aura') == 2 and collector.newest_seq('kv') == -1
    assert collector.writes('aura') == 1 and collector.writes('kv') == 0
    assert not collector.complete('new', 3)
    assert collector.missing(2) == ['kv'] and collector.missing(-1) == []
    for seq in range(3):
        collector.add_step('kv', 'new', START + seq * TICK, point(seq, True))
    assert collector.complete('new', 3)
    collector.add_event(START + 3 * TICK, 5, 0, 'red', False)
    assert not collector.finished
    collector.add_event(START + 4 * TICK, 6, 1, 'blue', True)
    assert collector.finished and (collector.rounds_done, collector.rounds_solved) == (2, 1)
    collector.add_step('aura', 'new', START + 4 * TICK, point(3, True))  # a step after the last event
    collector.add_write_event('new', 3)
    record = collector.record(blank('new', 4))
    assert record.steps == 3
    assert [event.kind for event in record.events] == ['cue', 'round_success', 'round_failure']
    assert [gate.seq for gate in record.gates['aura']] == [0, 1, 2]
    assert record.gates['aura'][2].time_s == 0.4 and record.sim_s == 0.8
    assert record.write_events == 1 and record.successes == 1
    assert record.missing_steps('aura') == 0


def test_progress_counts_events_and_steps() -> None:
    collector = EpisodeCollector(())
    collector.add_event(START, 77, 0, '', False)
    collector.add_step('kv', 'a', START, point(0))
    assert collector.progress == 2
    assert collector.record(blank('b', 4)).missing_steps('kv') == 4


def test_no_messages_give_an_empty_record() -> None:
    record = EpisodeCollector(()).record(blank('', 0))
    assert record.events == () and record.sim_s == 0.0 and record.outcomes == ()


def test_provenance_has_versions_and_hashes() -> None:
    assert 'numpy' in versions() and 'python' in versions()
    assert all(len(value) == 64 for value in weight_hashes().values())
