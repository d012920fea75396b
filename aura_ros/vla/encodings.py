# SPDX-License-Identifier: Apache-2.0
"""Encodings of sensor_msgs/Image, with the names and layouts of sensor_msgs/image_encodings.hpp.

Three rules go beyond that file:
    * 8UC1, 8UC3 and 8UC4, which cv_bridge writes for an array without an encoding, are mono8, bgr8 and bgra8.
    * Of 16 bits a channel, only the high byte is used: the value is divided by 256.
    * Rows are packed where `step` is shorter than a row and the data has exactly the bytes of the pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError

Bytes = NDArray[np.uint8]

_RGB, _BGR = slice(0, 3), slice(2, None, -1)
_CHANNELS = {'rgb': (3, _RGB), 'bgr': (3, _BGR), 'rgba': (4, _RGB), 'bgra': (4, _BGR), 'mono': (1, _RGB)}
_BAYER = ('rggb', 'bggr', 'gbrg', 'grbg')
# Names of other encodings. OpenCV orders the channels as blue, green, red.
_SAME_AS = {
    **{f'{bits}UC1': f'mono{bits}' for bits in (8, 16)},
    **{f'{bits}UC3': f'bgr{bits}' for bits in (8, 16)},
    **{f'{bits}UC4': f'bgra{bits}' for bits in (8, 16)},
    'yuv422': 'uyvy',
    'yuv422_yuy2': 'yuyv',
}
# Rows of the luma and the colour planes together, in halves of the height.
_PLANES = {'nv12': 3, 'nv21': 3, 'nv24': 6}
# OpenCV leaves smaller mosaics black.
_BAYER_SIDE = 3


@dataclass(frozen=True)
class _Layout:
    """An encoding whose rows hold all channels of their pixels."""

    pixel_bytes: int
    """Bytes of a pixel in a row."""
    convert: Callable[[Bytes], Bytes]
    """Returns RGB, uint8 [H, W, 3], for the channels of the pixels, uint8 [H, W, C]."""
    wide: bool = False
    """Whether a channel has 16 bits."""
    even: bool = False
    """Whether two neighbours share their colour, so that the width must be even."""
    least_side: int = 1
    """Smallest width and height [px]."""


def ordered(order: slice) -> Callable[[Bytes], Bytes]:
    """Return a conversion that picks the channels `order`, or repeats the only one."""

    def convert(pixels: Bytes) -> Bytes:
        rgb = pixels[:, :, order]
        return np.repeat(rgb, 3, axis=2) if rgb.shape[2] == 1 else np.array(rgb, order='C')

    return convert


def _by_cv2(code: str) -> Callable[[Bytes], Bytes]:
    def convert(pixels: Bytes) -> Bytes:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), getattr(cv2, f'COLOR_{code}')), np.uint8)

    return convert


def _layouts() -> dict[str, _Layout]:
    found = {}
    for bits, wide in ((8, False), (16, True)):
        for name, (count, order) in _CHANNELS.items():
            found[f'{name}{bits}'] = _Layout(count * bits // 8, ordered(order), wide)
        for pattern in _BAYER:
            convert = _by_cv2(f'Bayer{pattern.upper()}2RGB')
            found[f'bayer_{pattern}{bits}'] = _Layout(bits // 8, convert, wide, least_side=_BAYER_SIDE)
    for name in ('uyvy', 'yuyv'):
        found[name] = _Layout(2, _by_cv2(f'YUV2RGB_{name.upper()}'), even=True)
    return found


_LAYOUTS = _layouts()
ENCODINGS = (*_LAYOUTS, *_SAME_AS, *_PLANES)
"""All encodings that can be decoded."""
SUPPORTED = (
    'rgb8, bgr8, rgba8, bgra8, mono8, bayer_rggb8, bayer_bggr8, bayer_gbrg8, bayer_grbg8, 8UC1, 8UC3, 8UC4, each also '
    'with 16 bits, yuv422, uyvy, yuv422_yuy2, yuyv, nv12, nv21, nv24'
)
"""The encodings in words."""


def assumption(encoding: str) -> str:
    """Return what the decoder assumes about an encoding that leaves something open, '' if it leaves nothing open."""
    name = _SAME_AS.get(encoding, encoding)
    notes = []
    if name != encoding and 'UC' in encoding:
        notes.append(f'encoding {encoding} does not name its colours and is read as {name}')
    if name in _LAYOUTS and _LAYOUTS[name].wide:
        notes.append(f'encoding {encoding} has 16 bits a channel, of which the high byte is used')
    return '; '.join(notes)


def decode_pixels(
    flat: Bytes, height: int, width: int, encoding: str, step: int, is_bigendian: bool | int = 0
) -> Bytes:
    """Decode the data of an image whose size was checked: RGB, uint8 [height, width, 3].

    Raises:
        InputError: an unknown encoding, or a size, a step or a number of bytes that it does not allow.
    """
    name = _SAME_AS.get(encoding, encoding)
    if name in _PLANES:
        return _decode_planes(flat, height, width, name, step)
    if name not in _LAYOUTS:
        raise InputError(f'image encoding {encoding!r} is not supported: must be one of {SUPPORTED}')
    layout = _LAYOUTS[name]
    if layout.even and width % 2:
        raise InputError(f'image is {width} x {height}: the width must be even in encoding {encoding}')
    if min(height, width) < layout.least_side:
        raise InputError(
            f'image is {width} x {height}: each side must be at least {layout.least_side} px in encoding {encoding}'
        )
    row_bytes = width * layout.pixel_bytes
    lines = _lines(flat, height, row_bytes, _row_length(flat.size, height, row_bytes, step))
    if layout.wide:
        lines = lines[:, 0 if is_bigendian else 1 :: 2]
    return layout.convert(lines.reshape(height, width, -1))


def mosaic_to_rgb(grey: Bytes, encoding: str) -> Bytes | None:
    """Return the colours of a mosaic, uint8 [H, W, 1], whose encoding is bayer_*; None with another encoding."""
    layout = _LAYOUTS.get(encoding) if encoding.startswith('bayer_') else None
    return None if layout is None or min(grey.shape[:2]) < layout.least_side else layout.convert(grey)


def _row_length(size: int, rows: int, row_bytes: int, step: int) -> int:
    """Return the distance of two rows [B]."""
    if step < row_bytes and size == rows * row_bytes:
        return row_bytes
    if step < row_bytes:
        raise InputError(
            f'image step = {step}: must be >= {row_bytes}, the bytes of a row; a smaller step needs packed rows of '
            f'{rows * row_bytes} bytes, and there are {size}'
        )
    # Some drivers omit the padding of the last row.
    if not step * (rows - 1) + row_bytes <= size <= step * rows:
        raise InputError(f'image has {size} bytes: must be {step * rows} ({rows} rows of {step})')
    return step


def _lines(flat: Bytes, rows: int, row_bytes: int, step: int) -> Bytes:
    return np.lib.stride_tricks.as_strided(flat, (rows, row_bytes), (step, 1), writeable=False)


def _decode_planes(flat: Bytes, height: int, width: int, name: str, step: int) -> Bytes:
    """Decode a plane of luma and a plane of colours behind it."""
    full = name == 'nv24'
    if not full and (width % 2 or height % 2):
        raise InputError(f'image is {width} x {height}: both sides must be even in encoding {name}')
    step = _row_length(flat.size, height * _PLANES[name] // 2, width, step)
    luma, colours = _lines(flat, height, width, step), flat[height * step :]
    if not full:
        pairs = _lines(colours, height // 2, width, step).reshape(height // 2, width // 2, 2)
        code = getattr(cv2, f'COLOR_YUV2RGB_{name.upper()}')
        return np.asarray(cv2.cvtColorTwoPlane(luma, np.ascontiguousarray(pairs), code), np.uint8)
    # OpenCV has no conversion with a colour for each pixel. Two pixels of yuyv with the same luma are one such pixel.
    pairs = _lines(colours, height, 2 * width, 2 * step).reshape(height, width, 2)
    doubled = np.stack([luma, pairs[:, :, 0], luma, pairs[:, :, 1]], axis=2).reshape(height, 2 * width, 2)
    return np.array(cv2.cvtColor(doubled, cv2.COLOR_YUV2RGB_YUYV)[:, ::2], np.uint8, order='C')
