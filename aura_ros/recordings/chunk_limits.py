# SPDX-License-Identifier: Apache-2.0
"""Limits on the chunks of recordings together: a small file must not unpack without end, or all at once.

Messages are merged by time. A reader therefore holds every chunk whose times overlap the present one.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from rosbags.interfaces import Connection
from rosbags.rosbag2 import storage_mcap

from aura_ros.common.errors import BagError
from aura_ros.common.limits import FILE_RATIO, OVERLAP_BYTES, PARTS_BYTES


@dataclass(frozen=True)
class ChunkSpan:
    """The times of a chunk and its size."""

    begin_ns: int
    """Log time of its first message [ns]."""
    end_ns: int
    """Log time of its last message [ns]."""
    size: int
    """Size when unpacked [B]."""


def check_total(unpacked: int, file_bytes: int) -> None:
    """Raise BagError if the chunks of a file of `file_bytes` unpack to too much."""
    limit = max(PARTS_BYTES, FILE_RATIO * file_bytes)
    if unpacked > limit:
        raise BagError(f'its chunks unpack to {unpacked:,} bytes or more: must be at most {limit:,} for its size')


def check_overlap(spans: Iterable[ChunkSpan]) -> None:
    """Raise BagError if chunks of the same time unpack to too much."""
    changes = sorted(
        change for span in spans for change in ((span.begin_ns, 0, span.size), (span.end_ns, 1, -span.size))
    )
    held = 0
    for at_ns, _, size in changes:
        held += size
        if held > OVERLAP_BYTES:
            raise BagError(
                f'chunks with messages of the same time ({at_ns * 1e-9:.3f} s) unpack to more than {OVERLAP_BYTES:,} '
                'bytes: record with smaller chunks'
            )


def _messages(
    chunk: storage_mcap.ChunkInfo, channel_map: dict[int, Connection], start: int, stop: int, bio: BinaryIO
) -> Generator[storage_mcap.Msg, None, None]:
    for message in _unchecked(chunk, channel_map, start, stop, bio):
        if not chunk.message_start_time <= message.timestamp <= chunk.message_end_time:
            raise BagError('its index is damaged')
        yield message


# The checks above use the times in the index, so messages at other times must not hold a chunk.
_unchecked = storage_mcap.msgsrc
storage_mcap.msgsrc = _messages
