# SPDX-License-Identifier: Apache-2.0
"""Time that threads waited for a processor. Time limits of tests exclude it."""

import os
from collections.abc import Collection
from pathlib import Path


class CpuWait:
    """Measures the waiting time from its creation on, from /proc/PID/task/*/schedstat; 0 where that is missing.

    Args:
        pids: processes whose threads are measured, by default this process.
        threads: native ids of the threads that are measured, by default all.
    """

    def __init__(self, *pids: int, threads: Collection[int] = ()) -> None:
        self._pids = pids or (os.getpid(),)
        self._threads = [str(thread) for thread in threads] or ['*']
        self._first: dict[Path, int] = {}
        self._last: dict[Path, int] = {}
        self._read()
        self._first.update(self._last)

    @property
    def seconds(self) -> float:
        """Sum over the threads [s]. Read it before a measured process ends, because its files disappear then."""
        self._read()
        return sum(last - self._first.get(thread, 0) for thread, last in self._last.items()) * 1e-9

    def _read(self) -> None:
        for pid in self._pids:
            folder = Path(f'/proc/{pid}/task')
            for thread in (found for name in self._threads for found in folder.glob(f'{name}/schedstat')):
                try:
                    self._last[thread] = int(thread.read_text().split()[1])
                except (OSError, ValueError, IndexError):  # the thread has ended
                    continue
