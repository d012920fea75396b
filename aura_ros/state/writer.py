# SPDX-License-Identifier: Apache-2.0
"""The thread that commits: a step hands its state over and goes on, the medium may take as long as it likes.

The latest wins: a state that waits while another is written is replaced by a newer one, which holds all the older one
did. A commit that fails is tried again with the newest state until it succeeds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from aura_ros.common.errors import StateError
from aura_ros.state.format import Snapshot
from aura_ros.state.store import Commit, StateStore
from aura_ros.state.wear import WearMeter


@dataclass(frozen=True)
class WriterStatus:
    """What a writer has done, all of one moment.

    submitted: ticket of the newest state handed over; 0 before the first.
    durable_ticket: of the newest on the medium; all tickets up to it are durable. 0 before the first.
    durable: that state; None before the first.
    commit: where it went; None before the first.
    problem: why the last commit failed; empty if it did not.
    failures: commits that failed, in all.
    """

    submitted: int = 0
    durable_ticket: int = 0
    durable: Snapshot | None = None
    commit: Commit | None = None
    problem: str = ''
    failures: int = 0


class StateWriter:
    """Commits snapshots to a store in a thread of its own; may be called from any thread.

    meter: counts what goes to the medium.
    """

    def __init__(self, store: StateStore, on_change: Callable[[], None], retry_s: float = 1.0) -> None:
        """Start the thread; from now on the store is its alone.

        Args:
            store: opened, and its state accepted or set aside.
            on_change: called in the writer's thread after each commit and each failure; must not raise or block.
            retry_s: from a failed commit to the next try [s].

        """
        self.meter = WearMeter(time.monotonic())
        self._store, self._on_change, self._retry_s = store, on_change, retry_s
        self._changed = threading.Condition()
        self._waiting: Snapshot | None = None
        self._submitted, self._durable_ticket, self._failures = 0, 0, 0
        self._durable: Snapshot | None = None
        self._commit: Commit | None = None
        self._problem = store.problem
        self._next_try_s = 0.0
        self._busy = self._hurry = self._stopping = self._ended = False
        self._thread = threading.Thread(target=self._run, name='state_writer', daemon=True)
        self._thread.start()

    def submit(self, snapshot: Snapshot) -> int:
        """Hand a state over to be committed; returns its ticket, and never waits for the medium.

        Raises:
            StateError: if the writer is closed.

        """
        with self._changed:
            if self._stopping:
                raise StateError(f'{self._store.path}: the writer is closed')
            self._submitted += 1
            self._waiting = snapshot
            self._changed.notify_all()
            return self._submitted

    @property
    def status(self) -> WriterStatus:
        """All there is to know, of one moment."""
        with self._changed:
            return WriterStatus(
                self._submitted, self._durable_ticket, self._durable, self._commit, self._problem, self._failures
            )

    @property
    def durable_ticket(self) -> int:
        """Ticket of the newest state on the medium."""
        return self.status.durable_ticket

    @property
    def durable(self) -> Snapshot | None:
        """The newest state on the medium that this writer put there."""
        return self.status.durable

    @property
    def problem(self) -> str:
        """Why the last commit failed; empty if it did not."""
        return self.status.problem

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was submitted is durable; after a failure the next try is made at once.

        Returns:
            False if that try fails, or if it is not durable after `timeout_s`.

        """
        with self._changed:
            target = self._submitted
            failures = self._failures + self._busy  # one under way began before this call
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._durable_ticket >= target or self._failures > failures or self._ended, timeout_s
            )
            return self._durable_ticket >= target

    def close(self, timeout_s: float) -> bool:
        """Flush, end the thread and release the file; may be called again.

        Returns:
            False if something is not durable, or if the medium still holds the thread after `timeout_s`; the file is
            then released when it comes back.

        """
        deadline_s = time.monotonic() + timeout_s
        flushed = self.flush(timeout_s)
        with self._changed:
            flushed = flushed and self._durable_ticket == self._submitted
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        return flushed and not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (task := self._next()) is not None:
                self._attempt(*task)
                self._on_change()
        except BaseException as error:
            with self._changed:
                self._problem = f'the writer has ended: {error!r}'
            raise
        finally:
            self._store.close()
            with self._changed:
                self._stopping = self._ended = True
                self._changed.notify_all()

    def _next(self) -> tuple[Snapshot, int] | None:
        """Wait for something to commit and for its time to come; None to end."""
        with self._changed:
            while not self._stopping:
                wait_s = self._next_try_s - time.monotonic()
                if self._waiting is None:
                    self._changed.wait()
                elif wait_s > 0 and not self._hurry:
                    self._changed.wait(wait_s)
                else:
                    self._busy, self._hurry = True, False
                    return self._waiting, self._submitted
            return None

    def _attempt(self, snapshot: Snapshot, ticket: int) -> None:
        try:
            commit = self._store.commit(snapshot)
        except (OSError, StateError) as error:
            with self._changed:
                self._busy, self._failures = False, self._failures + 1
                self._problem = self._store.explain(error)
                self._next_try_s = time.monotonic() + self._retry_s
                self._changed.notify_all()
            return
        self.meter.add(commit.device_bytes, len(snapshot.payload), time.monotonic())
        with self._changed:
            self._durable_ticket, self._durable, self._commit, self._problem = ticket, snapshot, commit, ''
            self._busy, self._next_try_s = False, 0.0
            if self._submitted == ticket:
                self._waiting = None
            self._changed.notify_all()
