# SPDX-License-Identifier: Apache-2.0
"""When the memory was lost, reset or restored. No Qt, no ROS.

No message names these events. A memory was emptied if its state became zero, or if its count of writes began again. It
was lost if memory_node was away meanwhile or missed steps; otherwise it was reset. A restored state is in the report of
the node. The first values that the monitor receives are no event, because what came before them is unknown.
"""

import copy
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.points import DiagnosticPoint, StatePoint, WritePoint
from aura_ros.rqt.series import Ring, Track

# A node that does not report for this time was away [s].
_AWAY_S = 2.5
_EVENTS = 100
# A stamp just before a write; the write itself comes after the event [s].
_BEFORE_S = 1e-3


class MemoryEventKind(Enum):
    """What happened to the memory."""

    LOST = 'lost'
    RESET = 'reset'
    RESTORED = 'restored'


@dataclass(frozen=True, slots=True)
class MemoryEvent:
    """A change of the whole memory that is no write."""

    stamp_s: float
    """The first step with the new memory [s, ROS clock]."""
    kind: MemoryEventKind
    reason: str
    """Why, as far as it is known."""


@dataclass(frozen=True, slots=True)
class MemoryStatus:
    """The newest event of the memory up to a moment."""

    event: MemoryEvent | None = None
    writes_since: int = 0
    """Writes between the event and the moment."""

    @property
    def empty(self) -> bool:
        """Whether the memory is known to hold nothing."""
        return self.event is not None and self.event.kind is not MemoryEventKind.RESTORED and not self.writes_since


class MemoryLog:
    """The events of one memory."""

    def __init__(self) -> None:
        self.events: Track[MemoryEvent] = Track(_EVENTS)
        self._reported_s: float | None = None
        self._restored: str | None = None
        # Newest time before the node came back; a memory that is found empty after it was lost [s, ROS clock].
        self._away_s = -np.inf

    def copy(self) -> Self:
        """Return a copy that does not change."""
        twin = copy.copy(self)
        twin.events = self.events.copy()
        return twin

    def drop_from(self, stamp_s: float) -> None:
        """Drop everything at or after `stamp_s` [s, ROS clock]."""
        self.events.drop_from(stamp_s)
        self._away_s = min(self._away_s, stamp_s)

    def status(self, stamp_s: float | None, writes: Track[WritePoint]) -> MemoryStatus:
        """Return the newest event up to a moment [s, ROS clock], and the writes since; None for the newest moment."""
        found = self.events.until(stamp_s, 1)
        if not found:
            return MemoryStatus()
        since = [write for write in writes.until(stamp_s, 0) if write.stamp_s >= found[0].stamp_s]
        return MemoryStatus(found[0], len(since))

    def emptied_between(self, begin_s: float, end_s: float) -> bool:
        """Return whether the memory was lost or reset after `begin_s` and not after `end_s` [s, ROS clock]."""
        found = self.events.until(end_s, 1)
        return bool(found) and found[0].stamp_s > begin_s and found[0].kind is not MemoryEventKind.RESTORED

    def on_report(self, point: DiagnosticPoint, now_s: float, newest_s: float) -> None:
        """Take a report of memory_node that arrived at `now_s` [s, steady clock]; `newest_s` is on the ROS clock."""
        back = self._reported_s is not None and now_s - self._reported_s > _AWAY_S
        self._reported_s = now_s
        if back or point.values.get('state', 'active') != 'active':
            self._away_s = newest_s
        if point.name != 'memory_node: state':
            return
        restored, before = point.values.get('restored', ''), self._restored
        self._restored = restored
        if before not in (None, restored) and restored.startswith('step '):
            self._add(MemoryEvent(newest_s, MemoryEventKind.RESTORED, restored))

    def on_state(self, before: StatePoint | None, point: StatePoint, gates: Ring) -> None:
        """Compare a state with the state before it; `gates` holds the steps of the memory."""
        if before is None or not before.weights.any() or point.weights.any():
            return
        if not self.emptied_between(before.stamp_s, point.stamp_s):
            # No row is older than the memory.
            first = point.seq - int(point.row_age.max()) + 1
            self._emptied(before, point, gates.rows(before.stamp_s, point.stamp_s), first)

    def on_write(self, before: WritePoint | None, point: WritePoint, gates: Ring) -> None:
        """Compare a write with the write before it."""
        if before is None or not 0 < point.writes <= before.writes or point.stamp_s <= before.stamp_s:
            return
        found = self.events.until(point.stamp_s, 1)
        if not found or found[0].stamp_s <= before.stamp_s:
            self._emptied(before, point, gates.rows(before.stamp_s, point.stamp_s), point.seq)

    def _emptied(
        self, before: StatePoint | WritePoint, after: StatePoint | WritePoint, steps: NDArray[Any], first: int
    ) -> None:
        places = np.flatnonzero(np.diff(steps['seq']) > 1) + 1
        missed = int((np.diff(steps['seq'])[places - 1] - 1).sum())
        away = before.stamp_s <= self._away_s <= after.stamp_s
        if before.episode_id != after.episode_id and not away:
            at = steps['t'][np.flatnonzero(np.diff(steps['episode']))[-1:] + 1]
            kind, reason = MemoryEventKind.RESET, 'a new episode began'
        elif away or missed:
            at = steps['t'][places[-1:]]
            missing = f', {missed:,} steps missed' if missed else ''
            kind, reason = MemoryEventKind.LOST, f'memory_node was away{missing}'
        else:
            at = steps['t'][steps['seq'] == first]
            kind, reason = MemoryEventKind.RESET, 'the memory was emptied: reset_memory'
        self._add(MemoryEvent(float(at[-1]) if len(at) else after.stamp_s - _BEFORE_S, kind, reason))

    def _add(self, event: MemoryEvent) -> None:
        if event.stamp_s >= self.events.newest:
            self.events.append(event)
