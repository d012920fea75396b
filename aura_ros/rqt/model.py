# SPDX-License-Identifier: Apache-2.0
"""MonitorModel: the last ten minutes of one robot's memory. No Qt, no ROS.

The bridge turns messages into points. A timer of the GUI passes them to `ingest`, and the views query the model. Only
the GUI thread calls it. All buffers are bounded, and the cost of a point does not depend on the size of the history.

Clocks. `stamp_s`, `t` and `cursor` are seconds on the ROS clock, the times of observations. A played bag therefore
looks like the robot did. `now_s` is time on a steady clock that the caller passes in; it only serves to find stale
reports.

Pause and cursor. While `paused`, the series do not change, and new points go into the live history. `cursor` selects a
past moment for all queries except the curves, which also contain what came later. `header` always shows the present.
`moment` names the moment that the page shows.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt import costs, stages
from aura_ros.rqt.history import REPORT_GAP_S, History
from aura_ros.rqt.items import Item
from aura_ros.rqt.memory_log import MemoryEvent, MemoryStatus
from aura_ros.rqt.moment import Mode, Moment
from aura_ros.rqt.points import (
    AURA,
    KV,
    CameraPoint,
    DiagnosticPoint,
    InstructionPoint,
    Point,
    StatePoint,
    Thumbnail,
    WritePoint,
    policy_name,
)
from aura_ros.rqt.reading import Reading, beside, reading
from aura_ros.rqt.reasons import Reason, reason
from aura_ros.rqt.reports import NodeReports
from aura_ros.rqt.rounds import Rounds, rounds
from aura_ros.rqt.series import thin
from aura_ros.rqt.timeline import Timeline
from aura_ros.rqt.view_data import Cost, GateSeries, Header, Latency, Raster, Spans

# The page is live while steps arrive. It is not after this time without one [s], or after as many missed steps [1]; at
# the latest after the last time [s].
_QUIET_S, _QUIET_STEPS, _MOST_QUIET_S = 3.0, 4, 30.0
# Images arrive while they are not further apart [s].
_CAMERA_S = 2.0
# A state is published at most this time after its write [s].
_STATE_LATE_S = 1.0


class MonitorModel:
    """The history of one robot, and what the views show of it."""

    def __init__(self, history_s: float = 600.0, rate_hz: float = 30.0) -> None:
        """Allocate room for `history_s` seconds of steps at `rate_hz`; at a higher rate the history is shorter."""
        self.history_s, self.rate_hz = history_s, rate_hz
        self.cursor: float | None = None
        """Past moment that is shown [s, ROS clock]; None for the newest."""
        self.jumps = 0
        """How often the ROS clock went back."""
        self._live = self._shown = History(history_s, rate_hz)
        self._timeline, self._reports = Timeline(), NodeReports()

    # Input. ---------------------------------------------------------------------------------------
    def ingest(self, point: Point, now_s: float) -> None:
        """Add a point that arrived at `now_s` [s, steady clock]."""
        self._reports.receive(point, now_s)
        if isinstance(point, DiagnosticPoint):
            if point.name.startswith('memory_node: '):
                self._live.memory.on_report(point, now_s, self._live.newest)
            return
        if isinstance(point, InstructionPoint):
            self._live.instruct(point.text)
            return
        if isinstance(point, CameraPoint):
            return
        admitted = self._timeline.admit(point, self._live, now_s)
        if len(admitted) > 1 and any(self._live.went_back(one) for one in admitted):
            self.clock_jumped(min(one.stamp_s for one in admitted))
        for one in admitted:
            self._live.add(one)

    def clock_jumped(self, stamp_s: float = -math.inf) -> None:
        """Drop the history from `stamp_s` on, because the ROS clock went back to it. A paused view stays as it is."""
        self.jumps += 1
        self._live.drop_from(stamp_s)
        if not self.paused:
            self.cursor = None

    @property
    def paused(self) -> bool:
        """Whether the series stay as they are. The header is never paused."""
        return self._shown is not self._live

    @paused.setter
    def paused(self, paused: bool) -> None:
        if paused != self.paused:
            self._shown = self._live.copy() if paused else self._live

    # Queries of the views. ------------------------------------------------------------------------
    @property
    def span(self) -> tuple[float, float]:
        """Begin and end of the history [s, ROS clock]; (0, 0) before the first observation."""
        newest = self._shown.newest
        if newest == -math.inf:
            return 0.0, 0.0
        oldest = (self._gates(AURA), self._gates(KV), self._shown.steps.rows(newest - self.history_s))
        return min((float(rows['t'][0]) for rows in oldest if len(rows)), default=newest), newest

    def moment(self, now_s: float) -> Moment:
        """Return the moment that the page shows at `now_s` [s, steady clock]."""
        begin_s, newest_s = self.span
        if newest_s == 0.0:
            return Moment(Mode.EMPTY, 0.0)
        if self.cursor is not None:
            # The history moves on and drops its oldest part.
            stamp_s = min(newest_s, max(begin_s, self.cursor))
            return Moment(Mode.PAST, stamp_s, self.policies().at(stamp_s))
        mode = Mode.LIVE
        if self.paused:
            mode = Mode.PAUSED
        elif now_s - self._reports.step_received_s > self._quiet_s():
            mode = Mode.QUIET
        return Moment(mode, newest_s, self.policies().at(newest_s))

    def _quiet_s(self) -> float:
        """Return the time without a step after which the newest step is not the present [s]."""
        for ring in (self._live.steps, *self._live.gates.values()):
            t = ring.tail(2)['t']
            if len(t) == 2:
                return min(_MOST_QUIET_S, max(_QUIET_S, _QUIET_STEPS * float(t[1] - t[0])))
        return _QUIET_S

    @property
    def _until_s(self) -> float:
        return math.inf if self.cursor is None else self.cursor

    def _gates(self, policy: int) -> NDArray[Any]:
        return self._shown.gates[policy].rows(self._shown.newest - self.history_s)

    def gate(self, points: int = 0, policy: int = AURA) -> GateSeries:
        """Return the gate of a memory over time.

        Args:
            points: approximate number of rows, with all extremes and all writes; 0 for all.
            policy: AURA or KV.
        """
        rows = self._gates(policy)
        chosen: Any = slice(None)
        if points and len(rows) > points:
            chosen = thin(rows['t'], rows['gate'], rows['written'], points)
        return GateSeries(**{field.name: rows[field.name][chosen] for field in fields(GateSeries)})

    def gate_table(self, policy: int = AURA) -> Iterator[tuple[Any, ...]]:
        """Yield each step of a memory for a file; the columns are those of `export`."""
        names = self._shown.episode_names
        columns = ('t', 'episode', 'seq', 'gate', 'threshold', 'written', 'surprise', 'step_us', 'state_bytes')
        for t, episode, seq, *others in self._gates(policy)[list(columns)].tolist():
            yield (t, names.get(episode, ''), seq, policy_name(policy), *others)

    def writes(self, limit: int = 100) -> list[WritePoint]:
        """Return the newest writes up to the cursor, oldest first, at most `limit`; 0 for all."""
        return self._shown.writes.until(self.cursor, limit)

    def reason(self, write: WritePoint) -> Reason:
        """Return why a write was made, by what was received before it."""
        return reason(self._shown, write)

    def raster(self) -> Raster:
        """Return which rows of W changed, when and by how much."""
        rows = self._shown.rows.rows(self._shown.newest - self.history_s)
        return Raster(rows['t'], rows['amount'].T, rows['seq'])

    def state(self) -> StatePoint | None:
        """Return the state at the cursor, with the last write before it; None when unknown."""
        states = self._shown.states
        if self.cursor is None:
            return states.last
        before, writes = states.until(self.cursor, 1), self.writes(1)
        written_s = writes[-1].stamp_s if writes else -math.inf
        if before and before[-1].stamp_s >= written_s:
            return before[-1]
        # The state is published twice a second, so the first one with the write may be a little later.
        after = states.first_from(written_s)
        if after is not None and after.stamp_s <= written_s + _STATE_LATE_S:
            return after
        return before[-1] if before else None

    def items(self) -> tuple[Item, ...] | None:
        """Return the items of the state at the cursor, newest write first; None if its memory holds no items."""
        return self._shown.items.items(self.state(), self._shown.thumbnails.until(None, 0))

    def memory_events(self) -> tuple[MemoryEvent, ...]:
        """Return when the memory was lost, reset or restored, oldest first."""
        oldest_s = self._shown.newest - self.history_s
        return tuple(event for event in self._shown.memory.events.until(None, 0) if event.stamp_s >= oldest_s)

    def memory(self) -> MemoryStatus:
        """Return the newest event of the memory up to the cursor."""
        return self._shown.memory.status(self.cursor, self._shown.writes)

    def thumbnails(self, limit: int = 20) -> list[Thumbnail]:
        """Return the camera images of the newest writes up to the cursor, oldest first, at most `limit`."""
        return self._shown.thumbnails.until(self.cursor, limit)

    def episodes(self) -> Spans:
        """Return the begins of the episodes whose first step was received, with their UUIDs."""
        return _spans(self._shown.episodes)

    def policies(self) -> Spans:
        """Return the policy over time: 'aura', 'kv (hold)', '' where no report was received."""
        shown = self._shown
        known = shown.newest - shown.policy_until_s <= REPORT_GAP_S
        return _spans(shown.policies, math.inf if known else shown.policy_until_s)

    def reading(self, stamp_s: float) -> Reading | None:
        """Return all values at a time [s, ROS clock]; None where no step was received."""
        return reading(self._shown, stamp_s)

    def beside(self, stamp_s: float, direction: int, writes: bool = False) -> float | None:
        """Return the time of the next step, or with `writes` of the next write or event of the memory, see `beside`."""
        if not writes:
            return beside(self._gates(AURA)['t'], stamp_s, direction)
        marks = [write.stamp_s for write in self._shown.writes.until(None, 0)]
        marks += [event.stamp_s for event in self.memory_events()]
        return beside(np.sort([mark for mark in marks if mark >= self.span[0]]), stamp_s, direction)

    def instruction(self) -> str:
        """Return the instruction at the cursor; '' when unknown."""
        return _spans(self._shown.instructions).at(self._until_s)

    def rounds(self) -> Rounds | None:
        """Return the rounds of the task up to the cursor; None without events of a task."""
        return rounds(self._shown.tasks.until(self.cursor, 0))

    def camera(self, now_s: float) -> tuple[CameraPoint | None, bool]:
        """Return the newest image, and whether images arrive at `now_s` [s, steady clock]."""
        return self._reports.camera, now_s - self._reports.camera_received_s <= _CAMERA_S

    def cost(self, points: int = 500) -> Cost:
        """Return what the memories cost up to the cursor, in about `points` rows each; 0 for all."""
        return costs.cost(self._shown, self._reports, self._shown.newest - self.history_s, self._until_s, points)

    def latency(self) -> Latency:
        """Return the durations of the stages up to the cursor, and the present counts of what was late."""
        return stages.latency(self._shown, self._reports.misses(), self._until_s)

    def header(self, now_s: float) -> Header:
        """Return the present state of the robot, paused or not, at `now_s` [s, steady clock]."""
        reports = self._reports
        policy, state = reports.policy, reports.check('memory_node: state')
        pending = '' if policy is None or policy.pending == policy.policy else policy_name(policy.pending)
        return Header(
            policy='' if policy is None else policy_name(policy.policy),
            pending=pending,
            effective_seq=0 if policy is None else policy.effective_seq,
            episode_id=reports.episode_id or ('' if policy is None else policy.episode_id),
            seq=reports.seq,
            dry_run=None if policy is None else not policy.control_enabled,
            holding=policy is not None and policy.holding,
            reason='' if policy is None else policy.reason,
            clipped=0 if policy is None else policy.clipped,
            rejected=0 if policy is None else policy.rejected,
            holds=0 if policy is None else policy.holds,
            nodes=reports.nodes(now_s),
            restored='' if state is None else state.values.get('restored', ''),
            storage='' if state is None else state.message,
            storage_level=0 if state is None else state.level,
            policy_known=reports.policy_known(now_s),
            policy_stamp_s=math.nan if policy is None else policy.stamp_s,
            stale=reports.stale(now_s),
            stale_s=max(0.0, now_s - reports.received_s),
            jumps=self.jumps,
            strays=self._timeline.strays,
        )


def _spans(changes: Collection[tuple[float, str]], end_s: float = math.inf) -> Spans:
    return Spans(tuple(t for t, _ in changes), tuple(label for _, label in changes), end_s)
