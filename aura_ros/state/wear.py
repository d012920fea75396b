# SPDX-License-Identifier: Apache-2.0
"""What a durable state costs the medium: bytes handed to it, and how long it lasts at that rate.

Two numbers, because they differ by a factor: *logical* bytes are what there was to keep, *device* bytes what the
medium had to take. A medium takes whole pages: 64 bytes appended and synced cost two of them, one for the data and
one for the file's new length (measured on ext4: 8.2 KB).

Times are seconds on a steady clock.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = 4096
"""What a medium takes at least at a time."""
_HOUR_S = 3600.0
_YEAR_S = 365.25 * 24 * _HOUR_S
_SLICE_S = 60.0


class WearMeter:
    """Bytes handed to the medium, in all and over the last hour; may be shared between threads.

    commits: how often.
    device_bytes: what the medium had to take.
    logical_bytes: what there was to keep.
    """

    def __init__(self, now_s: float) -> None:
        """Begin to count at `now_s`."""
        self.commits = self.device_bytes = self.logical_bytes = 0
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
        """Device bytes per hour, over the last hour or since the meter began if that is less."""
        with self._lock:
            while self._slices and self._slices[0][0] <= now_s - _HOUR_S - _SLICE_S:
                self._slices.popleft()
            written = sum(size for _, size in self._slices)
        # below a minute a rate would be a guess from a few commits
        return written * _HOUR_S / min(max(now_s - self._began_s, _SLICE_S), _HOUR_S)

    def storage_life_years(self, tbw_bytes: float, now_s: float) -> float:
        """Years until `tbw_bytes` are written at the rate of the last hour; infinite while nothing is written."""
        return life_years(tbw_bytes, self.per_hour(now_s))


@dataclass(frozen=True)
class CacheWear:
    """What a key-value cache that is kept as durably would have cost.

    logical_bytes: its entries.
    device_bytes: pages of the log they are appended to, with those of the file's length.
    """

    logical_bytes: int
    device_bytes: int


def cache_wear(steps: int, entry_bytes: int, sync_every: int = 1) -> CacheWear:
    """The wear of a log to which each step appends an entry.

    Args:
        steps: how many.
        entry_bytes: of one step.
        sync_every: steps between two syncs, all of which a power cut can take. 1 keeps as much as the memory's
            commit on each write does.

    """
    syncs = math.ceil(steps / sync_every)
    length = entry_bytes * sync_every
    # a run of bytes at multiples of its length touches this many pages on average
    pages = 1 + (length - math.gcd(length, PAGE_BYTES)) / PAGE_BYTES
    return CacheWear(steps * entry_bytes, round(syncs * (pages + 1) * PAGE_BYTES))


def life_years(tbw_bytes: float, bytes_per_hour: float) -> float:
    """Years until a medium has taken `tbw_bytes`; infinite at no rate."""
    return tbw_bytes / bytes_per_hour * _HOUR_S / _YEAR_S if bytes_per_hour > 0 else math.inf


def kernel_written_bytes() -> int | None:
    """Bytes that this process caused to be written to media, by the kernel's count; None where it does not count.

    Memory file systems do not count, and neither does what a journal adds.
    """
    try:
        text = Path('/proc/self/io').read_text(encoding='ascii')
    except OSError:
        return None
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith('write_bytes:')), None)
