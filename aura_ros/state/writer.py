# SPDX-License-Identifier: Apache-2.0
"""The thread that commits states, so that a step never waits for the storage.

A state that waits for its commit is replaced by a newer one, which includes it. A failed commit is tried again, with
the newest state, until it succeeds.
"""

import threading
import time
from collections.abc import Callable

from aura_ros.common.errors import StateError
from aura_ros.state.format import Snapshot
from aura_ros.state.store import StateStore
from aura_ros.state.wear import WearMeter


class StateWriter:
    """Commits snapshots to a store in a thread of its own; may be called from any thread."""

    def __init__(self, store: StateStore, on_change: Callable[[], None], retry_s: float = 1.0) -> None:
        """Start the thread. From then on only that thread may use the store.

        Args:
            store: opened, and its state loaded or set aside.
            on_change: called in the writer's thread after each commit and each failure; must not raise or block.
            retry_s: time between a failed commit and the next attempt [s].
        """
        self.meter = WearMeter(time.monotonic())
        """Counts the bytes given to the storage."""
        self._store, self._on_change, self._retry_s = store, on_change, retry_s
        self._changed = threading.Condition()
        self._waiting: Snapshot | None = None
        self.durable_ticket = 0
        """Ticket of the newest durable state, 0 before the first; all earlier tickets are durable too."""
        self.durable: Snapshot | None = None
        """The newest state that this writer made durable, None before the first."""
        self.problem = store.problem
        """Why the last commit failed, '' if it did not."""
        self.failures = 0
        """Number of failed commits."""
        self._submitted = 0
        self._next_try_s = 0.0
        self._busy = self._hurry = self._stopping = self._ended = False
        self._thread = threading.Thread(target=self._run, name='state_writer', daemon=True)
        self._thread.start()

    def submit(self, snapshot: Snapshot) -> int:
        """Queue a state for its commit and return its ticket. Does not wait for the storage.

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

    def flush(self, timeout_s: float) -> bool:
        """Wait until all submitted states are durable. A retry that is due later is made at once.

        Returns:
            False if that attempt fails, or after `timeout_s`.
        """
        with self._changed:
            target = self._submitted
            failures = self.failures + self._busy  # the current attempt began before this call
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self.durable_ticket >= target or self.failures > failures or self._ended, timeout_s
            )
            return self.durable_ticket >= target

    def close(self, timeout_s: float) -> bool:
        """Flush, end the thread and release the file; may be called again.

        Returns:
            False if a state is not durable, or if the thread still waits for the storage after `timeout_s`; it then
            releases the file when the storage answers.
        """
        deadline_s = time.monotonic() + timeout_s
        flushed = self.flush(timeout_s)
        with self._changed:
            flushed = flushed and self.durable_ticket == self._submitted
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
                self.problem = f'the writer has ended: {error!r}'
            raise
        finally:
            self._store.close()
            with self._changed:
                self._stopping = self._ended = True
                self._changed.notify_all()

    def _next(self) -> tuple[Snapshot, int] | None:
        """Wait until a commit is due and return its state and ticket, None to end."""
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
                self._busy, self.failures = False, self.failures + 1
                self.problem = self._store.explain(error)
                self._next_try_s = time.monotonic() + self._retry_s
                self._changed.notify_all()
            return
        self.meter.add(commit.device_bytes, len(snapshot.payload), time.monotonic())
        with self._changed:
            self.durable_ticket, self.durable, self.problem = ticket, snapshot, ''
            self._busy, self._next_try_s = False, 0.0
            if self._submitted == ticket:
                self._waiting = None
            self._changed.notify_all()
