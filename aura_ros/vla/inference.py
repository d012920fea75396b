# SPDX-License-Identifier: Apache-2.0
"""One worker thread for the backbone, with room for just the newest observation.

Thread: `submit` and `stop` are called by the owner; `work` runs in the worker, and so does
`deliver`, which must only hand the outcome over. Clock: durations on the steady clock. Lifetime:
the thread starts with the object and ends with `stop`; it is a daemon, so that a backbone that
hangs for ever cannot keep the process alive.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

J = TypeVar('J')
R = TypeVar('R')


@dataclass(frozen=True)
class Outcome(Generic[J, R]):
    """What came of one job: a result, or the error that `work` raised."""

    job: J
    result: R | None
    error: BaseException | None
    # Time `work` took [s].
    duration_s: float


class LatestOnlyWorker(Generic[J, R]):
    """Works on the newest job; one that is overtaken while it waits is dropped and counted.

    Attributes:
        dropped: jobs overtaken before the worker got to them [1].
    """

    def __init__(self, work: Callable[[J], R], deliver: Callable[[Outcome[J, R]], None]) -> None:
        """Start the thread.

        Args:
            work: turns a job into a result; anything it raises becomes the outcome's error.
            deliver: takes each outcome, in the worker's thread.
        """
        self.dropped = 0
        self._work = work
        self._deliver = deliver
        self._changed = threading.Condition()
        self._waiting: J | None = None
        self._busy_since: float | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name='inference', daemon=True)
        self._thread.start()

    def submit(self, job: J) -> bool:
        """Put a job in the slot; returns whether an older one was dropped for it."""
        with self._changed:
            overtaken = self._waiting is not None
            self.dropped += int(overtaken)
            self._waiting = job
            self._changed.notify()
        return overtaken

    @property
    def busy_s(self) -> float:
        """How long the present job has been worked on, 0 when idle [s]."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def idle(self) -> bool:
        """Whether nothing is worked on and nothing waits."""
        with self._changed:
            return self._waiting is None and self._busy_since is None

    def clear(self) -> None:
        """Forget the waiting job, without counting it."""
        with self._changed:
            self._waiting = None

    def stop(self, timeout_s: float) -> bool:
        """End the thread; False when the job at hand did not end within `timeout_s`."""
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
                if self._stopped:
                    return
                job, self._waiting = self._waiting, None
                self._busy_since = began = time.monotonic()
            result, error = self._attempt(job)
            outcome = Outcome(job, result, error, time.monotonic() - began)
            with self._changed:
                self._busy_since = None
                if self._stopped:
                    return
            self._deliver(outcome)

    def _attempt(self, job: J) -> tuple[R | None, BaseException | None]:
        try:
            return self._work(job), None
        # A foreign model may raise anything, or call sys.exit; the owner counts it and tells it.
        except BaseException as error:  # noqa: BLE001
            return None, error


class Backoff:
    """Waits longer after each failure in a row. Steady clock."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        """Wait `first_s` after the first failure, twice as long after each further one [s]."""
        self._first_s = first_s
        self._longest_s = longest_s
        self.failures = 0
        self._until = 0.0

    def failed(self) -> float:
        """Note a failure; returns how long to wait [s]."""
        wait_s = min(self._longest_s, self._first_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        self._until = time.monotonic() + wait_s
        return wait_s

    def succeeded(self) -> None:
        """Note a success: the next failure waits `first_s` again."""
        self.failures = 0
        self._until = 0.0

    @property
    def waiting(self) -> bool:
        """Whether it is too early for another attempt."""
        return time.monotonic() < self._until
