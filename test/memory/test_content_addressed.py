# SPDX-License-Identifier: Apache-2.0
"""Content-addressed fast weights: an item is found by its key, replaced as a whole, and touched by no other write."""

import numpy as np
import pytest
from close import assert_close
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.memory.content_addressed import ITEM_KEY_DIM, ITEM_VALUE_DIM, ROWS, ContentAddressedCell
from aura_ros.memory.schedules import Always

CODE = ITEM_KEY_DIM + ITEM_VALUE_DIM
THRESHOLD = 0.95


def separate_keys(count):
    """Random keys of unit length, no two of which have a cosine above 0.6: a write of one does not change another."""
    rng, keys = np.random.default_rng(0), np.zeros((0, ITEM_KEY_DIM))
    while len(keys) < count:
        key = rng.normal(size=ITEM_KEY_DIM)
        key /= np.linalg.norm(key)
        if len(keys) == 0 or (keys @ key).max() < 0.6:
            keys = np.vstack([keys, key])
    return keys


KEYS = separate_keys(64)


def cell(feedback=0.0, rate=100.0, sharpness=6.0, threshold=THRESHOLD):
    """A cell that writes every step, whose code is the key to write and to read, and the argument of the value."""
    eye, none = np.eye(CODE, dtype=np.float32), np.zeros(ITEM_KEY_DIM, np.float32)
    return ContentAddressedCell(
        {
            'key.weight': eye[:ITEM_KEY_DIM],
            'key.bias': none,
            'query.weight': eye[:ITEM_KEY_DIM],
            'query.bias': none,
            'value.weight': eye[ITEM_KEY_DIM:],
            'value.bias': none,
            'feedback.weight': feedback * np.eye(ITEM_VALUE_DIM, dtype=np.float32),
            'rate.weight': np.zeros((1, CODE), np.float32),
            'rate.bias': np.array([rate], np.float32),
            'log_sharpness': np.array([sharpness], np.float32),
            'threshold': np.array([threshold], np.float32),
            'fade': np.array([threshold], np.float32),
        },
        Always(),
    )


def code(item, value):
    """The code of an item, 0..63, whose value has every component `value` before its tanh."""
    return np.concatenate([KEYS[item], np.full(ITEM_VALUE_DIM, value)]).astype(np.float32)


def value(readout):
    return readout[ITEM_KEY_DIM:]


def test_an_item_is_read_back_and_a_second_write_replaces_it():
    memory = cell()
    first = memory.step(code(3, 0.5))
    assert not first.before.any(), 'an empty memory reads nothing'
    assert_close(value(first.readout), np.tanh(0.5), 1e-4)
    second = memory.step(code(3, -0.5))
    assert_close(value(second.before), np.tanh(0.5), 1e-4)
    assert_close(value(second.readout), np.tanh(-0.5), 1e-4)
    assert np.count_nonzero(memory.vector) == 1, 'the item keeps its row'
    assert second.delta_norm == pytest.approx(np.sqrt(ITEM_VALUE_DIM) * 2 * np.tanh(0.5), rel=1e-4)


def test_half_a_rate_goes_half_the_way_except_for_a_new_item():
    memory = cell(rate=0.0)
    memory.step(code(3, 0.5))
    assert_close(memory.matrix[0, ITEM_KEY_DIM:], np.tanh(0.5))
    memory.step(code(3, -0.5))
    assert np.abs(value(memory.matrix[0])).max() < 1e-6


def test_other_items_do_not_change_a_bit_in_ten_thousand_writes():
    memory, rng = cell(), np.random.default_rng(1)
    for item in range(ROWS):
        memory.step(code(item, 0.1 + item / 20))
    before = memory.matrix.copy()
    for _ in range(10_000):
        memory.step(code(5, rng.normal()))
    row = int(np.argmax(memory.vector))
    np.testing.assert_array_equal(np.delete(memory.matrix, row, 0), np.delete(before, row, 0))
    for item in set(range(ROWS)) - {5}:
        query = memory._matches(KEYS[item].astype(np.float32) / np.linalg.norm(KEYS[item]))
        assert_close(value(memory._read(query)), np.tanh(0.1 + item / 20), 1e-3)


