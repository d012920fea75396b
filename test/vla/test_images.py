# SPDX-License-Identifier: Apache-2.0
"""Decode correctly or refuse by name; never crash."""

from __future__ import annotations

from array import array

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aura_ros.errors import InputError
from aura_ros.vla.images import ENCODINGS, decode_compressed, decode_image, is_black

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10


def pack(rgb: np.ndarray, encoding: str, padding: int) -> tuple[bytes, int]:
    """The reference: rows of pixels, `padding` bytes of rubbish behind each; uint8 [H, W, 3]."""
    red, green, blue = (rgb[:, :, i] for i in range(3))
    alpha = np.full_like(red, 7)
    planes = {
        'rgb8': (red, green, blue),
        'bgr8': (blue, green, red),
        'rgba8': (red, green, blue, alpha),
        'bgra8': (blue, green, red, alpha),
        'mono8': (red,),
    }[encoding]
    rows = np.stack(planes, axis=-1).reshape(rgb.shape[0], -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    return padded.tobytes(), padded.shape[1]


@given(
    rgb=arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7), st.just(3))),
    encoding=st.sampled_from(ENCODINGS),
    padding=st.integers(0, 9),
    cut=st.booleans(),
)
def test_padded_rows_decode_to_the_same_pixels(
    rgb: np.ndarray, encoding: str, padding: int, cut: bool
) -> None:
    data, step = pack(rgb, encoding, padding)
    if cut and padding:
        data = data[:-padding]  # some drivers leave out the last padding
    image = decode_image(data, rgb.shape[0], rgb.shape[1], encoding, step)
    expected = rgb[:, :, :1].repeat(3, axis=2) if encoding == 'mono8' else rgb
    np.testing.assert_array_equal(image, expected)
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.owndata


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview, lambda data: array('B', data)])
def test_takes_every_kind_of_bytes(kind: type) -> None:
    data, step = pack(RGB, 'rgb8', 2)
    np.testing.assert_array_equal(decode_image(kind(data), 2, 3, 'rgb8', step), RGB)


@pytest.mark.parametrize('is_bigendian', [0, 1, True])
def test_byte_order_does_not_touch_eight_bit_channels(is_bigendian: int) -> None:
    data, step = pack(RGB, 'bgr8', 0)
    np.testing.assert_array_equal(decode_image(data, 2, 3, 'bgr8', step, is_bigendian), RGB)


def test_does_not_alias_the_message() -> None:
    data = bytearray(pack(RGB, 'rgb8', 0)[0])
    image = decode_image(data, 2, 3, 'rgb8', 9)
    data[0] = 99
    assert image[0, 0, 0] == RGB[0, 0, 0]


@pytest.mark.parametrize(
    'encoding', ['', 'RGB8', '16UC1', '32FC1', 'mono16', 'rgb16', 'yuv422', 'bayer_rggb8', '8UC3']
)
def test_other_encodings_are_refused_by_name(encoding: str) -> None:
    with pytest.raises(InputError) as error:
        decode_image(bytes(18), 2, 3, encoding, 9)
    assert repr(encoding) in str(error.value) and 'mono8' in str(error.value)


@pytest.mark.parametrize(
    ('size', 'height', 'width', 'step', 'words'),
    [
        (18, 2, 3, 8, 'step = 8: must be >= 9'),
        (17, 2, 3, 9, '17 bytes: must be 18'),
        (19, 2, 3, 9, '19 bytes: must be 18'),
        (0, 2, 3, 9, '0 bytes'),
        (0, 0, 3, 9, '3 x 0'),
        (18, 2, -3, 9, '-3 x 2'),
        (18, 10**6, 3, 9, '1..8192'),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    size: int, height: int, width: int, step: int, words: str
) -> None:
    with pytest.raises(InputError) as error:
        decode_image(bytes(size), height, width, 'rgb8', step)
    assert words in str(error.value)


def test_a_list_is_refused() -> None:
    with pytest.raises(InputError, match='contiguous bytes'):
        decode_image([0] * 18, 2, 3, 'rgb8', 9)


@given(data=st.binary(max_size=64), height=st.integers(-1, 9), width=st.integers(-1, 9),
       step=st.integers(-1, 30), encoding=st.sampled_from([*ENCODINGS, '16UC1']))
def test_anything_decodes_or_is_refused(
    data: bytes, height: int, width: int, step: int, encoding: str
) -> None:
    try:
        image = decode_image(data, height, width, encoding, step)
    except InputError:
        return
    assert image.shape == (height, width, 3)


def encoded(suffix: str, image: np.ndarray) -> bytes:
    done, data = cv2.imencode(suffix, image)
    assert done
    return data.tobytes()


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_png_is_exact(channels: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (6, 5, channels), dtype=np.uint8)
    rgb = decode_compressed(encoded('.png', image), 'png')
    expected = image.repeat(3, axis=2) if channels == 1 else image[:, :, 2::-1]
    np.testing.assert_array_equal(rgb, expected)
    assert rgb.flags.c_contiguous


def test_jpeg_comes_out_red_where_it_is_red() -> None:
    bgr = np.zeros((16, 16, 3), np.uint8)
    bgr[:, :, 2] = 200
    rgb = decode_compressed(array('B', encoded('.jpg', bgr)), 'bgr8; jpeg compressed bgr8')
    assert rgb.shape == (16, 16, 3)
    assert abs(int(rgb[8, 8, 0]) - 200) < 8 and rgb[8, 8, 1:].max() < 8


@pytest.mark.parametrize(
    ('data', 'words'),
    [
        (b'', 'not supported'),
        (b'GIF89a' + bytes(50), 'not supported'),
        (b'\xff\xd8\xff\xe0' + bytes(50), 'damaged'),
        (encoded('.bmp', RGB), 'not supported'),
        (encoded('.png', RGB)[:40], 'damaged'),
        (encoded('.png', RGB.astype(np.uint16)), 'uint16'),
    ],
)
def test_other_compressed_images_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(InputError) as error:
        decode_compressed(data, 'some format')
    assert words in str(error.value)


@given(
    data=st.binary(max_size=80),
    start=st.sampled_from([b'', b'\xff\xd8\xff', encoded('.png', RGB)]),
)
def test_any_bytes_decode_or_are_refused(data: bytes, start: bytes) -> None:
    try:
        image = decode_compressed(start + data)
    except InputError:
        return
    assert image.ndim == 3 and image.shape[2] == 3


def test_black_frames_are_noticed() -> None:
    frame = np.zeros((4, 4, 3), np.uint8)
    assert is_black(frame)
    frame[2, 2, 1] = 3
    assert not is_black(frame)
