# SPDX-License-Identifier: Apache-2.0
"""Time of a recording: stamps of messages without a stamp, and gaps in the log times.

A header has the time of the robot's ROS clock. A recorder can have another clock, for example the wall clock beside a
simulation. A message without a header, or a stream of `clock: arrival`, is therefore dated by its log time on the clock
of the stamped messages around it.
"""

from collections.abc import Sequence
from dataclasses import replace

from aura_ros.recordings.bags import Bag
from aura_ros.recordings.types import Sample
from aura_ros.replay.steps.mapping import Mapping

SAME_CLOCK_NS = 1_000_000_000
"""Two clocks that differ by less are one clock with delays [ns]."""
GAP_NS = 60_000_000_000
"""A longer time without a message is skipped, for example a step of the recorder's clock [ns]."""
# Samples in which a stamped one is expected [1].
_PROBE = 50


class Clock:
    """Dates messages on the clock of the robot. One thread.

    Attributes:
        reference: topic whose stamps give the clock; '' if log times are used.
    """

    def __init__(self, bag: Bag, mapping: Mapping, topics: Sequence[str]) -> None:
        """Choose the reference among `topics`: the first one with stamps that the mapping does not date by arrival."""
        self._arrival = mapping.by_arrival
        self.reference, self._log_ns, self._stamp_ns = '', 0, 0
        for topic in topics:
            if topic in self._arrival or self.reference:
                continue
            for number, sample in enumerate(bag.samples([topic])):
                if sample.stamped:
                    self.reference = topic
                    self._log_ns, self._stamp_ns = sample.log_ns, sample.stamp_ns
                if sample.stamped or number >= _PROBE:
                    break

    @property
    def offset_ns(self) -> int:
        """Time from log times to stamps [ns]; 0 if both clocks are the same."""
        offset_ns = self._stamp_ns - self._log_ns
        return offset_ns if abs(offset_ns) > SAME_CLOCK_NS else 0

    def dated(self, sample: Sample) -> Sample:
        """Return a sample with its time on the robot's clock; call it for all samples in log order."""
        if sample.stamped and sample.topic not in self._arrival:
            if sample.topic == self.reference:
                self._log_ns, self._stamp_ns = sample.log_ns, sample.stamp_ns
            return sample
        return replace(sample, stamp_ns=sample.log_ns + self.offset_ns)


def clock_topics(mapping: Mapping) -> list[str]:
    """Return the topics that can give the clock, the one with the least delay first."""
    joints = [stream.topic for stream in mapping.joints]
    return list(dict.fromkeys(filter(None, [*joints, *mapping.cameras.values(), mapping.steps])))


def first_ns(bag: Bag, mapping: Mapping) -> int:
    """Return the log time from which the times of a recording count [ns].

    It is that of the first mapped message. Messages before a gap do not count if no camera and no joints are among
    them: a recorder can log an instruction at time zero, before it receives /clock.
    """
    sensors = clock_topics(mapping)
    begin_ns = last_ns = None
    for sample in bag.samples(mapping.topics):
        if begin_ns is None or last_ns is None or sample.log_ns - last_ns > GAP_NS:
            begin_ns = sample.log_ns
        if sample.topic in sensors:
            break
        last_ns = sample.log_ns
    return bag.begin_ns if begin_ns is None else begin_ns
