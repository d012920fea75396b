# SPDX-License-Identifier: Apache-2.0
"""One slot of a state file: 8 KiB with a CRC over all of them.

Little endian. The magic, the format version and the place of the CRC are the same in every version, so that a program
distinguishes a state of another version from a damaged one. The first release wrote zeros at 248: the stamp is unknown.

    offset  bytes
         0      8  magic 'AURASLOT'
         8      4  uint32 format version
        12      4  uint32 header length, 256
        16     32  SHA-256 of the memory's weights
        48     36  episode id, ASCII, padded with zeros
        84    128  layout, ASCII, padded with zeros: dtype and shape of each array in order, '<f4[32,32] <f4[32]'
       212      8  int64 seq, the last step applied to the state; -1 before the first
       220      8  uint64 writes of the memory since its last reset
       228      8  uint64 generation; the highest is the newest
       236      8  int64 time of the commit [ns since 1970, system clock]
       244      4  uint32 payload length
       248      8  int64 stamp of the last step applied [ns, ROS clock]; 0 if unknown
       256         payload, then zeros
     8,188      4  uint32 CRC-32 of all before it

The CRC covers the zeros too: any flipped bit of a slot is detected. A slot that was never written is `EMPTY_SLOT`:
magic, version, header length and CRC, with zeros between them. A slot of zeros is damage: a file system that lost data
after a power cut returns zeros.
"""

import math
import re
import struct
import zlib
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import StateError

MAGIC = b'AURASLOT'
VERSION = 1
SLOT_BYTES = 8192
SLOTS = 2
FILE_BYTES = SLOTS * SLOT_BYTES
MAX_PAYLOAD = 7680
MAX_EPISODE = 36
MAX_LAYOUT = 128
HEADER = struct.Struct('<8sII32s36s128sqQQqIq')
_TRAILER = struct.Struct('<I')
_EMPTY_BODY = struct.pack('<8sII', MAGIC, VERSION, HEADER.size).ljust(SLOT_BYTES - _TRAILER.size, b'\0')
EMPTY_SLOT = _EMPTY_BODY + _TRAILER.pack(zlib.crc32(_EMPTY_BODY))
"""A slot that was never written."""
_ARRAY = re.compile(r'(?P<dtype><[fiu][248]|\|[iub]1)\[(?P<shape>\d+(,\d+)*)?\]')


@dataclass(frozen=True)
class Snapshot:
    """A state to keep; immutable, so threads may share it."""

    payload: bytes
    """The carried arrays, from `Memory.export`."""
    episode_id: str
    """Episode of the last step, at most 36 ASCII characters."""
    seq: int
    """Last step applied to the state, -1 before the first."""
    writes: int
    """Writes of the memory since its last reset."""
    stamp_ns: int = 0
    """Observation of the last step applied [ns, ROS clock]; 0 if unknown."""


@dataclass(frozen=True)
class Identity:
    """The memory that a file belongs to. States of another identity are refused."""

    memory_hash: bytes
    """SHA-256 of the memory's weights, 32 bytes."""
    layout: str
    """Dtype and shape of each carried array, see `Memory.state_layout`."""
    size: int
    """Bytes of a payload."""

    @classmethod
    def of(cls, memory_hash: str, layout: str, size: int) -> Self:
        """Return a checked identity.

        Raises:
            StateError: if such a state does not fit into a slot.
        """
        if '*' in layout or size > MAX_PAYLOAD:
            raise StateError(
                f'a state of {size} bytes ({layout}) cannot be kept: a slot holds at most {MAX_PAYLOAD} '
                'bytes of a memory that does not grow; leave state_file empty'
            )
        if sum(array_bytes(layout)) != size or not size:
            raise StateError(f'layout {layout!r} does not describe {size} bytes')
        if len(layout) > MAX_LAYOUT:
            raise StateError(f'layout must be at most {MAX_LAYOUT} characters, got {len(layout)}: {layout}')
        try:
            digest = bytes.fromhex(memory_hash)
        except ValueError:
            digest = b''
        if len(digest) != 32:
            raise StateError(f'memory_hash must be a SHA-256 of 64 hexadecimal digits, got {memory_hash!r}')
        return cls(digest, layout, size)


@dataclass(frozen=True)
class SlotContent:
    """Content of one slot: a state, nothing, or something that must not be used."""

    slot: int
    """0 or 1."""
    damage: str = ''
    """Why it must not be used; '' for a state and for an empty slot."""
    version: int = VERSION
    """Format version; if it is not `VERSION`, only `slot` is meaningful besides."""
    identity: Identity | None = None
    snapshot: Snapshot | None = None
    generation: int = 0
    saved_ns: int = 0

    @property
    def valid(self) -> bool:
        """Whether it is an intact state of this format version, of any memory."""
        return self.snapshot is not None

    @property
    def empty(self) -> bool:
        """Whether it was never written."""
        return self.snapshot is None and not self.damage and self.version == VERSION


