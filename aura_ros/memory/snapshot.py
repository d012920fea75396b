# SPDX-License-Identifier: Apache-2.0
"""A memory state in one file: written whole or not at all, checked when read, never unpickled.

Layout, little endian: 8 bytes magic, uint32 version, uint32 payload length, 32 bytes SHA-256 of the policy,
36 bytes episode id (ASCII, padded with zeros), uint64 seq, payload, uint32 CRC-32 of all before it.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from aura_ros.errors import StateError
from aura_ros.memory.protocol import Memory

MAGIC = b'AURAMEM\0'
VERSION = 1
HEADER = struct.Struct('<8sII32s36sQ')
TRAILER = struct.Struct('<I')


def state_crc(memory: Memory) -> int:
    """CRC-32 of the carried state."""
    return zlib.crc32(memory.export())


def save_state(path: str | Path, memory: Memory, episode_id: str, seq: int) -> int:
    """Write the state of a memory; afterwards it is on the medium.

    Args:
        path: file to write; its folder must exist.
        memory: whose state.
        episode_id: at most 36 ASCII characters.
        seq: last step the state holds.

    Returns:
        CRC-32 of the state bytes.

    Raises:
        OSError: if the file cannot be written; an older one is then untouched.

    """
    payload = memory.export()
    policy = bytes.fromhex(memory.policy_hash).ljust(32, b'\0')
    body = HEADER.pack(MAGIC, VERSION, len(payload), policy, episode_id.encode('ascii'), seq) + payload
    target = Path(path)
    part = target.with_name(target.name + '.part')
    with part.open('wb') as file:
        file.write(body + TRAILER.pack(zlib.crc32(body)))
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name itself must survive a power cut
    finally:
        os.close(folder)
    return zlib.crc32(payload)


def load_state(path: str | Path, memory: Memory) -> tuple[str, int]:
    """Read a state into a memory.

    Returns:
        the episode id and the last step the state holds.

    Raises:
        StateError: if the file is damaged, of another version or another policy; the memory is then unchanged.
        OSError: if the file cannot be read.

    """
    data = Path(path).read_bytes()
    if len(data) < HEADER.size + TRAILER.size or data[:8] != MAGIC:
        raise StateError(f'{path} is no memory state')
    _, version, length, policy, episode, seq = HEADER.unpack_from(data)
    body, trailer = data[:-TRAILER.size], data[-TRAILER.size:]
    if version != VERSION:
        raise StateError(f'{path} has version {version}, this program reads {VERSION}')
    if len(body) != HEADER.size + length or zlib.crc32(body) != TRAILER.unpack(trailer)[0]:
        raise StateError(f'{path} is damaged: its CRC-32 does not fit')
    if policy != bytes.fromhex(memory.policy_hash).ljust(32, b'\0'):
        raise StateError(f'{path} belongs to another policy ({policy.hex()[:12]}, not {memory.policy_hash[:12]}): '
                         'use its weights again or remove the file to start afresh')
    memory.restore(body[HEADER.size:])
    return episode.rstrip(b'\0').decode('ascii'), seq
