# SPDX-License-Identifier: Apache-2.0
"""The headers of JPEG and PNG: size and completeness, found before a decoder allocates anything."""

import re
import zlib

from aura_ros.common.errors import InputError
from aura_ros.common.limits import JPEG_SCANS

_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8\xff', b'\xff\xda', 0xD9
_PNG_START = b'\x89PNG\r\n\x1a\n'
# Markers of the JPEG frame header, which contains the size: SOF0 to SOF15 except DHT, JPG and DAC.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers without a segment: TEM, RST0 to RST7, SOI and EOI. None belongs before the first scan.
_JPEG_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
# The end of the coded pixels of a scan: a marker that is neither a stuffed byte, a restart nor a fill byte.
_JPEG_AFTER_SCAN = re.compile(b'\xff[^\x00\xd0-\xd7\xff]', re.DOTALL)


def is_image(data: bytes) -> bool:
    """Return whether data begins as a JPEG or a PNG."""
    return data.startswith((_JPEG_START, _PNG_START))


def compressed_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height [px] of a JPEG or PNG, or None if it is incomplete; some decoders invent missing parts.

    Raises:
        InputError: a property of the image is beyond a limit.
    """
    return _png_size(data) if data.startswith(_PNG_START) else _jpeg_size(data)


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, or None unless all chunks are present with a correct CRC-32.

    Raises:
        InputError: 16 bits a channel, or an animation. Each takes a multiple of the memory of its pixels.
    """
    at, kinds = len(_PNG_START), list[bytes]()
    while at + 12 <= len(data) and kinds[-1:] != [b'IEND']:
        end = at + 8 + int.from_bytes(data[at : at + 4], 'big')
        kinds.append(data[at + 4 : at + 8])
        if end + 4 > len(data) or zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], 'big'):
            return None
        at = end + 4
    # The decoder must find the same header as this function: one, at the beginning.
    if kinds[:1] != [b'IHDR'] or kinds.count(b'IHDR') != 1 or kinds[-1] != b'IEND':
        return None
    if data[24] > 8:
        raise InputError('compressed image has uint16 channels: must be uint8')
    if b'acTL' in kinds:
        raise InputError('compressed image is an animation: must be one image')
    return int.from_bytes(data[16:20], 'big'), int.from_bytes(data[20:24], 'big')


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG, or None unless its headers are exactly one frame header and segments.

    Decoders skip what the format does not allow before the first scan: bytes between segments, and markers without
    a segment. A decoder could then find another frame header than this function, so these are refused.

    Raises:
        InputError: too many scans.
    """
    at, size = 2, None
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], 'big')
        if marker == 0xFF:  # any number of 0xFF bytes may precede a marker
            at += 1
            continue
        if marker in _JPEG_BARE or length < 2:
            return None
        if marker == _JPEG_SCAN[1]:
            if (scans := data.count(_JPEG_SCAN, at)) > JPEG_SCANS:
                raise InputError(f'compressed image has {scans} scans: must be at most {JPEG_SCANS}')
            return size if _has_end(data, at) else None
        if marker in _JPEG_FRAMES:
            if size is not None or length < 8:
                return None
            size = int.from_bytes(data[at + 7 : at + 9], 'big'), int.from_bytes(data[at + 5 : at + 7], 'big')
        at += 2 + length
    return None


def _has_end(data: bytes, at: int) -> bool:
    """Return whether the end marker follows the scan at `at`; some cameras leave bytes of an old buffer behind it."""
    while found := _JPEG_AFTER_SCAN.search(data, at + 2 + int.from_bytes(data[at + 2 : at + 4], 'big')):
        at = found.start()
        if data[at + 1] == _JPEG_END:
            return True
        if data[at + 1] in _JPEG_BARE:
            return False
    return False
