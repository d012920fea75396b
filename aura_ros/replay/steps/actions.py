# SPDX-License-Identifier: Apache-2.0
"""Recorded actions at the times of a backbone's chunk.

An action is in force from its stamp until the stamp of the next action, but no longer than the tolerance. Between the
points of a trajectory the target is interpolated linearly, as joint_trajectory_controller does by default. Before the
first point the target is the first point; after the last point it is the last point.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import BagError, InputError
from aura_ros.recordings.types import Sample
from aura_ros.replay.steps.mapping import UNITS, ActionStream
from aura_ros.replay.steps.message_values import ACTION_TYPES, Target, target
from aura_ros.vla.protocol import BackboneSpec

_NS = 1e9
JUMP_NS = 1_000_000_000
"""A stamp this much older than the newest of its stream is not a late sample: the clock was set back [ns]."""
# Time to wait for late actions, beyond the length of a chunk [ns, log time].
_PATIENCE_NS = 1_000_000_000

T = TypeVar('T')


def action_kind(stream: ActionStream, type_name: str) -> str:
    """Return the kind of the actions on a topic, by the type of the topic.

    Raises:
        BagError: the messages are not actions, or not of the kind in the mapping.
    """
    if stream.kind != 'auto':
        if ACTION_TYPES[stream.kind] != type_name:
            raise BagError(
                f"actions: {stream.topic} is of type {type_name}: kind '{stream.kind}' needs "
                f'{ACTION_TYPES[stream.kind]}'
            )
        return stream.kind
    for kind, name in ACTION_TYPES.items():
        if name == type_name:
            return kind
    raise BagError(f'actions: {stream.topic} is of type {type_name}: must be one of {", ".join(ACTION_TYPES.values())}')


class ActionTrack:
    """The newest recorded actions, sorted by stamp. One thread.

    Attributes:
        used: number of accepted actions [1].
        dropped: number of rejected actions by reason [1].
        problem: why the last unusable action was rejected.
    """

    def __init__(self, stream: ActionStream, kind: str, joint_names: Sequence[str]) -> None:
        """Prepare for actions of one `kind`; targets have the columns `joint_names`."""
        self._stream, self._kind, self._joints = stream, kind, tuple(joint_names)
        renamed = stream.columns if isinstance(stream.columns, AnyMapping) else {}
        self._wanted = [renamed.get(joint, joint) for joint in self._joints]
        self._factor = UNITS[stream.unit]
        self._tolerance_ns = round(stream.tolerance_s * _NS)
        self._actions: deque[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = deque()
        self._columns: dict[tuple[str, ...], NDArray[np.intp]] = {}
        self.used = 0
        self.dropped: Counter[str] = Counter()
        self.problem = ''

    def add(self, sample: Sample) -> None:
        """Add the next action, or count it as dropped if it cannot be used.

        Raises:
            BagError: the columns do not fit the backbone's joints, so no action of this topic can be used.
        """
        if self._actions and self._actions[-1][0] - sample.stamp_ns > JUMP_NS:
            self._actions.clear()
        if self._actions and sample.stamp_ns <= self._actions[-1][0]:
            self.dropped['out of order'] += 1
            return
        try:
            found = target(self._kind, sample.message)
            _refuse_twice(found, self._wanted)
        except InputError as error:
            self.dropped['unusable'] += 1
            self.problem = f'{self._stream.topic} {error}'
            return
        values = found.values[:, self._columns_of(found)] * self._factor
        self._actions.append((sample.stamp_ns, found.at_s, values))
        self.used += 1

    def clear(self) -> None:
        """Remove all actions, at the beginning of an episode."""
        self._actions.clear()

    def covers(self, until_ns: int) -> bool:
        """Return whether later actions cannot change the targets up to `until_ns`."""
        return bool(self._actions) and self._actions[-1][0] > until_ns

    def chunk(self, stamp_ns: int, length: int, step_ns: int) -> NDArray[np.float32] | None:
        """Return the targets at stamp_ns, stamp_ns + step_ns, ...: float32 [length, joints] [rad, m].

        None if one of them is missing.
        """
        rows = []
        for time_ns in range(stamp_ns, stamp_ns + length * step_ns, step_ns):
            row = self._at(time_ns)
            if row is None:
                return None
            rows.append(row)
        return np.array(rows, np.float32)

    def forget_before(self, stamp_ns: int) -> None:
        """Remove the actions that were replaced before `stamp_ns`."""
        while len(self._actions) > 1 and self._actions[1][0] <= stamp_ns:
            self._actions.popleft()

    def _at(self, time_ns: int) -> NDArray[np.float64] | None:
        for stamp_ns, at_s, values in reversed(self._actions):
            if stamp_ns > time_ns:
                continue
            age_s = (time_ns - stamp_ns) / _NS
            if age_s > at_s[-1] + self._tolerance_ns / _NS:
                return None
            if len(at_s) == 1:
                return np.asarray(values[0])
            after = int(np.searchsorted(at_s, age_s))
            if after in (0, len(at_s)):
                return np.asarray(values[min(after, len(at_s) - 1)])
            share = (age_s - at_s[after - 1]) / (at_s[after] - at_s[after - 1])
            return np.asarray(values[after - 1] + share * (values[after] - values[after - 1]))
        return None

    def _columns_of(self, found: Target) -> NDArray[np.intp]:
        """Column of each joint in a target."""
        key = (*found.names, str(found.values.shape[1]))
        if key not in self._columns:
            self._columns[key] = self._find_columns(found)
        return self._columns[key]

    def _find_columns(self, found: Target) -> NDArray[np.intp]:
        given, size = self._stream.columns, found.values.shape[1]
        listed = given if isinstance(given, tuple) else ()
        names = found.names or listed or (self._joints if size == len(self._joints) else ())
        if len(names) != size:
            raise BagError(
                f'actions: {self._stream.topic} has {size} values without names: list the {size} names in columns, '
                f'including {", ".join(self._joints)}'
            )
        place = {name: index for index, name in enumerate(names)}
        if missing := [name for name in self._wanted if name not in place]:
            raise BagError(
                f'actions: {self._stream.topic} has no {", ".join(missing)}; it has {", ".join(names)}: map the '
                "backbone's joints to these names in columns, or remove actions from the mapping"
            )
        return np.array([place[name] for name in self._wanted], np.intp)


def _refuse_twice(found: Target, wanted: Sequence[str]) -> None:
    """Check that each wanted name has one value, as for joints.

    Raises:
        InputError: a name has two values.
    """
    for name, count in Counter(found.names).items():
        if count > 1 and name in wanted:
            values = found.values[:, [column for column, one in enumerate(found.names) if one == name]]
            if (values != values[:, :1]).any():
                raise InputError(f'has the joint {name[:64]} twice with different values: must have every joint once')


class PendingActions(Generic[T]):
    """Holds items in order until the recorded actions of their chunks are complete. One thread."""

    def __init__(self, track: ActionTrack | None, spec: BackboneSpec) -> None:
        """Take actions from `track` for the chunks of `spec`; without a track no item has actions."""
        self._track, self._length = track, spec.chunk_size
        self._tick_ns = round(spec.seconds_per_action * _NS)
        self._waiting: deque[tuple[T, int, int]] = deque()

    def add(self, item: T, stamp_ns: int, log_ns: int) -> None:
        """Add an item with the stamp of its chunk and the log time now [ns]."""
        self._waiting.append((item, stamp_ns, log_ns))

    def ready(self, log_ns: int) -> Iterator[tuple[T, NDArray[np.float32] | None]]:
        """Yield the items that are complete or too old at a log time [ns], each with its chunk; see `ActionTrack`."""
        chunk_ns = (self._length - 1) * self._tick_ns
        while self._waiting:
            _, stamp_ns, since_ns = self._waiting[0]
            late = log_ns > since_ns + chunk_ns + _PATIENCE_NS
            if self._track is not None and not late and not self._track.covers(stamp_ns + chunk_ns):
                return
            yield self._next()

    def rest(self) -> Iterator[tuple[T, NDArray[np.float32] | None]]:
        """Yield the items that are left, at the end of an episode."""
        while self._waiting:
            yield self._next()

    def _next(self) -> tuple[T, NDArray[np.float32] | None]:
        item, stamp_ns, _ = self._waiting.popleft()
        if self._track is None:
            return item, None
        action = self._track.chunk(stamp_ns, self._length, self._tick_ns)
        self._track.forget_before(stamp_ns)
        return item, action
