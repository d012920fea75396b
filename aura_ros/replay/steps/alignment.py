# SPDX-License-Identifier: Apache-2.0
"""Counts of the alignment: samples of each stream, how many were used, and how far apart they were."""

from array import array
from collections import Counter
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass

import numpy as np

from aura_ros.recordings.source import Sample
from aura_ros.replay.steps.actions import ActionTrack
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.vla.assembler import Aligned, Gap

_MS = 1e-6
# Default of vla_node's max_age_s: vla_node refuses pictures that arrive later.
_LATE_MS = 300.0
# Most values of skew and of delay kept per stream. At this number every second value is dropped, and the rate halved.
_KEPT = 1 << 14
_COUNTS = ('samples', 'used', 'out_of_order', 'unusable', 'unstamped')


@dataclass(frozen=True)
class Spread:
    """Spread of a quantity [ms]; NaN without values."""

    p50: float = float('nan')
    """Median [ms]."""
    p95: float = float('nan')
    """95th percentile [ms]."""
    largest: float = float('nan')
    """Largest value [ms]."""


@dataclass(frozen=True)
class StreamReport:
    """What was used of one stream."""

    name: str
    """Name of the stream in the mapping."""
    topic: str
    """Recorded topic of the stream."""
    samples: int
    """Messages read [1]."""
    used: int
    """Times that a message became part of an observation [1]."""
    out_of_order: int
    """Messages dropped because they were older than an earlier one [1]."""
    unusable: int
    """Messages dropped because they cannot be decoded or lack a joint [1]."""
    unstamped: int
    """Messages without a stamp, which got their time of arrival [1]."""
    skew: Spread
    """Distance of the stamps of used messages from the stamp of the first camera [ms]."""
    delay: Spread
    """Time from stamp to arrival [ms]."""
    problem: str = ''
    """Reason for the last unusable message."""


@dataclass(frozen=True)
class AlignmentReport:
    """How the streams of a recording fit together."""

    observations: int
    """Number of observations [1]."""
    with_action: int
    """Number of observations with a recorded action for the whole chunk [1]."""
    streams: tuple[StreamReport, ...]
    """One report for each stream, the reference camera first."""
    refused: AnyMapping[str, int]
    """Pictures of the reference camera that gave no observation, by reason [1]."""
    jumps: int
    """Times that the clock of a stream was set back by more than a second [1]."""
    notes: tuple[str, ...]
    """Notes for the reader of the report, in sentences."""


class _Quantiles:
    """Percentiles of a series of numbers, from at most _KEPT evenly spread values. One thread."""

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


class Tally:
    """Counts during alignment. One thread."""

    def __init__(self, streams: AnyMapping[str, str]) -> None:
        """Count for `streams`, which gives the topic by name; the first is the reference."""
        self._topics = dict(streams)
        self._reference = next(iter(streams))
        self._counts = {name: Counter[str]() for name in streams}
        self._skews = {name: _Quantiles() for name in streams}
        self._delays = {name: _Quantiles() for name in streams}
        self._problems = dict.fromkeys(streams, '')
        self._refused: Counter[str] = Counter()
        # Why the newest picture of the reference has given no observation so far.
        self._why = ''
        # Whether that picture has given no observation yet.
        self._waits = False
        self._observations = self._with_action = self._jumps = 0

    def begin(self) -> None:
        """Begin an episode, before its first picture."""
        self._waits = False

    def arrived(self, stream: str, sample: Sample) -> None:
        """Count a message that was read."""
        self._counts[stream]['samples'] += 1
        self._counts[stream]['unstamped'] += not sample.stamped
        self._delays[stream].add((sample.log_ns - sample.stamp_ns) * _MS)

    def offered(self, stream: str) -> None:
        """Count a message that goes to the assembler."""
        if stream == self._reference:
            self._waits = True
            if self._why:
                self._refused[self._why] += 1
                self._why = ''

    def jumped(self) -> None:
        """Count a clock that was set back."""
        self._jumps += 1

    def out_of_order(self, stream: str) -> None:
        """Count a message that is not newer than the newest of its stream."""
        self._counts[stream]['out_of_order'] += 1

    def unusable(self, stream: str, problem: str) -> None:
        """Count a message that cannot be used."""
        self._counts[stream]['unusable'] += 1
        self._problems[stream] = problem

    def gap(self, gap: Gap) -> None:
        """Note why there is no observation. The reason counts if it still holds at the next picture."""
        if not self._waits:
            return
        if gap.faulty:
            self._why = f'{gap.stream}: {gap.wait.value}'
        elif gap.wait.value == 'early':
            self._why = 'between two steps'

    def refused(self, reason: str) -> None:
        """Count an observation that cannot be used."""
        self._why = ''
        self._refused[reason[:120]] += 1

    def used(self, found: Aligned[Sample]) -> None:
        """Count an observation and its samples."""
        self._why = ''
        self._waits = False
        self._observations += 1
        for name, sample in found.samples.items():
            self._counts[name]['used'] += 1
            self._skews[name].add(abs(sample.stamp_ns - found.stamp_ns) * _MS)

    def action(self, found: bool) -> None:
        """Count whether an observation has a chunk of recorded actions."""
        self._with_action += found

    def report(self, mapping: Mapping, track: ActionTrack | None, partial: str) -> AlignmentReport:
        """Return what was counted so far."""
        streams = tuple(
            StreamReport(
                name,
                topic,
                **{key: self._counts[name][key] for key in _COUNTS},
                skew=self._skews[name].spread(),
                delay=self._delays[name].spread(),
                problem=self._problems[name],
            )
            for name, topic in self._topics.items()
        )
        refused = self._refused + Counter([self._why] if self._why else [])
        notes = tuple(self._notes(streams, mapping, track, partial))
        return AlignmentReport(self._observations, self._with_action, streams, dict(refused), self._jumps, notes)

    def _notes(
        self, streams: tuple[StreamReport, ...], mapping: Mapping, track: ActionTrack | None, partial: str
    ) -> list[str]:
        notes = [f'the recording is partial: {partial}'] if partial else []
        for one in streams:
            if one.unstamped:
                notes.append(
                    f'{one.topic}: {one.unstamped} messages have no stamp; vla_node refuses them, the replay uses '
                    'their time of arrival'
                )
            if one.unusable:
                notes.append(f'{one.topic}: {one.unusable} messages could not be used: the last {one.problem}')
            if one.name == self._reference and abs(one.delay.p50) > _LATE_MS:
                notes.append(
                    f'{one.topic}: stamps differ from the times of arrival by {one.delay.p50 * 1e-3:.3g} s; '
                    'if both clocks are the same, vla_node refuses such old pictures'
                )
        if track is not None and mapping.actions is not None:
            topic, why = mapping.actions.topic, f' ({track.problem})' if track.problem else ''
            dropped = ', '.join(f'{count} {reason}' for reason, count in track.dropped.items())
            if dropped:
                notes.append(f'{topic}: {track.used} actions used, {dropped}{why}')
            if self._observations and not self._with_action:
                notes.append(
                    f'{topic}: no observation has actions for its whole chunk; compare the times of the actions with '
                    'those of the cameras, or increase tolerance_s in the mapping'
                )
        return notes
