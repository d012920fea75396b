# SPDX-License-Identifier: Apache-2.0
"""The streams of a recording as one, in the order of their stamps.

A recorder writes messages down as they come, and of one moment a picture may well come before the joints. The graph had
both when it made its step; whoever reads can wait as well. So a message is held back until every stream has reached its
stamp, but no longer than a bound in log time: a stream that is silent, or whose clock is elsewhere, holds up nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from heapq import heappop, heappush

from aura_ros.recordings.source import Sample


class ByStamp:
    """Holds messages of several streams back and gives them in the order of their stamps. One thread.

    Of one stamp the first stream, the reference, comes last: it finds the others already there.
    """

    def __init__(self, streams: Collection[str], look_ahead_ns: int) -> None:
        """Begin empty.

        Args:
            streams: names; the first is the reference.
            look_ahead_ns: how long a message waits for the others at most [ns, log time].

        """
        self._reference = next(iter(streams))
        self._newest_ns = dict.fromkeys(streams, -1)
        self._look_ahead_ns = look_ahead_ns
        self._heap: list[tuple[int, bool, int, str, Sample]] = []
        # Number and log time of what is held, in the order of arrival; those given out stay until they are the first.
        self._arrived: deque[tuple[int, int]] = deque()
        self._given: set[int] = set()
        self._count = 0

    def newest_ns(self, stream: str) -> int:
        """Newest stamp of a stream; -1 before its first message, and after `rest` [ns]."""
        return self._newest_ns[stream]

    def add(self, stream: str, sample: Sample) -> None:
        """Hold a message; its stamp is newer than those of its stream before it."""
        self._newest_ns[stream] = sample.stamp_ns
        heappush(self._heap, (sample.stamp_ns, stream == self._reference, self._count, stream, sample))
        self._arrived.append((self._count, sample.log_ns))
        self._count += 1

    def ready(self, log_ns: int) -> Iterator[tuple[str, Sample]]:
        """Give what need not or may not wait any longer at a log time [ns]."""
        while self._heap and (self._heap[0][0] <= min(self._newest_ns.values()) or self._overdue(log_ns)):
            yield self._pop()

    def rest(self) -> Iterator[tuple[str, Sample]]:
        """Give all that is held, and forget how far the streams were: they end here, or a clock was set back."""
        while self._heap:
            yield self._pop()
        self._newest_ns = dict.fromkeys(self._newest_ns, -1)

    def _overdue(self, log_ns: int) -> bool:
        while self._arrived[0][0] in self._given:
            self._given.remove(self._arrived.popleft()[0])
        return log_ns - self._arrived[0][1] > self._look_ahead_ns

    def _pop(self) -> tuple[str, Sample]:
        _, _, number, stream, sample = heappop(self._heap)
        self._given.add(number)
        if not self._heap:
            self._arrived.clear()
            self._given.clear()
        return stream, sample
