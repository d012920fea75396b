# SPDX-License-Identifier: Apache-2.0
"""Gathers what the graph tells during one episode into its record (no ROS). One thread."""

from collections.abc import Collection
from dataclasses import replace

from aura_ros.bench.robot.records import EpisodeRecord, GateRecord, TaskMark
from aura_ros.common.names import EVENT_KINDS

_MEMORIES = ('aura', 'kv')


class EpisodeCollector:
    """One episode being watched.

    Samples of earlier episodes may still arrive: those whose id is `known` are dropped; all others
    are kept by id until `record` says which was ours. Times are stamps [ns, ROS clock].

    Attributes:
        marks: events of the task so far, with their stamps.
        finished: whether the event that ends the episode has come.
        progress: grows with everything that shows that the graph is moving.
    """

    def __init__(self, known: Collection[str]) -> None:
        """Watch an episode; `known` are the ids of episodes that are over."""
        self._known = frozenset(known)
        self.marks: list[tuple[int, TaskMark]] = []
        self.finished = False
        self.progress = 0
        # By memory and episode id: stamps and points, whose time is filled in at the end.
        self._points: dict[str, dict[str, dict[int, tuple[int, GateRecord]]]] = {name: {} for name in _MEMORIES}
        self._write_events: dict[str, set[int]] = {}
        self._newest = ''

    def event(self, stamp_ns: int, kind: int, round_: int, colour: str, last: bool) -> None:
        """An event of the task; kinds this version does not know are kept by number."""
        name = EVENT_KINDS[kind] if kind < len(EVENT_KINDS) else f'kind_{kind}'
        self.marks.append((stamp_ns, TaskMark(0.0, name, round_, colour)))
        self.finished = self.finished or last
        self.progress += 1

    def gate(self, memory: str, episode_id: str, stamp_ns: int, point: GateRecord) -> None:
        """A step of a memory; the point's own time is ignored."""
        if episode_id in self._known:
            return
        self._points[memory].setdefault(episode_id, {})[point.seq] = (stamp_ns, point)
        self._newest = episode_id
        self.progress += 1

    def write_event(self, episode_id: str, seq: int) -> None:
        """A write of the AURA memory."""
        if episode_id not in self._known:
            self._write_events.setdefault(episode_id, set()).add(seq)

    @property
    def rounds_done(self) -> int:
        """Rounds that are over [1]."""
        return sum(mark.kind.startswith('round_') for _, mark in self.marks)

    @property
    def rounds_solved(self) -> int:
        """Rounds that were solved [1]."""
        return sum(mark.kind == 'round_success' for _, mark in self.marks)

    def newest_seq(self, memory: str) -> int:
        """Newest step of a memory, -1 before the first."""
        return max(self._points[memory].get(self._newest, ()), default=-1)

    def writes(self, memory: str) -> int:
        """Writes of a memory so far [1]."""
        points = self._points[memory].get(self._newest, {})
        return sum(point.written for _, point in points.values())

    def silent(self, seq: int) -> list[str]:
        """Memories that have not told of step `seq`."""
        return [name for name in _MEMORIES if self.newest_seq(name) < seq]

    def complete(self, episode_id: str, steps: int) -> bool:
        """Whether both memories have told of all `steps` steps."""
        return all(len(self._points[name].get(episode_id, ())) >= steps for name in _MEMORIES)

    def record(self, episode: EpisodeRecord) -> EpisodeRecord:
        """Fill in the events and steps of `episode`, whose id and other fields are known by now.

        Steps from the end of the last round on do not count: whether the VLA still makes one before
        it is told to stop is chance, and runs are to be repeatable.
        """
        own = {name: self._points[name].get(episode.episode_id, {}) for name in _MEMORIES}
        after: set[int] = set()
        if self.finished:
            end_ns = max(stamp for stamp, _ in self.marks)
            for name, points in own.items():
                after |= {seq for seq, (stamp, _) in points.items() if stamp >= end_ns}
                own[name] = {seq: at for seq, at in points.items() if at[0] < end_ns}
        stamps = [stamp for stamp, _ in self.marks]
        stamps += [stamp for points in own.values() for stamp, _ in points.values()]
        start_ns = min(stamps, default=0)
        writes = self._write_events.get(episode.episode_id, set()) - after
        marks = tuple(replace(mark, time_s=(stamp - start_ns) * 1e-9) for stamp, mark in self.marks)
        gates = {
            name: tuple(
                replace(point, time_s=(stamp - start_ns) * 1e-9) for _, (stamp, point) in sorted(points.items())
            )
            for name, points in own.items()
        }
        return replace(
            episode,
            steps=episode.steps - len(after),
            marks=marks,
            gates=gates,
            sim_s=(max(stamps, default=0) - start_ns) * 1e-9,
            write_events=len(writes),
        )
