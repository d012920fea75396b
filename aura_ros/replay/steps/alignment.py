# SPDX-License-Identifier: Apache-2.0
"""Counts of the alignment: samples of each stream, how many were used, and how far apart they were."""

import math
import re
from array import array
from collections import Counter
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field

import numpy as np

from aura_ros.recordings.types import Sample
from aura_ros.replay.steps.actions import ActionTrack
from aura_ros.replay.steps.clocks import SAME_CLOCK_NS
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.vla.assembler import Aligned, Gap

_MS = 1e-6
# Default of vla_node's max_age_s: vla_node refuses pictures that arrive later.
_LATE_MS = 300.0
# Most values of skew and of delay kept per stream. At this number every second value is dropped, and the rate halved.
_KEPT = 1 << 14
# Longest reason, and most kinds of reasons that are counted one by one.
_REASON, _KINDS = 120, 20
_NUMBER = re.compile(r'\d+(\.\d+)?')


class Spread:
    """Spread of a quantity [ms], from at most _KEPT evenly spread values; NaN without values. One thread."""

    def __init__(self) -> None:
        self.largest = math.nan
        """Largest value [ms]."""
        self._values = array('d')
        self._every = 1
        self._seen = 0

    def add(self, value: float) -> None:
        """Add a value [ms]."""
        self.largest = max(value, self.largest)  # in this order, NaN is replaced
        if self._seen % self._every == 0:
            self._values.append(value)
            if len(self._values) >= _KEPT:
                self._values = self._values[::2]
                self._every *= 2
        self._seen += 1

    @property
    def p50(self) -> float:
        """Median [ms]."""
        return self._percentile(50)

    @property
    def p95(self) -> float:
        """95th percentile [ms]."""
        return self._percentile(95)

    def _percentile(self, percent: int) -> float:
        return float(np.percentile(np.frombuffer(self._values), percent)) if self._seen else math.nan


@dataclass(eq=False)
class StreamReport:
    """What was used of one stream."""

    name: str
    """Name of the stream in the mapping."""
    topic: str
    """Recorded topic of the stream."""
    samples: int = 0
    """Messages read [1]."""
    used: int = 0
    """Times that a message became part of an observation [1]."""
    out_of_order: int = 0
    """Messages dropped because they were older than an earlier one [1]."""
    unusable: int = 0
    """Messages dropped because they cannot be decoded or lack a joint [1]."""
    unstamped: int = 0
    """Messages without a stamp, which got their time of arrival [1]."""
    skew: Spread = field(default_factory=Spread)
    """Distance of the stamps of used messages from the stamp of the first camera [ms]."""
    delay: Spread = field(default_factory=Spread)
    """Time from stamp to arrival [ms]."""
    problem: str = ''
    """Reason for the last unusable message."""
    assumed: str = ''
    """What is assumed about the encoding of the images, '' if it leaves nothing open."""
    others: str = ''
    """Names in the last message that names none of the backbone's joints."""


