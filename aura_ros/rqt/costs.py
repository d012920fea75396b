# SPDX-License-Identifier: Apache-2.0
"""What the memories cost up to a moment: sizes, writes, bytes to the storage and its life. No Qt, no ROS."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.history import History
from aura_ros.rqt.points import AURA, CachePoint, WritePoint
from aura_ros.rqt.reports import NodeReports
from aura_ros.rqt.series import ends
from aura_ros.rqt.view_data import Cost
from aura_ros.state.wear import cache_wear

_MINUTE_S, _HOUR_S = 60.0, 3600.0
# Shortest time that a rate is computed from; a few steps are no basis [s].
_MIN_RATE_S = 10.0


def cost(history: History, reports: NodeReports, begin_s: float, end_s: float, points: int) -> Cost:
    """Return what the memories cost between two times.

    Args:
        history: steps and writes.
        reports: newest reports of the nodes; the values to the storage are those of the present.
        begin_s, end_s: times [s, ROS clock].
        points: approximate number of rows of each curve; 0 for all.
    """
    aura, kv = history.gates[AURA].rows(begin_s, end_s), history.cache.rows(begin_s, end_s)
    drawn, drawn_kv = ends(aura['t'], points), ends(kv['t'], points)
    per_min = _writes_per_min(aura, drawn)
    newest = min(end_s, history.newest)
    last = aura['written'][np.searchsorted(aura['t'], newest - _MINUTE_S) :]
    rate, life = _wear(history, reports, aura['t'])
    kv_rate, kv_life = _kv_wear(kv, reports)
    return Cost(
        t=aura['t'][drawn],
        aura_bytes=aura['state_bytes'][drawn],
        writes_per_min=per_min,
        kv_t=kv['t'][drawn_kv],
        kv_bytes=kv['bytes'][drawn_kv],
        kv_entries=0 if reports.cache is None else reports.cache.entries,
        kv_window=0 if reports.cache is None else reports.cache.window,
        writes_per_min_now=float(per_min[-1]) if len(per_min) else 0.0,
        gate_rate=float(last.mean()) if len(last) else 0.0,
        device_bytes_per_hour=rate,
        kv_device_bytes_per_hour=kv_rate,
        storage_life_years=life,
        kv_storage_life_years=kv_life,
    )


def _wear(history: History, reports: NodeReports, t: NDArray[Any]) -> tuple[float, float]:
    """Return AURA's bytes to storage [B/h] and the life of the storage [a], by the stamps of the steps `t`.

    The node computes both by its wall clock, which differs from the ROS clock when a bag is played.
    """
    node_rate = reports.number('memory_node: state', 'device_bytes_per_hour')
    rate = node_rate
    if math.isfinite(node_rate):
        by_stamps = _written_per_hour(history.writes.until(None, 0), t, history.newest)
        rate = by_stamps if math.isfinite(by_stamps) else node_rate
    life = reports.write.storage_life_years if reports.write is not None else 0.0
    life = life or reports.number('memory_node: state', 'storage_life_years')
    return rate, life * (node_rate / rate if node_rate > 0.0 and rate > 0.0 else 1.0)


def _kv_wear(kv: NDArray[Any], reports: NodeReports) -> tuple[float, float]:
    """Return what storing the cache would cost [B/h], and the life of the storage [a]; NaN when unknown."""
    rate = _stored_per_hour(kv, reports.cache)
    node_rate = reports.number('kv_baseline_node: storage', 'device_bytes_per_hour')
    life = reports.number('kv_baseline_node: storage', 'storage_life_years')
    return rate, life * node_rate / rate if rate > 0.0 else math.nan


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
