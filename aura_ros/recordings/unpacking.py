# SPDX-License-Identifier: Apache-2.0
"""Decompression up to a limit: chunks, messages and whole files of a recording."""

import fcntl
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

import zstandard
from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]  # no stubs exist
from mcap.records import Chunk
from rosbags.rosbag2 import storage_mcap

from aura_ros.common.errors import BagError
from aura_ros.common.limits import CHUNK_BYTES, FILE_FREE_BYTES, FILE_RATIO, FILE_SMALL_BYTES

_PIECE = 1 << 20
_PREFIX = 'aura-replay-'
_LOCK = 'lock'
_NEW_S = 5.0


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes: ...


def unpack_zstd(data: bytes, limit: int) -> bytes:
    """Return decompressed bytes.

    Raises:
        BagError: there are more than `limit` bytes.
        zstandard.ZstdError: the data is damaged.
    """
    size = zstandard.frame_content_size(data)
    if size > limit:
        raise _too_large(limit)
    found = bytearray()
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
        while piece := reader.read(_PIECE):
            found += piece
            if len(found) > limit:
                raise _too_large(limit)
    if size > len(found):
        raise zstandard.ZstdError('the frame is incomplete')
    return bytes(found)


def unpack_lz4(data: bytes, limit: int) -> bytes:
    """Return decompressed bytes.

    Raises:
        BagError: there are more than `limit` bytes.
        RuntimeError: the data is damaged.
    """
    found: bytes = LZ4FrameDecompressor().decompress(data, max_length=limit + 1)
    if len(found) > limit:
        raise _too_large(limit)
    return found


def plain_chunk(chunk: Chunk) -> Chunk:
    """Return an MCAP chunk without compression.

    Raises:
        BagError: its content is larger than CHUNK_BYTES or than it declares, or its compression is not supported.
    """
    if chunk.compression not in ('', 'zstd', 'lz4'):
        raise BagError(f'compression {chunk.compression[:20]!r} is not supported: must be zstd or lz4')
    limit = min(chunk.uncompressed_size, CHUNK_BYTES)
    if chunk.compression == 'zstd':
        return replace(chunk, compression='', data=unpack_zstd(chunk.data, limit))
    if chunk.compression == 'lz4':
        return replace(chunk, compression='', data=unpack_lz4(chunk.data, limit))
    return chunk


# rosbags gives these functions the declared size, but its own ones ignore it.
storage_mcap.DECOMPRESSORS |= {
    'zstd': lambda data, size: unpack_zstd(data, min(size, CHUNK_BYTES)),
    'lz4': lambda data, size: unpack_lz4(data, min(size, CHUNK_BYTES)),
}


class TemporaryFile:
    """A file in a temporary folder of its own.

    The folder is removed by `close`, and at the latest when this process or the next one that makes such a file finds
    it without an owner. The owner holds a lock on the folder, which ends with its process, however it ends.
    """

    def __init__(self, name: str) -> None:
        """Make the folder; the owner writes the file."""
        _remove_abandoned()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
        self._lock = Path(self._folder.name, _LOCK).open('w')  # noqa: SIM115  # `close` closes it
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = Path(self._folder.name, name)

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()
        self._lock.close()


class UnpackedFile(TemporaryFile):
    """A whole .zstd file in a temporary folder, because SQLite and an index need random access."""

    def __init__(self, path: Path) -> None:
        """Unpack `path`.

        Raises:
            BagError: the file is damaged, or unpacks to more than the limits allow.
        """
        super().__init__(path.stem)
        try:
            with path.open('rb') as packed, self.path.open('wb') as file:
                limit = max(FILE_SMALL_BYTES, FILE_RATIO * path.stat().st_size)
                with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
                    copy_stream(reader, file, path, limit)
        except BaseException as error:
            self.close()
            if isinstance(error, zstandard.ZstdError):
                raise BagError(f'{path.name} is not a complete zstd file ({error}): copy it again') from None
            raise


def copy_stream(source: Readable, file: IO[bytes], path: Path, limit: int, more: str = '') -> None:
    """Copy at most `limit` bytes of `path`, which `source` reads, to a temporary file; `more` says why there are more.

    Raises:
        BagError: there are more bytes, or the disk has no room.
    """
    size = 0
    while piece := source.read(_PIECE):
        size += len(piece)
        if size > limit:
            more = more or f'unpacks to more than {limit:,} bytes: unpack it yourself with unzstd'
            raise BagError(f'{path.name} {more}')
        if shutil.disk_usage(file.name).free < FILE_FREE_BYTES:
            raise BagError(
                f'{path.name} leaves less than {FILE_FREE_BYTES:,} bytes in {tempfile.gettempdir()}: set TMPDIR to a '
                'folder with more room'
            )
        file.write(piece)


def _remove_abandoned() -> None:
    """Remove the folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f'{_PREFIX}*'):
        try:
            # A new folder can be without its lock for a moment.
            if time.time() - folder.stat().st_mtime < _NEW_S:
                continue
            with (folder / _LOCK).open('r+') as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another process uses it, or another user owns it
            continue


def _too_large(limit: int) -> BagError:
    return BagError(f'unpacks to more than {limit:,} bytes')
