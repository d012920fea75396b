# SPDX-License-Identifier: Apache-2.0
"""Decoding of camera images. No ROS.

Results are RGB, uint8 [H, W, 3], C-contiguous, and own their memory. Unknown encodings are refused. The live graph, the
replay of recordings and the monitor use these functions.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.common.limits import IMAGE_PIXELS, IMAGE_SIDE
from aura_ros.vla.encodings import assumption, decode_pixels, mosaic_to_rgb, ordered
from aura_ros.vla.image_headers import compressed_size, is_image

Buffer = bytes | bytearray | memoryview | Sequence[int] | NDArray[np.uint8]


def decode_message(message: Any) -> NDArray[np.uint8]:
    """Decode a sensor_msgs/Image or CompressedImage, of rclpy or of rosbags: RGB, uint8 [H, W, 3].

    Raises:
        InputError: the image cannot be decoded.
    """
    if hasattr(message, 'format'):
        return decode_compressed(message.data, message.format)
    return decode_image(
        message.data, message.height, message.width, message.encoding, message.step, message.is_bigendian
    )


def picture(message: Any) -> NDArray[np.uint8]:
    """Decode a camera image for the backbone: RGB, uint8 [H, W, 3].

    Raises:
        InputError: the image cannot be decoded, or is black.
    """
    pixels = decode_message(message)
    if is_black(pixels):
        raise InputError('the image is black; is the lens covered?')
    return pixels


def assumed(message: Any) -> str:
    """Return what is assumed about the encoding of an image message, '' if the encoding leaves nothing open."""
    return '' if hasattr(message, 'format') else assumption(str(message.encoding))


def decode_image(
    data: Buffer, height: int, width: int, encoding: str, step: int, is_bigendian: bool | int = 0
) -> NDArray[np.uint8]:
    """Decode the fields of a sensor_msgs/Image.

    Args:
        data: rows of `step` bytes, for example an `array.array('B')`.
        height, width: size of the image [px].
        encoding: one of encodings.ENCODINGS.
        step: length of a row with its padding [B]; shorter than a row, for example 0, if the rows are packed.
        is_bigendian: whether the high byte of a 16-bit channel is the first.

    Returns:
        RGB, uint8 [height, width, 3].

    Raises:
        InputError: another encoding, a size out of range, rows shorter than their pixels, or a wrong number of bytes.
    """
    _check_size(width, height)
    return decode_pixels(_as_bytes(data), height, width, encoding, step, is_bigendian)


def decode_compressed(data: Buffer, compressed_format: str = '') -> NDArray[np.uint8]:
    """Decode the fields of a sensor_msgs/CompressedImage: JPEG or PNG, 8 bits a channel.

    The bytes determine the format. In `compressed_format`, the encoding before ';' matters only if it is bayer_* and
    the image is grey: the grey values are then a mosaic. Drivers fill in the rest freely.

    Returns:
        RGB, uint8 [H, W, 3].

    Raises:
        InputError: neither JPEG nor PNG, damaged, 16 bits a channel, or too large.
    """
    flat = _as_bytes(data)
    if not is_image(flat[:8].tobytes()):
        raise InputError(f'compressed image format {compressed_format!r} is not supported: must be jpeg or png')
    # Check first: the header of a few bytes may declare gigabytes.
    size = compressed_size(flat.tobytes())
    if size is None:
        raise InputError(f'compressed image is damaged: {flat.size} bytes are incomplete')
    _check_size(*size)
    try:
        image = cv2.imdecode(flat, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise InputError(f'compressed image is damaged: {error}') from error
    if image is None:
        raise InputError(f'compressed image is damaged ({flat.size} bytes)')
    if image.dtype != np.uint8:
        raise InputError(f'compressed image has {image.dtype} channels: must be uint8')
    pixels = image.astype(np.uint8, copy=False).reshape(*image.shape[:2], -1)
    channels = pixels.shape[2]
    if channels not in (1, 3, 4):
        raise InputError(f'compressed image has {channels} channels: must be 1, 3 or 4')
    if channels == 1 and (rgb := mosaic_to_rgb(pixels, compressed_format.partition(';')[0].strip())) is not None:
        return rgb
    return ordered(slice(2, None, -1) if channels > 1 else slice(0, 3))(pixels)


def is_black(image: NDArray[np.uint8], level: int = 2) -> bool:
    """Return whether no pixel is brighter than `level` of 255, as with a covered lens or a dead sensor."""
    return bool(image.max(initial=0) <= level)


def _check_size(width: int, height: int) -> None:
    if not (1 <= height <= IMAGE_SIDE and 1 <= width <= IMAGE_SIDE and width * height <= IMAGE_PIXELS):
        raise InputError(
            f'image is {width} x {height}: each side must be 1..{IMAGE_SIDE} px, '
            f'and their product at most {IMAGE_PIXELS}'
        )


def _as_bytes(data: Buffer) -> NDArray[np.uint8]:
    try:
        return np.frombuffer(data, dtype=np.uint8)  # type: ignore[arg-type]  # lists end below
    except (TypeError, ValueError, BufferError) as error:
        raise InputError(f'image data is {type(data).__name__} ({error}): must be contiguous bytes') from error