def test_the_item_whose_last_write_is_oldest_makes_room():
    memory = cell()
    for item in range(ROWS):
        memory.step(code(item, 0.5))
    memory.step(code(0, 0.1))  # item 0 is the newest now, and item 1 the oldest
    rows = memory.matrix.copy()
    memory.step(code(40, 0.5))
    (changed,) = np.flatnonzero((memory.matrix != rows).any(1))
    assert changed == 1


def test_a_write_empties_other_rows_of_its_item():
    memory, keys = cell(threshold=0.6), np.eye(4, ITEM_KEY_DIM)

    def write(item, value):
        return memory.step(np.concatenate([keys[item], np.full(ITEM_VALUE_DIM, value)]).astype(np.float32))

    for item in range(4):
        write(item, 0.5)
    memory.matrix[2] = memory.matrix[1]  # an older value of item 1, from a key that noise had moved too far
    before = memory.matrix.copy()
    done = write(1, -0.5)
    assert done.delta_norm == pytest.approx(np.linalg.norm(memory.matrix - before), rel=1e-5)
    rows = np.flatnonzero(memory.vector)
    assert len(rows) == 3
    assert not memory.matrix[np.setdiff1d(np.arange(ROWS), rows)].any()
    assert sorted(memory.vector[rows]) == [30, 31, 32]
    assert_close(value(write(1, -0.5).before), np.tanh(-0.5), 1e-3)


def test_a_row_loses_the_more_the_better_its_key_matches():
    """From 0.3 below the threshold, where it loses nothing, to where less than 0.2 of its key is left."""
    for match, left in ((0.6, 1.0), (0.65, 1.0), (0.8, 0.75), (0.95, 0.5), (1.1, 0.25), (1.15, 0.0)):
        memory = cell()
        memory.step(code(3, 0.5))
        memory.step(code(5, 0.5))
        row = memory.matrix[0].copy()
        memory.matrix[1] = 0  # the key to write finds its own row, and the match of the other one is set
        matches = np.full(ROWS, -np.inf, np.float32)
        matches[:2] = match, 1.2
        change = memory._fade(1, matches)
        assert_close(memory.matrix[0], left * row, 1e-5)
        assert change == pytest.approx((1 - left) * np.linalg.norm(row), rel=1e-4, abs=1e-5)
        assert (memory.vector[0] > 0) == (left > 0)


@given(st.lists(st.integers(0, 63), max_size=120))
def test_the_order_ranks_the_rows_by_their_last_write(items):
    memory, last = cell(), {}
    for step, item in enumerate(items):
        memory.step(code(item, 0.5))
        last[int(np.argmax(memory.vector))] = step
    expected = np.zeros(ROWS)
    for place, row in enumerate(sorted(last, key=last.get, reverse=True)):
        expected[row] = ROWS - place
    np.testing.assert_array_equal(memory.vector, expected)


def test_the_state_is_bounded_whatever_is_written():
    memory, rng = cell(feedback=5.0), np.random.default_rng(2)
    for _ in range(3000):
        memory.step((rng.normal(size=CODE) * 10.0 ** rng.integers(-3, 6)).astype(np.float32))
    assert np.isfinite(memory.matrix).all() and np.abs(memory.matrix).max() <= 1 + 1e-6
    assert memory.nbytes == 4224


def test_a_value_sees_the_stored_one():
    """With feedback, an item counts its writes: v <- tanh(v + 0.1) without a query for another item."""
    memory, expected = cell(feedback=1.0), 0.0
    for _ in range(5):
        done = memory.step(code(7, 0.1))
        expected = np.tanh(expected + 0.1)
        assert_close(value(done.readout), expected, 1e-3)
    assert_close(value(memory.step(code(8, 0.1)).readout), np.tanh(0.1), 1e-3)


def test_a_query_for_an_unknown_item_reads_nothing():
    memory = cell()
    memory.step(code(3, 0.5))
    query = memory._matches(KEYS[9].astype(np.float32) / np.linalg.norm(KEYS[9]))
    assert np.abs(memory._read(query)).max() < 1e-3
