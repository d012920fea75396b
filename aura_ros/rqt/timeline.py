# SPDX-License-Identifier: Apache-2.0
"""Which points belong to the present time of the robot.

Anyone on the graph can send a message with any stamp. A single one must not move or delete the history. A point whose
stamp is far from the present time is a stray and waits. Strays become the new time when `_CONFIRM` of them in a row
agree and no point of the present time arrived for `_QUIET_S`. That is how a bag that loops or a simulation that
restarts looks. Strays that are not confirmed are dropped.
"""

import math
from collections import deque

from aura_ros.rqt.history import BACK_S, History
from aura_ros.rqt.points import CachePoint, GatePoint, StampedPoint, StatePoint, StepPoint, WritePoint

AHEAD_S = 10.0
"""A stamp may be ahead of the newest one by this time, plus the time that passed since [s]."""
_CONFIRM = 5
_QUIET_S = 1.0
_MAX_STRAYS = 1000
# Points of these types arrive with every step, so they show which time it is.
_LIVE = (GatePoint, StepPoint, CachePoint, StatePoint)


class Timeline:
    """Sorts the points of one robot into those of the present time and strays."""

    def __init__(self) -> None:
        self.strays = 0
        """Points with a stamp far from the present time [1]; those that became the new time do not count."""
        self._waiting: deque[StampedPoint] = deque(maxlen=_MAX_STRAYS)
        self._present_s = -math.inf

    def admit(self, point: StampedPoint, history: History, now_s: float) -> tuple[StampedPoint, ...]:
        """Return the points to add now: none for a stray, and all of a new time once it is confirmed.

        Args:
            point: received point.
            history: history that it may be added to.
            now_s: when it arrived [s, steady clock].
        """
        newest = history.newest
        if newest == -math.inf or self._present_s == -math.inf:
            if isinstance(point, _LIVE):
                self._present_s = now_s
                history.drop_from(point.stamp_s + AHEAD_S)  # writes with strange stamps that came before
            return (point,)
        ahead = point.stamp_s > newest + max(0.0, now_s - self._present_s) + AHEAD_S
        if ahead or self._behind(point, history):
            return self._wait(point, now_s)
        if isinstance(point, _LIVE) and point.stamp_s >= newest - BACK_S:
            self._present_s = now_s
            self._waiting.clear()
        return (point,)

    def _behind(self, point: StampedPoint, history: History) -> bool:
        if isinstance(point, _LIVE) and point.stamp_s < history.newest - AHEAD_S:
            return True
        # A bag that loops sends known writes again; they belong to the strays around them.
        again = isinstance(point, WritePoint) and point.stamp_s < history.writes.newest - BACK_S
        if again and self._waiting and abs(point.stamp_s - self._waiting[-1].stamp_s) <= AHEAD_S:
            return True
        return history.went_back(point)

    def _wait(self, point: StampedPoint, now_s: float) -> tuple[StampedPoint, ...]:
        if self._waiting and abs(point.stamp_s - self._waiting[-1].stamp_s) > AHEAD_S:
            self._waiting.clear()
        self._waiting.append(point)
        self.strays += 1
        if len(self._waiting) < _CONFIRM or now_s - self._present_s < _QUIET_S:
            return ()
        confirmed = tuple(self._waiting)
        self._waiting.clear()
        self.strays -= len(confirmed)
        self._present_s = now_s
        return confirmed
