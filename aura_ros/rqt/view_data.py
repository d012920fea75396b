# SPDX-License-Identifier: Apache-2.0
"""What the model returns to the views. Arrays may be slices of its buffers: draw them at once, do not change them.

Times `t` are seconds on the ROS clock, oldest first.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NodeReport:
    """The state of a node by its reports on /diagnostics."""

    name: str
    state: str
    """Lifecycle state, such as active or inactive; '' for a plain node."""
    level: int
    """Level of its worst check: 0 OK, 1 WARN, 2 ERROR, 3 STALE."""
    message: str
    """Name and message of that check."""
    age_s: float
    """Time since its last report [s, steady clock]."""
    silent: bool
    """Whether its next report is overdue."""


@dataclass(frozen=True)
class Header:
    """The present state of the robot; pause and cursor do not change it."""

    policy: str
    """Policy in the last report: base, aura or kv; '' before the first report."""
    pending: str
    """Policy that drives from the next chunk boundary; '' when none is pending."""
    effective_seq: int
    """Step from which `policy` drives."""
    episode_id: str
    """UUID of the newest episode; '' before the first."""
    seq: int
    """Newest step received; -1 before the first."""
    dry_run: bool | None
    """True while no command is published; None before the first report."""
    holding: bool
    """Whether the robot holds its position."""
    reason: str
    """Reason of the hold, or of the last change."""
    clipped: int
    """Commands that a limit changed, since the policy switch was activated."""
    rejected: int
    """Chunks refused, since the policy switch was activated."""
    holds: int
    """Transitions into hold, since the policy switch was activated."""
    nodes: tuple[NodeReport, ...]
    """All nodes that report, by name."""
    restored: str
    """What memory_node restored its state from; '' when not reported."""
    storage: str
    """Whether and where memory_node stores its state, a sentence; '' when not reported."""
    storage_level: int
    """Level of `storage`, as in NodeReport."""
    policy_known: bool
    """Whether the reports of the policy switch arrive, so that `policy` is that of the present."""
    policy_stamp_s: float
    """Time of its last report [s, ROS clock]; NaN before the first."""
    stale: str
    """What is overdue, as text for the banner; '' when nothing is."""
    stale_s: float
    """Time since the last message of this robot [s, steady clock]; inf before the first."""
    jumps: int
    """How often the ROS clock went back: a bag that loops, or a simulation that restarts."""
    strays: int
    """Points that were ignored, because their stamps are far from the present time of the robot."""


@dataclass(frozen=True)
class GateSeries:
    """The gate over time; all arrays have the same length."""

    t: Floats
    gate: NDArray[np.float32]
    """Score [0..1]."""
    threshold: NDArray[np.float32]
    """The memory writes when the score is above it [0..1]."""
    written: NDArray[np.bool_]
    surprise: NDArray[np.float32]
    seq: NDArray[np.int64]
    """Step."""
    step_us: NDArray[np.float32]
    """Time of the memory step [us]."""


@dataclass(frozen=True)
class Raster:
    """Which rows of W each write changed, and by how much."""

    t: Floats
    """Times of the N steps that changed rows, as far as states were received [s]."""
    amount: NDArray[np.float32]
    """Norm of the change of each row since the state before, float32 [32, N]; 0 for an unchanged row."""
    seq: NDArray[np.int64]
    """Steps, int64 [N]."""


@dataclass(frozen=True)
class Cost:
    """What the memories cost."""

    t: Floats
    aura_bytes: NDArray[np.int64]
    """Size of AURA's state at each of `t` [B]."""
    writes_per_min: Floats
    """Writes in the minute before each of `t` [1/min]."""
    kv_t: Floats
    kv_bytes: NDArray[np.int64]
    """Size of the KV-cache at each of `kv_t` [B]."""
    kv_entries: int
    """Entries in the cache; 0 before the first report."""
    kv_window: int
    """Largest number of entries; 0 = no limit."""
    writes_per_min_now: float
    """Writes in the last minute [1/min]."""
    gate_rate: float
    """Share of the steps of the last minute that wrote [0..1]."""
    device_bytes_per_hour: float
    """Bytes that AURA writes to storage [B/h]; NaN without storage."""
    kv_device_bytes_per_hour: float
    """Bytes that the cache would write to storage if it were stored [B/h]; NaN when unknown."""
    storage_life_years: float
    """Projected life of the storage with AURA [a]; NaN when unknown."""
    kv_storage_life_years: float
    """Projected life of the storage with the cache [a]; NaN when unknown."""


@dataclass(frozen=True)
class Stage:
    """The duration of one stage over its last samples."""

    name: str
    p50_ms: float
    """Median [ms]."""
    p95_ms: float
    """95th percentile [ms]."""
    samples: int
    tooltip: str
    """What is measured."""


@dataclass(frozen=True)
class Latency:
    """Durations of the stages, and counts of what was late."""

    stages: tuple[Stage, ...]
    """In the order in which the data passes them."""
    misses: Mapping[str, int]
    """How often something was late, by name; counted by the nodes since their activation."""


@dataclass(frozen=True)
class Spans:
    """A label over time; each label holds from its `t` to the next."""

    t: tuple[float, ...]
    labels: tuple[str, ...]
    end_s: float = math.inf
    """Until when the last label is known to hold [s, ROS clock]; inf for the end of the history."""

    def at(self, stamp_s: float) -> str:
        """Return the label at a time [s, ROS clock]; '' before the first and after the end."""
        place = bisect_right(self.t, stamp_s)
        return self.labels[place - 1] if place and stamp_s <= self.end_s else ''
