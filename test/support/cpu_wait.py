# SPDX-License-Identifier: Apache-2.0
"""How long threads were ready to run and had no processor: a promise in seconds does not count that time."""

import os
from pathlib import Path


class CpuWait:
    """Counts from its creation on; always 0 where there is no /proc/PID/task/*/schedstat."""

    def __init__(self, *pids: int) -> None:
        """Watch all threads of these processes, of this one if none is named."""
        self._pids = pids or (os.getpid(),)
        self._first: dict[Path, int] = {}
        self._last: dict[Path, int] = {}
        self._look()
        self._first.update(self._last)

    @property
    def seconds(self) -> float:
        """Sum over the threads [s]; look at it before a watched process ends, for its times end with it."""
        self._look()
        return sum(last - self._first.get(thread, 0) for thread, last in self._last.items()) * 1e-9

    def _look(self) -> None:
        for pid in self._pids:
            for thread in Path(f'/proc/{pid}/task').glob('*/schedstat'):
                try:
                    self._last[thread] = int(thread.read_text().split()[1])
                except (OSError, ValueError, IndexError):  # a thread that ended meanwhile
                    continue
