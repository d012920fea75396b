# SPDX-License-Identifier: Apache-2.0
"""One file that is open and locked by this process, and that another file may replace under the same name."""

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path

from aura_ros.common.errors import StateError
from aura_ros.state.device import Device
from aura_ros.state.reading import StateFile, read_open_file


class LockedFile:
    """A file, from opening to closing. One thread at a time. Every method may raise OSError."""

    def __init__(self, path: Path, device: Device) -> None:
        """Open the file or create it, and lock it.

        Raises:
            StateLocked: if another process has locked the file.
            StateError: if the folder is missing.
            OSError: if the file can be neither read nor created, or is not a regular file.
        """
        self.path = path.resolve()
        """Path of the file, links resolved."""
        self.bytes_written = 0
        """Bytes given to the device, failed attempts included."""
        self.problem = ''
        """Why writing fails, if that is known from opening, else ''."""
        self._device = device
        self._writable, self._named = True, False
        self._fd: int | None = self._open()

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

    @property
    def fd(self) -> int:
        """Descriptor of the open file.

        Raises:
            StateError: if it is closed.
        """
        if self._fd is None:
            raise StateError(f'{self.path} is closed')
        return self._fd

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._device.size(self.fd)

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
        return read_open_file(self._device, self.fd, self.path)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write to this file, or to its future replacement; `sync` makes it durable."""
        self.bytes_written += len(data)
        self._device.write(fd, data, offset)

    def sync(self, fd: int) -> None:
        """Return once the written data are on the storage."""
        self._device.sync(fd)

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
        beside = self.path.with_name(self.path.name + '.moving')
        fd = self._device.open(beside, create=True, empty=True)
        try:
            self._device.lock(fd, beside)
            fill(fd)
            self._device.rename(beside, self.path)
        except BaseException:
            self._device.close(fd)
            with contextlib.suppress(OSError):  # a file left behind does no harm: the next move empties it
                self._device.remove(beside)
            raise
        self._take(fd)

    def set_aside(self, kept: Path, fill: Callable[[int], None]) -> None:
        """Rename this file to `kept`, then create and `fill` a new one under the old name."""
        self._device.rename(self.path, kept)
        self._named = False
        fd = self._device.open(self.path, create=True)
        try:
            self._device.lock(fd, self.path)
            fill(fd)
        except BaseException:
            self._device.close(fd)
            raise
        self._take(fd)

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
