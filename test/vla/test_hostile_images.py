# SPDX-License-Identifier: Apache-2.0
"""Images of a few bytes that a decoder would turn into gigabytes are refused before they are decoded."""

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from aura_ros.common.errors import InputError
from aura_ros.common.limits import IMAGE_PIXELS, JPEG_SCANS
from aura_ros.vla.images import decode_compressed

pytestmark = pytest.mark.fault('F33')
PIXELS = np.full((16, 16, 3), 99, np.uint8)


def jpeg(*options: int) -> bytes:
    return cv2.imencode('.jpg', PIXELS, options)[1].tobytes()


def frame_header(side: int) -> bytes:
    """Return a baseline frame header of side x side pixels with three components."""
    return b'\xff\xc0\x00\x11\x08' + struct.pack('>HH', side, side) + b'\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01'


def hidden_header(side: int) -> bytes:
    """Return a JPEG with a restart marker in its headers; a decoder finds `side`, a naive parser 16 pixels."""
    data = jpeg()
    at, scan = data.index(b'\xff\xc0'), data.index(b'\xff\xda')
    after = at + len(frame_header(side))
    body = data[:2] + b'\xff\xd0' + frame_header(side) + data[2:at] + data[after:scan]
    # The naive parser reads 0xFFC0 as the length of the restart marker and continues here.
    room = 2 + 2 + 0xFFC0 - len(body) - 4
    comment = bytes(room) + frame_header(16) + bytes(10)
    return body + b'\xff\xfe' + struct.pack('>H', len(comment) + 2) + comment + data[scan:]


def bytes_between_segments() -> bytes:
    data = jpeg()
    return data[:20] + b'\x00\xff\x00' + data[20:]


def two_headers() -> bytes:
    data = jpeg()
    at = data.index(b'\xff\xc0')
    return data[:at] + frame_header(16) + frame_header(16) + data[at + 19 :]


def header_after_the_scan() -> bytes:
    data = jpeg()
    at = data.index(b'\xff\xc0')
    return data[:at] + data[at + 19 : -2] + frame_header(30000) + data[-2:]


def many_scans() -> bytes:
    data = jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = data.rindex(b'\xff\xda')
    return data[:last] + data[last:-2] * (JPEG_SCANS + 1) + data[-2:]


def png(width: int, height: int, bits: int = 8, kinds: tuple[bytes, ...] = (b'IHDR', b'IDAT', b'IEND')) -> bytes:
    header = struct.pack('>IIBBBBB', width, height, bits, 2, 0, 0, 0)
    packed = zlib.compress((b'\0' + b'\x50' * (width * 3 * bits // 8)) * min(height, 64))
    bodies = {b'IHDR': header, b'IDAT': packed, b'acTL': struct.pack('>II', 9, 0)}
    found = b'\x89PNG\r\n\x1a\n'
    for kind in kinds:
        body = bodies.get(kind, b'')
        found += struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
    return found


@pytest.mark.parametrize(
    ('image', 'words'),
    [
        (lambda: hidden_header(30000), 'damaged'),
        (bytes_between_segments, 'damaged'),
        (two_headers, 'damaged'),
        (header_after_the_scan, 'damaged'),
        (many_scans, f'scans: must be at most {JPEG_SCANS}'),
        (lambda: png(8192, 8192), f'at most {IMAGE_PIXELS}'),
        (lambda: png(64, 64, bits=16), 'must be uint8'),
        (lambda: png(64, 64, kinds=(b'IHDR', b'acTL', b'IDAT', b'IEND')), 'animation'),
        (lambda: png(64, 64, kinds=(b'IHDR', b'IHDR', b'IDAT', b'IEND')), 'damaged'),
        (lambda: png(64, 64, kinds=(b'tEXt', b'IHDR', b'IDAT', b'IEND')), 'damaged'),
    ],
)
def test_an_image_whose_headers_disagree_or_that_is_too_large_is_not_decoded(
    image: Callable[[], bytes], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, decoded = image(), list[int]()
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: decoded.append(1))
    with pytest.raises(InputError, match=words):
        decode_compressed(data, 'jpeg')
    assert not decoded


def test_ordinary_images_are_decoded() -> None:
    for data in (jpeg(), jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1), jpeg() + bytes(9), png(64, 64)):
        assert decode_compressed(data).shape[2] == 3


def test_the_decoder_has_the_same_limit(measured: Callable[[str], None]) -> None:
    script = (
        'import aura_ros, cv2, numpy as np, sys\n'
        'data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())\n'
        'at = data.index(b"\\xff\\xc0")\n'
        'data[at + 5 : at + 9] = b"\\x75\\x30\\x75\\x30"\n'
        'try:\n'
        '    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)\n'
        'except cv2.error:\n'
        '    found = None\n'
        'sys.exit(found is not None)\n'
    )
    assert subprocess.run([sys.executable, '-c', script], capture_output=True, timeout=120).returncode == 0
    measured('JPEG of 30,000 x 30,000 px in 65 kB: refused before it is decoded, and by the decoder')
