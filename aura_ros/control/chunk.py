# SPDX-License-Identifier: Apache-2.0
"""Action chunks: the actions that a policy proposes, and the time at which each of them applies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.names import Policy

# Stamps made from float seconds are off by some ns. Without slack an index would be one too low.
STAMP_SLACK_NS = 1_000
# Largest step number that still leaves room to add 1 in 64 bits.
MAX_SEQ = 2**63 - 1


class Refusal(Enum):
    """Why a chunk was refused."""

    SHAPE = 'shape'  # not chunk_size x action_dim values, or another number of joints than the robot has
    NON_FINITE = 'non_finite'  # NaN or infinity among the actions or their timing
    POLICY = 'policy'  # unknown policy, or a policy that does not belong to the topic
    FOREIGN = 'foreign'  # from another publisher than the one that the episode belongs to
    EPISODE = 'episode'  # no episode, or one that is over
    DUPLICATE = 'duplicate'  # this step was accepted before
    OUT_OF_ORDER = 'out_of_order'  # a later step was accepted before, or a later step has an older stamp
    UNSTAMPED = 'unstamped'  # stamp of zero or less
    FUTURE = 'future'  # stamp further ahead of now than the tolerance
    STALE = 'stale'  # observation older than max_age
    ACTIONS = 'actions'  # actions of a meaning that the robot cannot execute
    LATE = 'late'  # in order and not stale, but all usable actions lie in the past

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Chunk:
    """An action chunk. Call `problem` before any use: the fields are not checked on construction.

    Action i applies during [stamp + i dt, stamp + (i + 1) dt).
    """

    policy: int
    """Who proposes the chunk; see `Policy`."""
    episode_id: str
    """UUID of the episode."""
    seq: int
    """Number of the step within the episode, from 0."""
    stamp_ns: int
    """Stamp of the observation [ns, ROS clock]."""
    actions: Sequence[float] | NDArray[np.floating]
    """Actions, chunk_size x action_dim, flat (row-major) or as an array of that shape."""
    chunk_size: int
    """Actions in the chunk [1]."""
    action_dim: int
    """Columns of an action [1]."""
    seconds_per_action: float
    """Time between two actions [s]."""
    components: tuple[ActionComponent, ...] = ()
    """What the columns mean; empty: absolute joint targets [rad or m]."""

    def problem(self) -> tuple[Refusal, str] | None:
        """Return why no robot can use the chunk, None if one can."""
        if self.policy not in tuple(Policy):
            return Refusal.POLICY, f'policy = {self.policy}: must be 0 (base), 1 (aura) or 2 (kv)'
        if not np.isfinite(self.seconds_per_action):
            return Refusal.NON_FINITE, f'seconds_per_action = {self.seconds_per_action}: must be finite'
        if not 1e-3 <= self.seconds_per_action <= 60.0:
            return Refusal.SHAPE, f'seconds_per_action = {self.seconds_per_action:g}: must be 0.001..60 s'
        if not self.episode_id:
            return Refusal.EPISODE, 'episode_id is empty: must be the UUID of the running episode'
        if not 0 <= self.seq <= MAX_SEQ:
            return Refusal.OUT_OF_ORDER, f'seq = {self.seq}: must be 0..2^63 - 1'
        if self.stamp_ns <= 0:
            return Refusal.UNSTAMPED, f'stamp = {self.stamp_ns} ns: must be the stamp of the observation'
        return self._actions_problem()

    def _actions_problem(self) -> tuple[Refusal, str] | None:
        columns = sum(component.dims for component in self.components)
        if self.components and columns != self.action_dim:
            return Refusal.SHAPE, f'action_dim = {self.action_dim}: must be {columns}, the columns of the components'
        try:
            actions = np.asarray(self.actions, dtype=np.float64)
        except (TypeError, ValueError) as error:
            return Refusal.SHAPE, f'actions are not numbers: {error}'
        shape = self.chunk_size, self.action_dim
        if self.chunk_size < 1 or actions.shape not in ((shape[0] * shape[1],), shape):
            return Refusal.SHAPE, (
                f'actions have shape {actions.shape}: must be chunk_size x action_dim = {shape[0]} x {shape[1]}'
            )
        if not (finite := np.isfinite(actions)).all():
            return Refusal.NON_FINITE, f'{int((~finite).sum())} actions are not finite'
        return None

    def owned(self) -> Self:
        """Return the chunk with a read-only copy of its actions, float64 [chunk_size, action_dim]."""
        actions = np.array(self.actions, dtype=np.float64).reshape(self.chunk_size, self.action_dim)
        actions.flags.writeable = False
        return replace(self, actions=actions)

    @property
    def dt_ns(self) -> int:
        """Time between two actions [ns], rounded to 1 us because float32 0.05 is 0.05000000074 s."""
        return round(self.seconds_per_action * 1e6) * 1000

    def elapsed_ns(self, now_ns: int) -> int:
        """Return the time since the observation, 0 when its stamp is slightly ahead [ns]."""
        return max(0, now_ns - self.stamp_ns + STAMP_SLACK_NS)

    def index(self, now_ns: int) -> int:
        """Return the index of the action that applies now; actions that passed during inference are skipped."""
        return self.elapsed_ns(now_ns) // self.dt_ns
