# SPDX-License-Identifier: Apache-2.0
"""Messages of the wire: what goes in comes out, and nothing else passes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

pytest.importorskip('msgpack')
import msgpack

from aura_ros.common.errors import InputError
from aura_ros.vla.remote.wire import NESTING, pack, unpack

NUMBERS = scalar_dtypes().filter(lambda dtype: dtype.kind in 'biuf')


@given(arrays(NUMBERS, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)))
def test_arrays_keep_type_shape_and_bytes(array: np.ndarray) -> None:
    found = unpack(pack({'a': array}))['a']
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


def test_maps_lists_text_and_numpy_numbers_pass() -> None:
    message = {'prompt': 'pick ü', 'timing': {'ms': 1.5, 'n': 3}, 'list': [1, None, True], 'x': np.float32(0.5)}
    found = unpack(pack(message))
    assert found == message
    assert type(found['x']) is np.float32


def test_openpi_client_reads_and_writes_the_same_bytes() -> None:
    theirs = pytest.importorskip('openpi_client.msgpack_numpy')
    message = {'image': np.arange(12, dtype=np.uint8).reshape(2, 2, 3), 'state': np.ones(3, '>f4'), 'n': np.int64(4)}
    assert pack(message) == theirs.packb(message)


@pytest.mark.parametrize(
    'value',
    [np.array([object()]), np.array(['text']), np.array([1 + 2j]), np.datetime64('2020-01-01'), {1, 2}, object()],
)
def test_what_is_no_number_is_not_sent(value: object) -> None:
    with pytest.raises(InputError, match='cannot be sent'):
        pack({'a': value})


def raw(**changes: object) -> bytes:
    part = {b'__ndarray__': True, b'data': b'\0' * 8, b'dtype': '<f4', b'shape': [2]}
    return bytes(msgpack.packb({'a': part | {key.encode(): value for key, value in changes.items()}}))


@pytest.mark.parametrize(
    ('data', 'problem'),
    [
        (raw(dtype='|O'), 'dtype'),
        (raw(dtype='V8'), 'dtype'),
        (raw(dtype='<f4,<f4'), 'dtype'),
        (raw(dtype=7), 'dtype'),
        (raw(shape=[3]), 'has 8 bytes: must be 12'),
        (raw(shape=[-2]), 'sizes must be integers'),
        (raw(shape=[1] * 20), 'at most'),
        (raw(shape=[2**40, 2**40]), 'has 8 bytes'),
        (raw(shape='2'), 'shape'),
        (raw(data='text'), 'must be bytes'),
        (msgpack.packb({b'__npgeneric__': True, b'data': [1], b'dtype': '<f4'}), 'must be a number'),
        (b'', 'not msgpack'),
        (b'\xc1', 'not msgpack'),
        (pack({'a': np.zeros(9)})[:-3], 'not msgpack'),
        (pack([1]) + b'\x00', 'not msgpack'),
        (b'\xdd\xff\xff\xff\xff', 'not msgpack'),
        (msgpack.packb(msgpack.ExtType(5, b'code')), 'not msgpack'),
        (b'\x91' * (NESTING + 2) + b'\x00', 'nested'),
        (b'\x91' * 100_000 + b'\x00', 'not msgpack'),
    ],
)
def test_bad_bytes_are_refused_in_one_sentence(data: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        unpack(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_input_error(data: bytes) -> None:
    try:
        unpack(data)
    except InputError:
        return
