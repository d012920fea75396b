# SPDX-License-Identifier: Apache-2.0
"""Between memory_node and its state file: what is kept, what is safe by now, and who waits for it.

A commit takes a fraction of a millisecond or, on a failing card, seconds. It is made in the store's
writer thread; the action chunk of a step never waits for it, the WriteEvent does, so that it can
say DURABLE and mean it. Executor thread only, but for `_changed`, which the writer's thread calls
and which only hands over. Clocks: waits are on the steady clock; the age of a restored state is on
the system's, for no other outlives a restart.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from rclpy.node import Node

from aura_ros.common.errors import StateError
from aura_ros.msg import WriteEvent
from aura_ros.ros.diagnostics import ERROR, OK, WARN, Status
from aura_ros.ros.entities import EntityOwner
from aura_ros.state.store import Snapshot, StateStore, StateWriter, StoredState

# A commit that takes longer is told as queued [s].
_PATIENCE_S = 0.25
# Both ends of a shutdown together; a medium that hangs must not keep a node from ending [s].
_FLUSH_S = _CLOSE_S = 1.0


class Durability(IntEnum):
    """How safe a state is, in the numbers of WriteEvent."""

    RAM = WriteEvent.DURABILITY_RAM
    QUEUED = WriteEvent.DURABILITY_QUEUED
    DURABLE = WriteEvent.DURABILITY_DURABLE


Told = Callable[[Durability], None]


@dataclass(frozen=True)
class _Waiting:
    ticket: int
    until: float
    told: Told


class StateKeeper:
    """Keeps the state of one memory in a file, from `open` to `close`.

    Attributes:
        restored: what the file held, None when it was new.
    """

    def __init__(self, node: Node, make: EntityOwner, period_s: float, tbw_bytes: float) -> None:
        """Keep nothing yet.

        Args:
            node: in whose executor everything runs.
            make: of this configuration; makes the timers.
            period_s: commits at most so often, 0 = at every write [s].
            tbw_bytes: what the medium endures, 0 = unknown [B].
        """
        self._node, self._make = node, make
        self._period_s, self._tbw_bytes = period_s, tbw_bytes
        self._writer: StateWriter | None = None
        self._waiting: deque[_Waiting] = deque()
        self._unsaved: Snapshot | None = None
        self._restored_text = ''
        self._told_problem = ''
        self.restored: StoredState | None = None

    def open(self, path: str, memory: Any, fresh: bool) -> Path:
        """Take the file and read what it holds into `restored`; returns the file's full name.

        Args:
            path: of the state file.
            memory: whose policy and layout the state must have.
            fresh: whether a state that cannot be used is set aside and a new one begun.

        Raises:
            StateError: it cannot be opened, another process has it, it is of another policy, or both
                slots are damaged.
        """
        size = len(memory.export())
        try:
            full = Path(path).expanduser()
            store = StateStore(full, memory.memory_hash, memory.state_layout, size)
        except OSError as error:
            reason = error.strerror or error
            raise StateError(f'state_file {path} cannot be used: {reason}; name another') from error
        try:
            self.restored = self._load(store, fresh)
        except BaseException:
            store.close()
            raise
        self._restored_text = describe(self.restored)
        self._writer = StateWriter(store, self._changed)
        self._tell_problem()
        self._make.timer(_PATIENCE_S, self._settle)
        if self._period_s > 0.0:
            self._make.timer(self._period_s, self._commit_unsaved)
        return store.path

    def _load(self, store: StateStore, fresh: bool) -> StoredState | None:
        try:
            return store.load()
        except StateError as error:
            if not fresh:
                raise
            aside = store.set_aside()
            self._node.get_logger().warning(f'{error}: kept as {aside}, begun afresh')
            return None

    def keep(self, snapshot: Snapshot, told: Told, now: bool = False) -> None:
        """Keep a changed state; `told` learns once, perhaps at once, how safe it is.

        Args:
            snapshot: the state.
            told: called in the executor's thread.
            now: commit at once, whatever the period.
        """
        writer = self._writer
        if writer is None:
            told(Durability.RAM)
        elif self._period_s > 0.0 and not now:
            self._unsaved = snapshot
            told(Durability.RAM if writer.problem else Durability.QUEUED)
        else:
            self._unsaved = None
            until = time.monotonic() + _PATIENCE_S
            self._waiting.append(_Waiting(writer.submit(snapshot), until, told))

    def flush(self, snapshot: Snapshot | None) -> None:
        """Wait until the newest state is on the medium, `snapshot` if one is given; then tell all."""
        writer = self._writer
        if writer is None:
            return
        snapshot = snapshot or self._unsaved
        self._unsaved = None
        if snapshot is not None:
            writer.submit(snapshot)
        if not writer.flush(_FLUSH_S):
            why = writer.problem or f'not done within {_FLUSH_S:g} s'
            self._node.get_logger().error(f'the newest state is not on the medium: {why}')
        self._settle()

    def close(self) -> None:
        """Let go of the file."""
        writer, self._writer = self._writer, None
        self._waiting.clear()
        if writer is not None and not writer.close(_CLOSE_S) and not writer.problem:
            self._node.get_logger().error(f'the state file did not close within {_CLOSE_S:g} s')

    @property
    def problem(self) -> str:
        """Why the newest state is not on the medium, '' when nothing is wrong."""
        return '' if self._writer is None else self._writer.problem

    def wear(self) -> tuple[int, float]:
        """Bytes handed to the device since `open` [B], projected life of it [a], 0 = unknown."""
        if self._writer is None:
            return 0, 0.0
        meter = self._writer.meter
        if self._tbw_bytes <= 0.0:
            return meter.device_bytes, 0.0
        years = meter.storage_life_years(self._tbw_bytes, time.monotonic())
        return meter.device_bytes, years if math.isfinite(years) else 0.0

    def _changed(self) -> None:
        self._node.executor.create_task(self._on_changed)

    def _on_changed(self) -> None:
        self._settle()
        self._tell_problem()
        self._node.diagnostics.refresh()

    def _tell_problem(self) -> None:
        """Log that commits fail, and that they do no more; not each of them."""
        problem, before = self.problem, self._told_problem
        self._told_problem = problem
        if problem and not before:
            self._node.get_logger().error(f'the memory is kept in RAM only: {problem}')
        elif before and not problem:
            self._node.get_logger().info('the memory is kept on the medium again')

    def _commit_unsaved(self) -> None:
        snapshot, self._unsaved = self._unsaved, None
        if snapshot is not None and self._writer is not None:
            self._writer.submit(snapshot)

    def _settle(self) -> None:
        """Tell those whose state is safe, cannot be saved, or is overdue; in their order."""
        while self._waiting and self._writer is not None:
            first = self._waiting[0]
            if first.ticket <= self._writer.durable_ticket:
                durability = Durability.DURABLE
            elif self._writer.problem:
                durability = Durability.RAM
            elif time.monotonic() >= first.until:
                durability = Durability.QUEUED
            else:
                return
            self._waiting.popleft()
            first.told(durability)

    def status(self) -> Status:
        """Return what is kept, for /diagnostics."""
        if self._writer is None:
            return Status(OK, 'kept in RAM only: state_file is empty')
        values = self._values()
        if self.problem:
            text = f'kept in RAM only, tried again every second: {self.problem}'
            return Status(ERROR, text, values)
        if self.restored is not None and self.restored.damaged:
            return Status(WARN, f'restored, but {self.restored.damaged}; its twin was whole', values)
        if self.restored is None and self._writer.durable is None:
            return Status(OK, 'nothing to keep yet: nothing was written', values)
        return Status(OK, 'kept on the medium', values)

    def _values(self) -> dict[str, object]:
        assert self._writer is not None
        meter, durable = self._writer.meter, self._writer.durable
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
    """Say from which step a state was restored, and how old it is."""
    if restored is None:
        return 'nothing: a new file'
    age_s = max(0.0, (time.time_ns() - restored.saved_ns) * 1e-9)
    kept = restored.snapshot
    where = f'step {kept.seq} of episode {kept.episode_id}' if kept.seq >= 0 else 'an empty state'
    return f'{where}, {age_s:.1f} s old, {kept.writes} writes, CRC-32 ok'
