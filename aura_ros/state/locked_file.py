# SPDX-License-Identifier: Apache-2.0
"""One file that is open and locked by this process, and that another file may replace under the same name."""

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from aura_ros.common.errors import StateError, StateLocked
from aura_ros.state.device import Device
from aura_ros.state.format import FILE_BYTES, unpack
from aura_ros.state.reading import StateFile, read_open_file


class LockedFile:
    """A file, from opening to closing. One thread at a time. Every method may raise OSError."""

    def __init__(self, path: Path, device: Device, new: Sequence[bytes]) -> None:
        """Open the file or create it, and lock it.

        Args:
            path: of the file; links are resolved.
            device: makes the system calls.
            new: slots of a new file.

        Raises:
            StateLocked: if another process has locked the file.
            StateError: if the folder is missing.
            OSError: if the file can be neither read nor created, or is not a regular file.
        """
        self.path = Path(os.path.realpath(path))  # unlike resolve, this raises nothing at a loop of links
        """Path of the file, links resolved."""
        self.bytes_written = 0
        """Bytes given to the device, failed attempts included."""
        self.problem = ''
        """Why writing fails, if that is known from opening, else ''."""
        self._device, self._new = device, new
        self._writable, self._named, self._created = True, False, True
        self._fd: int | None = self._open()

    def _open(self) -> int:
        """Open and lock the file that has the name now; create it if there is none."""
        while True:
            try:
                fd = self._open_once()
            except FileNotFoundError:
                created = self._create()
                if created is None:
                    continue
                return created
            try:
                try:
                    self._device.lock(fd, self.path)
                except StateLocked:
                    if (private := self._private_copy(fd)) is None:
                        raise
                    self._device.close(fd)
                    return private
                if self._device.same(fd, self.path):
                    return fd
            except BaseException:
                self._device.close(fd)
                raise
            self._device.close(fd)  # it was replaced between open and lock

    def _private_copy(self, fd: int) -> int | None:
        """Replace a state file that another user has locked for reading by a copy that only its owner can read.

        Returns:
            The descriptor of the copy; None if the lock is of another kind, or the file is no state file.
        """
        size = self._device.size(fd)
        if not self._writable or size > FILE_BYTES or not self._device.has_foreign_reader(fd, self.path):
            return None
        copy = self._open_beside()
        try:
            self.write(copy, self._device.read(fd, size, 0), 0)
            self._device.sync(copy)
            self._device.rename(self._beside, self.path)
        except BaseException:
            self._device.close(copy)
            self._remove_beside()
            raise
        return copy

    def _open_once(self) -> int:
        try:
            return self._device.open(self.path)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM) or not self._device.exists(self.path):
                raise
            fd = self._device.open(self.path, write=False)
            self._writable, self.problem = False, self.explain(error)
            return fd

    def _create(self) -> int | None:
        """Create the file; return None if another process has created it.

        The name appears once the content is on the storage. A file that is empty or all zeros is therefore a loss.
        If the content cannot be written, on a full disk for instance, the file has no name: the first commit tries
        again.
        """
        fd = self._open_beside()
        try:
            for part in self._new:
                # One by one: where one stretch of the page cache spans both, the kernel counts 16 KiB for each write.
                self.write(fd, part, self._device.size(fd))
                self._device.sync(fd)
            self._device.rename_new(self._beside, self.path)
        except (FileExistsError, FileNotFoundError):
            self._device.close(fd)
            return None
        except OSError as error:
            self.problem, self._created = self.explain(error), False
            self._remove_beside()
        except BaseException:
            self._device.close(fd)
            raise
        return fd

    @property
    def _beside(self) -> Path:
        return self.path.with_name(self.path.name + '.moving')

    def _open_beside(self) -> int:
        """Create and lock the file that is going to get the name. What has its name now, a link for instance, goes."""
        with contextlib.suppress(FileNotFoundError):
            self._device.remove(self._beside)
        try:
            fd = self._device.open(self._beside, create=True)
        except FileNotFoundError:
            raise StateError(f'state_file {self.path}: the folder {self.path.parent} does not exist; make it') from None
        try:
            self._device.lock(fd, self._beside)
        except BaseException:
            self._device.close(fd)
            raise
        return fd

    def _remove_beside(self) -> None:
        with contextlib.suppress(OSError):  # a file left behind does no harm: the next move removes it
            self._device.remove(self._beside)

    @property
    def fd(self) -> int:
        """Descriptor of the open file.

        Raises:
            StateError: if it is closed.
        """
        if self._fd is None:
            raise StateError(f'{self.path} is closed')
        return self._fd

    def read(self) -> StateFile:
        """Return both slots as they are on the storage.

        Pages that a killed process left in the page cache are synced, then dropped, so that they are read back.
        """
        if self._writable:
            try:
                self._device.sync(self.fd)
                self.sync_name()
            except OSError as error:
                self.problem = self.explain(error)  # what is on the storage can still be read
        self._device.forget(self.fd)
        return self.look()

    def look(self) -> StateFile:
        """Return both slots as any process sees them now; those of a new file if it could not be created."""
        if not self._created:
            return StateFile(self.path, 0, tuple(unpack(slot, part) for slot, part in enumerate(self._new)))
        return read_open_file(self._device, self.fd, self.path)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write to this file, or to its future replacement; `sync` makes it durable."""
        self.bytes_written += len(data)
        self._device.write(fd, data, offset)

    def sync(self, fd: int) -> None:
        """Return once the written data are on the storage."""
        self._device.sync(fd)

    def make_private(self) -> None:
        """Let only the owner read and write the file; one of an earlier release was readable for all."""
        with contextlib.suppress(OSError):  # of another owner, or on a read-only file system
            self._device.make_private(self.fd)

    def sync_name(self) -> None:
        """Return once the file's name is on the storage; before, a power cut restores the file that had the name."""
        if not self._named:
            self._device.sync_folder(self.path.parent)
            self._named = True

    def reopen_for_writing(self) -> bool:
        """Open a read-only file for writing, if that is possible by now; return whether it had to be reopened."""
        if self._writable:
            return False
        before, fd = self.fd, self._device.open(self.path)
        self._device.close(before)  # first, because its lock would block the new one
        self._fd = fd
        self._device.lock(fd, self.path)
        return True

    def is_gone(self) -> bool:
        """Return whether the file was removed while in use.

        Raises:
            StateError: if another file has its name.
        """
        if self._device.same(self.fd, self.path):
            return False
        if self._device.exists(self.path):
            raise StateError(f'{self.path} was replaced by another file while in use: configure the node again')
        return True

    def replace(self, fill: Callable[[int], None]) -> None:
        """Fill a new file and give it the name of this one; `sync_name` makes the name durable.

        Args:
            fill: writes to a descriptor and syncs it.
        """
        fd = self._open_beside()
        try:
            fill(fd)
            self._device.rename(self._beside, self.path)
        except BaseException:
            self._device.close(fd)
            self._remove_beside()
            raise
        self._take(fd)
        self._created = True

    def set_aside(self, kept: Path) -> None:
        """Rename this file to `kept`, then create a new one under the old name."""
        self._device.rename(self.path, kept)
        self._take(self._open())

    def _take(self, fd: int) -> None:
        self._device.close(self.fd)
        self._fd, self._writable, self._named = fd, True, False

    def exists(self, path: Path) -> bool:
        """Return whether something has this name."""
        return self._device.exists(path)

    def explain(self, error: OSError | StateError) -> str:
        """Return why an operation failed, with the path."""
        return f'{self.path}: {error.strerror or error}' if isinstance(error, OSError) else str(error)

    def close(self) -> None:
        """Close the file and release its lock; may be called again."""
        if self._fd is not None:
            self._device.close(self._fd)
            self._fd = None
