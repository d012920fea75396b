# SPDX-License-Identifier: Apache-2.0
"""MonitorModel: what one robot's memory did, thought and cost in the last ten minutes. No Qt, no ROS.

The bridge turns messages into points, a timer of the GUI hands them to `ingest`, views ask. One thread, the GUI's.
Everything is bounded, and a point takes the same time whatever is held.

Two clocks. `stamp_s`, `t` and `cursor` are seconds on the ROS clock: of observations, so that a bag played back looks
as the robot did. `now_s` is a steady clock, passed in: it alone tells what is stale.

Pause and cursor. While `paused`, series stay as they were; new points go into the live history meanwhile. `cursor`
asks what was newest at a stamp: `state`, `writes` and `thumbnails` obey, curves do not. The header is always of now.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.answers import Cost, Gate, Header, Latency, NodeReport, Raster, Spans, Stage
from aura_ros.rqt.history import History
from aura_ros.rqt.points import (
    AURA,
    BASE,
    DURABILITIES,
    DURABLE,
    KV,
    POLICIES,
    QUEUED,
    RAM,
    CachePoint,
    DiagnosticPoint,
    GatePoint,
    Point,
    PolicyPoint,
    StatePoint,
    StepPoint,
    Thumbnail,
    WritePoint,
    durability_name,
    policy_name,
)
from aura_ros.rqt.reports import Reports
from aura_ros.rqt.series import ends, thin
from aura_ros.state.wear import cache_wear

__all__ = [
    'AURA',
    'BASE',
    'DURABILITIES',
    'DURABLE',
    'KV',
    'POLICIES',
    'QUEUED',
    'RAM',
    'CachePoint',
    'Cost',
    'DiagnosticPoint',
    'Gate',
    'GatePoint',
    'Header',
    'Latency',
    'MonitorModel',
    'NodeReport',
    'Point',
    'PolicyPoint',
    'Raster',
    'Spans',
    'Stage',
    'StatePoint',
    'StepPoint',
    'Thumbnail',
    'WritePoint',
    'durability_name',
    'policy_name',
]

# Of a rate [s]; below the second a rate would be a guess from a few steps.
_MINUTE_S, _HOUR_S = 60.0, 3600.0
_LEAST_S = 10.0
# Of a quantile [samples].
_SAMPLES = 300


class MonitorModel:
    """The memory of the monitor itself.

    cursor: a stamp to look at, None for the newest [s].
    jumps: how often the clock went back.
    """

    def __init__(self, history_s: float = 600.0, rate_hz: float = 30.0) -> None:
        """Make room for `history_s` of steps at `rate_hz`; faster ones are remembered for less long."""
        self.history_s, self.rate_hz = history_s, rate_hz
        self.cursor: float | None = None
        self.jumps = 0
        self._live = self._shown = History(history_s, rate_hz)
        self._reports = Reports()

    # What comes in. -------------------------------------------------------------------------------
    def ingest(self, point: Point, now_s: float) -> None:
        """Take a point in.

        Args:
            point: one of aura_ros.rqt.points.
            now_s: when it arrived [s, steady clock].
        """
        self._reports.hear(point, now_s)
        if isinstance(point, DiagnosticPoint):
            return
        if self._live.went_back(point):
            self.clock_jumped()
        self._live.add(point)

    def clock_jumped(self) -> None:
        """Begin anew: the ROS clock went back, for a bag loops or a simulation started again. What is paused stays."""
        self.jumps += 1
        paused, self._live = self.paused, History(self.history_s, self.rate_hz)
        if not paused:
            self._shown, self.cursor = self._live, None

    @property
    def paused(self) -> bool:
        """Whether series stay as they are; the header never does."""
        return self._shown is not self._live

    @paused.setter
    def paused(self, paused: bool) -> None:
        if paused != self.paused:
            self._shown = self._live.copy() if paused else self._live

    # What is to be seen. --------------------------------------------------------------------------
    @property
    def span(self) -> tuple[float, float]:
        """Begin and end of what is remembered [s, ROS clock]; (0, 0) before the first observation."""
        newest = self._shown.newest
        if newest == -math.inf:
            return 0.0, 0.0
        oldest = (self._gates(AURA), self._gates(KV), self._shown.steps.rows(newest - self.history_s))
        return min((float(rows['t'][0]) for rows in oldest if len(rows)), default=newest), newest

    def _gates(self, policy: int) -> NDArray[Any]:
        return self._shown.gates[policy].rows(self._shown.newest - self.history_s)

    def gate(self, points: int = 0, policy: int = AURA) -> Gate:
        """The gate of a memory.

        Args:
            points: about so many rows, lows, highs and all writes among them; 0 for all.
            policy: AURA or KV.
        """
        rows = self._gates(policy)
        chosen: Any = slice(None)
        if points and len(rows) > points:
            chosen = thin(rows['t'], rows['gate'], rows['written'], points)
        return Gate(**{field.name: rows[field.name][chosen] for field in fields(Gate)})

    def gate_table(self, policy: int = AURA) -> Iterator[tuple[Any, ...]]:
        """Each step of a memory, for a file: stamp_s, episode_id, seq, policy, gate, threshold, written, surprise..."""
        names = self._shown.episode_names
        columns = ('t', 'episode', 'seq', 'gate', 'threshold', 'written', 'surprise', 'step_us', 'state_bytes')
        for t, episode, seq, *others in self._gates(policy)[list(columns)].tolist():
            yield (t, names.get(episode, ''), seq, policy_name(policy), *others)

    def writes(self, limit: int = 100) -> list[WritePoint]:
        """The newest writes up to the cursor, oldest first, at most `limit`; 0 for all."""
        return self._shown.writes.until(self.cursor, limit)

    def raster(self) -> Raster:
        """Which rows of W changed, when and how much."""
        rows = self._shown.rows.rows(self._shown.newest - self.history_s)
        return Raster(rows['t'], rows['amount'].T, rows['seq'])

    def state(self) -> StatePoint | None:
        """The state at the cursor, None before the first."""
        return self._shown.states.at(self.cursor)

    def thumbnails(self, limit: int = 20) -> list[Thumbnail]:
        """What the camera saw at the newest writes up to the cursor, oldest first, at most `limit`."""
        return self._shown.thumbnails.until(self.cursor, limit)

    def episodes(self) -> Spans:
        """Which episode ran when, by UUID."""
        return _spans(self._shown.episodes)

    def policies(self) -> Spans:
        """Who drove when: 'aura', 'kv (held)'..."""
        return _spans(self._shown.policies)

    def cost(self, points: int = 500) -> Cost:
        """What the memories cost, in about `points` rows each, 0 for all."""
        shown = self._shown
        aura, kv = self._gates(AURA), shown.cache.rows(shown.newest - self.history_s)
        t, counts = aura['t'], aura['writes']
        drawn = ends(t, points)
        at = t[drawn]
        per_min = np.zeros(len(at))
        if len(t):
            minute = np.searchsorted(t, at - _MINUTE_S)
            per_min = (counts[drawn] - counts[minute]) / np.clip(at - t[0], _LEAST_S, _MINUTE_S) * _MINUTE_S
        last = aura['written'][np.searchsorted(t, shown.newest - _MINUTE_S) :]
        drawn_kv = ends(kv['t'], points)
        reports, cache = self._reports, self._reports.cache
        number = reports.number
        kv_rate = _kept_per_hour(kv, cache)
        node_rate = number('memory_node: state', 'device_bytes_per_hour')
        rate = _written_per_hour(self.writes(0), t, shown.newest) if math.isfinite(node_rate) else math.nan
        rate = rate if math.isfinite(rate) else node_rate
        life = reports.write.storage_life_years if reports.write is not None else 0.0
        return Cost(
            t=at,
            aura_bytes=aura['state_bytes'][drawn],
            writes_per_min=per_min,
            kv_t=kv['t'][drawn_kv],
            kv_bytes=kv['bytes'][drawn_kv],
            kv_entries=0 if cache is None else cache.entries,
            kv_window=0 if cache is None else cache.window,
            writes_per_min_now=float(per_min[-1]) if len(per_min) else 0.0,
            gate_rate=float(last.mean()) if len(last) else 0.0,
            device_bytes_per_hour=rate,
            kv_device_bytes_per_hour=kv_rate,
            # the nodes' are at the nodes' rates, which go by their clocks on the wall
            storage_life_years=(life or number('memory_node: state', 'storage_life_years')) * _share(node_rate, rate),
            kv_storage_life_years=number('kv_baseline_node: storage', 'storage_life_years')
            * number('kv_baseline_node: storage', 'device_bytes_per_hour')
            / kv_rate,
        )

    def latency(self) -> Latency:
        """How long the stages took lately, and what came too late."""
        shown = self._shown
        steps, aura, kv = shown.steps.tail(_SAMPLES), shown.gates[AURA].tail(_SAMPLES), shown.gates[KV].tail(_SAMPLES)
        stages = (
            _stage('backbone', steps['inference_ms'], 'inference of the frozen VLA, as vla_node tells'),
            _stage('image to step', steps['delay_s'] * 1e3, 'from the image to vla_step heard here, on the ROS clock'),
            _stage('AURA step', aura['step_us'] * 1e-3, 'gate, write and read-out of the gated memory'),
            _stage('KV step', kv['step_us'] * 1e-3, 'append and attention of the KV-cache'),
            _stage('image to AURA', aura['delay_s'] * 1e3, 'from the image to the gate heard here, on the ROS clock'),
        )
        return Latency(tuple(stage for stage in stages if stage.samples), self._reports.misses())

    def header(self, now_s: float) -> Header:
        """Who drives, which step, what was restored, who is silent: now, whatever is paused.

        Args:
            now_s: [s, steady clock].
        """
        reports = self._reports
        policy, state = reports.policy, reports.check('memory_node: state')
        pending = '' if policy is None or policy.pending == policy.policy else policy_name(policy.pending)
        return Header(
            policy='' if policy is None else policy_name(policy.policy),
            pending=pending,
            effective_seq=0 if policy is None else policy.effective_seq,
            episode_id=reports.episode_id or ('' if policy is None else policy.episode_id),
            seq=reports.seq,
            dry_run=None if policy is None else not policy.control_enabled,
            holding=policy is not None and policy.holding,
            reason='' if policy is None else policy.reason,
            clipped=0 if policy is None else policy.clipped,
            rejected=0 if policy is None else policy.rejected,
            holds=0 if policy is None else policy.holds,
            nodes=reports.nodes(now_s),
            restored='' if state is None else state.values.get('restored', ''),
            kept='' if state is None else state.message,
            kept_level=0 if state is None else state.level,
            stale=reports.stale(now_s),
            stale_s=max(0.0, now_s - reports.heard_s),
            jumps=self.jumps,
        )


def _kept_per_hour(kv: NDArray[Any], cache: CachePoint | None) -> float:
    """What keeping the cache would cost at the steps of the last minute, by their stamps [B/h]; NaN if not known."""
    recent = kv['t'][np.searchsorted(kv['t'], kv['t'][-1] - _MINUTE_S) :] if len(kv) else kv['t']
    if cache is None or not cache.entries or len(recent) < 2:
        return math.nan
    steps_per_s = (len(recent) - 1) / float(recent[-1] - recent[0])
    return cache_wear(1, cache.bytes // cache.entries).device_bytes * steps_per_s * _HOUR_S


def _written_per_hour(writes: Sequence[WritePoint], t: NDArray[Any], newest_s: float) -> float:
    """What the remembered writes cost the medium, by the stamps of the steps `t` [B/h]; NaN of fewer than two."""
    if len(writes) < 2 or not len(t):
        return math.nan
    # a node that was started again counts from zero
    costs = [max(0, later.device_bytes - earlier.device_bytes) for earlier, later in pairwise(writes)]
    return sum(costs) / len(costs) * len(writes) / max(newest_s - float(t[0]), _MINUTE_S) * _HOUR_S


def _share(rate: float, other: float) -> float:
    """How much longer a medium lasts at the other rate."""
    return rate / other if rate > 0.0 and other > 0.0 else 1.0


def _spans(changes: Any) -> Spans:
    return Spans(tuple(t for t, _ in changes), tuple(label for _, label in changes))


def _stage(name: str, values: NDArray[Any], tooltip: str) -> Stage:
    values = np.sort(values[np.isfinite(values)])
    if not len(values):
        return Stage(name, math.nan, math.nan, 0, tooltip)
    p50, p95 = (float(values[round(share * (len(values) - 1))]) for share in (0.5, 0.95))
    return Stage(name, p50, p95, len(values), tooltip)
