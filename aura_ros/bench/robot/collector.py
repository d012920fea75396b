# SPDX-License-Identifier: Apache-2.0
"""Collects the messages of one episode into its record (no ROS). For one thread."""

from collections.abc import Collection
from dataclasses import replace

from aura_ros.bench.robot.records import EpisodeRecord, EventRecord, GateRecord
from aura_ros.common.names import EVENT_KINDS

_MEMORIES = ('aura', 'kv')


class EpisodeCollector:
    """Collects one episode.

    Late samples of earlier episodes can still arrive. Samples of ended episodes are dropped; all others are stored by
    episode id until `record` is called with the right one. Times are stamps [ns, ROS clock].

    Attributes:
        events: stamps and events of the task so far.
        finished: whether the last event of the episode was received.
        progress: number of events and steps received; it shows that the graph is running.
    """

    def __init__(self, ended: Collection[str]) -> None:
        """Collect an episode; `ended` has the ids of earlier episodes."""
        self._ended = frozenset(ended)
        self.events: list[tuple[int, EventRecord]] = []
        self.finished = False
        self.progress = 0
        # Stamps and points by memory, episode id and sequence number; `record` fills in the times.
        self._points: dict[str, dict[str, dict[int, tuple[int, GateRecord]]]] = {name: {} for name in _MEMORIES}
        self._write_events: dict[str, set[int]] = {}
        self._newest = ''

    def add_event(self, stamp_ns: int, kind: int, round_: int, colour: str, last: bool, task: str = '') -> None:
        """Add a task event; unknown kinds are stored by number."""
        name = EVENT_KINDS[kind] if kind < len(EVENT_KINDS) else f'kind_{kind}'
        self.events.append((stamp_ns, EventRecord(0.0, name, round_, colour, task)))
        self.finished = self.finished or last
        self.progress += 1

    def add_step(self, memory: str, episode_id: str, stamp_ns: int, point: GateRecord) -> None:
        """Add a step of a memory; `point.time_s` is ignored."""
        if episode_id in self._ended:
            return
        self._points[memory].setdefault(episode_id, {})[point.seq] = (stamp_ns, point)
        self._newest = episode_id
        self.progress += 1

    def add_write_event(self, episode_id: str, seq: int) -> None:
        """Add a write of the AURA memory."""
        if episode_id not in self._ended:
            self._write_events.setdefault(episode_id, set()).add(seq)

    @property
    def rounds_done(self) -> int:
        """Number of ended rounds."""
        return sum(event.kind.startswith('round_') for _, event in self.events)

    @property
    def rounds_solved(self) -> int:
        """Number of solved rounds."""
        return sum(event.kind == 'round_success' for _, event in self.events)

    @property
    def newest_episode(self) -> str:
        """Id of the episode of the newest step; '' before the first."""
        return self._newest

    def newest_seq(self, memory: str) -> int:
        """Return the newest step of a memory, -1 before the first."""
        return max(self._points[memory].get(self._newest, ()), default=-1)

    def writes(self, memory: str) -> int:
        """Return the number of writes of a memory so far."""
        points = self._points[memory].get(self._newest, {})
        return sum(point.written for _, point in points.values())

    def missing(self, seq: int) -> list[str]:
        """Return the memories without step `seq` or a later one."""
        return [name for name in _MEMORIES if self.newest_seq(name) < seq]

    def complete(self, episode_id: str, steps: int) -> bool:
        """Return whether all `steps` steps of both memories were received."""
        return all(len(self._points[name].get(episode_id, ())) >= steps for name in _MEMORIES)

    def record(self, episode: EpisodeRecord) -> EpisodeRecord:
        """Return `episode` with the collected events and steps of its id.

        Steps after the end of the last round are dropped. Whether the VLA makes another one before it is stopped
        depends on timing, and runs have to be repeatable.
        """
        own = {name: self._points[name].get(episode.episode_id, {}) for name in _MEMORIES}
        after: set[int] = set()
        if self.finished:
            end_ns = max(stamp for stamp, _ in self.events)
            for name, points in own.items():
                after |= {seq for seq, (stamp, _) in points.items() if stamp >= end_ns}
                own[name] = {seq: at for seq, at in points.items() if at[0] < end_ns}
        stamps = [stamp for stamp, _ in self.events]
        stamps += [stamp for points in own.values() for stamp, _ in points.values()]
        start_ns = min(stamps, default=0)
        writes = self._write_events.get(episode.episode_id, set()) - after
        events = tuple(replace(event, time_s=(stamp - start_ns) * 1e-9) for stamp, event in self.events)
        gates = {
            name: tuple(
                replace(point, time_s=(stamp - start_ns) * 1e-9) for _, (stamp, point) in sorted(points.items())
            )
            for name, points in own.items()
        }
        return replace(
            episode,
            steps=episode.steps - len(after),
            events=events,
            gates=gates,
            sim_s=(max(stamps, default=0) - start_ns) * 1e-9,
            write_events=len(writes),
        )
