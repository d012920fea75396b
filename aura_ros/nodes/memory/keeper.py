# SPDX-License-Identifier: Apache-2.0
"""The state file of memory_node: which state is committed, how durable it is, and which write events wait for it.

A commit takes less than a millisecond or, on a failing card, seconds. The store's writer thread makes it. The action
chunk of a step never waits for a commit. Its WriteEvent does, so that DURABLE is true when it is published.

Executor thread only, except for `_schedule_update`, which the writer thread calls. Waits are on the steady clock. The
age of a restored state is on the system clock, because only that one survives a restart.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from aura_ros.common.errors import StateError
from aura_ros.memory import Memory
from aura_ros.msg import WriteEvent
from aura_ros.ros.diagnostics import ERROR, OK, WARN, Status
from aura_ros.ros.entities import EntityOwner
from aura_ros.ros.lifecycle import LifecycleNode
from aura_ros.state.format import Snapshot
from aura_ros.state.store import StateStore, StoredState
from aura_ros.state.writer import StateWriter

_PATIENCE_S = 0.25
"""A commit that takes longer is reported as queued [s]."""
_FLUSH_S = _CLOSE_S = 1.0
"""Limits of the two parts of a shutdown: storage that hangs must not keep a node from ending [s]."""


class Durability(IntEnum):
    """How durable a state is; the numbers of WriteEvent."""

    RAM = WriteEvent.DURABILITY_RAM
    QUEUED = WriteEvent.DURABILITY_QUEUED
    DURABLE = WriteEvent.DURABILITY_DURABLE


@dataclass(frozen=True)
class _Waiting:
    """A state whose durability is not known yet."""

    ticket: int
    """From `StateWriter.submit`."""
    until_s: float
    """Reported as queued from then on [s, steady clock]."""
    done: Callable[[Durability], None]
    """Called once."""


class StateKeeper:
    """Keeps the state of one memory in a file, from `open` to `close`."""

    def __init__(self, node: LifecycleNode, make: EntityOwner, period_s: float, tbw_bytes: float) -> None:
        """Prepare; `open` takes the file.

        Args:
            node: its executor runs everything.
            make: makes the timers of this configuration.
            period_s: shortest time between two commits, 0 = commit every write [s].
            tbw_bytes: bytes that the storage endures, 0 = unknown [B].
        """
        self._node, self._make = node, make
        self._period_s, self._tbw_bytes = period_s, tbw_bytes
        self._writer: StateWriter | None = None
        self._waiting: deque[_Waiting] = deque()
        self._unsaved: Snapshot | None = None
        self._restored_text = ''
        self._logged_problem = ''
        self.restored: StoredState | None = None
        """State that the file held, None for a new file."""

    def open(self, path: str, memory: Memory, allow_fresh_start: bool) -> Path:
        """Lock the file and read its state into `restored`. Return the file's full path.

        Args:
            path: of the state file.
            memory: the state must have its hash and layout.
            allow_fresh_start: whether a file that cannot be used is renamed and a new one started.

        Raises:
            StateError: if the file cannot be opened, is locked by another process, is of another memory, or has no
                intact slot.
        """
        size = len(memory.export())
        try:
            full = Path(path).expanduser()
            store = StateStore(full, memory.memory_hash, memory.state_layout, size)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            reason = getattr(error, 'strerror', None) or error
            raise StateError(f'state_file {path!r} cannot be used: {reason}; name another') from error
        try:
            self.restored = self._load(store, allow_fresh_start)
        except BaseException:
            store.close()
            raise
        self._restored_text = describe(self.restored)
        self._writer = StateWriter(store, self._schedule_update)
        self._log_problem(self._writer)
        self._make.timer(_PATIENCE_S, self._settle)
        if self._period_s > 0.0:
            self._make.timer(self._period_s, self._commit_unsaved)
        return store.path

    def _load(self, store: StateStore, allow_fresh_start: bool) -> StoredState | None:
        try:
            return store.load()
        except StateError as error:
            if not allow_fresh_start:
                raise
            aside = store.set_aside()
            self._node.get_logger().warning(f'{error}: renamed to {aside}, started with an empty memory')
            return None

    def keep(self, snapshot: Snapshot, done: Callable[[Durability], None], now: bool = False) -> None:
        """Keep a changed state.

        Args:
            snapshot: the state.
            done: called once with its durability in the executor's thread, possibly before this returns.
            now: commit at once, whatever the period.
        """
        writer = self._writer
        if writer is None:
            done(Durability.RAM)
        elif self._period_s > 0.0 and not now:
            self._unsaved = snapshot
            done(Durability.RAM if writer.problem else Durability.QUEUED)
        else:
            self._unsaved = None
            until_s = time.monotonic() + _PATIENCE_S
            self._waiting.append(_Waiting(writer.submit(snapshot), until_s, done))

    def flush(self, snapshot: Snapshot | None) -> None:
        """Commit `snapshot`, else the newest unsaved state; wait for it, and report the durability of all states."""
        writer = self._writer
        if writer is None:
            return
        snapshot = snapshot or self._unsaved
        self._unsaved = None
        if snapshot is not None:
            writer.submit(snapshot)
        if not writer.flush(_FLUSH_S):
            why = writer.problem or f'not done within {_FLUSH_S:g} s'
            self._node.get_logger().error(f'the newest state is not durable: {why}')
        self._settle()

    def close(self) -> None:
        """Close the file and release its lock. The last log line states whether the newest state is durable."""
        writer, self._writer = self._writer, None
        self._waiting.clear()
        if writer is None:
            return
        closed = writer.close(_CLOSE_S)
        if closed:
            self._log_problem(writer)
        else:
            why = writer.problem or f'the storage did not answer within {_CLOSE_S:g} s'
            self._node.get_logger().error(f'the state file is closed without the newest state: {why}')

    @property
    def problem(self) -> str:
        """Why the newest state is not durable, '' if nothing is wrong."""
        return '' if self._writer is None else self._writer.problem

    def wear(self) -> tuple[int, float]:
        """Return the bytes written to the device since `open` [B], and its estimated life [a], 0 = unknown."""
        if self._writer is None:
            return 0, 0.0
        meter = self._writer.meter
        if self._tbw_bytes <= 0.0:
            return meter.device_bytes, 0.0
        years = meter.storage_life_years(self._tbw_bytes, time.monotonic())
        return meter.device_bytes, years if math.isfinite(years) else 0.0

    def _schedule_update(self) -> None:
        if self._node.executor is not None:
            self._node.executor.create_task(self._update)

    def _update(self) -> None:
        if self._writer is None:  # closed after the writer thread scheduled this
            return
        self._settle()
        self._log_problem(self._writer)
        self._node.diagnostics.refresh()

    def _log_problem(self, writer: StateWriter) -> None:
        """Log the first of a row of failed commits, and the first success after it."""
        problem, before = writer.problem, self._logged_problem
        self._logged_problem = problem
        if problem and not before:
            self._node.get_logger().error(f'the memory is kept in RAM only: {problem}')
        elif before and not problem:
            self._node.get_logger().info('the memory is durable again')

    def _commit_unsaved(self) -> None:
        snapshot, self._unsaved = self._unsaved, None
        if snapshot is not None and self._writer is not None:
            self._writer.submit(snapshot)

    def _settle(self) -> None:
        """Report, in order, the states that are durable, failed or overdue."""
        while self._waiting and self._writer is not None:
            first = self._waiting[0]
            if first.ticket <= self._writer.durable_ticket:
                durability = Durability.DURABLE
            elif self._writer.problem:
                durability = Durability.RAM
            elif time.monotonic() >= first.until_s:
                durability = Durability.QUEUED
            else:
                return
            self._waiting.popleft()
            first.done(durability)

    def status(self) -> Status:
        """Return the state of the file for /diagnostics."""
        if self._writer is None:
            return Status(OK, 'kept in RAM only: state_file is empty')
        values = self._values(self._writer)
        if self.problem:
            return Status(ERROR, f'kept in RAM only, retried every second: {self.problem}', values)
        if self.restored is not None and self.restored.damaged:
            return Status(WARN, f'restored, but {self.restored.damaged}; the other slot was intact', values)
        if self.restored is None and self._writer.durable is None:
            return Status(OK, 'nothing to keep yet: nothing was written', values)
        return Status(OK, 'kept on storage', values)

    def _values(self, writer: StateWriter) -> dict[str, object]:
        meter, durable = writer.meter, writer.durable
        device_bytes, years = self.wear()
        return {
            'restored': self._restored_text,
            'durable_seq': 'none' if durable is None else durable.seq,
            'commits': meter.commits,
            'state_bytes_kept': meter.logical_bytes,
            'device_bytes': device_bytes,
            'device_bytes_per_hour': round(meter.per_hour(time.monotonic())),
            'storage_life_years': f'{years:.3g}' if years else 'unknown',
        }


def describe(restored: StoredState | None) -> str:
    """Return the step of a restored state and its age, as text."""
    if restored is None:
        return 'nothing: a new file'
    age_s = max(0.0, (time.time_ns() - restored.saved_ns) * 1e-9)
    kept = restored.snapshot
    where = f'step {kept.seq} of episode {kept.episode_id}' if kept.seq >= 0 else 'an empty state'
    return f'{where}, {age_s:.1f} s old, {kept.writes} writes, CRC-32 ok'
