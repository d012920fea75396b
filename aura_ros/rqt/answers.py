# SPDX-License-Identifier: Apache-2.0
"""What the views ask the model for. Arrays may be views of the model's own: draw them at once, change nothing.

Times `t` are seconds on the ROS clock, oldest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NodeReport:
    """A node by its reports on /diagnostics.

    name: of the node.
    state: of its lifecycle: active, inactive, unconfigured...; '' for a plain node.
    level: of its worst check: 0 OK, 1 WARN, 2 ERROR, 3 STALE.
    message: of that check, with the check's name.
    heard_s: since its last report, on the steady clock [s].
    silent: it used to report, and should have by now.
    """

    name: str
    state: str
    level: int
    message: str
    heard_s: float
    silent: bool


@dataclass(frozen=True)
class Header:
    """Now, whatever is paused or scrubbed.

    policy: that drives: base, aura, kv; '' before the first report.
    pending: that drives from the next chunk boundary; '' when none is pending.
    effective_seq: step from which `policy` drives.
    episode_id: UUID of the newest episode; '' before the first.
    seq: newest step known; -1 before the first.
    dry_run: True while no command is published; None before the first report.
    holding: the robot is held in place.
    reason: why it holds, or what changed last.
    clipped, rejected, holds: counters of the policy switch since its activation.
    nodes: all that report, by name.
    restored: what memory_node's state was restored from; '' when it says nothing of it.
    kept: whether and where memory_node keeps its state, a sentence; '' when it says nothing of it.
    kept_level: level of that, as in NodeReport.
    stale: text of the banner: who has not been heard for too long; '' while all is well.
    stale_s: since anything of this robot was heard, on the steady clock [s]; inf before the first.
    jumps: how often the clock went back since the start: a bag that loops, a simulation that began anew.
    """

    policy: str
    pending: str
    effective_seq: int
    episode_id: str
    seq: int
    dry_run: bool | None
    holding: bool
    reason: str
    clipped: int
    rejected: int
    holds: int
    nodes: tuple[NodeReport, ...]
    restored: str
    kept: str
    kept_level: int
    stale: str
    stale_s: float
    jumps: int


@dataclass(frozen=True)
class Gate:
    """The gate over time; all as long as `t`.

    gate, threshold: float32 [0..1].
    written: bool.
    surprise: float32 [1].
    seq: int64, step.
    step_us: float32, time of the memory step [us].
    """

    t: Floats
    gate: NDArray[np.float32]
    threshold: NDArray[np.float32]
    written: NDArray[np.bool_]
    surprise: NDArray[np.float32]
    seq: NDArray[np.int64]
    step_us: NDArray[np.float32]


@dataclass(frozen=True)
class Raster:
    """Which rows of W a write changed, and how much.

    t: float64 [N], of the steps that changed rows, as far as states were heard since.
    amount: float32 [32, N], change of the row since the state heard before [1]; 0 where it did not change.
    seq: int64 [N], steps.
    """

    t: Floats
    amount: NDArray[np.float32]
    seq: NDArray[np.int64]


@dataclass(frozen=True)
class Cost:
    """What the memories cost.

    t, aura_bytes: size of AURA's state over time [s], [B].
    writes_per_min: float64, over the minute before each of `t` [1/min].
    kv_t, kv_bytes: size of the KV-cache over time [s], [B].
    kv_entries: in the cache now; 0 before the first report.
    kv_window: most entries kept, 0 = all.
    writes_per_min_now, gate_rate: writes in the last minute [1/min]; share of its steps that wrote [0..1].
    device_bytes_per_hour: to the medium, for AURA [B/h]; NaN while nothing is kept on a medium.
    kv_device_bytes_per_hour: what keeping the cache would cost [B/h]; NaN if not known.
    storage_life_years, kv_storage_life_years: projected [a]; NaN if not known.
    """

    t: Floats
    aura_bytes: NDArray[np.int64]
    writes_per_min: Floats
    kv_t: Floats
    kv_bytes: NDArray[np.int64]
    kv_entries: int
    kv_window: int
    writes_per_min_now: float
    gate_rate: float
    device_bytes_per_hour: float
    kv_device_bytes_per_hour: float
    storage_life_years: float
    kv_storage_life_years: float


@dataclass(frozen=True)
class Stage:
    """How long one stage takes, over its last samples.

    name: for people.
    p50_ms, p95_ms: quantiles [ms].
    samples: how many they are of.
    tooltip: what is measured.
    """

    name: str
    p50_ms: float
    p95_ms: float
    samples: int
    tooltip: str


@dataclass(frozen=True)
class Latency:
    """Times of all stages heard of, and what came too late.

    stages: in the order of the data's way.
    misses: how often something was late, by name: counters of the nodes since they were activated.
    """

    stages: tuple[Stage, ...]
    misses: Mapping[str, int]


@dataclass(frozen=True)
class Spans:
    """What changed when; each holds from its `t` to the next.

    t: [s].
    labels: as long.
    """

    t: tuple[float, ...]
    labels: tuple[str, ...]
