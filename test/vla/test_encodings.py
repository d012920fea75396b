# SPDX-License-Identifier: Apache-2.0
"""A picture of known colours comes out of each encoding, and sizes that the encoding does not allow are refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.common.errors import InputError
from aura_ros.vla.encodings import ENCODINGS, SUPPORTED, assumption
from aura_ros.vla.images import decode_compressed, decode_image

PATTERNS = ('rggb', 'bggr', 'gbrg', 'grbg')
BAYER = [f'bayer_{pattern}{bits}' for bits in (8, 16) for pattern in PATTERNS]
YUV = ['yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21', 'nv24']
COLOURS = {'rgb': 'rgb', 'bgr': 'bgr', 'rgba': 'rgba', 'bgra': 'bgra', 'UC3': 'bgr', 'UC4': 'bgra'}
GREY = ['mono8', '8UC1', 'mono16', '16UC1']


def scene(height: int = 24, width: int = 32) -> np.ndarray:
    """Return four fields of red, green, blue and orange with soft edges, uint8 [H, W, 3]."""
    rgb = np.zeros((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    rgb[:] = (230, 140, 20)
    rgb[top] = (20, 190, 60)
    rgb[:, left] = (30, 50, 210)
    rgb[top, left] = (220, 30, 40)
    return cv2.GaussianBlur(rgb, (0, 0), 2.0)


def wide(values: np.ndarray, big: bool) -> np.ndarray:
    """Return 16-bit values as bytes; the low byte is noise."""
    low = np.random.default_rng(0).integers(0, 256, values.shape)
    return (values.astype(np.uint16) * 256 + low).astype('>u2' if big else '<u2').view(np.uint8)


def luma_and_colour(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Y, U and V of BT.601 with the range of video, float64 [H, W]."""
    red, green, blue = np.moveaxis(rgb.astype(float), 2, 0)
    luma = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
    first = 128 + (-37.797 * red - 74.203 * green + 112.0 * blue) / 255
    second = 128 + (112.0 * red - 93.786 * green - 18.214 * blue) / 255
    return luma, first, second


