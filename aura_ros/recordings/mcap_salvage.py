# SPDX-License-Identifier: Apache-2.0
"""Reads the whole records of an MCAP file without end, without index or with damaged parts.

A first pass finds every chunk with a correct CRC and notes its place, times and channels. Messages outside chunks,
which rosbag2 writes with the preset `fastwrite`, are grouped in blocks of a few megabytes and handled like chunks. In
memory are a few hundred bytes per block and the content of one block, or of several blocks with overlapping times.
"""

import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from heapq import merge
from io import BytesIO
from pathlib import Path
from typing import Any

import zstandard
from mcap import records
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.stream_reader import CRCValidationError, breakup_chunk
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat

from aura_ros.common.errors import BagError
from aura_ros.common.limits import CHUNK_BYTES
from aura_ros.recordings.chunk_limits import ChunkSpan, check_total
from aura_ros.recordings.unpacking import plain_chunk

_MAGIC = b'\x89MCAP0\r\n'
_HEAD = struct.Struct('<BQ')
_BLOCK_BYTES = 4 << 20
_FORMATS = {
    'ros2msg': MessageDefinitionFormat.MSG,
    'ros1msg': MessageDefinitionFormat.MSG,
    'ros2idl': MessageDefinitionFormat.IDL,
    'omgidl': MessageDefinitionFormat.IDL,
}
# Everything that parsing and decompression raise on damaged bytes.
_DAMAGE = (
    BagError,
    McapError,
    CRCValidationError,
    zstandard.ZstdError,
    struct.error,
    ValueError,
    RuntimeError,
    EOFError,
    ArithmeticError,
    MemoryError,
)


@dataclass
class _Block:
    """Consecutive bytes with messages: a chunk record, or messages at the top level of the file."""

    offset: int
    length: int = 0
    chunk: bool = False
    size: int = 0
    begin_ns: int = 0
    end_ns: int = 0
    channels: set[int] = field(default_factory=set)

    def note(self, channel: int, log_ns: int) -> None:
        self.begin_ns = min(self.begin_ns, log_ns) if self.channels else log_ns
        self.end_ns = max(self.end_ns, log_ns)
        self.channels.add(channel)


