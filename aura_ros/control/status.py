# SPDX-License-Identifier: Apache-2.0
"""Results of the policy switch: verdicts, selections, commands and status."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.names import Policy
from aura_ros.control.chunk import Refusal


@dataclass(frozen=True)
class ChunkVerdict:
    """Whether a chunk was accepted."""

    accepted: bool
    refusal: Refusal | None
    """Why not; None if accepted."""
    missed: int
    """Steps missing before the chunk, 0 without a gap [1]."""
    text: str
    """The fault in words; empty without one."""


@dataclass(frozen=True)
class Selection:
    """Answer to a request for another policy."""

    success: bool
    policy: Policy
    """Who drives after the call."""
    pending_policy: Policy
    """Who was requested; equal to `policy` when the request is in effect."""
    effective: bool
    """Whether the request is in effect."""
    effective_seq: int
    """Step from which `policy` drives."""
    reason: str


@dataclass(frozen=True)
class Command:
    """The command of one control period."""

    target: NDArray[np.float64] | None
    """Joint targets, float64 [J] [rad or m]; None: no position is known, send nothing."""
    holding: bool
    reason: str
    """Why the robot is held, or who drives."""
    clipped: bool
    """Whether a limit changed the action."""
    policy: Policy
    seq: int | None
    """Step of the action; None while holding."""
    index: int | None
    """Index of the action within its chunk; None while holding."""
    switched: bool
    """Whether another policy than in the previous tick drives."""


@dataclass(frozen=True)
class SwitchStatus:
    """Status of the switch: the fields of PolicyStatus, and the counters by reason."""

    episode_id: str
    policy: Policy
    pending_policy: Policy
    effective_seq: int
    holding: bool
    reason: str
    newest_seq: tuple[int, ...]
    """Newest accepted step by Policy; 0 before the first chunk of the episode."""
    newest_stamp_ns: tuple[int, ...]
    """Its observation stamp by Policy [ns, ROS clock]."""
    clipped: int
    """Commands changed by a limit [1]."""
    rejected: int
    """Chunks refused [1]."""
    holds: int
    """Transitions into hold [1]."""
    limited: Mapping[str, Mapping[str, int]]
    """Commands changed, by limit ('position', 'step', 'velocity') and joint; zeros left out [1]."""
    refused: Mapping[Policy, Mapping[Refusal, int]]
    """Chunks refused, by policy and reason [1]."""
    unknown_policy: int
    """Chunks refused because their policy is unknown [1]."""
    missed: Mapping[Policy, int]
    """Steps skipped by gaps, by policy [1]."""
    lost: Mapping[Policy, str]
    """Policies whose nodes are gone, with the reason."""
    blocked: str = ''
    """Why no policy may drive, whatever they deliver; '' if they may."""