class AlignmentReport:
    """How the streams of a recording fit together, counted during alignment. One thread.

    Attributes:
        observations: number of observations [1].
        with_action: number of observations with a recorded action for the whole chunk [1].
        jumps: times that the clock of a stream was set back by more than a second [1].
        streams: one report for each stream, the reference camera first.
    """

    def __init__(self, mapping: Mapping, topics: AnyMapping[str, str], track: ActionTrack | None = None) -> None:
        """Count for the streams of `topics`, which gives the topic by name; the first is the reference."""
        self._mapping, self._track = mapping, track
        self.streams = tuple(StreamReport(name, topic) for name, topic in topics.items())
        self._by_name = {stream.name: stream for stream in self.streams}
        self.observations = self.with_action = self.jumps = 0
        self._reference = next(iter(topics))
        self._refused: Counter[str] = Counter()
        # The first reason of each kind; reasons of a kind differ in their numbers.
        self._kinds: dict[str, str] = {}
        # Why the newest picture of the reference has given no observation so far.
        self._why = ''
        # Whether that picture has given no observation yet.
        self._waits = False

    def begin(self) -> None:
        """Begin an episode, before its first picture."""
        self._waits = False

    def arrived(self, stream: str, sample: Sample) -> StreamReport:
        """Count a message that was read, and return the report of its stream."""
        report = self._by_name[stream]
        report.samples += 1
        report.unstamped += not sample.stamped
        report.delay.add((sample.log_ns - sample.stamp_ns) * _MS)
        return report

    def offered(self, stream: str) -> None:
        """Count a message that goes to the assembler."""
        if stream == self._reference:
            self._waits = True
            if self._why:
                self._count(self._why)
                self._why = ''

    def gap(self, gap: Gap) -> None:
        """Note why there is no observation. The reason counts if it still holds at the next picture."""
        if not self._waits:
            return
        if gap.faulty:
            self._why = f'{gap.stream}: {gap.wait.value}'
        elif gap.wait.value == 'early':
            self._why = 'between two steps'

    def refuse(self, reason: str) -> None:
        """Count an observation that cannot be used, by the kind of its reason."""
        self._why = ''
        self._waits = False
        self._count(reason[:_REASON])

    def _count(self, reason: str) -> None:
        kind = _NUMBER.sub('#', reason)
        if kind not in self._kinds and len(self._kinds) >= _KINDS:
            kind = reason = 'other reasons'
        self._refused[self._kinds.setdefault(kind, reason)] += 1

    def assume(self, stream: str, text: str) -> None:
        """Note what is assumed about the encoding of a camera, '' for nothing."""
        self._by_name[stream].assumed = text or self._by_name[stream].assumed

    def used(self, found: Aligned[Sample]) -> None:
        """Count an observation and its samples."""
        self._why = ''
        self._waits = False
        self.observations += 1
        for stream in self.streams:
            sample = found.samples.get(stream.name)
            skew_ns = found.joint_skew_ns if sample is None else abs(sample.stamp_ns - found.stamp_ns)
            stream.used += 1
            stream.skew.add(skew_ns * _MS)

    @property
    def refused(self) -> AnyMapping[str, int]:
        """Pictures of the reference camera that gave no observation, by the first reason of each kind [1]."""
        why = self._kinds.get(_NUMBER.sub('#', self._why), self._why)
        return self._refused + Counter([why] if why else [])

    @property
    def notes(self) -> list[str]:
        """Notes for the reader of the report, in sentences."""
        notes = [note for one in self.streams for note in self._stream_notes(one)]
        return notes + self._clock_notes() + self._action_notes()

    def _stream_notes(self, one: StreamReport) -> list[str]:
        notes = []
        if one.topic in self._mapping.by_arrival:
            notes.append(f'{one.topic}: the mapping dates the messages by their arrival')
        elif one.unstamped:
            notes.append(
                f'{one.topic}: {one.unstamped} messages have no stamp; vla_node refuses them, the replay uses '
                'their time of arrival'
            )
        if one.assumed:
            notes.append(f'{one.topic}: {one.assumed}')
        if one.unusable:
            notes.append(f'{one.topic}: {one.unusable} messages could not be used: the last {one.problem}')
        if one.others and not one.used:
            notes.append(f'{one.topic}: messages name other joints ({one.others}): map the names of the joints')
        if one.name == self._reference and abs(one.delay.p50) > _LATE_MS:
            notes.append(
                f'{one.topic}: stamps differ from the times of arrival by {one.delay.p50 * 1e-3:.3g} s; '
                'if both clocks are the same, vla_node refuses such old pictures'
            )
        return notes

    def _clock_notes(self) -> list[str]:
        """Streams whose clock differs from that of the reference."""
        first = self._by_name[self._reference]
        notes = []
        for one in self.streams:
            apart_s = (one.delay.p50 - first.delay.p50) * 1e-3
            if abs(apart_s) * 1e9 > SAME_CLOCK_NS:
                notes.append(
                    f'the clocks of {first.topic} and {one.topic} differ by {abs(apart_s):.6g} s: add clock: arrival '
                    'to the streams of a clock of their own, as aura replay --guess does'
                )
        return notes

    def _action_notes(self) -> list[str]:
        if self._track is None:
            return []
        notes = []
        for topic, source in self._track.sources.items():
            why = f' ({source.problem})' if source.problem else ''
            dropped = ', '.join(f'{count} {reason}' for reason, count in source.dropped.items())
            if dropped:
                notes.append(f'{topic}: {source.used} actions used, {dropped}{why}')
        if self.observations and not self.with_action:
            notes.append(
                f'{", ".join(self._track.sources)}: no observation has actions for its whole chunk; compare the times '
                'of the actions with those of the cameras, or increase tolerance_s in the mapping'
            )
        return notes
