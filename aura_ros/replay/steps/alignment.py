# SPDX-License-Identifier: Apache-2.0
"""What alignment made of each stream: how many samples there were, how many were used, how far apart they were."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping as AnyMapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from aura_ros.recordings.source import Sample
from aura_ros.replay.steps.actions import ActionTrack
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.vla.assembler import Aligned, Gap

_MS = 1e-6
# vla_node's max_age_s by default: what comes later than this is refused there.
_LATE_MS = 300.0
# Samples of skew and delay kept per stream; beyond, every second one is forgotten and the pace halved.
_KEPT = 1 << 14


@dataclass(frozen=True)
class Spread:
    """Median, 95th percentile and largest of a quantity [ms]; NaN where there was nothing."""

    p50: float = float('nan')
    p95: float = float('nan')
    largest: float = float('nan')


@dataclass(frozen=True)
class StreamReport:
    """One stream of the recording.

    name, topic: of the stream in the mapping.
    samples: messages read [1].
    used: times a message became part of an observation [1].
    out_of_order: not used because a newer one had come before [1].
    unusable: not used because they could not be decoded or lack a joint [1].
    unstamped: without a stamp of their own; the time of arrival was taken [1].
    skew: distance of the used ones' stamps from the first camera's [ms].
    delay: from stamp to arrival [ms].
    problem: why the last unusable one was so.
    """

    name: str
    topic: str
    samples: int
    used: int
    out_of_order: int
    unusable: int
    unstamped: int
    skew: Spread
    delay: Spread
    problem: str = ''


@dataclass(frozen=True)
class AlignmentReport:
    """How the streams of a recording fit together.

    observations: made [1].
    with_action: of them, with a recorded action for the whole chunk [1].
    streams: one report each, the reference camera first.
    refused: pictures of the reference camera that became no observation, by reason [1].
    jumps: times a stream's clock was set back by more than a second [1].
    notes: what a reader should know, in sentences.
    """

    observations: int
    with_action: int
    streams: tuple[StreamReport, ...]
    refused: AnyMapping[str, int]
    jumps: int
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


class _Quantiles:
    """Percentiles of a stream of numbers, from at most _KEPT of them, evenly spread. One thread."""

    def __init__(self) -> None:
        self._values = array('d')
        self._every = 1
        self._seen = 0
        self._largest = float('-inf')

    def add(self, value: float) -> None:
        self._largest = max(self._largest, value)
        if self._seen % self._every == 0:
            self._values.append(value)
            if len(self._values) >= _KEPT:
                self._values = self._values[::2]
                self._every *= 2
        self._seen += 1

    def spread(self) -> Spread:
        if not self._seen:
            return Spread()
        p50, p95 = np.percentile(np.frombuffer(self._values), (50, 95))
        return Spread(float(p50), float(p95), self._largest)


@dataclass
class _Stream:
    topic: str
    samples: int = 0
    used: int = 0
    out_of_order: int = 0
    unusable: int = 0
    unstamped: int = 0
    problem: str = ''
    skew: _Quantiles = field(default_factory=_Quantiles)
    delay: _Quantiles = field(default_factory=_Quantiles)


class Tally:
    """Counts while alignment goes on. One thread."""

    def __init__(self, streams: AnyMapping[str, str]) -> None:
        """Count for `streams`, topic by name; the first is the reference."""
        self._streams = {name: _Stream(topic) for name, topic in streams.items()}
        self._reference = next(iter(streams))
        self._refused: Counter[str] = Counter()
        # Why the newest picture of the reference has become no observation so far.
        self._why = ''
        # Whether that picture has become nothing yet.
        self._waits = False
        self._observations = self._with_action = self._jumps = 0

    def begin(self) -> None:
        """Another episode: its first picture is still to come."""
        self._waits = False

    def arrived(self, stream: str, sample: Sample) -> None:
        """A message came."""
        counts = self._streams[stream]
        counts.samples += 1
        counts.unstamped += not sample.stamped
        counts.delay.add((sample.log_ns - sample.stamp_ns) * _MS)

    def offered(self, stream: str) -> None:
        """A message goes to the assembler."""
        if stream == self._reference:
            self._waits = True
            if self._why:
                self._refused[self._why] += 1
                self._why = ''

    def jumped(self) -> None:
        """A stream's clock was set back."""
        self._jumps += 1

    def out_of_order(self, stream: str) -> None:
        """A message was not newer than its stream's newest."""
        self._streams[stream].out_of_order += 1

    def unusable(self, stream: str, problem: str) -> None:
        """A message lacks what it should have."""
        self._streams[stream].unusable += 1
        self._streams[stream].problem = problem

    def gap(self, gap: Gap) -> None:
        """There is no observation now; the reason counts when the next picture comes and it is still so."""
        if not self._waits:
            return
        if gap.faulty:
            self._why = f'{gap.stream}: {gap.wait.value}'
        elif gap.wait.value == 'early':
            self._why = 'between two steps'

    def uninstructed(self) -> None:
        """An observation came before the first instruction."""
        self._why = ''
        self._refused['before the first instruction'] += 1

    def undecodable(self, error: Exception) -> None:
        """A picture of an observation cannot be decoded, or is black."""
        self._why = ''
        self._refused[str(error)[:120]] += 1

    def used(self, found: Aligned[Sample]) -> None:
        """An observation was made."""
        self._why = ''
        self._waits = False
        self._observations += 1
        for name, sample in found.samples.items():
            self._streams[name].used += 1
            self._streams[name].skew.add(abs(sample.stamp_ns - found.stamp_ns) * _MS)

    def action(self, found: bool) -> None:
        """A chunk of recorded actions was looked for."""
        self._with_action += found

    def report(self, mapping: Mapping, track: ActionTrack | None, partial: str) -> AlignmentReport:
        """What was counted so far."""
        streams = tuple(
            StreamReport(
                name,
                one.topic,
                one.samples,
                one.used,
                one.out_of_order,
                one.unusable,
                one.unstamped,
                one.skew.spread(),
                one.delay.spread(),
                one.problem,
            )
            for name, one in self._streams.items()
        )
        refused = self._refused + Counter([self._why] if self._why else [])
        return AlignmentReport(
            self._observations,
            self._with_action,
            streams,
            dict(refused),
            self._jumps,
            tuple(self._notes(streams, mapping, track, partial)),
        )

    def _notes(
        self, streams: tuple[StreamReport, ...], mapping: Mapping, track: ActionTrack | None, partial: str
    ) -> list[str]:
        notes = [f'the recording is partial: {partial}'] if partial else []
        for one in streams:
            if one.unstamped:
                notes.append(
                    f'{one.topic}: {one.unstamped} messages have no stamp; vla_node refuses them, here the '
                    'time of their arrival was taken'
                )
            if one.unusable:
                notes.append(f'{one.topic}: {one.unusable} messages could not be used: the last {one.problem}')
            if one.name == self._reference and abs(one.delay.p50) > _LATE_MS:
                notes.append(
                    f'{one.topic}: stamps differ from the times of arrival by {one.delay.p50 * 1e-3:.3g} s; '
                    'where these clocks are the same, vla_node refuses what is so old'
                )
        if track is not None and mapping.actions is not None:
            topic, why = mapping.actions.topic, f' ({track.problem})' if track.problem else ''
            dropped = ', '.join(f'{count} {reason}' for reason, count in track.dropped.items())
            if dropped:
                notes.append(f'{topic}: {track.used} actions used, {dropped}{why}')
            if self._observations and not self._with_action:
                notes.append(
                    f'{topic}: no observation has an action in force over its whole chunk; do its times fit '
                    'the cameras? tolerance_s in the mapping says how long an action counts'
                )
        return notes
