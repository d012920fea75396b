# SPDX-License-Identifier: Apache-2.0
"""Action chunks: what a policy proposes, and which of its actions is in force when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.names import Policy

# Stamps made from float seconds are off by some ns; without slack an index would be one too low.
STAMP_SLACK_NS = 1_000
# Steps are counted one by one; room is left to add to the newest in 64 bits.
MAX_SEQ = 2**63 - 1


class Refusal(Enum):
    """Why a chunk was refused."""

    SHAPE = 'shape'  # not chunk_size x action_dim values, or not this robot's joints
    NON_FINITE = 'non_finite'  # NaN or infinity among the actions or their timing
    POLICY = 'policy'  # of no known policy, or of another than its topic is for
    EPISODE = 'episode'  # of no episode, or of one that is over
    DUPLICATE = 'duplicate'  # this step was accepted already
    OUT_OF_ORDER = 'out_of_order'  # overtaken by a later step, or a later step with an older stamp
    UNSTAMPED = 'unstamped'  # stamped zero or before: its sender does not stamp
    FUTURE = 'future'  # stamped further ahead of now than the tolerance
    STALE = 'stale'  # the observation is older than max_age
    LATE = 'late'  # in order and not stale, but all actions it may use lie in the past

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Chunk:
    """An action chunk as it was received; nothing is trusted before `problem` returned None.

    Action i is the joint target in force during [stamp + i dt, stamp + (i + 1) dt).
    """

    policy: int
    episode_id: str
    # Number of the step within the episode, from 0.
    seq: int
    # Of the observation [ns, ROS clock].
    stamp_ns: int
    # Row-major chunk_size x action_dim, or an array of that shape [rad or m].
    actions: Sequence[float] | NDArray[np.floating]
    chunk_size: int
    action_dim: int
    seconds_per_action: float

    def problem(self, joints: int) -> tuple[Refusal, str] | None:
        """Say what is wrong with it for a robot of `joints` joints, None when nothing is."""
        if self.policy not in tuple(Policy):
            return Refusal.POLICY, f'policy = {self.policy}: must be 0 (base), 1 (aura) or 2 (kv)'
        if not np.isfinite(self.seconds_per_action):
            return Refusal.NON_FINITE, f'seconds_per_action = {self.seconds_per_action}'
        if not 1e-3 <= self.seconds_per_action <= 60.0:
            return Refusal.SHAPE, (f'seconds_per_action = {self.seconds_per_action:g}: must be 0.001..60 s')
        if not self.episode_id:
            return Refusal.EPISODE, 'episode_id is empty: a chunk is made within an episode'
        if not 0 <= self.seq <= MAX_SEQ:
            return Refusal.OUT_OF_ORDER, f'seq = {self.seq}: must be 0..2^63 - 1'
        if self.stamp_ns <= 0:
            return Refusal.UNSTAMPED, f'stamp = {self.stamp_ns} ns: must be that of the observation'
        return self._actions_problem(joints)

    def _actions_problem(self, joints: int) -> tuple[Refusal, str] | None:
        if self.action_dim != joints:
            return Refusal.SHAPE, (f'action_dim = {self.action_dim}: the robot file names {joints} joints')
        try:
            actions = np.asarray(self.actions, dtype=np.float64)
        except (TypeError, ValueError) as error:
            return Refusal.SHAPE, f'actions are no numbers: {error}'
        count = self.chunk_size * self.action_dim
        whole = self.chunk_size >= 1 and actions.size == count
        if not whole or actions.shape not in ((count,), (self.chunk_size, self.action_dim)):
            return Refusal.SHAPE, (
                f'actions have shape {actions.shape}: must be chunk_size x action_dim = '
                f'{self.chunk_size} x {self.action_dim}'
            )
        if not (finite := np.isfinite(actions)).all():
            return Refusal.NON_FINITE, f'{int((~finite).sum())} actions are not finite'
        return None


class PlayedChunk:
    """A checked chunk with its timing: gives the action in force now. Immutable."""

    def __init__(self, chunk: Chunk, usable_ns: int) -> None:
        """Take a chunk whose `problem` is None; use it for `usable_ns` after its stamp at most."""
        self.seq = chunk.seq
        self.stamp_ns = chunk.stamp_ns
        # float32 0.05 is 0.05000000074 s: whole microseconds keep it from drifting off the ticks.
        self.dt_ns = round(chunk.seconds_per_action * 1e6) * 1000
        actions = np.array(chunk.actions, dtype=np.float64)  # a copy: the message may be reused
        self.actions = actions.reshape(chunk.chunk_size, chunk.action_dim)
        self.actions.flags.writeable = False
        self.usable_ns = min(usable_ns, chunk.chunk_size * self.dt_ns)

    def elapsed_ns(self, now_ns: int) -> int:
        """Time since the observation, 0 when its stamp is slightly ahead [ns]."""
        return max(0, now_ns - self.stamp_ns + STAMP_SLACK_NS)

    def index(self, now_ns: int) -> int:
        """Which action is in force; it skips what passed while the policy was thinking [1]."""
        return self.elapsed_ns(now_ns) // self.dt_ns

    def usable(self, now_ns: int) -> bool:
        """Whether an action of it may still be commanded."""
        return self.elapsed_ns(now_ns) < self.usable_ns
