# SPDX-License-Identifier: Apache-2.0
"""Decode correctly or refuse by name; never crash."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aura_ros.common.errors import InputError
from aura_ros.vla.images import decode_compressed, decode_image, is_black

PLAIN = ('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8')
RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10


def as_array(data: bytes) -> array[int]:
    """What rclpy gives."""
    return array('B', data)


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
    encoding=st.sampled_from(PLAIN),
    padding=st.integers(0, 9),
    cut=st.booleans(),
)
def test_padded_rows_decode_to_the_same_pixels(rgb: np.ndarray, encoding: str, padding: int, cut: bool) -> None:
    data, step = pack(rgb, encoding, padding)
    if cut and padding:
        data = data[:-padding]  # some drivers leave out the last padding
    image = decode_image(data, rgb.shape[0], rgb.shape[1], encoding, step)
    expected = rgb[:, :, :1].repeat(3, axis=2) if encoding == 'mono8' else rgb
    np.testing.assert_array_equal(image, expected)
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.owndata


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview, as_array])
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


@pytest.mark.parametrize('encoding', ['', 'RGB8', '16SC1', '32FC1', 'mono12', 'h264', 'yuv', 'bayer', '8UC2', '8SC3'])
def test_other_encodings_are_refused_by_name(encoding: str) -> None:
    with pytest.raises(InputError) as error:
        decode_image(bytes(18), 2, 3, encoding, 9)
    assert repr(encoding) in str(error.value) and 'mono8' in str(error.value)


@pytest.mark.parametrize(
    ('size', 'height', 'width', 'step', 'words'),
    [
        (16, 2, 3, 8, 'step = 8: must be >= 9'),
        (17, 2, 3, 9, '17 bytes: must be 18'),
        (19, 2, 3, 9, '19 bytes: must be 18'),
        (0, 2, 3, 9, '0 bytes'),
        (0, 0, 3, 9, '3 x 0'),
        (18, 2, -3, 9, '-3 x 2'),
        (18, 10**6, 3, 9, '1..8192'),
    ],
)
def test_sizes_that_do_not_fit_are_refused(size: int, height: int, width: int, step: int, words: str) -> None:
    with pytest.raises(InputError) as error:
        decode_image(bytes(size), height, width, 'rgb8', step)
    assert words in str(error.value)


def test_a_list_is_refused() -> None:
    with pytest.raises(InputError, match='contiguous bytes'):
        decode_image([0] * 18, 2, 3, 'rgb8', 9)


def reference(data: bytes, height: int, width: int, encoding: str, step: int) -> np.ndarray | None:
    """Byte by byte, as sensor_msgs/Image says; None where it cannot be."""
    places = {
        'rgb8': (0, 1, 2, 3),
        'bgr8': (2, 1, 0, 3),
        'rgba8': (0, 1, 2, 4),
        'bgra8': (2, 1, 0, 4),
        'mono8': (0, 0, 0, 1),
    }.get(encoding)
    if places is None or height < 1 or width < 1 or max(height, width) > 8192:
        return None
    *colours, channels = places
    if step < width * channels and len(data) == width * channels * height:
        step = width * channels
    if step < width * channels or not step * (height - 1) + width * channels <= len(data) <= step * height:
        return None
    pixels = [
        data[row * step + column * channels + place]
        for row in range(height)
        for column in range(width)
        for place in colours
    ]
    return np.array(pixels, np.uint8).reshape(height, width, 3)


@pytest.mark.fault('F6')
def test_any_image_decodes_to_the_reference_or_is_refused(measured: Callable[[str], None]) -> None:
    count = {'decoded': 0, 'refused': 0}

    @settings(max_examples=1000)
    @given(
        data=st.data(),
        height=st.integers(-1, 9),
        width=st.integers(-1, 9),
        extra=st.integers(-2, 9),
        encoding=st.sampled_from([*PLAIN, *PLAIN, '32FC1', 'RGB8', '', 'i420']),
        is_bigendian=st.sampled_from([0, 1, 255]),
        kind=st.sampled_from([bytes, bytearray, memoryview, as_array]),
    )
    def anything(
        data: st.DataObject,
        height: int,
        width: int,
        extra: int,
        encoding: str,
        is_bigendian: int,
        kind: Callable[[bytes], Any],
    ) -> None:
        step = max(0, width * {'rgba8': 4, 'bgra8': 4, 'mono8': 1}.get(encoding, 3) + extra)
        whole = max(0, step * height)
        size = data.draw(st.one_of(st.just(whole), st.integers(max(0, whole - 12), whole + 2), st.just(0)))
        raw = data.draw(st.binary(min_size=size, max_size=size))
        expected = reference(raw, height, width, encoding, step)
        try:
            image = decode_image(kind(raw), height, width, encoding, step, is_bigendian)
        except InputError as error:
            assert expected is None and str(error)
            count['refused'] += 1
            return
        assert expected is not None
        np.testing.assert_array_equal(image, expected)
        count['decoded'] += 1

    anything()
    assert min(count.values()) > 100
    measured(f'{count["decoded"]} images decoded as the reference, {count["refused"]} refused, 0 crashes')


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
        (b'\xff\xd8\xff\xe0' + bytes(50) + b'\xff\xd9', 'damaged'),
        (encoded('.bmp', RGB), 'not supported'),
        (encoded('.png', RGB)[:40], 'damaged'),
        (encoded('.png', RGB.astype(np.uint16)), 'uint16'),
    ],
)
def test_other_compressed_images_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(InputError) as error:
        decode_compressed(data, 'some format')
    assert words in str(error.value)


def noise(height: int = 9, width: int = 7, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, channels), dtype=np.uint8)


@pytest.mark.fault('F6')
@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_a_file_that_is_cut_off_is_refused(suffix: str, measured: Callable[[str], None]) -> None:
    data = encoded(suffix, noise())
    for size in range(len(data)):
        with pytest.raises(InputError):
            decode_compressed(data[:size])
    measured(f'{suffix[1:]} cut at each of {len(data)} bytes: refused')


@pytest.mark.fault('F6')
def test_a_png_in_which_a_bit_changed_is_refused(measured: Callable[[str], None]) -> None:
    data = encoded('.png', noise())
    for place in range(len(data)):
        for bit in (0x01, 0x80):
            damaged = bytearray(data)
            damaged[place] ^= bit
            with pytest.raises(InputError):
                decode_compressed(damaged)
    measured(f'png with a bit changed at each of {len(data)} bytes: refused')


@pytest.mark.parametrize(
    'padding', [b'', bytes(700), b'\x17\xff\x00rest of an old buffer', encoded('.jpg', noise())[40:]]
)
@pytest.mark.parametrize('progressive', [0, 1])
def test_a_jpeg_with_bytes_behind_its_end_and_a_progressive_jpeg_are_taken(padding: bytes, progressive: int) -> None:
    smooth = cv2.resize(noise(4, 5), (40, 32))
    data = cv2.imencode('.jpg', smooth, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    # any number of 0xFF may stand before a marker
    for start in (data[:2], data[:2] + b'\xff\xff'):
        assert decode_compressed(start + data[2:] + padding).shape == (32, 40, 3)


def test_a_jpeg_that_ends_where_the_next_one_begins_is_refused() -> None:
    data = encoded('.jpg', noise())
    for size in (len(data) - 2, len(data) - 60):
        with pytest.raises(InputError, match='incomplete'):
            decode_compressed(data[:size] + data)


def test_a_header_that_asks_for_gigabytes_is_refused_before_they_are_allocated() -> None:
    """60,000 x 60,000 pixels are 10.8 GB; no byte of them is in the file."""
    huge = (60_000).to_bytes(4, 'big')
    png = encoded('.png', noise())
    header = b'IHDR' + huge + huge + png[24:29]
    with pytest.raises(InputError, match='60000 x 60000'):
        decode_compressed(png[:12] + header + zlib.crc32(header).to_bytes(4, 'big') + png[33:])
    longer = bytearray(png)
    longer[33] ^= 0x40  # the length of the chunk of pixels: a gigabyte
    with pytest.raises(InputError, match='incomplete'):
        decode_compressed(longer)
    jpeg = encoded('.jpg', noise())
    place = jpeg.index(b'\xff\xc0') + 5
    with pytest.raises(InputError, match='60000 x 60000'):
        decode_compressed(jpeg[:place] + huge[2:] + huge[2:] + jpeg[place + 4 :])


@pytest.mark.fault('F6')
@given(
    data=st.binary(max_size=80),
    start=st.sampled_from([b'', b'\xff\xd8\xff', encoded('.png', RGB), encoded('.jpg', RGB)[:200]]),
    end=st.sampled_from([b'', b'\xff\xd9']),
)
def test_any_bytes_decode_or_are_refused(data: bytes, start: bytes, end: bytes) -> None:
    try:
        image = decode_compressed(start + data + end)
    except InputError:
        return
    assert image.ndim == 3 and image.shape[2] == 3


def test_black_frames_are_detected() -> None:
    frame = np.zeros((4, 4, 3), np.uint8)
    assert is_black(frame)
    frame[2, 2, 1] = 3
    assert not is_black(frame)
