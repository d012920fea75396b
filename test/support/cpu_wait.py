# SPDX-License-Identifier: Apache-2.0
"""Time that threads waited for a processor. Time limits of tests exclude it."""

import os
from pathlib import Path


class CpuWait:
    """Measures the waiting time from its creation on, from /proc/PID/task/*/schedstat; 0 where that is missing.

    Args:
        pids: processes whose threads are measured, by default this process.
    """

    def __init__(self, *pids: int) -> None:
        self._pids = pids or (os.getpid(),)
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
            for thread in Path(f'/proc/{pid}/task').glob('*/schedstat'):
                try:
                    self._last[thread] = int(thread.read_text().split()[1])
                except (OSError, ValueError, IndexError):  # the thread has ended
                    continue
