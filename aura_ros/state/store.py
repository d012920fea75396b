# SPDX-License-Identifier: Apache-2.0
"""The durable state: one file of two slots, of which one is always whole.

A commit writes the slot that is not the newest and returns when it is on the medium; a power cut while it is written
leaves the other. What is read back is the highest generation whose CRC fits. Five rules make that hold:

1. The last good slot is never written, also not after a failure: then the other slot's content is unknown, and the
   good one is all there is. The other is written again in whole, so nothing is assumed of what an earlier write left
   (after a failed fsync Linux marks pages clean that never reached the medium).
2. If that fails as well, the medium may be bad there: the state goes into a new file beside, which takes the name of
   the old one when it is on the medium. Failed commits alternate between the two ways, because a full disk needs the
   first and a bad block the second.
3. The first commit fills both slots, one after the other, before it returns. So a damaged slot beside an empty one is
   a first commit that was cut off: nothing was promised, and a fresh start loses nothing. Two damaged slots are a
   loss, and said so.
4. What is read comes from the medium: a killed predecessor's pages are synced and then dropped from the page cache.
   The same goes for the file's name: no commit counts before the folder is synced.
5. One process at a time, by flock on the file itself; it ends with the process, however that ends.

The bytes are described in store_format.py, the thread that writes is in store_writer.py.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

from aura_ros.common.errors import StateDamaged, StateError, StateMismatch
from aura_ros.state.device import Device
from aura_ros.state.format import FILE_BYTES, SLOT_BYTES, SLOTS, Identity, Snapshot, pack
from aura_ros.state.reading import read_open_file

_FRESH = 'or set allow_fresh_start to keep the file under another name and begin anew'


@dataclass(frozen=True)
class StoredState:
    """A state that was read.

    snapshot: what was kept.
    generation: commits since the file was begun, and this is the newest.
    saved_ns: when it was saved [ns since 1970, system clock].
    slot: 0 or 1, where it was.
    damaged: what is wrong with the other slot, as 'slot 1: its CRC-32 does not fit'; empty if nothing is.
    """

    snapshot: Snapshot
    generation: int
    saved_ns: int
    slot: int
    damaged: str


@dataclass(frozen=True)
class Commit:
    """A state that is on the medium now.

    generation: its number.
    slot: 0 or 1, where it is.
    device_bytes: handed to the device since the commit before, failed attempts included.
    seconds: what this one took.
    """

    generation: int
    slot: int
    device_bytes: int
    seconds: float


class StateStore:
    """A state file, opened and locked; used by one thread at a time.

    path: of the file, links resolved.
    problem: why commits fail as things are, where that is known on opening; else empty.
    """

    def __init__(
        self, path: str | Path, memory_hash: str, layout: str, size: int, device: Device | None = None
    ) -> None:
        """Open the file or create it, and lock it. A file that can only be read can be loaded; commits then fail.

        Args:
            path: file to use; its folder must exist.
            memory_hash: SHA-256 of the weights, hex.
            layout: of the memory, `RecurrentMemory.state_layout`.
            size: bytes of its state.
            device: stands for the medium.

        Raises:
            StateLocked: if another process has the file open.
            StateError: if such a state cannot be kept, or the folder is missing.
            OSError: if the file can be neither read nor made, or is no regular file.

        """
        self.path, self.identity, self.problem = Path(path).resolve(), Identity.of(memory_hash, layout, size), ''
        self._device = device or Device()
        self._device_bytes = 0
        self._failures = 0
        self._writable, self._named = True, False
        self._fd: int | None = self._open()
        try:
            self._scan()
        except BaseException:
            self.close()
            raise
        if not self._found.size:
            try:
                self._prepare(self._fd)
            except OSError as error:  # a full disk, for instance: the first commit tries again
                self.problem = self.explain(error)

    def load(self) -> StoredState | None:
        """Return the newest whole state as it was on opening, None if none was ever saved.

        Raises:
            StateMismatch: if it is of another memory, layout or format version.
            StateDamaged: if the file holds something, but no whole state.

        """
        self._check_ours()
        newest = self._found.newest
        if newest is None:
            return None
        assert newest.snapshot is not None
        return StoredState(newest.snapshot, newest.generation, newest.saved_ns, newest.slot, self._found.damaged)

    def commit(self, snapshot: Snapshot) -> Commit:
        """Write a state; when this returns it is on the medium.

        Raises:
            StateError: if the state is none to keep, or the file holds another's.
            OSError: if it cannot be written; the last committed state is then untouched. Call again to try again.

        """
        began = time.perf_counter()
        self._check_ours()
        pack(self.identity, snapshot, 0, 0)  # refuse what could not be read back before anything is touched
        try:
            gone = self._make_ready()
            if gone or self._failures % 2:
                self._move(snapshot)
            else:
                self._write_in_place(snapshot)
        except (OSError, StateError):
            self._failures += 1
            raise
        self._failures, self.problem = 0, ''
        done, self._device_bytes = self._device_bytes, 0
        assert self._good is not None
        return Commit(self._generation, self._good, done, time.perf_counter() - began)

    def set_aside(self) -> Path:
        """Give the file another name, for good, and begin an empty one; returns the new name of the old file.

        Raises:
            OSError: if that is not possible; the old file is still there, under one of the two names.

        """
        assert self._fd is not None
        kept = self._free_name()
        self._device.rename(self.path, kept)
        self._named = False
        fresh = self._device.open(self.path, create=True)
        try:
            self._device.lock(fresh, self.path)
            self._prepare(fresh)
        except BaseException:
            self._device.close(fresh)
            raise
        self._device.close(self._fd)
        self._fd, self._writable = fresh, True
        self._scan()
        return kept

    def explain(self, error: OSError | StateError) -> str:
        """Say why a commit failed, with the path."""
        return f'{self.path}: {error.strerror or error}' if isinstance(error, OSError) else str(error)

    def close(self) -> None:
        """Close the file and release its lock; may be called again."""
        if self._fd is not None:
            self._device.close(self._fd)
            self._fd = None

    # --- opening and reading ------------------------------------------------------------------------------------------

    def _open(self) -> int:
        """Open and lock the file that has the name now."""
        while True:
            fd = self._open_once()
            try:
                self._device.lock(fd, self.path)
                if self._device.same(fd, self.path):
                    return fd
            except BaseException:
                self._device.close(fd)
                raise
            self._device.close(fd)  # it was replaced between open and lock

    def _open_once(self) -> int:
        try:
            return self._device.open(self.path, create=True)
        except FileNotFoundError:
            raise StateError(f'state_file {self.path}: the folder {self.path.parent} does not exist; make it') from None
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM) or not self._device.exists(self.path):
                raise
            fd = self._device.open(self.path, write=False)
            self._writable, self.problem = False, self.explain(error)
            return fd

    def _prepare(self, fd: int) -> None:
        """Give the file its full size, so that no commit needs more room or changes its length."""
        for slot in range(SLOTS):
            # each by itself: where one stretch of the page cache spans both, the kernel books 16 KiB for either
            self._write(fd, bytes(SLOT_BYTES), slot * SLOT_BYTES)
        self._device.sync(fd)

    def _sync_name(self) -> None:
        """Have the file's name on the medium: where it is not, a power cut brings back what had the name before."""
        if not self._named:
            self._device.sync_folder(self.path.parent)
            self._named = True

    def _scan(self) -> None:
        """Read both slots and judge them."""
        assert self._fd is not None
        if self._writable:
            try:
                self._device.sync(self._fd)
                self._sync_name()
            except OSError as error:
                self.problem = self.explain(error)  # what is on the medium is read below all the same
        self._device.forget(self._fd)
        self._found = read_open_file(self._device, self._fd, self.path)
        newest = self._found.newest
        self._good = newest.slot if newest else None
        self._generation = newest.generation if newest else 0

    def _check_ours(self) -> None:
        """Refuse a file that holds what is not ours to use or to overwrite."""
        found, ours = self._found, self.identity
        if found.other_versions:
            raise StateMismatch(f'{self.path}: {found.problem}; update the program, {_FRESH}')
        if found.problem:
            raise StateDamaged(f'{self.path}: {found.problem}; bring back a copy, {_FRESH}')
        theirs = found.newest.identity if found.newest else ours
        assert theirs is not None
        if theirs.memory_hash != ours.memory_hash:
            raise StateMismatch(
                f'{self.path} belongs to another memory ({theirs.memory_hash.hex()[:12]}, not '
                f'{ours.memory_hash.hex()[:12]}): use its weights again, {_FRESH}'
            )
        if theirs != ours:
            raise StateMismatch(
                f'{self.path} holds a state of {theirs.size} bytes, {theirs.layout}, and not of '
                f'{ours.size}, {ours.layout}: use its memory again, {_FRESH}'
            )

    # --- writing ------------------------------------------------------------------------------------------------------

    def _make_ready(self) -> bool:
        """Have the file open for writing; returns whether its name is gone."""
        if self._fd is None:
            raise StateError(f'{self.path} is closed')
        if not self._writable:
            fd = self._device.open(self.path)
            self._device.close(self._fd)  # first, as its lock would be in the way
            self._fd = fd
            self._device.lock(fd, self.path)
            self._writable = True
            self._scan()
            self._check_ours()
        if self._device.same(self._fd, self.path):
            return False
        if self._device.exists(self.path):
            raise StateError(f'{self.path} was replaced by another file while in use: configure the node again')
        return True

    def _write_in_place(self, snapshot: Snapshot) -> None:
        assert self._fd is not None
        self._sync_name()
        if self._device.size(self._fd) < FILE_BYTES and self._good is None:
            self._prepare(self._fd)
        targets = range(SLOTS) if self._good is None else (1 - self._good,)
        for slot in targets:
            self._put(self._fd, slot, snapshot)
        self._good = slot

    def _move(self, snapshot: Snapshot) -> None:
        """Write the state into a new file, then give it the name of this one."""
        beside = self.path.with_name(self.path.name + '.moving')
        fd = self._device.open(beside, create=True, empty=True)
        try:
            self._device.lock(fd, beside)
            for slot in range(SLOTS):
                self._put(fd, slot, snapshot)
            self._device.rename(beside, self.path)
        except BaseException:
            self._device.close(fd)
            with contextlib.suppress(OSError):  # a file left behind does no harm: the next move begins it anew
                self._device.remove(beside)
            raise
        assert self._fd is not None
        self._device.close(self._fd)
        self._fd, self._good, self._named = fd, SLOTS - 1, False
        self._sync_name()

    def _put(self, fd: int, slot: int, snapshot: Snapshot) -> None:
        self._generation += 1
        self._write(fd, pack(self.identity, snapshot, self._generation, time.time_ns()), slot * SLOT_BYTES)
        self._device.sync(fd)

    def _write(self, fd: int, data: bytes, offset: int) -> None:
        self._device_bytes += len(data)
        self._device.write(fd, data, offset)

    def _free_name(self) -> Path:
        newest = self._found.newest
        if newest is not None and newest.identity is not None:
            stem = f'{self.path.name}.{newest.identity.memory_hash.hex()[:12]}-{newest.generation}'
            names = itertools.chain([f'{stem}.bak'], (f'{stem}-{n}.bak' for n in itertools.count(1)))
        else:
            kind = 'other' if self._found.other_versions else 'damaged'
            names = itertools.chain(f'{self.path.name}.{kind}-{n}' for n in itertools.count(1))
        return next(path for path in map(self.path.with_name, names) if not self._device.exists(path))
