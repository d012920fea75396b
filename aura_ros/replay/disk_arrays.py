# SPDX-License-Identifier: Apache-2.0
"""Arrays in unnamed files instead of memory, so that a recording can have any length.

Such an array is used like any other. Its pages belong to a file that disappears with the array. `release` returns the
pages to the kernel, which reads them from the file again on the next access.
"""

import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aura_ros.common.errors import ConfigError

_BLOCK = 1 << 16


class DiskArrays:
    """Owner of such arrays."""

    def __init__(self, folder: Path | None = None) -> None:
        """Set the folder of the files; None is the system's folder for temporary files."""
        self._folder = folder
        self._maps: list[mmap.mmap] = []

    def new(self, shape: tuple[int, ...], dtype: DTypeLike, fill: Any = 0) -> NDArray[Any]:
        """Return an array of this shape, filled with `fill`.

        Raises:
            ConfigError: the disk is full.
        """
        kind = np.dtype(dtype)
        size = max(1, int(np.prod(shape)) * kind.itemsize)
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                # Without allocated blocks, a full disk would kill the process at the first write to a page.
                os.posix_fallocate(file.fileno(), 0, size)
                pages = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise ConfigError(
                f'cannot allocate {size:,} bytes in {self._folder or tempfile.gettempdir()} ({error.strerror}): '
                'free some space there, or use another folder with --cache'
            ) from error
        self._maps.append(pages)
        array = np.frombuffer(pages, kind, int(np.prod(shape))).reshape(shape)
        for begin in range(0, shape[0] if fill else 0, _BLOCK):
            array[begin : begin + _BLOCK] = fill
            pages.madvise(mmap.MADV_DONTNEED)
        return array

    def release(self) -> None:
        """Return all pages to the kernel; the values stay in the files."""
        for pages in self._maps:
            pages.madvise(mmap.MADV_DONTNEED)
