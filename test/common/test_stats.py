# SPDX-License-Identifier: Apache-2.0
"""Intervals against known values and against what an interval must be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.common.stats import mcnemar, mean_interval, percentile, wilson_interval


@pytest.mark.parametrize(
    ('successes', 'trials', 'low', 'high'),
    [  # Newcombe (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 1.0 - 0.1170, 1.0),
    ],
)
def test_known_intervals(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.5, 0.999))
def test_an_interval_holds_its_rate_and_is_symmetric(solved: int, failed: int, confidence: float) -> None:
    low, high = wilson_interval(solved, solved + failed, confidence)
    assert 0.0 <= low < high <= 1.0
    if solved + failed:
        assert low <= solved / (solved + failed) <= high
    mirrored = wilson_interval(failed, solved + failed, confidence)
    assert (1.0 - high, 1.0 - low) == pytest.approx(mirrored)


@pytest.mark.parametrize(('successes', 'trials'), [(-1, 3), (4, 3), (0, -1)])
def test_counts_that_cannot_be_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match='successes'):
        wilson_interval(successes, trials)


def test_percentiles() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([0.0, 10.0], 95) == pytest.approx(9.5)


@pytest.mark.parametrize(('count', 'quantile'), [(2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262), (31, 2.042)])
def test_mean_interval_is_students(count: int, quantile: float) -> None:
    values = [float(i) for i in range(count)]
    mean, low, high = mean_interval(values)
    half = quantile * np.std(values, ddof=1) / math.sqrt(count)
    assert mean == pytest.approx((count - 1) / 2)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=2e-3 * half)


def test_mean_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        _, low, high = mean_interval(rng.normal(3.0, 2.0, 4), 0.9)
        held += low <= 3.0 <= high
    assert 0.87 < held / 2000 < 0.93


def test_one_value_says_nothing_of_its_spread() -> None:
    assert mean_interval([0.5]) == (0.5, -math.inf, math.inf)


@pytest.mark.parametrize(('values', 'confidence'), [([], 0.95), ([1.0, 2.0], 1.0), ([1.0, 2.0], 0.0)])
def test_mean_interval_refuses(values: list[float], confidence: float) -> None:
    with pytest.raises(ValueError):
        mean_interval(values, confidence)


@pytest.mark.parametrize(
    ('first', 'second', 'value'), [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (10, 2, 0.03857421875), (3, 3, 1.0)]
)
def test_mcnemar_is_the_sign_test_of_the_rounds_that_differ(first: int, second: int, value: float) -> None:
    assert mcnemar(first, second) == pytest.approx(value) == mcnemar(second, first)
    assert mcnemar(2000, 100) < 1e-100
    with pytest.raises(ValueError, match='counts'):
        mcnemar(-1, 2)
