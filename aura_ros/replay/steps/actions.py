# SPDX-License-Identifier: Apache-2.0
"""Recorded actions over time: what the robot was told, at the times of a backbone's chunk.

An action is in force from its stamp until the next one's, at most for the tolerance. Of a trajectory the target moves
in straight lines from point to point, as joint_trajectory_controller does it by default, before its first point it is
that point, and after its last it stays.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import BagError, InputError
from aura_ros.recordings.source import Sample
from aura_ros.replay.steps.mapping import UNITS, ActionStream
from aura_ros.replay.steps.message_values import ACTION_TYPES, Target, target

_NS = 1e9
# A stamp that is so much before its stream's newest is no straggler: the clock was set back.
JUMP_NS = 1_000_000_000


def action_kind(stream: ActionStream, type_name: str) -> str:
    """The kind of the actions on a topic of a type.

    Raises:
        BagError: its messages are no actions, or others than the mapping says.
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
        used: actions that were accepted [1].
        dropped: actions that were not, by reason [1].
        problem: why the last one was not, for people.
    """

    def __init__(self, stream: ActionStream, kind: str, joint_names: Sequence[str]) -> None:
        """Give targets in the order of `joint_names`."""
        self._stream, self._kind, self._joints = stream, kind, tuple(joint_names)
        self._factor = UNITS[stream.unit]
        self._tolerance_ns = round(stream.tolerance_s * _NS)
        self._actions: deque[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = deque()
        self._columns: dict[tuple[str, ...], NDArray[np.intp]] = {}
        self.used = 0
        self.dropped: Counter[str] = Counter()
        self.problem = ''

    def add(self, sample: Sample) -> None:
        """Take the next action; one that cannot be used is counted.

        Raises:
            BagError: it has other columns than the backbone's joints: no action of this topic will do.
        """
        if self._actions and self._actions[-1][0] - sample.stamp_ns > JUMP_NS:
            self._actions.clear()
        if self._actions and sample.stamp_ns <= self._actions[-1][0]:
            self.dropped['out of order'] += 1
            return
        try:
            found = target(self._kind, sample.message)
        except InputError as error:
            self.dropped['unusable'] += 1
            self.problem = f'{self._stream.topic} {error}'
            return
        values = found.values[:, self._chosen(found)] * self._factor
        self._actions.append((sample.stamp_ns, found.at_s, values))
        self.used += 1

    def clear(self) -> None:
        """Forget all actions: another episode begins, or the clock jumped."""
        self._actions.clear()

    def covers(self, until_ns: int) -> bool:
        """Whether nothing that comes can change what was in force up to `until_ns`."""
        return bool(self._actions) and self._actions[-1][0] > until_ns

    def chunk(self, stamp_ns: int, length: int, step_ns: int) -> NDArray[np.float32] | None:
        """Targets at stamp_ns, stamp_ns + step_ns, ...: float32 [length, joints] [rad, m]; None with a gap in them."""
        rows = []
        for time_ns in range(stamp_ns, stamp_ns + length * step_ns, step_ns):
            row = self._at(time_ns)
            if row is None:
                return None
            rows.append(row)
        return np.array(rows, np.float32)

    def forget_before(self, stamp_ns: int) -> None:
        """Drop what was replaced before `stamp_ns`."""
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

    def _chosen(self, found: Target) -> NDArray[np.intp]:
        """Which column of a target each joint is."""
        key = (*found.names, str(found.values.shape[1]))
        if key not in self._columns:
            self._columns[key] = self._choose(found)
        return self._columns[key]

    def _choose(self, found: Target) -> NDArray[np.intp]:
        given, size = self._stream.columns, found.values.shape[1]
        listed = given if isinstance(given, tuple) else ()
        names = found.names or listed or (self._joints if size == len(self._joints) else ())
        if len(names) != size:
            raise BagError(
                f'actions: {self._stream.topic} has {size} values without names; list in columns which of '
                f'{", ".join(self._joints)} each of them is'
            )
        renamed = given if isinstance(given, AnyMapping) else {}
        place = {name: index for index, name in enumerate(names)}
        wanted = [renamed.get(joint, joint) for joint in self._joints]
        if missing := [name for name in wanted if name not in place]:
            raise BagError(
                f'actions: {self._stream.topic} has no {", ".join(missing)}; it has {", ".join(names)}: say in columns '
                "which of them is which of the backbone's joints, or leave the actions out of the mapping"
            )
        return np.array([place[name] for name in wanted], np.intp)
