# SPDX-License-Identifier: Apache-2.0
"""Holds the robot when the control thread is late, from a thread of its own."""

import threading
import time
from collections.abc import Callable

# The thread acts after so many periods without a beat. The rest up to two periods is for the action itself.
_LATE_PERIODS = 1.75


class ControlWatchdog:
    """Calls `act` in its own thread, once per control period, while `beat` is overdue. Steady clock.

    A control thread that runs Python code cannot delay it by more than Python's switch interval (5 ms). A call into C
    that keeps Python's lock can, so every size has to be limited before such a call.
    """

    def __init__(self, period_ns: int, act: Callable[[], None]) -> None:
        """Set the control period [ns] and the action; `act` must exclude the control thread by itself."""
        self._period_ns = period_ns
        self._act = act
        self._beat_ns = self._acted_ns = time.monotonic_ns()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='watchdog', daemon=True)
        self._thread.start()

    @property
    def thread_id(self) -> int:
        """Return the id of the thread in the operating system."""
        return self._thread.native_id or 0

    def beat(self) -> None:
        """Report that the control thread has begun a control period."""
        self._beat_ns = time.monotonic_ns()

    def stop(self) -> None:
        """End the thread; `act` is not called afterwards."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(max(0.0, self._due_ns() - time.monotonic_ns()) * 1e-9):
            if time.monotonic_ns() >= self._due_ns():
                self._acted_ns = time.monotonic_ns()
                self._act()

    def _due_ns(self) -> int:
        return max(self._beat_ns + round(_LATE_PERIODS * self._period_ns), self._acted_ns + self._period_ns)
