# SPDX-License-Identifier: Apache-2.0
"""Decoding of camera images. No ROS.

Results are RGB, uint8 [H, W, 3], C-contiguous, and own their memory. Unknown encodings are refused.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.common.limits import IMAGE_PIXELS, IMAGE_SIDE, JPEG_SCANS

_RGB, _BGR = slice(0, 3), slice(2, None, -1)
# Bytes per pixel, and the positions of red, green and blue among them.
_LAYOUTS = {'rgb8': (3, _RGB), 'bgr8': (3, _BGR), 'rgba8': (4, _RGB), 'bgra8': (4, _BGR), 'mono8': (1, _RGB)}
ENCODINGS = tuple(_LAYOUTS)
_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8\xff', b'\xff\xda', b'\xff\xd9'
_PNG_START = b'\x89PNG\r\n\x1a\n'
# Markers of the JPEG frame header, which contains the size: SOF0 to SOF15 except DHT, JPG and DAC.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers without a segment: TEM, RST0 to RST7, SOI and EOI. None belongs before the first scan.
_JPEG_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})

Buffer = bytes | bytearray | memoryview | Sequence[int] | NDArray[np.uint8]


def decode_image(
    data: Buffer, height: int, width: int, encoding: str, step: int, is_bigendian: bool | int = 0
) -> NDArray[np.uint8]:
    """Decode the fields of a sensor_msgs/Image.

    Args:
        data: rows of `step` bytes, for example an `array.array('B')`.
        height, width: size of the image [px].
        encoding: one of ENCODINGS.
        step: length of a row with its padding [B].
        is_bigendian: byte order of wider channels. It has no effect, because only 8-bit encodings are supported.

    Returns:
        RGB, uint8 [height, width, 3].

    Raises:
        InputError: another encoding, a size out of range, rows shorter than their pixels, or a wrong number of bytes.
    """
    del is_bigendian
    if encoding not in _LAYOUTS:
        raise InputError(
            f'image encoding {encoding!r} is not supported: must be one of {", ".join(ENCODINGS)}; '
            'convert it in the camera driver'
        )
    _check_size(width, height)
    channels, order = _LAYOUTS[encoding]
    if step < width * channels:
        raise InputError(
            f'image step = {step}: must be >= {width * channels}, the bytes in a row of {width} {encoding} pixels'
        )
    flat = _as_bytes(data)
    # Some drivers omit the padding of the last row.
    least = step * (height - 1) + width * channels
    if not least <= flat.size <= step * height:
        raise InputError(f'image has {flat.size} bytes: must be {step * height} ({height} rows of {step})')
    pixels = np.lib.stride_tricks.as_strided(flat, (height, width, channels), (step, channels, 1), writeable=False)
    return _copy_rgb(pixels, order)


def decode_compressed(data: Buffer, compressed_format: str = '') -> NDArray[np.uint8]:
    """Decode the fields of a sensor_msgs/CompressedImage: JPEG or PNG, 8 bits a channel.

    The bytes determine the format. `compressed_format` appears only in errors, because drivers fill it in freely.

    Returns:
        RGB, uint8 [H, W, 3].

    Raises:
        InputError: neither JPEG nor PNG, damaged, 16 bits a channel, or too large.
    """
    import cv2  # only compressed images need it

    flat = _as_bytes(data)
    start = flat[:8].tobytes()
    if not (start.startswith(_JPEG_START) or start == _PNG_START):
        raise InputError(f'compressed image format {compressed_format!r} is not supported: must be jpeg or png')
    # Check first: the header of a few bytes may declare gigabytes.
    _check_compressed(flat.tobytes())
    try:
        image = cv2.imdecode(flat, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise InputError(f'compressed image is damaged: {error}') from error
    if image is None:
        raise InputError(f'compressed image is damaged ({flat.size} bytes)')
    if image.dtype != np.uint8:
        raise InputError(f'compressed image has {image.dtype} channels: must be uint8')
    if image.ndim == 2:
        image = image[:, :, None]
    channels = image.shape[2]
    if channels not in (1, 3, 4):
        raise InputError(f'compressed image has {channels} channels: must be 1, 3 or 4')
    return _copy_rgb(image.astype(np.uint8, copy=False), _BGR if channels > 1 else _RGB)


def is_black(image: NDArray[np.uint8], level: int = 2) -> bool:
    """Return whether no pixel is brighter than `level` of 255, as with a covered lens or a dead sensor."""
    return bool(image.max(initial=0) <= level)


def _check_size(width: int, height: int) -> None:
    if not (1 <= height <= IMAGE_SIDE and 1 <= width <= IMAGE_SIDE and width * height <= IMAGE_PIXELS):
        raise InputError(
            f'image is {width} x {height}: each side must be 1..{IMAGE_SIDE} px, '
            f'and their product at most {IMAGE_PIXELS}'
        )


def _check_compressed(data: bytes) -> None:
    """Refuse a JPEG or PNG that is too large or incomplete; some decoders invent the missing part."""
    size = _png_size(data) if data.startswith(_PNG_START) else _jpeg_size(data)
    if size is None:
        raise InputError(f'compressed image is damaged: {len(data)} bytes are incomplete')
    _check_size(*size)


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
            # Some cameras pad a JPEG with zeros.
            return size if data.rstrip(b'\0').endswith(_JPEG_END) else None
        if marker in _JPEG_FRAMES:
            if size is not None or length < 8:
                return None
            size = int.from_bytes(data[at + 7 : at + 9], 'big'), int.from_bytes(data[at + 5 : at + 7], 'big')
        at += 2 + length
    return None


def _copy_rgb(pixels: NDArray[np.uint8], order: slice) -> NDArray[np.uint8]:
    rgb = pixels[:, :, order]
    return np.repeat(rgb, 3, axis=2) if rgb.shape[2] == 1 else np.array(rgb, order='C')


def _as_bytes(data: Buffer) -> NDArray[np.uint8]:
    try:
        return np.frombuffer(data, dtype=np.uint8)  # type: ignore[arg-type]  # lists end below
    except (TypeError, ValueError, BufferError) as error:
        raise InputError(f'image data is {type(data).__name__} ({error}): must be contiguous bytes') from error
