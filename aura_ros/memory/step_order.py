# SPDX-License-Identifier: Apache-2.0
"""Exactly once and in order: which step may be applied to a memory. Pure Python, one thread."""

from collections import deque
from enum import Enum

_EPISODES_KEPT = 64
"""Number of ended episodes to remember, which distinguish a late step from the first step of a new episode."""
_GAPS_KEPT = 64
"""Number of gaps to remember, which distinguish a reordered step from a duplicate."""


class StepVerdict(Enum):
    """What to do with a step."""

    NEXT = 'next'
    NEW_EPISODE = 'new_episode'
    AFTER_GAP = 'gap'
    DUPLICATE = 'duplicate'
    OUT_OF_ORDER = 'out_of_order'
    LATE = 'late'
    OLD_STAMP = 'old_stamp'
    UNSTAMPED = 'unstamped'

    @property
    def why(self) -> str:
        """What the verdict means, for people."""
        return _WHY[self]

    @property
    def apply(self) -> bool:
        """Whether the step is to be applied."""
        return self in (StepVerdict.NEXT, StepVerdict.NEW_EPISODE, StepVerdict.AFTER_GAP)


_WHY = {
    StepVerdict.NEXT: 'applied',
    StepVerdict.NEW_EPISODE: 'applied, the first of its episode',
    StepVerdict.AFTER_GAP: 'applied after a gap',
    StepVerdict.DUPLICATE: 'ignored: it was applied before',
    StepVerdict.OUT_OF_ORDER: 'ignored: a later step was applied already',
    StepVerdict.LATE: 'ignored: its episode is over',
    StepVerdict.OLD_STAMP: 'ignored: its stamp is not later than that of the last step applied',
    StepVerdict.UNSTAMPED: 'ignored: its stamp is zero',
}


class StepOrder:
    """Decides for each step of each episode whether it may be applied.

    A memory cannot take a later step back, so an overtaken step is lost: it is reported and never applied out of
    order. Stamps rise with the numbers of an episode, so the same observation under another number is not applied
    twice. Stamps of another episode may be earlier, as after the reset of a simulation or in a replay; on a robot
    `Freshness` refuses them. Only `commit` and `restore` change anything.
    """

    def __init__(self) -> None:
        self.episode_id = ''
        """Episode of the last step applied, '' before the first."""
        self.seq = -1
        """Number of the last step applied, -1 before the first."""
        self.stamp_ns = 0
        """Observation of the last step applied, 0 if unknown [ns, ROS clock]."""
        self.missed = 0
        """Steps skipped by gaps, in all episodes."""
        self._over: deque[str] = deque(maxlen=_EPISODES_KEPT)
        self._gaps: deque[range] = deque(maxlen=_GAPS_KEPT)

    def restore(self, episode_id: str, seq: int, stamp_ns: int = 0) -> None:
        """Continue after step `seq` of an episode, from a saved state; its stamp is 0 if it is unknown."""
        self.episode_id, self.seq, self.stamp_ns = episode_id, seq, stamp_ns
        self._gaps.clear()

    def look(self, episode_id: str, seq: int, stamp_ns: int) -> StepVerdict:
        """Return the verdict on a step. Nothing changes.

        Args:
            episode_id: UUID of the step's episode.
            seq: its number, from 0.
            stamp_ns: its observation [ns, ROS clock].
        """
        if stamp_ns <= 0:
            return StepVerdict.UNSTAMPED
        if episode_id != self.episode_id:
            return StepVerdict.LATE if episode_id in self._over else StepVerdict.NEW_EPISODE
        if seq > self.seq:
            if stamp_ns <= self.stamp_ns:
                return StepVerdict.OLD_STAMP
            return StepVerdict.NEXT if seq == self.seq + 1 else StepVerdict.AFTER_GAP
        overtaken = any(seq in gap for gap in self._gaps)
        return StepVerdict.OUT_OF_ORDER if overtaken else StepVerdict.DUPLICATE

    def commit(self, episode_id: str, seq: int, stamp_ns: int) -> int:
        """Record a step that was applied; arguments as for `look`. Return the number of steps skipped before it."""
        if episode_id != self.episode_id:
            if self.episode_id:
                self._over.append(self.episode_id)
            self.episode_id, self.seq = episode_id, -1
            self._gaps.clear()
        skipped = seq - self.seq - 1
        if skipped:
            self._gaps.append(range(self.seq + 1, seq))
            self.missed += skipped
        self.seq, self.stamp_ns = seq, stamp_ns
        return skipped
