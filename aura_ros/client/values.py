# SPDX-License-Identifier: Apache-2.0
"""What the client returns: plain values, and the error it raises."""

from collections.abc import Mapping
from dataclasses import dataclass

from aura_ros.common.errors import AuraError


class GraphError(AuraError):
    """A node is missing, does not respond or refuses a request; the text names the node."""


@dataclass(frozen=True)
class Progress:
    """The newest step of a running episode."""

    step: int
    """Number of the step within the episode, from 0."""
    inference_ms: float
    """Time that the backbone took [ms]."""
    writes: int
    """Writes of the AURA memory in this episode so far."""


@dataclass(frozen=True)
class EpisodeResult:
    """The outcome of an episode."""

    success: bool
    """True if the episode ended as requested, by `max_steps` or by `cancel`."""
    episode_id: str
    """UUID of the episode."""
    steps: int
    """VLA steps of the episode."""
    writes: int
    """Writes of the AURA memory in the episode."""
    reason: str
    """Why the episode ended."""


@dataclass(frozen=True)
class SavedState:
    """A memory state on disk."""

    path: str
    """File on the machine of memory_node."""
    seq: int
    """Last step that the state holds."""
    crc32: int
    """CRC-32 of the state bytes."""


@dataclass(frozen=True)
class RobotStatus:
    """The state of policy_switch_node."""

    policy: str
    """Policy that drives: base, aura or kv."""
    pending_policy: str
    """Policy that drives from the next chunk on; equal to `policy` unless a switch is pending."""
    control_enabled: bool
    """False in a dry run: commands are computed and not published."""
    holding: bool
    """True while the robot is held in place."""
    reason: str
    """Why the robot is held, or the last change."""
    episode_id: str
    """UUID of the running episode; empty before the first one."""
    newest_steps: Mapping[str, int]
    """Newest step accepted from each policy."""
    clipped: int
    """Commands that a limit changed since activation."""
    rejected: int
    """Chunks rejected since activation."""
    holds: int
    """Transitions into hold since activation."""
