# SPDX-License-Identifier: Apache-2.0
"""Who paints when: each view when something came that it shows, and no more often than an eye needs. One thread."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

# A single write is shown at once; a stream of them in two pictures a second: nobody reads a list that moves faster.
_URGENT_S = 0.5


@dataclass
class Due:
    """When something is to be done.

    do: does it.
    period_s: shortest time from one time to the next [s].
    causes: types of points that make it due; None: time alone does.
    urgent: types of points that make it due before the period is over, but not more often than each `_URGENT_S`.
    """

    do: Callable[[], None]
    period_s: float
    causes: Collection[type] | None = None
    urgent: Collection[type] = ()
    _waits: bool = True
    _hurries: bool = False
    _last_s: float = -math.inf
    _hurried_s: float = -math.inf

    def hasten(self) -> None:
        """Be due at once."""
        self._waits, self._last_s = True, -math.inf

    def hear(self, kinds: Collection[type]) -> None:
        """Be due if points of these types are a cause."""
        if any(kind in self.urgent for kind in kinds):
            self._waits = self._hurries = True
        self._waits = self._waits or self.causes is None or any(kind in self.causes for kind in kinds)

    def run(self, now_s: float) -> None:
        """Do it, if it waits and was not done lately."""
        urgent = self._hurries and now_s - self._hurried_s >= _URGENT_S
        if urgent or (self._waits and now_s - self._last_s >= self.period_s):
            if self._hurries:
                self._hurried_s = now_s
            self._waits, self._hurries, self._last_s = False, False, now_s
            self.do()


class Schedule:
    """Does what is due."""

    def __init__(self, *dues: Due) -> None:
        """Everything is due at first."""
        self._dues = dues

    def hasten(self) -> None:
        """Make everything due at once: colours, the window or the robot have changed."""
        for due in self._dues:
            due.hasten()

    def run(self, kinds: Collection[type], now_s: float) -> None:
        """Do what is due.

        Args:
            kinds: types of the points that came since the last call.
            now_s: on a steady clock [s].
        """
        for due in self._dues:
            due.hear(kinds)
            due.run(now_s)
