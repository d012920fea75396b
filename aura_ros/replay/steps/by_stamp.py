# SPDX-License-Identifier: Apache-2.0
"""Merges the streams of a recording in the order of their stamps.

A recorder logs messages on arrival, so that a picture can precede the joints of the same moment. A message is therefore
held until every stream has reached its stamp. A bound in log time limits the wait, so that a silent stream, or one with
another clock, does not block the others.
"""

from collections import deque
from collections.abc import Collection, Iterator
from heapq import heappop, heappush

from aura_ros.recordings.types import Sample


class ByStamp:
    """Holds messages of several streams and yields them in the order of their stamps. One thread.

    Among equal stamps the first stream, the reference, comes last, so that the other parts precede it.
    """

    def __init__(self, streams: Collection[str], look_ahead_ns: int) -> None:
        """Start empty.

        Args:
            streams: names of streams, or of their parts; the first is the reference.
            look_ahead_ns: longest time that a message waits for the other streams [ns, log time].
        """
        self._reference = next(iter(streams))
        self._newest_ns = dict.fromkeys(streams, -1)
        self._look_ahead_ns = look_ahead_ns
        self._heap: list[tuple[int, bool, int, str, Sample]] = []
        # Number and log time of held messages in the order of arrival. Released ones stay until they are the first.
        self._arrived: deque[tuple[int, int]] = deque()
        self._released: set[int] = set()
        self._count = 0

    def newest_ns(self, stream: str) -> int:
        """Return the newest stamp of a stream or part [ns], or -1 before its first message and after `rest`."""
        return self._newest_ns[stream]

    def add(self, stream: str, sample: Sample, parts: Collection[str] = ()) -> None:
        """Hold a message, which is newer than those before it in its stream, or in each of its `parts`."""
        self._newest_ns |= dict.fromkeys(parts or (stream,), sample.stamp_ns)
        heappush(self._heap, (sample.stamp_ns, stream == self._reference, self._count, stream, sample))
        self._arrived.append((self._count, sample.log_ns))
        self._count += 1

    def ready(self, log_ns: int) -> Iterator[tuple[str, Sample]]:
        """Yield the messages that need not wait, or have waited long enough at a log time [ns]."""
        while self._heap and (self._heap[0][0] <= min(self._newest_ns.values()) or self._overdue(log_ns)):
            yield self._pop()

    def rest(self) -> Iterator[tuple[str, Sample]]:
        """Yield all held messages and start empty, because the streams end or a clock was set back."""
        while self._heap:
            yield self._pop()
        self._newest_ns = dict.fromkeys(self._newest_ns, -1)

    def _overdue(self, log_ns: int) -> bool:
        while self._arrived[0][0] in self._released:
            self._released.remove(self._arrived.popleft()[0])
        return log_ns - self._arrived[0][1] > self._look_ahead_ns

    def _pop(self) -> tuple[str, Sample]:
        _, _, number, stream, sample = heappop(self._heap)
        self._released.add(number)
        if not self._heap:
            self._arrived.clear()
            self._released.clear()
        return stream, sample