def yuv(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """Return the rows of a YUV encoding, uint8 [rows, bytes]."""
    height, width = rgb.shape[:2]
    luma, first, second = luma_and_colour(rgb)
    rows, columns = {'nv24': (1, 1), 'nv12': (2, 2), 'nv21': (2, 2)}.get(encoding, (1, 2))
    first, second = (
        part.reshape(height // rows, rows, width // columns, columns).mean((1, 3)) for part in (first, second)
    )
    if encoding.startswith('nv'):
        pairs = (second, first) if encoding == 'nv21' else (first, second)
        found = np.concatenate([luma.ravel(), np.stack(pairs, -1).ravel()]).reshape(-1, width)
    else:
        order = (first, luma[:, ::2], second, luma[:, 1::2])
        if encoding in ('yuyv', 'yuv422_yuy2'):
            order = (luma[:, ::2], first, luma[:, 1::2], second)
        found = np.stack(order, -1).reshape(height, -1)
    return found.round().clip(0, 255).astype(np.uint8)


def mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    """Return the channel of each pixel that the pattern names, uint8 [H, W]."""
    grey = np.empty(rgb.shape[:2], np.uint8)
    for place, colour in enumerate(pattern):
        row, column = divmod(place, 2)
        grey[row::2, column::2] = rgb[row::2, column::2, 'rgb'.index(colour)]
    return grey


def rows_of(rgb: np.ndarray, encoding: str, big: bool) -> np.ndarray:
    """Return the rows of an image message without padding, uint8 [rows, bytes]."""
    if encoding in YUV:
        return yuv(rgb, encoding)
    bits = 16 if '16' in encoding else 8
    name = encoding.replace(str(bits), '')
    if encoding in BAYER:
        found = mosaic(rgb, name.removeprefix('bayer_'))
    elif encoding in GREY:
        found = rgb[:, :, 0]
    else:
        whole = np.dstack([rgb, np.full(rgb.shape[:2], 9, np.uint8)])
        found = whole[:, :, ['rgba'.index(colour) for colour in COLOURS[name]]]
    found = np.ascontiguousarray(found.reshape(len(rgb), -1))
    return wide(found, big) if bits == 16 else found


def expected(rgb: np.ndarray, encoding: str) -> np.ndarray:
    return rgb[:, :, :1].repeat(3, axis=2) if encoding in GREY else rgb


@pytest.mark.parametrize('padding', [0, 6, None])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_a_known_picture_comes_out(encoding: str, big: bool, padding: int | None) -> None:
    rgb = scene()
    rows = rows_of(rgb, encoding, big)
    step = 0
    if padding is not None:
        step = rows.shape[1] + padding
        if encoding == 'nv24':  # a row of colours is twice as long as a row of luma
            colours = rows[24:].reshape(24, -1)
            colours = np.pad(colours, ((0, 0), (0, 2 * padding))).reshape(48, -1)
            rows = np.vstack([np.pad(rows[:24], ((0, 0), (0, padding))), colours])
        else:
            rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    image = decode_image(rows.tobytes(), 24, 32, encoding, step, big)
    assert image.dtype == np.uint8 and image.shape == (24, 32, 3)
    assert image.flags.c_contiguous and image.flags.owndata
    difference = np.abs(image.astype(int) - expected(rgb, encoding))
    exact = encoding not in YUV and encoding not in BAYER
    assert difference.max() <= (0 if exact else 40) and difference.mean() <= (0 if exact else 4)
    for row, column in ((4, 4), (4, 28), (20, 4), (20, 28)):  # inside the four fields
        assert difference[row, column].max() <= 4


@pytest.mark.parametrize('step', [0, 1, 3, 95])
def test_rows_are_packed_if_the_step_is_shorter_than_a_row(step: int) -> None:
    rgb = scene()
    np.testing.assert_array_equal(decode_image(rgb.tobytes(), 24, 32, 'rgb8', step), rgb)
    for size in (rgb.size - 1, rgb.size + 1):
        with pytest.raises(InputError, match=f'step = {step}: must be >= 96.*packed rows of 2304 bytes'):
            decode_image(bytes(size), 24, 32, 'rgb8', step)


@pytest.mark.parametrize(
    ('encoding', 'height', 'width', 'words'),
    [
        *((encoding, 4, 5, 'width must be even') for encoding in YUV[:4]),
        ('nv12', 5, 4, 'both sides must be even'),
        ('nv21', 4, 5, 'both sides must be even'),
        *((encoding, 2, 8, 'at least 3 px') for encoding in BAYER),
    ],
)
def test_sides_that_the_encoding_does_not_allow_are_refused(encoding: str, height: int, width: int, words: str) -> None:
    with pytest.raises(InputError, match=f'image is {width} x {height}.*{words}.*{encoding}'):
        decode_image(bytes(1000), height, width, encoding, 16)


@pytest.mark.parametrize('encoding', ENCODINGS)
@pytest.mark.parametrize('change', [-1, 1, 32])
def test_a_wrong_number_of_bytes_is_refused(encoding: str, change: int) -> None:
    rows = rows_of(scene(), encoding, False)
    for step in (0, rows.shape[1]):
        with pytest.raises(InputError, match=f'{rows.size + change}'):
            decode_image(bytes(rows.size + change), 24, 32, encoding, step)


@pytest.mark.fault('F6')
@given(
    data=st.binary(max_size=200),
    size=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    encoding=st.sampled_from(ENCODINGS),
    step=st.integers(0, 40) | st.integers(0, 2**32 - 1),
)
def test_any_bytes_decode_or_are_refused(data: bytes, size: tuple[int, int], encoding: str, step: int) -> None:
    try:
        image = decode_image(data, *size, encoding, step)
    except InputError:
        return
    assert image.shape == (*size, 3)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
@pytest.mark.parametrize('pattern', PATTERNS)
def test_a_compressed_mosaic_is_coloured_by_the_encoding_before_the_semicolon(pattern: str, suffix: str) -> None:
    rgb = scene()
    quality = [cv2.IMWRITE_JPEG_QUALITY, 100] if suffix == '.jpg' else []
    data = cv2.imencode(suffix, mosaic(rgb, pattern), quality)[1].tobytes()
    difference = np.abs(decode_compressed(data, f'bayer_{pattern}8; {suffix[1:]} compressed bgr8').astype(int) - rgb)
    assert difference.mean() <= 4
    grey = decode_compressed(data, f'mono8; {suffix[1:]} compressed bayer_{pattern}8')
    assert (grey[:, :, 0] == grey[:, :, 2]).all()


def test_a_compressed_image_of_a_bayer_camera_that_has_colours_stays_as_it_is() -> None:
    rgb = scene()
    data = cv2.imencode('.png', rgb[:, :, ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_compressed(data, 'bayer_rggb8; png compressed bgr8'), rgb)


def test_assumptions_are_named() -> None:
    assert 'read as bgr8' in assumption('8UC3') and 'read as mono8' in assumption('8UC1')
    assert 'read as mono16' in assumption('16UC1') and 'high byte' in assumption('16UC1')
    assert 'high byte' in assumption('bayer_rggb16')
    assert not any(assumption(encoding) for encoding in ('rgb8', 'yuv422', 'nv12', 'bayer_rggb8', 'nothing'))


def test_the_refusal_names_every_encoding_of_8_bits() -> None:
    with pytest.raises(InputError) as error:
        decode_image(bytes(4), 1, 1, '32FC1', 4)
    assert SUPPORTED in str(error.value)
    assert all(encoding in SUPPORTED for encoding in ENCODINGS if '16' not in encoding)
