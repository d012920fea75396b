# SPDX-License-Identifier: Apache-2.0
"""Who paints when: each view when something came that it shows, and no more often than an eye needs. One thread."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass
class Due:
    """When something is to be done.

    do: does it.
    period_s: shortest time from one time to the next [s].
    causes: types of points that make it due; None: time alone does.
    """

    do: Callable[[], None]
    period_s: float
    causes: Collection[type] | None = None
    _waits: bool = True
    _last_s: float = -math.inf


class Schedule:
    """Does what is due."""

    def __init__(self, *dues: Due) -> None:
        """Everything is due at first."""
        self._dues = dues

    def hasten(self) -> None:
        """Make everything due at once: colours, the window or the robot have changed."""
        for due in self._dues:
            due._waits, due._last_s = True, -math.inf

    def hear(self, kinds: Collection[type]) -> None:
        """Make due what points of these types are the cause of."""
        for due in self._dues:
            if due.causes is None or any(kind in due.causes for kind in kinds):
                due._waits = True

    def run(self, now_s: float) -> None:
        """Do what waits and was not done lately; `now_s` is on a steady clock [s]."""
        for due in self._dues:
            if due._waits and now_s - due._last_s >= due.period_s:
                due._waits, due._last_s = False, now_s
                due.do()
