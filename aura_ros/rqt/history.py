# SPDX-License-Identifier: Apache-2.0
"""The history of one robot in arrays and lists of a fixed size; a point costs O(1). One thread.

A series accepts only points later than its newest row. Messages that arrive twice therefore change nothing, such as
latched ones after a new subscription. `timeline` decides which points are added at all.
"""

import copy
import math
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.items import ItemHistory
from aura_ros.rqt.memory_log import MemoryLog
from aura_ros.rqt.points import (
    AURA,
    KV,
    CachePoint,
    GatePoint,
    PolicyPoint,
    StampedPoint,
    StatePoint,
    StepPoint,
    TaskPoint,
    Thumbnail,
    WritePoint,
    policy_name,
)
from aura_ros.rqt.series import Ring, Track

BACK_S = 0.5
REPORT_GAP_S = 1.5
"""The policy between two reports is known if they are closer; the switch reports twice a second [s]."""
# Highest rate at which memory_node publishes its state [Hz].
_STATES_HZ = 2.0
_WRITES = 4000
_THUMBNAILS = 100
_CHANGES = 500
_TASKS = 4000
# Newest steps that are searched for the stamp of one step.
_RECENT = 64
# A float32 holds the norm of a row of such weights.
_MAX_WEIGHT = np.float32(1e17)

_GATE = np.dtype(
    [
        ('t', 'f8'),
        ('seq', 'i8'),
        ('episode', 'i4'),
        ('gate', 'f4'),
        ('threshold', 'f4'),
        ('written', '?'),
        ('surprise', 'f4'),
        ('step_us', 'f4'),
        ('state_bytes', 'i8'),
        ('delay_s', 'f4'),
        ('writes', 'i8'),
    ]
)
_STEP = np.dtype([('t', 'f8'), ('seq', 'i8'), ('inference_ms', 'f4'), ('delay_s', 'f4')])
_CACHE = np.dtype([('t', 'f8'), ('bytes', 'i8')])
_ROWS = np.dtype([('t', 'f8'), ('seq', 'i8'), ('amount', 'f4', (32,))])


