# SPDX-License-Identifier: Apache-2.0
"""One storage file of a bag (.mcap or .db3). Damaged files are read as far as possible.

rosbags refuses a file without its end and stops at a damaged part. A salvaging reader (`mcap_salvage`,
`sqlite_salvage`), which needs neither end nor index, then continues after the last message.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import zstandard
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader

from aura_ros.common.errors import BagError
from aura_ros.common.limits import MESSAGE_BYTES
from aura_ros.recordings.chunk_limits import ChunkSpan, check_overlap, check_total
from aura_ros.recordings.lfs import pointer_problem
from aura_ros.recordings.mcap_salvage import SalvagedMcap
from aura_ros.recordings.sqlite_limits import check_tables, limited_reader
from aura_ros.recordings.sqlite_salvage import SalvagedSqlite, is_cut_short
from aura_ros.recordings.sqlite_wal import MergedFile, log_of
from aura_ros.recordings.unpacking import TemporaryFile, UnpackedFile, unpack_zstd

Message = tuple[Connection, int, bytes]

SUFFIXES = ('.mcap', '.db3')
COMPRESSED = '.zstd'
_ZSTD_START = b'\x28\xb5\x2f\xfd'


class StorageFile:
    """A storage file, open for reading. One thread.

    Attributes:
        connections: topics with types, definitions and message counts.
        begin_ns: log time of the first message [ns].
        end_ns: log time after the last message [ns]; equal to begin_ns without messages.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, which ends in one of SUFFIXES, optionally with .zstd after it.

        Raises:
            BagError: nothing in the file can be read.
        """
        self._path = path
        self._failure = ''
        self._unpacked = self._temporary()
        self._file = self._unpacked.path if self._unpacked else path
        self._reader: Reader | None = None
        self._salvage: SalvagedMcap | SalvagedSqlite | None = None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _temporary(self) -> TemporaryFile | None:
        """A copy of the file that the readers can use, or None if they can use the file itself."""
        if self._path.suffix == COMPRESSED:
            return UnpackedFile(self._path)
        if self._path.suffix == '.db3' and (log := log_of(self._path)) is not None:
            try:
                return MergedFile(self._path, log)
            except BagError as error:
                self._failure = f'{error}; the file was read without it'
        return None

    def _open(self) -> None:
        if not self._file.stat().st_size:
            raise BagError(f'{self._path.name} is empty (0 bytes): record it or copy it again')
        if problem := pointer_problem(self._file):
            raise BagError(f'{self._path.name} {problem}')
        if self._file.suffix == '.db3':
            check_tables(self._file)
        reader = Reader(self._file)
        try:
            with limited_reader(self._file):
                reader.open()
            # rosbags reads messages outside chunks correctly only if they are in order of time.
            whole = getattr(reader.storage, 'chunks', None) != [] or not reader.message_count
            whole = whole and not (self._file.suffix == '.db3' and is_cut_short(self._file))
        except Exception:  # noqa: BLE001  # rosbags and its decompressors can raise anything on damaged bytes
            whole = False
        if reader.is_open:
            self._reader = reader
        if whole:
            self._check_chunks()
            self.begin_ns, self.end_ns = reader.start_time, reader.end_time
            self.connections = list(reader.connections)
        else:
            salvage = self._salvaged()
            self.begin_ns, self.end_ns = salvage.begin_ns, salvage.end_ns
            self.connections = list(salvage.connections)
        if not any(connection.msgcount for connection in self.connections):
            self.begin_ns = self.end_ns = 0

    @property
    def partial(self) -> str:
        """What of the file cannot be read, or ''. Reading can add to it."""
        lost = self._failure or (self._salvage.lost if self._salvage is not None else '')
        return f'{self._path.name}: {lost}' if lost else ''

    def _salvaged(self) -> SalvagedMcap | SalvagedSqlite:
        try:
            mcap = self._file.suffix == '.mcap'
            self._salvage = SalvagedMcap(self._file) if mcap else SalvagedSqlite(self._file)
        except BagError as error:
            raise BagError(f'{self._path.name}: {error}') from None
        self._check_chunks()
        return self._salvage

    @property
    def spans(self) -> list[ChunkSpan]:
        """The chunks of an MCAP file."""
        if self._salvage is not None:
            return self._salvage.spans if isinstance(self._salvage, SalvagedMcap) else []
        chunks = getattr(getattr(self._reader, 'storage', None), 'chunks', [])
        return [ChunkSpan(one.message_start_time, one.message_end_time, one.uncompressed_size) for one in chunks]

    def _check_chunks(self) -> None:
        spans = self.spans
        try:
            check_total(sum(span.size for span in spans), self._file.stat().st_size)
            check_overlap(spans)
        except BagError as error:
            raise BagError(f'{self._path.name}: {error}') from None

    def messages(self, connections: Collection[Connection], begin_ns: int, end_ns: int) -> Iterator[Message]:
        """Yield the messages of `connections` with begin_ns <= log_ns < end_ns, in log order."""
        wanted = {(connection.topic, connection.msgtype) for connection in connections}
        at_ns, same = begin_ns, 0
        if self._reader is not None and self._salvage is None:
            try:
                for connection, log_ns, data in self._reader.messages(connections, begin_ns, end_ns):
                    if not isinstance(log_ns, int) or log_ns < at_ns:
                        raise BagError('its index is damaged')
                    yield connection, log_ns, _decompressed(data)
                    at_ns, same = log_ns, (same + 1 if log_ns == at_ns else 1)
                return
            except Exception as damage:  # noqa: BLE001  # as above; `partial` reports the loss
                try:
                    self._salvaged()
                except BagError as error:
                    after_s = (at_ns - self.begin_ns) / 1e9
                    self._failure = (
                        f'nothing could be read after {after_s:.1f} s ({damage}; without the index: {error})'
                    )
                    return
        assert self._salvage is not None
        known = [one for one in self._salvage.connections if (one.topic, one.msgtype) in wanted]
        for connection, log_ns, data in self._salvage.messages(known, at_ns, end_ns):
            if log_ns == at_ns and same:
                same -= 1
                continue
            yield connection, log_ns, _decompressed(data)

    def close(self) -> None:
        """Close the file and remove its unpacked copy."""
        if self._reader is not None and self._reader.is_open:
            self._reader.close()
        if self._salvage is not None:
            self._salvage.close()
        if self._unpacked is not None:
            self._unpacked.close()


def _decompressed(data: Any) -> bytes:
    """Undo compression by message, which CDR never resembles. Damaged bytes give b'', which the decoder counts."""
    if data[:4] != _ZSTD_START:
        return bytes(data)
    try:
        return unpack_zstd(data, MESSAGE_BYTES)
    except (zstandard.ZstdError, BagError, MemoryError):
        return b''
