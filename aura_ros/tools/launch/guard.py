# SPDX-License-Identifier: Apache-2.0
"""Leave no orphans: mark the processes of a launch, and end those that outlive it.

The mark is an environment variable. Every descendant of a node inherits it, in any session or process group, and a
SIGKILL of the launcher cannot lose it.
"""

import os
import signal
import sys
import uuid
from typing import Self

import psutil

from aura_ros.common.program import LAUNCH_MARK

_STEP_S = 3.0
"""Time in which a node commits its state and exits [s]; test/faults measures it."""


def marked(mark: str) -> list[psutil.Process]:
    """Return all other running processes that have the mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(LAUNCH_MARK) == mark:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue  # the process has ended, or belongs to another user
    return found


def end_marked(mark: str, step_s: float = _STEP_S) -> int:
    """End the marked processes: SIGINT, after `step_s` seconds SIGTERM, after `step_s` more SIGKILL.

    Returns:
        Number of processes found.
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
    """While entered, a helper process waits: if this process dies, the helper ends its children.

    Enter it before any thread starts, because the helper is forked. Children inherit the mark from os.environ.
    """

    def __init__(self) -> None:
        self.mark = f'{os.getpid()}-{uuid.uuid4().hex}'

    def __enter__(self) -> Self:
        read_end, self._write_end = os.pipe()
        self._helper = os.fork()
        if self._helper == 0:
            os.close(self._write_end)
            self._wait_and_end(read_end)
        os.close(read_end)
        os.environ[LAUNCH_MARK] = self.mark
        return self

    def __exit__(self, *_: object) -> None:
        del os.environ[LAUNCH_MARK]
        os.close(self._write_end)  # the helper ends the remaining processes, normally none
        os.waitpid(self._helper, 0)

    def _wait_and_end(self, read_end: int) -> None:
        os.setsid()  # so that Ctrl-C of the terminal does not reach the helper
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        parent = os.getppid()
        os.read(read_end, 1)  # returns when the parent closes its end or dies
        try:
            count = end_marked(self.mark)
            if count and os.getppid() != parent:
                print(f'aura launch was killed; ended its {count} remaining processes', file=sys.stderr, flush=True)
        finally:  # a closed terminal makes print fail, and this fork must not return into the launcher's code
            os._exit(0)
