# SPDX-License-Identifier: Apache-2.0
"""The few system calls behind a state file, so that a test can take the place of the medium and fail as one does."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

from aura_ros.common.errors import StateLocked


class Device:
    """The real medium. Every method may raise OSError."""

    def open(self, path: Path, *, write: bool = True, create: bool = False, empty: bool = False) -> int:
        """Open a file; `create` it if need be, `empty` it if it is there. Returns a descriptor."""
        # without waiting for whoever may be at the other end of what turns out to be a pipe
        flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(path, flags | os.O_CREAT * create | os.O_TRUNC * empty, 0o644)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, 'is no regular file', str(path))
        return fd

    def lock(self, fd: int, path: Path) -> None:
        """Take the file for this process alone, until it is closed or the process ends, however it ends.

        Raises:
            StateLocked: if another process has it.

        """
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = lock_holder(path)
            raise StateLocked(
                f'{path} is in use by {f"process {pid}" if pid else "another process"}: give each '
                'memory node a state_file of its own, or end the other one'
            ) from None

    def same(self, fd: int, path: Path) -> bool:
        """Whether `path` still names the open file: it may have been removed or replaced."""
        try:
            return os.path.samestat(os.fstat(fd), path.stat())
        except FileNotFoundError:
            return False

    def size(self, fd: int) -> int:
        """Bytes of the file."""
        return os.fstat(fd).st_size

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Read up to `size` bytes, fewer only at the end of the file."""
        data = b''
        while len(data) < size and (part := os.pread(fd, size - len(data), offset + len(data))):
            data += part
        return data

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data`; it need not be on the medium afterwards."""
        while data:
            done = os.pwrite(fd, data, offset)
            data, offset = data[done:], offset + done

    def sync(self, fd: int) -> None:
        """Return when what was written is on the medium, with the file's size if that changed."""
        os.fdatasync(fd)

    def forget(self, fd: int) -> None:
        """Drop what the system holds of the file in memory, so that the next read comes from the medium."""
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, in place of the file that has it; at once or not at all."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Take a file's name away."""
        path.unlink()

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in a folder are on the medium."""
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def exists(self, path: Path) -> bool:
        """Whether something has this name."""
        return path.exists()

    def close(self, fd: int) -> None:
        """Close; a lock is released."""
        os.close(fd)


def lock_holder(path: Path) -> int | None:
    """Process that holds the flock of a file, as /proc/locks says; None where it does not say."""
    try:
        found = path.stat()
        lines = Path('/proc/locks').read_text(encoding='ascii').splitlines()
    except OSError:
        return None
    name = f'{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}'
    for line in lines:
        # '1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF'; a process of another container has the id 0 or -1
        fields = line.split()
        if len(fields) >= 6 and fields[1] == 'FLOCK' and fields[5] == name and int(fields[4]) > 0:
            return int(fields[4])
    return None
