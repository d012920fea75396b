# SPDX-License-Identifier: Apache-2.0
"""Wear of the storage by a durable state: bytes written, and the life of the storage at that rate.

*Logical* bytes are the data to keep, *device* bytes are what the storage writes. They differ because storage writes
whole pages: 64 bytes appended and synced cost two pages, one for the data and one for the file's new length (measured
on ext4: 8.2 KB).

Times are seconds on a steady clock.
"""

import math
import threading
from collections import deque
from dataclasses import dataclass

PAGE_BYTES = 4096
"""Smallest unit that storage writes."""
_HOUR_S = 3600.0
_YEAR_S = 365.25 * 24 * _HOUR_S
_SLICE_S = 60.0


class WearMeter:
    """Bytes given to the storage, in total and over the last hour; may be shared between threads."""

    def __init__(self, now_s: float) -> None:
        """Start counting at `now_s`."""
        self.commits = 0
        """Number of commits."""
        self.device_bytes = 0
        """Bytes that the storage had to write."""
        self.logical_bytes = 0
        """Bytes of the states."""
        self._began_s = now_s
        self._slices: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    def add(self, device_bytes: int, logical_bytes: int, now_s: float) -> None:
        """Count a commit."""
        with self._lock:
            self.commits += 1
            self.device_bytes += device_bytes
            self.logical_bytes += logical_bytes
            begin = now_s - now_s % _SLICE_S
            if self._slices and self._slices[-1][0] == begin:
                device_bytes += self._slices.pop()[1]
            self._slices.append((begin, device_bytes))

    def per_hour(self, now_s: float) -> float:
        """Return the device bytes per hour, over the last hour or since the start if that is shorter."""
        with self._lock:
            while self._slices and self._slices[0][0] <= now_s - _HOUR_S - _SLICE_S:
                self._slices.popleft()
            written = sum(size for _, size in self._slices)
        # within the first minute a rate would rest on a few commits only
        return written * _HOUR_S / min(max(now_s - self._began_s, _SLICE_S), _HOUR_S)

    def storage_life_years(self, tbw_bytes: float, now_s: float) -> float:
        """Return the years until `tbw_bytes` are written at the rate of the last hour; infinite at no rate."""
        return life_years(tbw_bytes, self.per_hour(now_s))


@dataclass(frozen=True)
class CacheWear:
    """Cost of a key-value cache that is kept as durably."""

    logical_bytes: int
    """Bytes of its entries."""
    device_bytes: int
    """Pages of the log that they are appended to, including those for the file's length [B]."""


def cache_wear(steps: int, entry_bytes: int, sync_every: int = 1) -> CacheWear:
    """Return the wear of a log to which each step appends an entry.

    Args:
        steps: number of steps.
        entry_bytes: bytes of one step.
        sync_every: steps between two syncs; a power cut can lose all of them. 1 is as durable as a memory that
            commits each write.
    """
    syncs = math.ceil(steps / sync_every)
    length = entry_bytes * sync_every
    # a run of bytes at multiples of its length touches this many pages on average
    pages = 1 + (length - math.gcd(length, PAGE_BYTES)) / PAGE_BYTES
    return CacheWear(steps * entry_bytes, round(syncs * (pages + 1) * PAGE_BYTES))


def life_years(tbw_bytes: float, bytes_per_hour: float) -> float:
    """Return the years until storage has written `tbw_bytes`; infinite at no rate."""
    return tbw_bytes / bytes_per_hour * _HOUR_S / _YEAR_S if bytes_per_hour > 0 else math.inf
