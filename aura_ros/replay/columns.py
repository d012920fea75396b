# SPDX-License-Identifier: Apache-2.0
"""Figures of every step, in files without a name instead of in memory: a recording may be of any length.

An array of `Columns` is used as any other. Its pages are those of a file that is gone when the array is; `rest` hands
them back to the kernel, which reads them again when somebody looks.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aura_ros.common.errors import ConfigError

_BLOCK = 1 << 16


class Columns:
    """Makes such arrays.

    Args:
        folder: where the files are; None is the system's folder for temporary files.

    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._maps: list[mmap.mmap] = []

    def new(self, shape: tuple[int, ...], dtype: DTypeLike, fill: Any = 0) -> NDArray[Any]:
        """An array of this shape that holds `fill` everywhere.

        Raises:
            ConfigError: there is no room for it.

        """
        kind = np.dtype(dtype)
        size = max(1, int(np.prod(shape)) * kind.itemsize)
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                # a page without room behind it would kill the process when it is written
                os.posix_fallocate(file.fileno(), 0, size)
                room = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise ConfigError(
                f'{size:,} bytes for the figures of the steps cannot be had in '
                f'{self._folder or tempfile.gettempdir()} ({error.strerror}): make room there'
            ) from error
        self._maps.append(room)
        array = np.frombuffer(room, kind, int(np.prod(shape))).reshape(shape)
        for begin in range(0, shape[0] if fill else 0, _BLOCK):
            array[begin : begin + _BLOCK] = fill
            room.madvise(mmap.MADV_DONTNEED)
        return array

    def rest(self) -> None:
        """Hand the pages back; nothing is lost."""
        for room in self._maps:
            room.madvise(mmap.MADV_DONTNEED)
