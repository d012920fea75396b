# SPDX-License-Identifier: Apache-2.0
"""What the monitor receives, one frozen dataclass for each topic: plain values, no ROS and no Qt.

`stamp_s` is the time of the observation in seconds on the ROS clock, unless a field states otherwise. The arrays of a
point are never changed. Policies are numbers as in ActionChunk.msg: 0 base, 1 aura, 2 kv.
"""

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
    """Return the name of a policy; unknown numbers read 'policy N'."""
    return POLICIES[policy] if 0 <= policy < len(POLICIES) else f'policy {policy}'


def durability_name(durability: int) -> str:
    """Return the name of a durability; unknown numbers stay numbers."""
    return DURABILITIES[durability] if 0 <= durability < len(DURABILITIES) else str(durability)


@dataclass(frozen=True, slots=True)
class GatePoint:
    """The gate of one memory at one step: GateSample.msg."""

    stamp_s: float
    episode_id: str
    seq: int
    """Step, from 0."""
    gate: float
    """Score [0..1]."""
    threshold: float
    """The memory writes when the score is above it [0..1]."""
    written: bool
    surprise: float
    """Prediction error before the step, |v - (W k + b)| [1]."""
    step_us: float
    """Time of the memory step [us]."""
    state_bytes: int
    """Size of the state [B]."""
    policy: int
    """Memory, AURA or KV."""
    delay_s: float = math.nan
    """Time from the observation to its arrival here [s, ROS clock]; NaN when unknown."""


@dataclass(frozen=True, slots=True)
class WritePoint:
    """A write of the memory: WriteEvent.msg."""

    stamp_s: float
    episode_id: str
    seq: int
    """Step that wrote."""
    policy: int
    """Memory, AURA or KV."""
    gate: float
    """Score [0..1]."""
    threshold: float
    """Threshold that the score exceeded [0..1]."""
    surprise: float
    """Prediction error before the write, |v - (W k + b)| [1]."""
    action_change: float
    """Largest change of a joint target [rad, m]."""
    delta_norm: float
    """Frobenius norm of the change of the state [1]."""
    writes: int
    """Writes since the last reset, this one included."""
    bytes_written: int
    """Bytes of state that these writes changed [B]."""
    device_bytes: int
    """Bytes written to storage since configure [B]."""
    storage_life_years: float
    """Projected life of the storage [a]; 0 when unknown."""
    crc: int
    """CRC-32 of the state after the write."""
    durability: int
    """RAM, QUEUED or DURABLE."""


@dataclass(frozen=True, slots=True, eq=False)
class StatePoint:
    """The full state of AURA-Mem: MemoryState.msg."""

    stamp_s: float
    """Time of the last observation applied [s, ROS clock]."""
    episode_id: str
    seq: int
    """Last step applied."""
    weights: NDArray[np.float32]
    """W, float32 [32, 32]. With dense keys row = value index and column = key index, else each row holds an item."""
    vector: NDArray[np.float32]
    """float32 [32]."""
    row_age: NDArray[np.uint64]
    """Steps since each row of W last changed, uint64 [32]."""
    crc: int
    """CRC-32 of the state."""


@dataclass(frozen=True, slots=True)
class CachePoint:
    """The size of the KV-cache: CacheStatus.msg."""

    stamp_s: float
    """Time of the last observation applied [s, ROS clock]."""
    seq: int
    """Last step applied."""
    entries: int
    bytes: int
    """Size of the entries [B]."""
    window: int
    """Largest number of entries; 0 = no limit."""


@dataclass(frozen=True, slots=True)
class PolicyPoint:
    """The policy that drives: PolicyStatus.msg."""

    stamp_s: float
    """Time of the report [s, ROS clock]."""
    policy: int
    """Policy that drives."""
    pending: int
    """Policy that drives from the next chunk boundary; equal to `policy` when none is pending."""
    effective_seq: int
    """Step from which `policy` drives."""
    control_enabled: bool
    """False in a dry run: commands are not published."""
    holding: bool
    """Whether the robot holds its position."""
    reason: str
    """Reason of the hold, or of the last change."""
    clipped: int
    """Commands that a limit changed."""
    rejected: int
    """Chunks refused."""
    holds: int
    """Transitions into hold."""
    episode_id: str
    """UUID of the episode; '' before the first."""


@dataclass(frozen=True, slots=True)
class StepPoint:
    """A step of the backbone: VlaStep.msg without its arrays."""

    stamp_s: float
    """Time of the first camera's image [s, ROS clock]."""
    seq: int
    """Step, from 0."""
    inference_ms: float
    """Time of the inference [ms]."""
    episode_id: str = ''
    delay_s: float = math.nan
    """Time from the image to its arrival here [s, ROS clock]; NaN when unknown."""


@dataclass(frozen=True, slots=True)
class DiagnosticPoint:
    """One status of /diagnostics."""

    name: str
    """'NODE: CHECK', without the namespace of the robot."""
    level: int
    """0 OK, 1 WARN, 2 ERROR, 3 STALE."""
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """What the first camera saw at a write."""

    stamp_s: float
    """Time of the image [s, ROS clock]."""
    rgb: NDArray[np.uint8]
    """uint8 [height, width, 3], at most 160 px wide and high."""


@dataclass(frozen=True, slots=True)
class TaskPoint:
    """An event of the simulated task: TaskEvent.msg."""

    stamp_s: float
    kind: int
    """EventKind."""
    task: str
    round: int
    """Round of the episode, from 0."""
    colour: str
    """Colour of the cue, the lamp or the block; '' when none."""


@dataclass(frozen=True, slots=True)
class InstructionPoint:
    """The instruction of the episode that runs; its message has no stamp."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class CameraPoint:
    """The newest image of the first camera."""

    stamp_s: float
    """Time of the image [s, ROS clock]."""
    rgb: NDArray[np.uint8]
    """uint8 [height, width, 3]."""


StampedPoint = GatePoint | WritePoint | StatePoint | CachePoint | PolicyPoint | StepPoint | Thumbnail | TaskPoint
Point = StampedPoint | DiagnosticPoint | InstructionPoint | CameraPoint
