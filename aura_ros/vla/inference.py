# SPDX-License-Identifier: Apache-2.0
"""A worker thread for the backbone that always takes the newest observation.

The owner calls `submit` and `stop`. The worker thread calls the functions that it is given. Durations are on the steady
clock. The thread starts with the object and ends with `stop`. It is a daemon, so that a backbone that hangs cannot keep
the process alive.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

J = TypeVar('J')
R = TypeVar('R')


class LatestOnlyWorker(Generic[J, R]):
    """Works on the newest job; a waiting job that is replaced is dropped and counted.

    Attributes:
        dropped: jobs replaced before the worker took them [1].
    """

    def __init__(
        self, work: Callable[[J], R], done: Callable[[J, R, float], None], failed: Callable[[J, BaseException], None]
    ) -> None:
        """Start the thread, which makes all three calls.

        Args:
            work: turns a job into a result.
            done: called with the job, its result and the time that `work` took [s].
            failed: called with the job and the exception that `work` raised.
        """
        self.dropped = 0
        self._work, self._done, self._failed = work, done, failed
        self._changed = threading.Condition()
        self._waiting: J | None = None
        self._busy_since: float | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name='inference', daemon=True)
        self._thread.start()

    def submit(self, job: J) -> bool:
        """Make this the next job; return whether it replaced a waiting one."""
        with self._changed:
            overtaken = self._waiting is not None
            self.dropped += int(overtaken)
            self._waiting = job
            self._changed.notify()
        return overtaken

    @property
    def busy_s(self) -> float:
        """Time spent on the current job, 0 when idle [s]."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def idle(self) -> bool:
        """Whether no job runs or waits."""
        with self._changed:
            return self._waiting is None and self._busy_since is None

    def clear(self) -> None:
        """Remove the waiting job without counting it."""
        with self._changed:
            self._waiting = None

    def stop(self, timeout_s: float) -> bool:
        """End the thread; return False if the current job did not end within `timeout_s` [s]."""
        with self._changed:
            self._stopped = True
            self._waiting = None
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._waiting is not None)
                job, self._waiting = self._waiting, None
                if self._stopped or job is None:
                    return
                self._busy_since = began = time.monotonic()
            try:
                result, error = self._work(job), None
            # A foreign model may raise anything, or call sys.exit. The owner counts and reports it.
            except BaseException as caught:  # noqa: BLE001
                error = caught
            duration_s = time.monotonic() - began
            with self._changed:
                self._busy_since = None
                if self._stopped:
                    return
            if error is None:
                self._done(job, result, duration_s)
            else:
                self._failed(job, error)


class Backoff:
    """A wait that doubles with each failure in a row. Steady clock."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        """Wait `first_s` after the first failure, then twice as long each time, at most `longest_s` [s]."""
        self._first_s = first_s
        self._longest_s = longest_s
        self.failures = 0
        self._until = 0.0

    def failed(self) -> float:
        """Count a failure; return how long to wait [s]."""
        wait_s = min(self._longest_s, self._first_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        self._until = time.monotonic() + wait_s
        return wait_s

    def succeeded(self) -> None:
        """Reset the wait to `first_s`."""
        self.failures = 0
        self._until = 0.0

    @property
    def waiting(self) -> bool:
        """Whether the next attempt has to wait."""
        return time.monotonic() < self._until
