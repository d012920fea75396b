# SPDX-License-Identifier: Apache-2.0
"""The intervals cover the mean of correlated steps, where intervals for independent steps do not."""

import math

import numpy as np
import pytest

from aura_ros.common.errors import InputError
from aura_ros.replay.report.intervals import Blocks, block_length

ONE = np.zeros(400, np.int64)


def correlated(rng, count=400, memory=0.9):
    """An autoregressive series around 1."""
    values, state = np.empty(count), rng.normal() / math.sqrt(1 - memory**2)
    for row in range(count):
        state = memory * state + rng.normal()
        values[row] = 1 + state
    return values


def coverage(length_of, runs=150):
    rng, inside = np.random.default_rng(7), 0
    for _ in range(runs):
        values = correlated(rng)
        found = Blocks(ONE, length_of(values)).interval(values)
        inside += found.low <= 1.0 <= found.high
    return inside / runs


def test_blocks_cover_the_mean_where_single_steps_do_not():
    # Measured: 0.83 and 0.23. The bounds are more than four standard deviations away.
    assert coverage(lambda values: block_length([values], ONE)[0]) > 0.7
    assert coverage(lambda values: 1, runs=40) < 0.6


def test_blocks_are_longer_for_correlated_steps():
    rng = np.random.default_rng(1)
    noise, _ = block_length([rng.normal(size=4000)], np.zeros(4000, np.int64))
    slow, enough = block_length([correlated(rng, 4000, 0.95)], np.zeros(4000, np.int64))
    assert noise == 16  # the cube root of 4,000
    assert 30 < slow <= 400 and enough
    assert block_length([rng.normal(size=4000), correlated(rng, 4000, 0.95)], np.zeros(4000, np.int64))[0] > noise


def test_a_recording_that_is_too_short_is_reported():
    trend = np.linspace(0, 1, 100)
    assert block_length([trend], np.zeros(100, np.int64)) == (10, False)


def test_a_constant_difference_has_a_narrow_interval_and_noise_has_not():
    rng = np.random.default_rng(3)
    base = rng.normal(size=400)
    _, found = Blocks(ONE, 10).intervals(np.stack([base + 0.1 - base, base], axis=1))
    assert found[0].mean == pytest.approx(0.1) and found[0].high - found[0].low < 1e-12 and found[0].apart_from_zero
    assert found[1].low < 0 < found[1].high and not found[1].apart_from_zero


def test_blocks_end_where_an_episode_does():
    values = np.repeat([0.0, 1.0], 50)
    segments = np.repeat([0, 1], 50)
    blocks = Blocks(segments, 40)
    assert blocks.count == 4  # of 25 rows each; none crosses the border
    assert blocks.interval(values).mean == 0.5


def test_missing_rows_are_left_out():
    values = np.ones(400)
    values[::2] = np.nan
    found = Blocks(ONE, 10).interval(values)
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)
    nothing = Blocks(ONE, 10).interval(np.full(400, np.nan))
    assert math.isnan(nothing.mean) and not nothing.apart_from_zero
    alone = Blocks(np.zeros(3, np.int64), 10).interval(np.ones(3))
    assert alone.mean == 1.0 and math.isnan(alone.low)


def test_empty_input_is_refused():
    with pytest.raises(InputError):
        Blocks(ONE, 0)
    with pytest.raises(InputError):
        Blocks(ONE[:0], 5)
