# SPDX-License-Identifier: Apache-2.0
"""What the policy switch answers: verdicts, selections, commands, status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.names import Policy
from aura_ros.control.chunk import Refusal


@dataclass(frozen=True)
class Verdict:
    """What became of a chunk."""

    accepted: bool
    # Why not; None when accepted.
    refusal: Refusal | None
    # Steps missing before it, 0 without a gap [1].
    missed: int
    # For people; empty when all is well.
    text: str


@dataclass(frozen=True)
class Selection:
    """Answer to a request for another policy."""

    success: bool
    # Who drives after the call.
    policy: Policy
    # Who was asked for; equal to `policy` when in effect.
    pending_policy: Policy
    effective: bool
    # Step from which `policy` drives.
    effective_seq: int
    reason: str


@dataclass(frozen=True)
class Command:
    """The command of one control period."""

    # float64 [J] [rad or m]; None: no position was ever known, send nothing.
    target: NDArray[np.float64] | None
    holding: bool
    # Why it holds, or who drives.
    reason: str
    # Whether a limit changed the action.
    clipped: bool
    policy: Policy
    # Step and index of the action; None while holding.
    seq: int | None
    index: int | None
    # Whether another policy than in the tick before drives.
    switched: bool


@dataclass(frozen=True)
class SwitchStatus:
    """The switch at a glance; the fields are those of PolicyStatus, plus the counters by reason."""

    episode_id: str
    policy: Policy
    pending_policy: Policy
    effective_seq: int
    holding: bool
    reason: str
    # Indexed by Policy; 0 before the first chunk of the episode.
    newest_seq: tuple[int, ...]
    newest_stamp_ns: tuple[int, ...]
    # Commands changed by a limit, chunks refused, transitions into hold [1].
    clipped: int
    rejected: int
    holds: int
    # By limit ('position', 'step', 'velocity') and joint: commands it changed; zeros left out [1].
    limited: Mapping[str, Mapping[str, int]]
    refused: Mapping[Policy, Mapping[Refusal, int]]
    # Refused chunks of no known policy, which `refused` cannot hold [1].
    unknown_policy: int
    # Steps skipped by gaps, per policy [1].
    missed: Mapping[Policy, int]
    # Policies whose nodes are gone, and how that was noticed.
    lost: Mapping[Policy, str]
