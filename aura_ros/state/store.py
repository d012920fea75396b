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
   a loss and are reported as one. A new file gets its name once its two empty slots are on the storage, so a file that
   is cut to nothing or all zeros is a loss too.
4. Reading comes from the storage: pages of a killed predecessor are synced and then dropped from the page cache. The
   same holds for the file's name: no commit counts before the folder is synced.
5. One process at a time, by a lock on the file itself. The lock ends with the process, however it ends. A program that
   ignores the lock may overwrite the file, so each commit reads both slots first: damage is repaired, and a state that
   this process did not write is never overwritten.

format.py describes the bytes, locked_file.py holds the file, writer.py has the thread that commits.
"""

import itertools
import time
from dataclasses import dataclass
from pathlib import Path

from aura_ros.common.errors import StateDamaged, StateError, StateMismatch
from aura_ros.state.device import Device
from aura_ros.state.format import EMPTY_SLOT, SLOT_BYTES, SLOTS, VERSION, Identity, SlotContent, Snapshot, pack
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
        self._file = LockedFile(Path(path), device or Device(), (EMPTY_SLOT,) * SLOTS)
        self._bytes_reported = 0
        try:
            self._read()
        except BaseException:
            self.close()
            raise

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
        self._file.make_private()
        return StoredState(newest.snapshot, newest.generation, newest.saved_ns, newest.slot, self._found.damaged)

    def commit(self, snapshot: Snapshot) -> Commit:
        """Write a state; it is durable when this returns.

        Raises:
            StateError: if the state is not valid, or if the file holds a state that another program wrote.
            OSError: if it cannot be written. The previous state is then intact, and a new call tries again.
        """
        began = time.perf_counter()
        self._check_ours()
        pack(self.identity, snapshot, 0, 0)  # raises before anything is written
        try:
            if self._file.reopen_for_writing():
                self._read()
                self._check_ours()
            slots = [] if self._file.is_gone() else self._slots_to_write()
            if not slots or self._failures % 2:
                self._move(snapshot)
            else:
                self._write_in_place(snapshot, slots)
        except (OSError, StateError):
            self._failures += 1
            raise
        self._failures, self._file.problem = 0, ''
        done = self._file.bytes_written - self._bytes_reported
        self._bytes_reported = self._file.bytes_written
        assert self._newest is not None
        return Commit(self._newest.generation, self._newest.slot, done, time.perf_counter() - began)

    def set_aside(self) -> Path:
        """Rename the file for good and start an empty one. Return the new name of the old file.

        Raises:
            OSError: if that is not possible; the old file still has one of the two names.
        """
        kept = self._free_name()
        self._file.set_aside(kept)
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
        self._newest = self._found.newest
        self._generation = self._newest.generation if self._newest else 0

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

    def _slots_to_write(self) -> list[int]:
        """Return the slots that the next commit writes, in order; the newest intact state is not in one of them.

        Raises:
            StateError: if another program wrote a state to the file since the last commit.
        """
        slots, newest = self._file.look().slots, self._newest
        for found in slots:
            ours = found.identity == self.identity and found.generation <= self._generation
            if found.version != VERSION or (found.valid and not (ours and self._is_expected(found))):
                raise StateError(
                    f'{self.path}: slot {found.slot} was overwritten by another program while in use and is left as it '
                    'is: configure the node again to restore that state, or move the file away to keep this one'
                )
        if newest is None:
            return list(range(SLOTS))
        other = 1 - newest.slot
        return [other] if slots[newest.slot] == newest else [other, newest.slot]

    def _is_expected(self, found: SlotContent) -> bool:
        """Return whether the slot of the newest state holds that state; the other slot may hold any earlier one."""
        return self._newest is None or found.slot != self._newest.slot or found == self._newest

    def _write_in_place(self, snapshot: Snapshot, slots: list[int]) -> None:
        self._file.sync_name()
        for slot in slots:
            self._newest = self._put(self._file.fd, slot, snapshot)

    def _move(self, snapshot: Snapshot) -> None:
        """Write the state to a new file that replaces this one."""
        written: list[SlotContent] = []
        self._file.replace(lambda fd: written.extend([self._put(fd, slot, snapshot) for slot in range(SLOTS)]))
        self._newest = written[-1]
        self._file.sync_name()

    def _put(self, fd: int, slot: int, snapshot: Snapshot) -> SlotContent:
        """Write one slot; return its content once it is on the storage."""
        self._generation += 1
        saved_ns = time.time_ns()
        self._file.write(fd, pack(self.identity, snapshot, self._generation, saved_ns), slot * SLOT_BYTES)
        self._file.sync(fd)
        return SlotContent(slot, '', VERSION, self.identity, snapshot, self._generation, saved_ns)

    def _free_name(self) -> Path:
        newest = self._found.newest
        if newest is not None and newest.identity is not None:
            stem = f'{self.path.name}.{newest.identity.memory_hash.hex()[:12]}-{newest.generation}'
            names = itertools.chain([f'{stem}.bak'], (f'{stem}-{n}.bak' for n in itertools.count(1)))
        else:
            kind = 'other' if self._found.other_versions else 'damaged'
            names = itertools.chain(f'{self.path.name}.{kind}-{n}' for n in itertools.count(1))
        return next(path for path in map(self.path.with_name, names) if not self._file.exists(path))
