# SPDX-License-Identifier: Apache-2.0
"""Synthetic records of runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aura_ros.bench.robot.records import EpisodeRecord, EventRecord, GateRecord, RunRecord


def _events(rng: np.random.Generator, rounds: int, rate: float) -> list[EventRecord]:
    events: list[EventRecord] = []
    now = 0.0
    for index in range(rounds):
        colour = str(rng.choice(['red', 'green', 'blue']))
        events.append(EventRecord(now, 'cue', index, colour))
        delay = float(np.exp(rng.uniform(np.log(2.0), np.log(20.0))))
        if rng.random() < 0.3:
            events.append(EventRecord(now + 0.4 * delay, 'cue_repeat', index, colour))
        if rng.random() < 0.5:
            events.append(EventRecord(now + 0.6 * delay, 'reshuffle', index))
        for at in np.arange(now + 1.0, now + delay, 2.2):
            events.append(EventRecord(float(at), 'distractor', index, 'red'))
        now += 0.5 + delay
        events.append(EventRecord(now, 'go', index))
        now += 2.5
        solved = rng.random() < rate
        kind = 'round_success' if solved else 'round_failure'
        events.append(EventRecord(now, kind, index, colour if solved else ''))
        now += 1.2
    return events


def _gates(rng: np.random.Generator, events: list[EventRecord]) -> dict[str, tuple[GateRecord, ...]]:
    cues = [event.time_s for event in events if event.kind == 'cue']
    aura, kv = [], []
    for seq, time_s in enumerate(np.arange(0.0, events[-1].time_s, 0.2).tolist()):
        fresh = any(0.0 <= time_s - cue < 0.2 for cue in cues)
        gate = float(np.clip(rng.normal(0.93 if fresh else 0.06, 0.03), 0.0, 1.0))
        aura.append(GateRecord(time_s, seq, gate, 0.5, gate > 0.5, rng.gamma(9.0, 3.0), 4224))
        kv.append(GateRecord(time_s, seq, 1.0, 0.0, True, 30.0 + 0.05 * seq, 256 * (seq + 1)))
    return {'aura': tuple(aura), 'kv': tuple(kv)}


@pytest.fixture(scope='session')
def make_run() -> Callable[..., RunRecord]:
    """Return a factory of comparisons of three policies on two tasks."""

    def make(rounds: int = 12, policies: tuple[str, ...] = ('base', 'aura', 'kv')) -> RunRecord:
        episodes = []
        for task in ('recall', 'visible'):
            for policy in policies:
                rng = np.random.default_rng(3)
                rate = 0.33 if (task, policy) == ('recall', 'base') else 0.95
                events = _events(rng, rounds, rate)
                gates = _gates(rng, events)
                steps = len(gates['aura'])
                writes = sum(point.written for point in gates['aura'])
                episodes.append(
                    EpisodeRecord(
                        task,
                        policy,
                        'evaluation',
                        0,
                        rounds,
                        f'{task}-{policy}',
                        steps,
                        events[-1].time_s,
                        20.0,
                        tuple(events),
                        gates,
                        writes,
                    )
                )
        versions, hashes = {'aura_ros': '0.1.0'}, {'aura': 'ab' * 32}
        return RunRecord('2026-01-01T00:00:00+00:00', 123.4, True, versions, hashes, tuple(episodes))

    return make