class History:
    """The series of one robot."""

    def __init__(self, history_s: float, rate_hz: float) -> None:
        """Allocate room for `history_s` seconds of steps at `rate_hz`."""
        room, states = math.ceil(history_s * rate_hz), math.ceil(history_s * _STATES_HZ)
        self.gates: dict[int, Ring] = {policy: Ring(_GATE, room) for policy in (AURA, KV)}
        """Rows of `_GATE` by policy; the column `writes` counts the writes received."""
        self.steps, self.cache = Ring(_STEP, room), Ring(_CACHE, room)
        self.rows = Ring(_ROWS, 2 * states)
        """Rows of W that changed: one row of `_ROWS` for each step that is known to have changed any."""
        self.writes: Track[WritePoint] = Track(_WRITES)
        self.states: Track[StatePoint] = Track(states)
        self.items = ItemHistory(states)
        self.memory = MemoryLog()
        self.thumbnails: Track[Thumbnail] = Track(_THUMBNAILS)
        self.episodes: deque[tuple[float, str]] = deque(maxlen=_CHANGES)
        self.policies: deque[tuple[float, str]] = deque(maxlen=_CHANGES)
        """Changes of the policy, and above begins of episodes, as (stamp, label)."""
        self.instructions: deque[tuple[float, str]] = deque(maxlen=_CHANGES)
        """Changes of the instruction, as (newest stamp, text)."""
        self.tasks: Track[TaskPoint] = Track(_TASKS)
        self.policy_until_s = -math.inf
        """Time of the newest report of the policy [s, ROS clock]."""
        self.episode_names: dict[int, str] = {}
        """UUIDs by the column `episode` of the gates."""
        self._episode = self._written = 0

    def copy(self) -> Self:
        """Return a copy that does not change; at the default size it takes 8 MB and 2 ms."""
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if name == 'gates':
                twin.gates = {policy: ring.copy() for policy, ring in self.gates.items()}
            elif not isinstance(value, (int, float)):
                setattr(twin, name, value.copy())
        return twin

    @property
    def newest(self) -> float:
        """Time of the newest step [s, ROS clock], or of the newest write if there is no step; -inf before both."""
        rings = (*self.gates.values(), self.steps, self.cache)
        steps = max(self.states.newest, *(ring.newest for ring in rings))
        return steps if steps > -math.inf else self.writes.newest

    def went_back(self, point: StampedPoint) -> bool:
        """Return whether an unknown point is earlier than its series by more than `BACK_S`."""
        series = self._series(point)
        if series is None or point.stamp_s >= series.newest - BACK_S:
            return False
        return not (isinstance(point, WritePoint) and self._known(point))

    def add(self, point: StampedPoint) -> None:
        """Add a point if it is later than the newest of its series."""
        series = self._series(point)
        if series is None or point.stamp_s > series.newest:
            _ADDERS[type(point)](self, point)

    def drop_from(self, stamp_s: float) -> None:
        """Drop everything at or after `stamp_s` [s, ROS clock]."""
        for ring in (*self.gates.values(), self.steps, self.cache, self.rows):
            ring.drop_from(stamp_s)
        for track in (self.writes, self.states, self.items, self.memory, self.thumbnails, self.tasks):
            track.drop_from(stamp_s)
        for changes in (self.episodes, self.policies, self.instructions):
            kept = [change for change in changes if change[0] < stamp_s]
            changes.clear()
            changes.extend(kept)
        self.policy_until_s = min(self.policy_until_s, stamp_s)

    def _series(self, point: StampedPoint) -> Ring | Track[Any] | None:
        if isinstance(point, GatePoint):
            return self.gates.get(point.policy)
        series: dict[type, Ring | Track[Any]] = {
            StepPoint: self.steps,
            CachePoint: self.cache,
            WritePoint: self.writes,
            StatePoint: self.states,
            Thumbnail: self.thumbnails,
        }
        return series.get(type(point))

    def _known(self, point: WritePoint) -> bool:
        same = self.writes.until(point.stamp_s, 1)
        return bool(same) and (same[0].stamp_s, same[0].seq) == (point.stamp_s, point.seq)

    def _add_gate(self, point: GatePoint) -> None:
        ring = self.gates.get(point.policy)
        if ring is None:
            return
        self._begin_episode(point)
        if point.policy == AURA:
            self._written += point.written
        ring.append(
            (
                point.stamp_s,
                point.seq,
                self._episode,
                point.gate,
                point.threshold,
                point.written,
                point.surprise,
                point.step_us,
                point.state_bytes,
                point.delay_s,
                self._written,
            )
        )

    def _begin_episode(self, point: GatePoint) -> None:
        if self.episode_names.get(self._episode) == point.episode_id:
            return
        self._episode += 1
        if point.seq == 0:  # an episode that was running when the monitor started began at an unknown time
            self.episodes.append((point.stamp_s, point.episode_id))
        self.episode_names[self._episode] = point.episode_id
        self.episode_names.pop(self._episode - _CHANGES, None)

    def _add_step(self, point: StepPoint) -> None:
        self.steps.append((point.stamp_s, point.seq, point.inference_ms, point.delay_s))

    def _add_cache(self, point: CachePoint) -> None:
        self.cache.append((point.stamp_s, point.bytes))

    def _add_write(self, point: WritePoint) -> None:
        self.memory.on_write(self.writes.last, point, self.gates[AURA])
        self.writes.append(point)

    def _add_thumbnail(self, point: Thumbnail) -> None:
        self.thumbnails.append(point)

    def _add_policy(self, point: PolicyPoint) -> None:
        label = policy_name(point.policy) + (' (hold)' if point.holding else '')
        if point.stamp_s < self.policy_until_s:
            return
        if self.policies and point.stamp_s - self.policy_until_s > REPORT_GAP_S:
            self.policies.append((self.policy_until_s, ''))
        self.policy_until_s = point.stamp_s
        if not self.policies or self.policies[-1][1] != label:
            self.policies.append((point.stamp_s, label))

    def _add_task(self, point: TaskPoint) -> None:
        if point.stamp_s >= self.tasks.newest:
            self.tasks.append(point)

    def instruct(self, text: str) -> None:
        """Add an instruction that holds from now on."""
        if not self.instructions or self.instructions[-1][1] != text:
            self.instructions.append((self.newest, text))

    def _add_state(self, point: StatePoint) -> None:
        """Add a state, and find which rows of W changed since the state before, at which steps and by how much."""
        before = self.states.last
        self.states.append(point)
        self.memory.on_state(before, point, self.gates[AURA])
        weights, since = self._compared_with(before, point)
        after_s = -math.inf if before is None else before.stamp_s
        stamp_of = partial(self._stamp_of, after_s=after_s)
        self.items.add(point, before, (weights, since), stamp_of, self.writes, self.thumbnails)
        if weights is None:
            return
        changed_at = point.seq - point.row_age.astype(np.int64)
        amount = np.linalg.norm(_bounded(point.weights) - _bounded(weights), axis=1)
        for seq in np.unique(changed_at[changed_at > since]):
            stamp_s = stamp_of(int(seq))
            if stamp_s is None:
                # The sample of that step was not received: interpolate between the states.
                share = (int(seq) - since) / (point.seq - since)
                stamp_s = point.stamp_s if before is None else after_s + share * (point.stamp_s - after_s)
            changes = np.where(changed_at == seq, amount, 0.0)
            # A row that became empty with the whole memory was not written.
            if stamp_s > self.rows.newest and changes.any():
                self.rows.append((stamp_s, seq, changes))

    def _compared_with(self, before: StatePoint | None, point: StatePoint) -> tuple[NDArray[np.float32] | None, int]:
        """Return W before `point` and the step of its episode that it belongs to; None for an unknown W."""
        if before is not None and before.episode_id == point.episode_id and before.seq < point.seq:
            emptied = self.memory.emptied_between(before.stamp_s, point.stamp_s)
            return np.zeros_like(before.weights) if emptied else before.weights, before.seq
        # After a reset, no row is older than the episode.
        if (point.row_age > point.seq + 1).any():
            return None if before is None else before.weights, -1
        known = before is not None or self._from_the_start(point.episode_id)
        return np.zeros_like(point.weights) if known else None, -1

    def _from_the_start(self, episode_id: str) -> bool:
        """Return whether the first step of the newest episode was received."""
        recent = self.gates[AURA].tail(_RECENT)
        first = recent['episode'][recent['seq'] == 0]
        return bool(len(first)) and self.episode_names.get(int(first[-1])) == episode_id

    def _stamp_of(self, seq: int, after_s: float) -> float | None:
        """Return the stamp of a step later than `after_s`; None if its gate sample was not received."""
        recent = self.gates[AURA].tail(_RECENT)
        found: NDArray[Any] = recent['t'][(recent['seq'] == seq) & (recent['t'] > after_s)]
        return float(found[-1]) if len(found) else None


def _bounded(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weights whose norms are finite; NaN becomes 0."""
    return np.clip(np.nan_to_num(weights), -_MAX_WEIGHT, _MAX_WEIGHT)


_ADDERS: Mapping[type, Callable[[History, Any], None]] = {
    GatePoint: History._add_gate,
    StepPoint: History._add_step,
    CachePoint: History._add_cache,
    WritePoint: History._add_write,
    StatePoint: History._add_state,
    PolicyPoint: History._add_policy,
    Thumbnail: History._add_thumbnail,
    TaskPoint: History._add_task,
}
