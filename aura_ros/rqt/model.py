# SPDX-License-Identifier: Apache-2.0
"""MonitorModel: the last ten minutes of one robot's memory. No Qt, no ROS.

The bridge turns messages into points. A timer of the GUI passes them to `ingest`, and the views query the model. Only
the GUI thread calls it. All buffers are bounded, and the cost of a point does not depend on the size of the history.

Clocks. `stamp_s`, `t` and `cursor` are seconds on the ROS clock, the times of observations. A played bag therefore
looks like the robot did. `now_s` is time on a steady clock that the caller passes in; it only serves to find stale
reports.

Pause and cursor. While `paused`, the series do not change, and new points go into the live history. `cursor` selects a
past moment for `state`, `writes` and `thumbnails`; curves ignore it. The header always shows the present.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.history import History
from aura_ros.rqt.items import Item
from aura_ros.rqt.points import (
    AURA,
    KV,
    CachePoint,
    DiagnosticPoint,
    Point,
    StatePoint,
    Thumbnail,
    WritePoint,
    policy_name,
)
from aura_ros.rqt.reports import NodeReports
from aura_ros.rqt.series import ends, thin
from aura_ros.rqt.timeline import Timeline
from aura_ros.rqt.view_data import Cost, GateSeries, Header, Latency, Raster, Spans, Stage
from aura_ros.state.wear import cache_wear

_MINUTE_S, _HOUR_S = 60.0, 3600.0
# Shortest time that a rate is computed from; a few steps are no basis [s].
_MIN_RATE_S = 10.0
# Samples of a quantile.
_SAMPLES = 300


class MonitorModel:
    """The history of one robot, and what the views show of it."""

    def __init__(self, history_s: float = 600.0, rate_hz: float = 30.0) -> None:
        """Allocate room for `history_s` seconds of steps at `rate_hz`; at a higher rate the history is shorter."""
        self.history_s, self.rate_hz = history_s, rate_hz
        self.cursor: float | None = None
        """Past moment that is shown [s, ROS clock]; None for the newest."""
        self.jumps = 0
        """How often the ROS clock went back."""
        self._live = self._shown = History(history_s, rate_hz)
        self._timeline, self._reports = Timeline(), NodeReports()

    # Input. ---------------------------------------------------------------------------------------
    def ingest(self, point: Point, now_s: float) -> None:
        """Add a point that arrived at `now_s` [s, steady clock]."""
        self._reports.receive(point, now_s)
        if isinstance(point, DiagnosticPoint):
            return
        admitted = self._timeline.admit(point, self._live, now_s)
        if len(admitted) > 1 and any(self._live.went_back(one) for one in admitted):
            self.clock_jumped(min(one.stamp_s for one in admitted))
        for one in admitted:
            self._live.add(one)

    def clock_jumped(self, stamp_s: float = -math.inf) -> None:
        """Drop the history from `stamp_s` on, because the ROS clock went back to it. A paused view stays as it is."""
        self.jumps += 1
        self._live.drop_from(stamp_s)
        if not self.paused:
            self.cursor = None

    @property
    def paused(self) -> bool:
        """Whether the series stay as they are. The header is never paused."""
        return self._shown is not self._live

    @paused.setter
    def paused(self, paused: bool) -> None:
        if paused != self.paused:
            self._shown = self._live.copy() if paused else self._live

    # Queries of the views. ------------------------------------------------------------------------
    @property
    def span(self) -> tuple[float, float]:
        """Begin and end of the history [s, ROS clock]; (0, 0) before the first observation."""
        newest = self._shown.newest
        if newest == -math.inf:
            return 0.0, 0.0
        oldest = (self._gates(AURA), self._gates(KV), self._shown.steps.rows(newest - self.history_s))
        return min((float(rows['t'][0]) for rows in oldest if len(rows)), default=newest), newest

    def _gates(self, policy: int) -> NDArray[Any]:
        return self._shown.gates[policy].rows(self._shown.newest - self.history_s)

    def gate(self, points: int = 0, policy: int = AURA) -> GateSeries:
        """Return the gate of a memory over time.

        Args:
            points: approximate number of rows, with all extremes and all writes; 0 for all.
            policy: AURA or KV.
        """
        rows = self._gates(policy)
        chosen: Any = slice(None)
        if points and len(rows) > points:
            chosen = thin(rows['t'], rows['gate'], rows['written'], points)
        return GateSeries(**{field.name: rows[field.name][chosen] for field in fields(GateSeries)})

    def gate_table(self, policy: int = AURA) -> Iterator[tuple[Any, ...]]:
        """Yield each step of a memory for a file; the columns are those of `export`."""
        names = self._shown.episode_names
        columns = ('t', 'episode', 'seq', 'gate', 'threshold', 'written', 'surprise', 'step_us', 'state_bytes')
        for t, episode, seq, *others in self._gates(policy)[list(columns)].tolist():
            yield (t, names.get(episode, ''), seq, policy_name(policy), *others)

    def writes(self, limit: int = 100) -> list[WritePoint]:
        """Return the newest writes up to the cursor, oldest first, at most `limit`; 0 for all."""
        return self._shown.writes.until(self.cursor, limit)

    def raster(self) -> Raster:
        """Return which rows of W changed, when and by how much."""
        rows = self._shown.rows.rows(self._shown.newest - self.history_s)
        return Raster(rows['t'], rows['amount'].T, rows['seq'])

    def state(self) -> StatePoint | None:
        """Return the state at the cursor; None before the first."""
        return self._shown.states.at(self.cursor)

    def items(self) -> tuple[Item, ...] | None:
        """Return the items of the state at the cursor, newest write first; None if its memory holds no items."""
        return self._shown.items.items(self.state(), self._shown.thumbnails.until(None, 0))

    def thumbnails(self, limit: int = 20) -> list[Thumbnail]:
        """Return the camera images of the newest writes up to the cursor, oldest first, at most `limit`."""
        return self._shown.thumbnails.until(self.cursor, limit)

    def episodes(self) -> Spans:
        """Return the UUID of the episode over time."""
        return _spans(self._shown.episodes)

    def policies(self) -> Spans:
        """Return the policy over time: 'aura', 'kv (hold)'..."""
        return _spans(self._shown.policies)

    def cost(self, points: int = 500) -> Cost:
        """Return what the memories cost, in about `points` rows each; 0 for all."""
        shown = self._shown
        aura, kv = self._gates(AURA), shown.cache.rows(shown.newest - self.history_s)
        drawn, drawn_kv = ends(aura['t'], points), ends(kv['t'], points)
        per_min = _writes_per_min(aura, drawn)
        last = aura['written'][np.searchsorted(aura['t'], shown.newest - _MINUTE_S) :]
        cache = self._reports.cache
        rate, life = self._wear(aura['t'])
        kv_rate, kv_life = self._kv_wear(kv)
        return Cost(
            t=aura['t'][drawn],
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
            storage_life_years=life,
            kv_storage_life_years=kv_life,
        )

    def _wear(self, t: NDArray[Any]) -> tuple[float, float]:
        """Return AURA's bytes to storage [B/h] and the life of the storage [a], by the stamps of the steps `t`.

        The node computes both by its wall clock, which differs from the ROS clock when a bag is played.
        """
        reports = self._reports
        node_rate = reports.number('memory_node: state', 'device_bytes_per_hour')
        rate = node_rate
        if math.isfinite(node_rate):
            by_stamps = _written_per_hour(self._shown.writes.until(None, 0), t, self._shown.newest)
            rate = by_stamps if math.isfinite(by_stamps) else node_rate
        life = reports.write.storage_life_years if reports.write is not None else 0.0
        life = life or reports.number('memory_node: state', 'storage_life_years')
        return rate, life * (node_rate / rate if node_rate > 0.0 and rate > 0.0 else 1.0)

    def _kv_wear(self, kv: NDArray[Any]) -> tuple[float, float]:
        """Return what storing the cache would cost [B/h], and the life of the storage [a]; NaN when unknown."""
        rate = _stored_per_hour(kv, self._reports.cache)
        node_rate = self._reports.number('kv_baseline_node: storage', 'device_bytes_per_hour')
        life = self._reports.number('kv_baseline_node: storage', 'storage_life_years')
        return rate, life * node_rate / rate if rate > 0.0 else math.nan

    def latency(self) -> Latency:
        """Return the recent durations of the stages, and counts of what was late."""
        shown = self._shown
        steps, aura, kv = shown.steps.tail(_SAMPLES), shown.gates[AURA].tail(_SAMPLES), shown.gates[KV].tail(_SAMPLES)
        stages = (
            _stage('backbone', steps['inference_ms'], 'inference of the backbone, as reported by vla_node'),
            _stage('image to step', steps['delay_s'] * 1e3, 'from the image to its step here, on the ROS clock'),
            _stage('AURA step', aura['step_us'] * 1e-3, 'gate, write and read of AURA-Mem'),
            _stage('KV step', kv['step_us'] * 1e-3, 'append and attention of the KV-cache'),
            _stage('image to AURA', aura['delay_s'] * 1e3, 'from the image to its gate score here, on the ROS clock'),
        )
        return Latency(tuple(stage for stage in stages if stage.samples), self._reports.misses())

    def header(self, now_s: float) -> Header:
        """Return the present state of the robot, paused or not, at `now_s` [s, steady clock]."""
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
            storage='' if state is None else state.message,
            storage_level=0 if state is None else state.level,
            stale=reports.stale(now_s),
            stale_s=max(0.0, now_s - reports.received_s),
            jumps=self.jumps,
            strays=self._timeline.strays,
        )


def _writes_per_min(gates: NDArray[Any], places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the writes in the minute before each of some rows [1/min]."""
    t, counts = gates['t'], gates['writes']
    if not len(t):
        return np.zeros(0)
    minute_before = np.searchsorted(t, t[places] - _MINUTE_S)
    spans = np.clip(t[places] - t[0], _MIN_RATE_S, _MINUTE_S)
    rates: NDArray[np.float64] = (counts[places] - counts[minute_before]) / spans * _MINUTE_S
    return rates


