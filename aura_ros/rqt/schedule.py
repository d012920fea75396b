# SPDX-License-Identifier: Apache-2.0
"""When each view is painted: after points that it shows have arrived, and at most once in its period. One thread."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

# A single write is painted at once. A stream of writes is painted twice a second, which is as fast as people can read.
_URGENT_PERIOD_S = 0.5


@dataclass
class PaintTask:
    """One view and when it is painted."""

    paint: Callable[[], None]
    period_s: float
    """Shortest time between two paintings [s]."""
    causes: Collection[type] | None = None
    """Types of points that the view shows; None: it depends on time alone."""
    urgent: Collection[type] = ()
    """Types of points that are painted before the period is over, but at most each `_URGENT_PERIOD_S`."""
    _due: bool = True
    _is_urgent: bool = False
    _painted_s: float = -math.inf
    _urgent_painted_s: float = -math.inf

    def repaint(self) -> None:
        """Paint at the next `run`."""
        self._due, self._painted_s = True, -math.inf

    def run(self, kinds: Collection[type], now_s: float) -> None:
        """Paint if it is time; `kinds` are the types of the points received since the last call."""
        if any(kind in self.urgent for kind in kinds):
            self._due = self._is_urgent = True
        self._due = self._due or self.causes is None or any(kind in self.causes for kind in kinds)
        urgent = self._is_urgent and now_s - self._urgent_painted_s >= _URGENT_PERIOD_S
        if urgent or (self._due and now_s - self._painted_s >= self.period_s):
            if self._is_urgent:
                self._urgent_painted_s = now_s
            self._due, self._is_urgent, self._painted_s = False, False, now_s
            self.paint()


class PaintSchedule:
    """Paints all views when they are due. All are due at first."""

    def __init__(self, *tasks: PaintTask) -> None:
        self._tasks = tasks

    def repaint(self) -> None:
        """Paint everything at the next `run`, after a change of the colours, the window or the robot."""
        for task in self._tasks:
            task.repaint()

    def run(self, kinds: Collection[type], now_s: float) -> None:
        """Paint what is due.

        Args:
            kinds: types of the points received since the last call.
            now_s: time on a steady clock [s].
        """
        for task in self._tasks:
            task.run(kinds, now_s)
