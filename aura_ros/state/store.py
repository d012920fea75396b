# SPDX-License-Identifier: Apache-2.0
"""The durable state: one file with two slots, one of which is intact at any time.

A commit writes the older slot and returns once it is on the storage. A power cut during the write leaves the other
slot. The slot with the highest generation and a correct CRC is read back. Five rules make that work:

1. The newest intact slot is never written, not even after a failure: the content of the other slot is then unknown,
   and the intact one is the only copy. The other slot is written again in full, so nothing is assumed about what an
   earlier write left there. After a failed fsync, Linux marks pages as clean that never reached the storage.
2. If the second attempt fails as well, the storage may be bad there. The state goes into a new file beside, which is
   renamed once it is durable. Failed commits alternate between the two ways: a full disk needs the first, a bad block
   the second.
3. The first commit fills both slots, one after the other, before it returns. A damaged slot beside an empty one is
   therefore an interrupted first commit: nothing was promised, and a fresh start loses nothing. Two damaged slots are
   a loss and are reported as one.
4. Reading comes from the storage: pages of a killed predecessor are synced and then dropped from the page cache. The
   same holds for the file's name: no commit counts before the folder is synced.
5. One process at a time, by flock on the file itself. The lock ends with the process, however it ends.

format.py describes the bytes, locked_file.py holds the file, writer.py has the thread that commits.
"""

import itertools
import time
from dataclasses import dataclass
from pathlib import Path

from aura_ros.common.errors import StateDamaged, StateError, StateMismatch
from aura_ros.state.device import Device
from aura_ros.state.format import FILE_BYTES, SLOT_BYTES, SLOTS, Identity, Snapshot, pack
from aura_ros.state.locked_file import LockedFile

_FRESH = 'or set allow_fresh_start to rename the file and start with an empty memory'


@dataclass(frozen=True)
class StoredState:
    """A state that was read."""

    snapshot: Snapshot
    """The state."""
    generation: int
    """Number of the commit, counted from the first of the file."""
    saved_ns: int
    """Time of the commit [ns since 1970, system clock]."""
    slot: int
    """Slot that it was read from, 0 or 1."""
    damaged: str
    """What is wrong with the other slot, such as 'slot 1: its CRC-32 does not match'; '' if nothing is."""


@dataclass(frozen=True)
class Commit:
    """A state that is durable."""

    generation: int
    """Number of the commit."""
    slot: int
    """Slot that it was written to, 0 or 1."""
    device_bytes: int
    """Bytes given to the device since the previous commit, failed attempts included."""
    seconds: float
    """Duration of this commit [s]."""


