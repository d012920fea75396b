# SPDX-License-Identifier: Apache-2.0
"""Leaves no orphans: knows the processes of a launch by a mark, and ends those that outlive it.

The mark is an environment variable. Everything a node starts inherits it, whatever session or
process group it is put into, and it needs no book-keeping that a SIGKILL could cut short.
"""

from __future__ import annotations

import os
import signal
import sys
import uuid
from types import TracebackType

import psutil

MARK = 'AURA_LAUNCH_ID'
_STEP_S = 1.0


def marked(mark: str) -> list[psutil.Process]:
    """Return the running processes, but this one, that carry the mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue  # ended meanwhile, or another user's
    return found


def end_marked(mark: str, step_s: float = _STEP_S) -> int:
    """End what carries the mark: SIGINT, `step_s` seconds later SIGTERM, as long again SIGKILL.

    Returns:
        How many processes there were.
    """
    count = 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        processes = marked(mark)
        count = max(count, len(processes))
        for process in processes:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, timeout=step_s)
    return count


class Guard:
    """Inside it a helper process waits; should this process die, the helper ends its children.

    Enter before any thread is started: the helper is forked. Children get the mark from os.environ.
    """

    def __init__(self) -> None:
        """Choose a mark; nothing is started yet."""
        self.mark = uuid.uuid4().hex

    def __enter__(self) -> Guard:
        read_end, self._write_end = os.pipe()
        self._helper = os.fork()
        if self._helper == 0:
            os.close(self._write_end)
            self._wait_and_end(read_end)
        os.close(read_end)
        os.environ[MARK] = self.mark
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del os.environ[MARK]
        os.close(self._write_end)  # the helper sweeps up what is left, which is normally nothing
        os.waitpid(self._helper, 0)

    def _wait_and_end(self, read_end: int) -> None:
        os.setsid()  # Ctrl-C of the terminal is not for the helper
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        parent = os.getppid()
        os.read(read_end, 1)  # returns when the parent has closed its end, in whatever way
        count = end_marked(self.mark)
        if count and os.getppid() != parent:
            print(f'aura launch was killed; ended the {count} processes it left', file=sys.stderr, flush=True)
        os._exit(0)
