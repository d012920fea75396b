# SPDX-License-Identifier: Apache-2.0
"""The system calls behind a state file in one class, so that tests can replace the storage and make it fail."""

import contextlib
import errno
import fcntl
import os
import stat
import struct
from pathlib import Path

from aura_ros.common.errors import StateLocked

_FLOCK = struct.Struct('@hhqqi4x')
"""struct flock: type, whence, start, length (0 = to the end), pid (0 for such a lock)."""


class Device:
    """The real storage. Every method may raise OSError."""

    def open(self, path: Path, *, write: bool = True, create: bool = False) -> int:
        """Open a file that exists, or `create` one that does not, and return its descriptor. Links are not followed."""
        # O_NONBLOCK: opening a pipe must not wait for its other end
        flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
        fd = os.open(path, flags | (os.O_CREAT | os.O_EXCL) * create, 0o600)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, 'is not a regular file', str(path))
        return fd

    def lock(self, fd: int, path: Path) -> None:
        """Lock the file for this descriptor, until it is closed or the process ends.

        An open file description lock for writing needs a descriptor for writing. A program that may only read the file
        therefore cannot take it, unlike `flock`. A file that is open for reading only gets a lock for reading.

        Raises:
            StateLocked: if another process has locked it.
        """
        try:
            kind = fcntl.F_RDLCK if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY else fcntl.F_WRLCK
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0))
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES
            pid = lock_holder(path)
            raise StateLocked(
                f'{path} is in use by {f"process {pid}" if pid else "another process"}: give each '
                'memory node a state_file of its own, or end the other process'
            ) from None

    def has_foreign_reader(self, fd: int, path: Path) -> bool:
        """Return whether the lock that blocks this process is one for reading, of another user.

        Whoever may read a file can take such a lock, and so block a node. A file of an earlier release was readable for
        all users.
        """
        lock = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        kind, *_, pid = _FLOCK.unpack(lock)
        if kind != fcntl.F_RDLCK:
            return False
        holder = pid if pid > 0 else lock_holder(path)
        if holder is None:  # the processes of this user would have been found
            return True
        try:
            return Path(f'/proc/{holder}').stat().st_uid != os.geteuid()
        except OSError:  # it has ended
            return False

    def make_private(self, fd: int) -> None:
        """Take the permissions of group and others from the file: whoever can read it can also lock it."""
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & 0o077:
            os.fchmod(fd, mode & 0o700)

    def same(self, fd: int, path: Path) -> bool:
        """Return whether `path` still names the open file; it may have been removed or replaced."""
        try:
            return os.path.samestat(os.fstat(fd), path.stat())
        except FileNotFoundError:
            return False

    def size(self, fd: int) -> int:
        """Return the bytes of the file."""
        return os.fstat(fd).st_size

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Return `size` bytes, fewer only at the end of the file."""
        data = b''
        while len(data) < size and (part := os.pread(fd, size - len(data), offset + len(data))):
            data += part
        return data

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data`; only `sync` makes it durable."""
        while data:
            done = os.pwrite(fd, data, offset)
            data, offset = data[done:], offset + done

    def sync(self, fd: int) -> None:
        """Return once the written data, and a changed file size, are on the storage."""
        os.fdatasync(fd)

    def forget(self, fd: int) -> None:
        """Drop the file from the page cache, so that the next read comes from the storage."""
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file atomically; it replaces the file that has the new name."""
        source.replace(target)

    def rename_new(self, source: Path, target: Path) -> None:
        """Rename a file, unless the new name is in use.

        Raises:
            FileExistsError: if it is.
        """
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:  # FAT has no hard links
            if self.exists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
            self.rename(source, target)
        else:
            source.unlink()

    def remove(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def sync_folder(self, folder: Path) -> None:
        """Return once the names in a folder are on the storage."""
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def exists(self, path: Path) -> bool:
        """Return whether something has this name."""
        return path.exists()

    def close(self, fd: int) -> None:
        """Close a descriptor and release its lock."""
        os.close(fd)


def lock_holder(path: Path) -> int | None:
    """Return the process that holds the lock of a file, from /proc; None if unknown, for instance of another user."""
    try:
        found = path.stat()
        processes = [entry for entry in Path('/proc').iterdir() if entry.name.isdigit()]
    except OSError:
        return None
    for process in processes:
        with contextlib.suppress(OSError):  # it has ended, or it is of another user
            for link in (process / 'fd').iterdir():
                # '/proc/locks' has no process for such a lock, 'fdinfo' has: 'lock:  1: OFDLCK ADVISORY  WRITE -1 ...'
                if _is_open_as(link, found) and 'OFDLCK' in (process / 'fdinfo' / link.name).read_text():
                    return int(process.name)
    return None


def _is_open_as(link: Path, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(link.stat(), found)
    except OSError:  # closed meanwhile
        return False
