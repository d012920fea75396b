# SPDX-License-Identifier: Apache-2.0
"""What the monitor hears, one frozen dataclass per topic: plain values, no ROS and no Qt.

`stamp_s` are seconds on the ROS clock, float, of the observation unless said otherwise. Arrays belong to the point and
are never changed. Policies are numbers as in ActionChunk.msg: 0 base, 1 aura, 2 kv.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.names import POLICIES, Policy

BASE, AURA, KV = Policy
RAM, QUEUED, DURABLE = range(3)
DURABILITIES = ('RAM', 'queued', 'durable')


def policy_name(policy: int) -> str:
    """Name a policy, also one that is not known here."""
    return POLICIES[policy] if 0 <= policy < len(POLICIES) else f'policy {policy}'


def durability_name(durability: int) -> str:
    """Name how safe a write is, also a number that is not known here."""
    return DURABILITIES[durability] if 0 <= durability < len(DURABILITIES) else str(durability)


@dataclass(frozen=True, slots=True)
class GatePoint:
    """The gate of one memory at one step: GateSample.msg.

    stamp_s: of the observation [s].
    episode_id: UUID of the episode.
    seq: step, from 0.
    gate: score [0..1].
    threshold: the gate opens above it [0..1].
    written: whether the step wrote.
    surprise: inner prediction error before the step [1].
    step_us: time of the memory step [us].
    state_bytes: size of the carried state [B].
    policy: whose memory, AURA or KV.
    delay_s: from the observation to the arrival here, on the ROS clock [s]; NaN if not known.
    """

    stamp_s: float
    episode_id: str
    seq: int
    gate: float
    threshold: float
    written: bool
    surprise: float
    step_us: float
    state_bytes: int
    policy: int
    delay_s: float = math.nan


@dataclass(frozen=True, slots=True)
class WritePoint:
    """A write of the memory: WriteEvent.msg.

    stamp_s: of the observation that was written [s].
    episode_id: UUID of the episode.
    seq: step that wrote.
    policy: whose memory.
    gate: score [0..1].
    threshold: the gate opened above it [0..1].
    surprise: inner prediction error before the write [1].
    action_change: largest change of a joint target [rad, m].
    delta_norm: Frobenius norm of the change of the state [1].
    writes: since the last reset, this one included.
    bytes_written: logical bytes of state rewritten by them [B].
    device_bytes: handed to the medium since configure [B].
    storage_life_years: projected; 0 is unknown [a].
    crc: CRC-32 of the state after the write.
    durability: RAM, QUEUED or DURABLE.
    """

    stamp_s: float
    episode_id: str
    seq: int
    policy: int
    gate: float
    threshold: float
    surprise: float
    action_change: float
    delta_norm: float
    writes: int
    bytes_written: int
    device_bytes: int
    storage_life_years: float
    crc: int
    durability: int


@dataclass(frozen=True, slots=True, eq=False)
class StatePoint:
    """The whole recurrent state: MemoryState.msg.

    stamp_s: of the last observation applied [s].
    episode_id: UUID of the episode.
    seq: last step applied.
    weights: W, float32 [32, 32], row = value index, column = key index.
    vector: float32 [32].
    row_age: steps since each row of W last changed, uint64 [32].
    crc: CRC-32 of the state.
    """

    stamp_s: float
    episode_id: str
    seq: int
    weights: NDArray[np.float32]
    vector: NDArray[np.float32]
    row_age: NDArray[np.uint64]
    crc: int


@dataclass(frozen=True, slots=True)
class CachePoint:
    """The size of the KV-cache: CacheStatus.msg.

    stamp_s: of the last observation applied [s].
    seq: last step applied.
    entries: pairs held.
    bytes: held by them [B].
    window: most pairs kept, 0 = all.
    """

    stamp_s: float
    seq: int
    entries: int
    bytes: int
    window: int


@dataclass(frozen=True, slots=True)
class PolicyPoint:
    """Who drives: PolicyStatus.msg.

    stamp_s: of the report [s].
    policy: that drives.
    pending: that drives from the next chunk boundary; the same when none is pending.
    effective_seq: step from which `policy` drives.
    control_enabled: false: dry run, commands are not published.
    holding: the robot is held in place.
    reason: why it holds, or what changed last.
    clipped: commands changed by a limit.
    rejected: chunks refused.
    holds: transitions into hold, each a missed deadline or the end of an episode.
    episode_id: UUID of the episode, '' before the first.
    """

    stamp_s: float
    policy: int
    pending: int
    effective_seq: int
    control_enabled: bool
    holding: bool
    reason: str
    clipped: int
    rejected: int
    holds: int
    episode_id: str


@dataclass(frozen=True, slots=True)
class StepPoint:
    """A step of the frozen VLA: VlaStep.msg without its arrays.

    stamp_s: of the first camera's image [s].
    seq: step, from 0.
    inference_ms: time the backbone took [ms].
    episode_id: UUID of the episode.
    delay_s: from the image to the arrival here, on the ROS clock [s]; NaN if not known.
    """

    stamp_s: float
    seq: int
    inference_ms: float
    episode_id: str = ''
    delay_s: float = math.nan


@dataclass(frozen=True, slots=True)
class DiagnosticPoint:
    """One status of /diagnostics.

    name: 'NODE: CHECK', without the robot's namespace.
    level: 0 OK, 1 WARN, 2 ERROR, 3 STALE.
    message: a sentence.
    values: key to text.
    """

    name: str
    level: int
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """What the first camera saw at a write.

    stamp_s: of the image [s].
    rgb: uint8 [height, width, 3], at most 160 px wide and high.
    """

    stamp_s: float
    rgb: NDArray[np.uint8]


Point = GatePoint | WritePoint | StatePoint | CachePoint | PolicyPoint | StepPoint | DiagnosticPoint | Thumbnail
