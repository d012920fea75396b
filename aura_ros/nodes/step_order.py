# SPDX-License-Identifier: Apache-2.0
"""Exactly once and in order: which step a memory may apply. Pure Python, one thread."""

from collections import Counter, deque
from enum import Enum

# Episodes and gaps that are remembered, to tell an old step from an unknown one.
_EPISODES_KEPT = 64
_GAPS_KEPT = 64


class Verdict(Enum):
    """What to do with a step."""

    NEXT = 'next'  # apply it
    NEW_EPISODE = 'new_episode'  # the first one seen of an episode: apply it, after a reset
    AFTER_GAP = 'gap'  # steps are missing before it: apply it, say so
    DUPLICATE = 'duplicate'  # was applied before: ignore
    OUT_OF_ORDER = 'out_of_order'  # was missing, and a later one was applied meanwhile: ignore
    LATE = 'late'  # of an episode that is over: ignore

    @property
    def apply(self) -> bool:
        """Whether the step is to be applied."""
        return self in (Verdict.NEXT, Verdict.NEW_EPISODE, Verdict.AFTER_GAP)


class StepOrder:
    """Decides for each step of each episode, once.

    A memory cannot un-apply a later step, so a step that was overtaken is lost to it: counted,
    never applied out of order, and never replaced by a guess.

    Attributes:
        counts: how often each Verdict was given.
        missed: steps skipped by gaps [1].
        episode_id: the running episode, '' before the first.
        seq: last step applied, -1 before the first.
    """

    def __init__(self) -> None:
        """Know no episode."""
        self.counts: Counter[Verdict] = Counter()
        self.missed = 0
        self.episode_id = ''
        self.seq = -1
        self._over: deque[str] = deque(maxlen=_EPISODES_KEPT)
        self._gaps: deque[range] = deque(maxlen=_GAPS_KEPT)

    def restore(self, episode_id: str, seq: int) -> None:
        """Go on after step `seq` of an episode, as after reading a saved state."""
        self.episode_id, self.seq = episode_id, seq
        self._gaps.clear()

    def take(self, episode_id: str, seq: int) -> Verdict:
        """Decide on one step and count the decision.

        Args:
            episode_id: UUID of the step's episode.
            seq: its number, from 0.
        """
        verdict = self._decide(episode_id, seq)
        self.counts[verdict] += 1
        if not verdict.apply:
            return verdict
        if verdict is Verdict.NEW_EPISODE:
            if self.episode_id:
                self._over.append(self.episode_id)
            self.episode_id, self.seq = episode_id, -1
            self._gaps.clear()
        if seq > self.seq + 1:
            self._gaps.append(range(self.seq + 1, seq))
            self.missed += seq - self.seq - 1
        self.seq = seq
        return verdict

    def _decide(self, episode_id: str, seq: int) -> Verdict:
        if episode_id != self.episode_id:
            return Verdict.LATE if episode_id in self._over else Verdict.NEW_EPISODE
        if seq > self.seq:
            return Verdict.NEXT if seq == self.seq + 1 else Verdict.AFTER_GAP
        skipped = any(seq in gap for gap in self._gaps)
        return Verdict.OUT_OF_ORDER if skipped else Verdict.DUPLICATE
