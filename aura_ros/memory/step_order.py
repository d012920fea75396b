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
    OLD_STAMP = 'old_stamp'  # not observed after the last step: ignore
    UNSTAMPED = 'unstamped'  # stamped zero or before: ignore

    @property
    def why(self) -> str:
        """What it means, for people."""
        return _WHY[self]

    @property
    def apply(self) -> bool:
        """Whether the step is to be applied."""
        return self in (Verdict.NEXT, Verdict.NEW_EPISODE, Verdict.AFTER_GAP)


_WHY = {
    Verdict.NEXT: 'applied',
    Verdict.NEW_EPISODE: 'applied, the first of its episode',
    Verdict.AFTER_GAP: 'applied after a gap',
    Verdict.DUPLICATE: 'ignored: it was applied before',
    Verdict.OUT_OF_ORDER: 'ignored: a later step was applied meanwhile',
    Verdict.LATE: 'ignored: its episode is over',
    Verdict.OLD_STAMP: 'ignored: its stamp is not later than that of the last step applied',
    Verdict.UNSTAMPED: 'ignored: its stamp is zero',
}


class StepOrder:
    """Decides for each step of each episode, once.

    A memory cannot un-apply a later step, so a step that was overtaken is lost to it: counted,
    never applied out of order, and never replaced by a guess. Within an episode stamps rise with the
    numbers, so that an observation that comes again under another number is not applied twice.

    Attributes:
        counts: how often each Verdict was given.
        missed: steps skipped by gaps [1].
        episode_id: the running episode, '' before the first.
        seq: last step applied, -1 before the first.
        stamp_ns: its observation, 0 when that is not known [ns, ROS clock].
    """

    def __init__(self) -> None:
        """Know no episode."""
        self.counts: Counter[Verdict] = Counter()
        self.missed = 0
        self.episode_id = ''
        self.seq = -1
        self.stamp_ns = 0
        self._over: deque[str] = deque(maxlen=_EPISODES_KEPT)
        self._gaps: deque[range] = deque(maxlen=_GAPS_KEPT)

    def restore(self, episode_id: str, seq: int) -> None:
        """Go on after step `seq` of an episode, as after reading a saved state."""
        self.episode_id, self.seq, self.stamp_ns = episode_id, seq, 0
        self._gaps.clear()

    def take(self, episode_id: str, seq: int, stamp_ns: int) -> Verdict:
        """Decide on one step and count the decision.

        Args:
            episode_id: UUID of the step's episode.
            seq: its number, from 0.
            stamp_ns: its observation [ns, ROS clock].
        """
        verdict = self._decide(episode_id, seq, stamp_ns)
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
        self.seq, self.stamp_ns = seq, stamp_ns
        return verdict

    def _decide(self, episode_id: str, seq: int, stamp_ns: int) -> Verdict:
        if stamp_ns <= 0:
            return Verdict.UNSTAMPED
        if episode_id != self.episode_id:
            return Verdict.LATE if episode_id in self._over else Verdict.NEW_EPISODE
        if seq > self.seq:
            if stamp_ns <= self.stamp_ns:
                return Verdict.OLD_STAMP
            return Verdict.NEXT if seq == self.seq + 1 else Verdict.AFTER_GAP
        skipped = any(seq in gap for gap in self._gaps)
        return Verdict.OUT_OF_ORDER if skipped else Verdict.DUPLICATE