def _stored_per_hour(kv: NDArray[Any], cache: CachePoint | None) -> float:
    """Return what storing the cache would cost at the step rate of the last minute [B/h]; NaN when unknown."""
    recent = kv['t'][np.searchsorted(kv['t'], kv['t'][-1] - _MINUTE_S) :] if len(kv) else kv['t']
    if cache is None or not cache.entries or len(recent) < 2:
        return math.nan
    steps_per_s = (len(recent) - 1) / float(recent[-1] - recent[0])
    return cache_wear(1, cache.bytes // cache.entries).device_bytes * steps_per_s * _HOUR_S


def _written_per_hour(writes: Sequence[WritePoint], t: NDArray[Any], newest_s: float) -> float:
    """Return the bytes that the writes of the history put on the storage [B/h]; NaN for fewer than two writes."""
    if len(writes) < 2 or not len(t):
        return math.nan
    # The counter of a restarted node begins at zero.
    costs = [max(0, later.device_bytes - earlier.device_bytes) for earlier, later in pairwise(writes)]
    return sum(costs) / len(costs) * len(writes) / max(newest_s - float(t[0]), _MINUTE_S) * _HOUR_S


def _spans(changes: Collection[tuple[float, str]]) -> Spans:
    return Spans(tuple(t for t, _ in changes), tuple(label for _, label in changes))


def _stage(name: str, values: NDArray[Any], tooltip: str) -> Stage:
    values = np.sort(values[np.isfinite(values)])
    if not len(values):
        return Stage(name, math.nan, math.nan, 0, tooltip)
    p50, p95 = (float(values[round(share * (len(values) - 1))]) for share in (0.5, 0.95))
    return Stage(name, p50, p95, len(values), tooltip)
