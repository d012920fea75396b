# SPDX-License-Identifier: Apache-2.0
"""Recorded actions at the times of a backbone's chunk.

An action is in force from its stamp until the stamp of the next action, but no longer than the tolerance. Between the
points of a trajectory the target is interpolated linearly, as joint_trajectory_controller does by default. Before the
first point the target is the first point; after the last point it is the last point.

An action can command some of the joints: an arm and its gripper have topics of their own, or separate messages. The
newest action that commands a joint gives its target.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import BagError, InputError
from aura_ros.control import JointSources
from aura_ros.recordings.types import Sample
from aura_ros.replay.steps.mapping import UNITS, ActionStream
from aura_ros.replay.steps.message_values import ACTION_TYPES, Target, refuse_twice, target
from aura_ros.replay.steps.motions import Motions
from aura_ros.replay.steps.rotations import Rotations
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


@dataclass(eq=False)
class _Group:
    """The newest actions that command the same joints, sorted by stamp."""

    joints: NDArray[np.intp]
    """Commanded joints, as columns of a chunk."""
    places: NDArray[np.intp]
    """Column of each of these joints in a message."""
    tolerance_s: float
    """How long an action stays in force when none follows [s]."""
    between: bool
    """Whether a value lies between the two samples around its time, as on the path of an end effector."""
    actions: deque[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=deque)
    """Stamp [ns], times of the points [s], and values of each action."""

    def add(self, stamp_ns: int, at_s: NDArray[np.float64], values: NDArray[np.float64]) -> bool:
        """Add the next action; return False if it is out of order."""
        if self.actions and self.actions[-1][0] - stamp_ns > JUMP_NS:
            self.actions.clear()
        if self.actions and stamp_ns <= self.actions[-1][0]:
            return False
        self.actions.append((stamp_ns, at_s, values))
        return True

    def at(self, time_ns: int) -> tuple[int, NDArray[np.float64] | None]:
        """Return the stamp of the newest action [ns], -1 without one, and its targets if it is in force."""
        after_ns, after_values = time_ns, None
        for stamp_ns, at_s, values in reversed(self.actions):
            if stamp_ns > time_ns:
                after_ns, after_values = stamp_ns, values
                continue
            age_s = (time_ns - stamp_ns) / _NS
            if self.between and age_s > 0.0:
                if after_values is None or (after_ns - stamp_ns) / _NS > self.tolerance_s:
                    return stamp_ns, None
                share = (time_ns - stamp_ns) / (after_ns - stamp_ns)
                return stamp_ns, np.asarray(values[0] + share * (after_values[0] - values[0]))
            if age_s > at_s[-1] + self.tolerance_s:
                return stamp_ns, None
            if len(at_s) == 1:
                return stamp_ns, np.asarray(values[0])
            after = int(np.searchsorted(at_s, age_s))
            if after in (0, len(at_s)):
                return stamp_ns, np.asarray(values[min(after, len(at_s) - 1)])
            share = (age_s - at_s[after - 1]) / (at_s[after] - at_s[after - 1])
            return stamp_ns, np.asarray(values[after - 1] + share * (values[after] - values[after - 1]))
        return -1, None

    def forget_before(self, stamp_ns: int) -> None:
        """Remove the actions that were replaced before `stamp_ns`."""
        while len(self.actions) > 1 and self.actions[1][0] <= stamp_ns:
            self.actions.popleft()


class ActionSource:
    """The recorded actions of one topic. One thread.

    Attributes:
        topic: its name.
        groups: actions by the joints that they command.
        used: number of accepted actions [1].
        dropped: number of rejected actions by reason [1].
        problem: why the last unusable action was rejected.
    """

    def __init__(
        self,
        stream: ActionStream,
        kind: str,
        joint_names: Sequence[str],
        robot: JointSources,
        rotation_middle: Sequence[float] = (),
        between: bool = False,
    ) -> None:
        """Prepare for actions of one `kind`; targets have the columns `joint_names`, in the units of the policy.

        With `between`, a target lies between the samples before and after its time.
        """
        self._robot, self._rotations, self._between = robot, Rotations(rotation_middle), between
        self._stream, self._kind, self._joints = stream, kind, tuple(joint_names)
        self._wanted = recorded_columns(stream, self._joints)
        self.topic = stream.topic
        self.groups: dict[tuple[str, ...], _Group] = {}
        self.used = 0
        self.dropped: Counter[str] = Counter()
        self.problem = ''

    def add(self, sample: Sample) -> None:
        """Add the next action, or count it as dropped if it cannot be used.

        Raises:
            BagError: the values of the first action have no names, so no action of this topic can be used.
        """
        try:
            found = target(self._kind, sample.message)
            refuse_twice(found, self._wanted)
            group = self._group(found)
        except (InputError, BagError) as error:
            if isinstance(error, BagError) and not self.groups:
                raise
            self.dropped['unusable'] += 1
            self.problem = str(error) if isinstance(error, BagError) else f'{self.topic} {error}'
            return
        values = self._rotations.nearest(found.names, found.values)[:, group.places] * UNITS[self._stream.unit]
        joints = [self._joints[column] for column in group.joints]
        if group.add(sample.stamp_ns, found.at_s, self._robot.columns_to_policy(values, joints)):
            self.used += 1
        else:
            self.dropped['out of order'] += 1

    def _group(self, found: Target) -> _Group:
        key = (*found.names, str(found.values.shape[1]))
        if key not in self.groups:
            names = column_names(self._stream, found.names, found.values.shape[1], self._joints)
            place = {name: index for index, name in enumerate(names)}
            used = place.keys() & (self._stream.only or place)
            joints = [column for column, name in enumerate(self._wanted) if name in used]
            if not joints:
                raise InputError(f'commands none of {", ".join(self._wanted)}; it has {", ".join(names)}')
            places = np.array([place[self._wanted[column]] for column in joints], np.intp)
            tolerance_s = round(self._stream.tolerance_s * _NS) / _NS
            self.groups[key] = _Group(np.array(joints, np.intp), places, tolerance_s, self._between)
        return self.groups[key]


def column_names(stream: ActionStream, names: Sequence[str], size: int, joints: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns of an action with `size` values.

    Args:
        stream: its stream.
        names: names in the message; () without them.
        size: number of values [1].
        joints: joints of the backbone's actions.

    Raises:
        BagError: neither the message nor the mapping names the values.
    """
    listed = stream.columns if isinstance(stream.columns, tuple) else ()
    found = tuple(names) or listed or (tuple(joints) if size == len(joints) else ())
    if len(found) != size:
        raise BagError(
            f'actions: {stream.topic} has {size} values without names: list the {size} names in columns, including '
            f'{", ".join(joints)}'
        )
    return found


