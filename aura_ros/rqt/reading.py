# SPDX-License-Identifier: Apache-2.0
"""All values at one time, for the readout of the crosshair. No Qt, no ROS."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.history import History
from aura_ros.rqt.points import AURA

# A step belongs to a time that is not further away, else it was not received [s].
_NEAR_S = 1.0
# Two times are the same [s].
_SAME_S = 1e-4


@dataclass(frozen=True)
class Reading:
    """The step nearest to a time, and the values at that step."""

    stamp_s: float
    seq: int
    gate: float
    threshold: float
    written: bool
    surprise: float
    rows: int
    """Rows of W that the step changed, as far as states were received."""
    aura_bytes: int
    kv_bytes: int
    """Size of the KV-cache [B]; 0 when unknown."""


def reading(history: History, stamp_s: float) -> Reading | None:
    """Return the values at a time [s, ROS clock]; None where no step was received."""
    step = _nearest(history.gates[AURA].rows(stamp_s - _NEAR_S, stamp_s + _NEAR_S), stamp_s)
    if step is None:
        return None
    t = float(step['t'])
    cache = history.cache.rows(end=t)
    changed = _nearest(history.rows.rows(t - 1e-3, t + 1e-3), t)
    return Reading(
        stamp_s=t,
        seq=int(step['seq']),
        gate=float(step['gate']),
        threshold=float(step['threshold']),
        written=bool(step['written']),
        surprise=float(step['surprise']),
        rows=0 if changed is None else int(np.count_nonzero(changed['amount'])),
        aura_bytes=int(step['state_bytes']),
        kv_bytes=int(cache['bytes'][-1]) if len(cache) else 0,
    )


def beside(t: NDArray[np.float64], stamp_s: float, direction: int) -> float | None:
    """Return the next of some times, sorted, after or before another one [s, ROS clock].

    Args:
        t: the times.
        stamp_s: where to start.
        direction: 1 for later, -1 for earlier.

    Returns:
        None if there is nothing later, which is the end of the history; `stamp_s` if there is nothing earlier.
    """
    if direction > 0:
        place = int(np.searchsorted(t, stamp_s + _SAME_S))
        return float(t[place]) if place < len(t) else None
    place = int(np.searchsorted(t, stamp_s - _SAME_S))
    return float(t[place - 1]) if place else stamp_s


def _nearest(rows: NDArray[Any], stamp_s: float) -> Any:
    return rows[int(np.abs(rows['t'] - stamp_s).argmin())] if len(rows) else None