def pack(identity: Identity, snapshot: Snapshot, generation: int, saved_ns: int) -> bytes:
    """Return a slot of `SLOT_BYTES`.

    Raises:
        StateError: if the snapshot could not be restored: wrong size, values that are not finite, an invalid id.
    """
    _check(identity, snapshot)
    if not 0 <= generation < 2**64:
        raise StateError(f'generation must be 0..2^64 - 1, got {generation}: start a new file')
    header = HEADER.pack(
        MAGIC,
        VERSION,
        HEADER.size,
        identity.memory_hash,
        snapshot.episode_id.encode(),
        identity.layout.encode(),
        snapshot.seq,
        snapshot.writes,
        generation,
        saved_ns,
        identity.size,
        snapshot.stamp_ns,
    )
    body = (header + snapshot.payload).ljust(SLOT_BYTES - _TRAILER.size, b'\0')
    return body + _TRAILER.pack(zlib.crc32(body))


def unpack(slot: int, data: bytes) -> SlotContent:
    """Return the content of a slot; any bytes are accepted.

    Args:
        slot: 0 or 1.
        data: bytes of the slot, fewer than `SLOT_BYTES` if the file is cut.
    """
    if data == EMPTY_SLOT:
        return SlotContent(slot)
    if len(data) < SLOT_BYTES:
        return SlotContent(slot, f'cut short: {len(data):,} of {SLOT_BYTES:,} bytes')
    if not any(data):
        return SlotContent(slot, 'all zeros')
    body = data[: -_TRAILER.size]
    if data[: len(MAGIC)] != MAGIC:
        return SlotContent(slot, 'has no state header')
    if zlib.crc32(body) != _TRAILER.unpack_from(data, len(body))[0]:
        return SlotContent(slot, 'its CRC-32 does not match')
    _, version, length, memory_hash, episode, layout, seq, writes, generation, saved_ns, size, stamp_ns = (
        HEADER.unpack_from(data)
    )
    if version != VERSION:
        return SlotContent(slot, version=version)
    if length != HEADER.size:
        return SlotContent(slot, f'its header has {length} bytes instead of {HEADER.size}')
    try:
        identity = Identity.of(memory_hash.hex(), layout.rstrip(b'\0').decode('ascii'), size)
        payload, episode_id = data[HEADER.size : HEADER.size + size], episode.rstrip(b'\0').decode('ascii')
        snapshot = Snapshot(payload, episode_id, seq, writes, stamp_ns)
        _check(identity, snapshot)
    except (StateError, UnicodeDecodeError) as error:
        return SlotContent(slot, f'its CRC-32 matches, but it is not a valid state: {error}')
    return SlotContent(slot, '', version, identity, snapshot, generation, saved_ns)


def _check(identity: Identity, snapshot: Snapshot) -> None:
    """Raise StateError for a snapshot that could not be restored."""
    if len(snapshot.payload) != identity.size:
        raise StateError(f'a state of {identity.size} bytes is expected, got {len(snapshot.payload)}')
    if not all_finite(identity.layout, snapshot.payload):
        raise StateError('the state has values that are not finite')
    if not snapshot.episode_id.isascii() or len(snapshot.episode_id) > MAX_EPISODE or '\0' in snapshot.episode_id:
        raise StateError(f'episode_id must be at most {MAX_EPISODE} ASCII characters, got {snapshot.episode_id!r}')
    if not -1 <= snapshot.seq < 2**63:
        raise StateError(f'seq must be -1 (before the first step) or 0..2^63 - 1, got {snapshot.seq}')
    if not 0 <= snapshot.writes < 2**64:
        raise StateError(f'writes must be 0..2^64 - 1, got {snapshot.writes}')
    if not 0 <= snapshot.stamp_ns < 2**63:
        raise StateError(f'stamp_ns must be 0 (unknown) or 1..2^63 - 1, got {snapshot.stamp_ns}')


def array_bytes(layout: str) -> list[int]:
    """Return the bytes of each array of a layout.

    Raises:
        StateError: if the layout cannot be read.
    """
    return [np.dtype(kind).itemsize * math.prod(shape) for kind, shape in _parse(layout)]


def arrays(layout: str, payload: bytes) -> list[NDArray[np.generic]]:
    """Return the carried arrays, read-only views on the payload.

    Raises:
        StateError: if the layout does not match the payload.
    """
    sizes = array_bytes(layout)
    if sum(sizes) > len(payload):
        raise StateError(f'layout {layout!r} needs more than the {len(payload)} bytes of the payload')
    ends = accumulate(sizes)
    return [
        np.frombuffer(payload[end - size : end], kind).reshape(shape)
        for (kind, shape), size, end in zip(_parse(layout), sizes, ends, strict=True)
    ]


def all_finite(layout: str, payload: bytes) -> bool:
    """Return whether all values of a state are finite."""
    return all(bool(np.isfinite(part).all()) for part in arrays(layout, payload))


def _parse(layout: str) -> list[tuple[str, tuple[int, ...]]]:
    parts = []
    for text in layout.split(' '):
        match = _ARRAY.fullmatch(text)
        if match is None:
            raise StateError(f'layout {layout!r}: {text!r} is not an array such as <f4[32,32]')
        parts.append((match['dtype'], tuple(map(int, (match['shape'] or '').split(','))) if match['shape'] else ()))
    return parts
