# SPDX-License-Identifier: Apache-2.0
"""Exactly once and in order: which chunk of a policy is accepted, and why another is not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from aura_ros.common.names import Policy
from aura_ros.control.chunk import Chunk, Refusal


@dataclass
class PolicySteps:
    """What one policy has delivered in the running episode.

    A gap is accepted, and counted as the steps it skipped: for the robot the newest action counts,
    while a memory must never skip a step.
    """

    # Newest accepted step, -1 before the first.
    newest_seq: int = -1
    # Its observation stamp [ns, ROS clock].
    newest_stamp_ns: int = 0
    # The newest 64 gaps, first to last step skipped: tell a duplicate from an overtaken step.
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def order_problem(self, chunk: Chunk) -> tuple[Refusal, str] | None:
        """Say why `chunk` is not the next one, None when it is or follows a gap."""
        if chunk.seq <= self.newest_seq:
            skipped = any(first <= chunk.seq <= last for first, last in self.gaps)
            if skipped:
                return Refusal.OUT_OF_ORDER, f'step {chunk.seq} came after step {self.newest_seq}'
            return Refusal.DUPLICATE, f'step {chunk.seq} came before'
        if self.newest_seq >= 0 and chunk.stamp_ns <= self.newest_stamp_ns:
            return Refusal.OUT_OF_ORDER, (
                f'step {chunk.seq} is stamped {self.newest_stamp_ns - chunk.stamp_ns} ns before '
                f'or with step {self.newest_seq}'
            )
        return None

    def advance(self, chunk: Chunk) -> int:
        """Take `chunk` as the newest step; returns how many steps were skipped before it."""
        skipped = chunk.seq - self.newest_seq - 1
        if skipped:
            self.gaps.append((self.newest_seq + 1, chunk.seq - 1))
            del self.gaps[:-64]
        self.newest_seq = chunk.seq
        self.newest_stamp_ns = chunk.stamp_ns
        return skipped


class StepLedger:
    """Accepts chunks per policy and episode and counts what it does not accept. One thread.

    Attributes:
        episode_id: the running episode, empty before the first.
        refused: times each reason occurred, per policy, since construction.
        missed: steps skipped by gaps, per policy, since construction.
        unknown_policy: chunks refused that are of no known policy [1].
    """

    def __init__(self, joints: int, max_age_ns: int, future_ns: int) -> None:
        """Chunks must have `joints` joints and -future_ns <= now - stamp <= max_age_ns [ns]."""
        self._joints = joints
        self._max_age_ns = max_age_ns
        self._future_ns = future_ns
        self.episode_id = ''
        self._over: list[str] = []
        self._steps = {policy: PolicySteps() for policy in Policy}
        self.refused: dict[Policy, Counter[Refusal]] = {policy: Counter() for policy in Policy}
        self.missed = dict.fromkeys(Policy, 0)
        self.unknown_policy = 0

    @property
    def total_refused(self) -> int:
        """Chunks refused since construction [1]."""
        return self.unknown_policy + sum(counts.total() for counts in self.refused.values())

    def steps(self, policy: Policy) -> PolicySteps:
        """What `policy` has delivered in the running episode."""
        return self._steps[policy]

    def begin(self, episode_id: str) -> None:
        """Start an episode: numbering begins anew, chunks of the one before are refused."""
        self.end()
        if episode_id in self._over:
            self._over.remove(episode_id)
        self.episode_id = episode_id
        self._steps = {policy: PolicySteps() for policy in Policy}

    def end(self) -> None:
        """End the episode: its chunks are refused, what was delivered stays readable."""
        if self.episode_id and self.episode_id not in self._over:
            self._over.append(self.episode_id)
            del self._over[:-16]

    def problem(self, chunk: Chunk, now_ns: int) -> tuple[Refusal, str] | None:
        """Say why `chunk` must not be used, None when it may; changes nothing."""
        if (found := chunk.problem(self._joints)) is not None:
            return found
        if chunk.episode_id in self._over:
            return Refusal.EPISODE, f'episode {chunk.episode_id} is over'
        if chunk.episode_id == self.episode_id:
            found = self._steps[Policy(chunk.policy)].order_problem(chunk)
            if found is not None:
                return found
        age_ns = now_ns - chunk.stamp_ns
        if age_ns < -self._future_ns:
            return Refusal.FUTURE, (
                f'stamp is {-age_ns * 1e-9:.3f} s ahead of now: allowed {self._future_ns * 1e-9:g} s'
            )
        if age_ns > self._max_age_ns:
            return Refusal.STALE, (f'observation is {age_ns * 1e-9:.3f} s old: allowed {self._max_age_ns * 1e-9:g} s')
        return None

    def count(self, policy: int, reason: Refusal) -> None:
        """Count one refusal."""
        if policy in tuple(Policy):
            self.refused[Policy(policy)][reason] += 1
        else:
            self.unknown_policy += 1

    def accept(self, chunk: Chunk) -> int:
        """Take a chunk whose `problem` is None; returns the steps missed before it."""
        policy = Policy(chunk.policy)
        skipped = self._steps[policy].advance(chunk)
        self.missed[policy] += skipped
        return skipped
