# SPDX-License-Identifier: Apache-2.0
"""Which chunks of a policy are accepted: each step at most once, in order, and not too old."""

from collections import Counter
from dataclasses import dataclass, field

from aura_ros.common.names import Policy
from aura_ros.control.actions import ActionMapper
from aura_ros.control.chunk import Chunk, Refusal


@dataclass
class PolicySteps:
    """The steps that one policy has delivered in the running episode.

    A gap is accepted and its steps are counted as skipped. The robot needs the newest action, while a memory must never
    skip a step.
    """

    newest_seq: int = -1
    """Newest accepted step, -1 before the first."""
    newest_stamp_ns: int = 0
    """Its observation stamp [ns, ROS clock]."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """The newest 64 gaps, first to last skipped step. They distinguish a late step from a duplicate."""

    def order_problem(self, chunk: Chunk) -> tuple[Refusal, str] | None:
        """Return why `chunk` is not a later step, None if it is one."""
        if chunk.seq <= self.newest_seq:
            if any(first <= chunk.seq <= last for first, last in self.gaps):
                return Refusal.OUT_OF_ORDER, f'step {chunk.seq} arrived after step {self.newest_seq}'
            return Refusal.DUPLICATE, f'step {chunk.seq} was accepted before'
        if self.newest_seq >= 0 and chunk.stamp_ns <= self.newest_stamp_ns:
            return Refusal.OUT_OF_ORDER, (
                f'stamp of step {chunk.seq} is {self.newest_stamp_ns - chunk.stamp_ns} ns before that of step '
                f'{self.newest_seq}: stamps must increase'
            )
        return None

    def advance(self, chunk: Chunk) -> int:
        """Make `chunk` the newest step; return the number of steps skipped before it [1]."""
        skipped = chunk.seq - self.newest_seq - 1
        if skipped:
            self.gaps.append((self.newest_seq + 1, chunk.seq - 1))
            del self.gaps[:-64]
        self.newest_seq = chunk.seq
        self.newest_stamp_ns = chunk.stamp_ns
        return skipped


class StepLedger:
    """Checks the chunks of all policies against the running episode, and counts refusals. Not thread-safe.

    Attributes:
        episode_id: the running episode, empty before the first.
        refused: refusals since construction, by policy and reason [1].
        missed: steps skipped by gaps since construction, by policy [1].
        unknown_policy: chunks refused because their policy is unknown [1].
    """

    def __init__(self, mapper: ActionMapper, max_age_ns: int, future_ns: int) -> None:
        """Set the checks: actions that `mapper` can execute, and -future_ns <= now - stamp <= max_age_ns [ns]."""
        self._mapper = mapper
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
        """Return what `policy` has delivered in the running episode."""
        return self._steps[policy]

    def begin(self, episode_id: str) -> None:
        """Start an episode: restart the numbering, refuse chunks of the one before."""
        self.end()
        if episode_id in self._over:
            self._over.remove(episode_id)
        self.episode_id = episode_id
        self._steps = {policy: PolicySteps() for policy in Policy}

    def end(self) -> None:
        """End the episode: refuse its chunks; the counts stay readable."""
        if self.episode_id and self.episode_id not in self._over:
            self._over.append(self.episode_id)
            del self._over[:-16]

    def problem(self, chunk: Chunk, now_ns: int) -> tuple[Refusal, str] | None:
        """Return why `chunk` must not be used, None if it may be; changes nothing."""
        if (found := chunk.problem()) is not None:
            return found
        if text := self._mapper.problem(chunk.components, chunk.action_dim):
            return (Refusal.ACTIONS if chunk.components else Refusal.SHAPE), text
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
        """Accept a chunk whose `problem` is None; return the steps missing before it [1]."""
        policy = Policy(chunk.policy)
        skipped = self._steps[policy].advance(chunk)
        self.missed[policy] += skipped
        return skipped