def recorded_columns(stream: ActionStream, joints: Sequence[str]) -> list[str]:
    """Return the recorded name of each of the backbone's joints."""
    renamed = stream.columns if isinstance(stream.columns, AnyMapping) else {}
    return [renamed.get(joint, joint) for joint in joints]


class ActionTrack:
    """The newest recorded actions of all topics. One thread.

    Attributes:
        sources: the topics of actions, by name.
    """

    def __init__(self, sources: Sequence[ActionSource], joints: int, motions: Motions | None = None) -> None:
        """Merge `sources`, whose targets have the same number of `joints`.

        With `motions`, the actions of a chunk follow from the targets; without, they are the targets.
        """
        self.sources = {source.topic: source for source in sources}
        self._joints, self._motions = joints, motions

    def add(self, sample: Sample) -> None:
        """Add a message if its topic has actions; see `ActionSource.add`."""
        source = self.sources.get(sample.topic)
        if source is not None:
            source.add(sample)

    def clear(self) -> None:
        """Remove all actions, at the beginning of an episode."""
        for group in self._groups():
            group.actions.clear()

    def covers(self, until_ns: int) -> bool:
        """Return whether later actions cannot change the targets up to `until_ns`."""
        later = np.zeros(self._joints, np.bool_)
        for group in self._groups():
            if group.actions and group.actions[-1][0] > until_ns:
                later[group.joints] = True
        return bool(later.all())

    @property
    def ahead(self) -> int:
        """Targets after its own that an action needs [1]."""
        return self._motions.ahead if self._motions is not None else 0

    def chunk(self, stamp_ns: int, length: int, step_ns: int) -> NDArray[np.float32] | None:
        """Return the actions at stamp_ns, stamp_ns + step_ns, ...: float32 [length, A].

        None if a target is missing.
        """
        rows = []
        for time_ns in range(stamp_ns, stamp_ns + (length + self.ahead) * step_ns, step_ns):
            row = self._at(time_ns)
            if not np.isfinite(row).all():
                return None
            rows.append(row)
        return np.array(rows, np.float32) if self._motions is None else self._motions.actions(np.array(rows))

    def forget_before(self, stamp_ns: int) -> None:
        """Remove the actions that were replaced before `stamp_ns`."""
        for group in self._groups():
            group.forget_before(stamp_ns)

    def _groups(self) -> Iterator[_Group]:
        for source in self.sources.values():
            yield from source.groups.values()

    def _at(self, time_ns: int) -> NDArray[np.float64]:
        """Targets at a time, float64 [joints]; NaN where no action is in force."""
        row = np.full(self._joints, np.nan)
        newest = np.full(self._joints, -1, np.int64)
        for group in self._groups():
            stamp_ns, values = group.at(time_ns)
            replaced = stamp_ns > newest[group.joints]
            joints = group.joints[replaced]
            newest[joints] = stamp_ns
            row[joints] = np.nan if values is None else values[replaced]
        return row


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
        ahead = self._track.ahead if self._track is not None else 0
        chunk_ns = (self._length - 1 + ahead) * self._tick_ns
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