class SalvagedMcap:
    """The whole records of an MCAP file. One thread.

    Attributes:
        connections: topics with types, definitions and message counts.
        begin_ns: log time of the first message [ns].
        end_ns: log time after the last message [ns].
        lost: what is missing, or ''.
    """

    def __init__(self, path: Path) -> None:
        """Scan the file.

        Raises:
            BagError: the file is not an MCAP file, ends before the first message, or unpacks to too much.
        """
        self._file = path.open('rb')
        self._schemas: dict[int, records.Schema] = {}
        self._channels: dict[int, records.Channel] = {}
        self._blocks: list[_Block] = []
        self._counts: Counter[int] = Counter()
        self._damaged = self._unpacked = 0
        # Parts that are not supported or exceed a limit, by reason [1].
        self._skipped: Counter[str] = Counter()
        self._ended = self._closed = False
        try:
            self._scan(path.stat().st_size)
        except BaseException:
            self._file.close()
            raise
        self.connections = [self._connection(channel) for channel in self._channels.values()]
        self._blocks = [block for block in self._blocks if block.channels]
        self.begin_ns = min((block.begin_ns for block in self._blocks), default=0)
        self.end_ns = max((block.end_ns + 1 for block in self._blocks), default=0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def messages(
        self, connections: Collection[Connection], begin_ns: int, end_ns: int
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield messages of `connections` with begin_ns <= log_ns < end_ns, by log time, then by place in the file."""
        wanted = {connection.id: connection for connection in connections}
        parts = [
            self._ordered(number, block, wanted, begin_ns, end_ns)
            for number, block in enumerate(sorted(self._blocks, key=lambda block: block.begin_ns))
            if block.channels & wanted.keys() and block.begin_ns < end_ns and block.end_ns >= begin_ns
        ]
        for log_ns, _, connection, data in merge(*parts, key=lambda item: item[:2]):
            if connection is not None:
                yield connection, log_ns, data

    @property
    def lost(self) -> str:
        """What is missing of the file, or ''."""
        found = []
        if not self._ended:
            found.append('the file ends in the middle of a record, as after a crash or a broken copy')
        if self._damaged:
            found.append(f'{self._damaged} damaged parts were skipped')
        found += [f'{count} parts were skipped ({why})' for why, count in self._skipped.items()]
        if not found and not self._closed:
            return 'the index is missing; all messages were found without it'
        return ' and '.join(found)

    @property
    def spans(self) -> list[ChunkSpan]:
        """The blocks of messages."""
        return [ChunkSpan(one.begin_ns, one.end_ns, one.size or one.length) for one in self._blocks]

    def _scan(self, size: int) -> None:
        if self._file.read(8) != _MAGIC:
            raise BagError('is not an MCAP file: its first bytes are wrong; copy it again, in binary mode')
        offset = 8
        while offset + _HEAD.size <= size:
            self._file.seek(offset)
            opcode, length = _HEAD.unpack(self._file.read(_HEAD.size))
            after = offset + _HEAD.size + length
            if opcode in (Opcode.DATA_END, Opcode.FOOTER):
                self._ended = True
                self._file.seek(max(offset, size - len(_MAGIC)))
                self._closed = self._file.read() == _MAGIC
                break
            if after > size:
                break
            if length > CHUNK_BYTES:
                self._skipped[f'a record is larger than {CHUNK_BYTES:,} bytes'] += 1
            elif opcode in (Opcode.CHUNK, Opcode.MESSAGE, Opcode.SCHEMA, Opcode.CHANNEL):
                self._take(opcode, offset, self._file.read(length))
                check_total(self._unpacked, size)
            offset = after
        if not self._counts and self._skipped and not self._damaged:
            raise BagError(f'holds no message that can be read: {"; ".join(self._skipped)}')
        if not self._counts:
            raise BagError(
                'ends before its first whole message: record or copy it again'
                if not self._ended
                else 'holds no whole message: record or copy it again'
                if self._damaged
                else 'holds no message'
            )

    def _take(self, opcode: int, offset: int, body: bytes) -> None:
        try:
            if opcode == Opcode.CHUNK:
                chunk = plain_chunk(records.Chunk.read(_stream(body)))
                block = _Block(offset, _HEAD.size + len(body), chunk=True, size=len(chunk.data))
                self._unpacked += block.size
                for record in breakup_chunk(chunk, validate_crc=True):
                    self._note(record, block)
                self._blocks.append(block)
                return
            self._note(_parse(opcode, body), self._block(offset, len(body)))
        except BagError as error:
            self._skipped[str(error)] += 1
        except _DAMAGE:
            self._damaged += 1

    def _block(self, offset: int, length: int) -> _Block:
        """The block of a record at the top level: the last one if the record directly follows it, else a new one."""
        last = self._blocks[-1] if self._blocks else None
        if last is None or last.chunk or last.offset + last.length != offset or last.length > _BLOCK_BYTES:
            last = _Block(offset)
            self._blocks.append(last)
        last.length += _HEAD.size + length
        return last

    def _note(self, record: Any, block: _Block) -> None:
        if isinstance(record, records.Schema):
            self._schemas[record.id] = record
        elif isinstance(record, records.Channel):
            self._channels[record.id] = record
        elif isinstance(record, records.Message) and record.channel_id in self._channels:
            self._counts[record.channel_id] += 1
            block.note(record.channel_id, record.log_time)

    def _connection(self, channel: records.Channel) -> Connection:
        schema = self._schemas.get(channel.schema_id)
        definition, kind = MessageDefinition(MessageDefinitionFormat.NONE, ''), ''
        if schema is not None:
            encoding = _FORMATS.get(schema.encoding, MessageDefinitionFormat.NONE)
            definition, kind = MessageDefinition(encoding, schema.data.decode('utf-8', 'replace')), schema.name
        return Connection(
            channel.id,
            channel.topic,
            kind,
            definition,
            '',
            self._counts[channel.id],
            ConnectionExtRosbag2(channel.message_encoding, []),
            self,
        )

    def _ordered(
        self, number: int, block: _Block, wanted: dict[int, Connection], begin_ns: int, end_ns: int
    ) -> Iterator[tuple[int, int, Connection | None, bytes]]:
        # This first item gives `merge` the beginning of the block, before the block is read.
        yield block.begin_ns, number, None, b''
        self._file.seek(block.offset)
        body = self._file.read(block.length)
        chunk = records.Chunk.read(_stream(body[_HEAD.size :])) if block.chunk else None
        found = breakup_chunk(plain_chunk(chunk)) if chunk is not None else _top_level(body)
        for message in sorted(
            (one for one in found if isinstance(one, records.Message) and one.channel_id in wanted),
            key=lambda message: message.log_time,
        ):
            if begin_ns <= message.log_time < end_ns:
                yield message.log_time, number, wanted[message.channel_id], message.data


def _parse(opcode: int, body: bytes) -> Any:
    if opcode == Opcode.MESSAGE:
        return records.Message.read(_stream(body), len(body))
    return (records.Schema if opcode == Opcode.SCHEMA else records.Channel).read(_stream(body))


def _top_level(body: bytes) -> Iterator[Any]:
    offset = 0
    while offset < len(body):
        opcode, length = _HEAD.unpack_from(body, offset)
        offset += _HEAD.size
        if opcode == Opcode.MESSAGE:
            yield _parse(opcode, body[offset : offset + length])
        offset += length


def _stream(body: bytes) -> ReadDataStream:
    return ReadDataStream(BytesIO(body))
