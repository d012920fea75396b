# SPDX-License-Identifier: Apache-2.0
"""Intervals for means over a recording, whose steps are not independent.

A robot that is wrong now is wrong a moment later: ten steps a second are far fewer than ten independent samples, and
an interval that took them for such would be too narrow, often by a factor of several. So whole *blocks* of
consecutive steps are drawn with replacement (Carlstein 1986), long enough that one block tells little of the next.
The same blocks are drawn for every policy, which makes the interval of a difference one of *paired* differences.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError

Doubles = NDArray[np.float64]

RESAMPLES = 2000
"""Resamples of a bootstrap: the ends of a 95 % interval are then good to a few per cent of its width."""
LEAST_BLOCKS = 10
"""Blocks below which a percentile interval is rough."""
MOST_BLOCKS = 500
"""Blocks above which an interval gains nothing, and its resamples would take memory with the recording's length."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval; NaN where there is nothing to tell it from."""

    mean: float
    low: float
    high: float

    @property
    def apart_from_zero(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0.0 or self.high < 0.0


class Blocks:
    """Blocks of consecutive rows, resampled the same way for every mean that is asked for.

    Args:
        segments: int [N], which rows hang together: a change of number begins a new block.
        length: most rows of a block.
        seed: of the draws.

    count: number of blocks.
    """

    def __init__(self, segments: NDArray[np.int64], length: int, seed: int = 0) -> None:
        if length < 1 or not len(segments):
            raise InputError(f'blocks of {length} rows out of {len(segments)}: both must be at least 1')
        self.length = length
        self._starts = _starts(segments, length)
        self.count = len(self._starts)
        rng = np.random.default_rng(seed)
        self._draws = rng.multinomial(self.count, np.full(self.count, 1.0 / self.count), RESAMPLES).astype(np.float64)

    def intervals(self, values: Doubles) -> tuple[Interval, list[Interval]]:
        """The mean of `values`, float64 [N, K], and that of each column; a row that is NaN anywhere is left out."""
        there = np.asarray(~np.isnan(values).any(axis=1))
        if not there.any():
            nothing = Interval(math.nan, math.nan, math.nan)
            return nothing, [nothing] * values.shape[1]
        sums = np.stack([np.add.reduceat(np.where(there, column, 0.0), self._starts) for column in values.T], axis=1)
        sums = np.concatenate([sums.mean(axis=1, keepdims=True), sums], axis=1)
        counts = np.add.reduceat(there.astype(np.float64), self._starts)
        means = sums.sum(axis=0) / counts.sum()
        if np.count_nonzero(counts) < 2:
            found = [Interval(float(mean), math.nan, math.nan) for mean in means]
        else:
            drawn = self._draws @ counts
            # a resample of nothing but blocks without a row says nothing
            resampled = (self._draws @ sums)[drawn > 0] / drawn[drawn > 0, None]
            low, high = np.percentile(resampled, (2.5, 97.5), axis=0)
            found = [Interval(*map(float, row)) for row in zip(means, low, high, strict=True)]
        return found[0], found[1:]

    def interval(self, values: Doubles) -> Interval:
        """`intervals` of one column, float64 [N]."""
        return self.intervals(values[:, None])[0]


def block_length(series: Iterable[Doubles], segments: NDArray[np.int64]) -> tuple[int, bool]:
    """How long a block has to be, and whether the recording is long enough for that.

    Twice the lag from which on the autocorrelation of every series is noise, by the rule of Politis and White (2004):
    below 2 sqrt(log10(N) / N) at five lags in a row. At least the cube root of N, which is how blocks have to grow for
    the interval to be right in the end. At most a tenth of N, so that there are ten blocks to draw from; where that is
    too short for the correlation, the intervals are too narrow and the second value is False. Of a long recording there
    are about `MOST_BLOCKS`, longer than they need be.

    Args:
        series: what means are taken of, float64 [N] each; NaN where there is nothing.
        segments: int [N], see `Blocks`.

    """
    rows = len(segments)
    wanted = max((2 * _decorrelated(values, segments) for values in series), default=1)
    most = max(1, rows // LEAST_BLOCKS)
    least = max(math.ceil(rows ** (1 / 3)), math.ceil(rows / MOST_BLOCKS))
    return min(max(wanted, least), most), wanted <= most


def _decorrelated(values: Doubles, segments: NDArray[np.int64], in_a_row: int = 5) -> int:
    """The last lag before the autocorrelation is noise; only pairs within a segment count."""
    there = ~np.isnan(values)
    rows = int(there.sum())
    if rows < 2 * in_a_row:
        return 1
    centred = np.where(there, values - values[there].mean(), 0.0)
    variance = float(centred @ centred) / rows
    if variance <= 0.0:
        return 1
    noise, quiet = 2.0 * math.sqrt(math.log10(rows) / rows), 0
    last = rows // (2 * LEAST_BLOCKS) + in_a_row  # beyond it blocks would be longer than they may be
    for lag in range(1, last + 1):
        pairs = there[lag:] & there[:-lag] & (segments[lag:] == segments[:-lag])
        count = int(pairs.sum())
        correlation = float((centred[lag:] * centred[:-lag])[pairs].sum()) / max(count, 1) / variance
        quiet = quiet + 1 if abs(correlation) < noise else 0
        if quiet == in_a_row:
            return max(1, lag - in_a_row)
    return last


def _starts(segments: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Where blocks begin: each segment is cut into equal parts of at most `length` rows."""
    edges = np.flatnonzero(np.diff(segments, prepend=segments[0] - 1))
    found: list[int] = []
    for begin, end in zip(edges, [*edges[1:], len(segments)], strict=True):
        parts = math.ceil((end - begin) / length)
        found += [int(begin + (end - begin) * part // parts) for part in range(parts)]
    return np.asarray(found, np.int64)