class StateStore:
    """A state file, open and locked. One thread at a time."""

    def __init__(
        self, path: str | Path, memory_hash: str, layout: str, size: int, device: Device | None = None
    ) -> None:
        """Open or create the file, and lock it. A read-only file can be loaded, but commits fail.

        Args:
            path: of the file; its folder must exist.
            memory_hash: SHA-256 of the memory's weights, hex.
            layout: `Memory.state_layout`.
            size: bytes of a state.
            device: makes the system calls; tests replace it.

        Raises:
            StateLocked: if another process has locked the file.
            StateError: if such a state cannot be kept, or the folder is missing.
            OSError: if the file can be neither read nor created, or is not a regular file.
        """
        self.identity = Identity.of(memory_hash, layout, size)
        self._failures = 0
        self._good: int | None = None
        self._file = LockedFile(Path(path), device or Device())
        self._bytes_reported = 0
        try:
            self._read()
        except BaseException:
            self.close()
            raise
        if not self._found.size:
            try:
                self._lay_out(self._file.fd)
            except OSError as error:  # a full disk, for instance: the first commit tries again
                self._file.problem = self.explain(error)

    @property
    def path(self) -> Path:
        """Path of the file, links resolved."""
        return self._file.path

    @property
    def problem(self) -> str:
        """Why commits fail, if that is known from opening, else ''."""
        return self._file.problem

    def load(self) -> StoredState | None:
        """Return the newest intact state as of opening, None if none was saved.

        Raises:
            StateMismatch: if it is of another memory, layout or format version.
            StateDamaged: if the file is not empty and has no intact state.
        """
        self._check_ours()
        newest = self._found.newest
        if newest is None:
            return None
        assert newest.snapshot is not None
        return StoredState(newest.snapshot, newest.generation, newest.saved_ns, newest.slot, self._found.damaged)

    def commit(self, snapshot: Snapshot) -> Commit:
        """Write a state; it is durable when this returns.

        Raises:
            StateError: if the state is not valid, or if the file holds a state of another memory.
            OSError: if it cannot be written. The previous state is then intact, and a new call tries again.
        """
        began = time.perf_counter()
        self._check_ours()
        pack(self.identity, snapshot, 0, 0)  # raises before anything is written
        try:
            if self._file.reopen_for_writing():
                self._read()
                self._check_ours()
            if self._file.is_gone() or self._failures % 2:
                self._file.replace(lambda fd: self._put_all(fd, range(SLOTS), snapshot))
                self._good = SLOTS - 1
                self._file.sync_name()
            else:
                self._write_in_place(snapshot)
        except (OSError, StateError):
            self._failures += 1
            raise
        self._failures, self._file.problem = 0, ''
        done = self._file.bytes_written - self._bytes_reported
        self._bytes_reported = self._file.bytes_written
        assert self._good is not None
        return Commit(self._generation, self._good, done, time.perf_counter() - began)

    def set_aside(self) -> Path:
        """Rename the file for good and start an empty one. Return the new name of the old file.

        Raises:
            OSError: if that is not possible; the old file still has one of the two names.
        """
        kept = self._free_name()
        self._file.set_aside(kept, self._lay_out)
        self._read()
        return kept

    def explain(self, error: OSError | StateError) -> str:
        """Return why a commit failed, with the path."""
        return self._file.explain(error)

    def close(self) -> None:
        """Close the file and release its lock; may be called again."""
        self._file.close()

    def _read(self) -> None:
        """Read both slots."""
        self._found = self._file.read()
        newest = self._found.newest
        self._good = newest.slot if newest else None
        self._generation = newest.generation if newest else 0

    def _check_ours(self) -> None:
        """Refuse a file whose content must be neither used nor overwritten."""
        found, ours = self._found, self.identity
        if found.other_versions:
            raise StateMismatch(f'{self.path}: {found.problem}; update the program, {_FRESH}')
        if found.problem:
            raise StateDamaged(f'{self.path}: {found.problem}; restore a copy, {_FRESH}')
        theirs = found.newest.identity if found.newest else ours
        assert theirs is not None
        if theirs.memory_hash != ours.memory_hash:
            raise StateMismatch(
                f'{self.path} belongs to another memory ({theirs.memory_hash.hex()[:12]}, not '
                f'{ours.memory_hash.hex()[:12]}): use the weights of that memory, {_FRESH}'
            )
        if theirs != ours:
            raise StateMismatch(
                f'{self.path} holds a state of {theirs.size} bytes, {theirs.layout}; this memory has '
                f'{ours.size}, {ours.layout}: use the memory of the file, {_FRESH}'
            )

    def _lay_out(self, fd: int) -> None:
        """Give a file its full size, so that no commit needs more space or changes its length."""
        for slot in range(SLOTS):
            # One by one: where one stretch of the page cache spans both, the kernel counts 16 KiB for each write.
            self._file.write(fd, bytes(SLOT_BYTES), slot * SLOT_BYTES)
        self._file.sync(fd)

    def _write_in_place(self, snapshot: Snapshot) -> None:
        self._file.sync_name()
        if self._file.size < FILE_BYTES and self._good is None:
            self._lay_out(self._file.fd)
        slots = range(SLOTS) if self._good is None else range(1 - self._good, 2 - self._good)
        self._put_all(self._file.fd, slots, snapshot)
        self._good = slots[-1]

    def _put_all(self, fd: int, slots: range, snapshot: Snapshot) -> None:
        for slot in slots:
            self._generation += 1
            data = pack(self.identity, snapshot, self._generation, time.time_ns())
            self._file.write(fd, data, slot * SLOT_BYTES)
            self._file.sync(fd)

    def _free_name(self) -> Path:
        newest = self._found.newest
        if newest is not None and newest.identity is not None:
            stem = f'{self.path.name}.{newest.identity.memory_hash.hex()[:12]}-{newest.generation}'
            names = itertools.chain([f'{stem}.bak'], (f'{stem}-{n}.bak' for n in itertools.count(1)))
        else:
            kind = 'other' if self._found.other_versions else 'damaged'
            names = itertools.chain(f'{self.path.name}.{kind}-{n}' for n in itertools.count(1))
        return next(path for path in map(self.path.with_name, names) if not self._file.exists(path))
