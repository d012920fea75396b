# SPDX-License-Identifier: Apache-2.0
"""Confidence intervals for means over a recording, whose steps are not independent.

An error now makes an error in the next moment likely. Ten steps a second are therefore far fewer than ten independent
samples, and an interval that treats them as independent is often several times too narrow. Whole *blocks* of
consecutive steps are resampled instead (Carlstein 1986), long enough to be nearly independent of each other. Every
policy uses the same resamples, so that the interval of a difference is one of *paired* differences.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError

Doubles = NDArray[np.float64]

RESAMPLES = 2000
"""Resamples of the bootstrap. The ends of a 95 % interval are then accurate to a few per cent of its width."""
LEAST_BLOCKS = 10
"""Least number of blocks for a reliable percentile interval."""
MOST_BLOCKS = 500
"""Most blocks. More would not improve the interval, and the memory for the resamples grows with them."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval; NaN without data."""

    mean: float
    low: float
    high: float

    @property
    def apart_from_zero(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0.0 or self.high < 0.0


class Blocks:
    """Blocks of consecutive rows, with the same resamples for every mean."""

    def __init__(self, segments: NDArray[np.int64], length: int, seed: int = 0) -> None:
        """Cut the rows into blocks and draw the resamples.

        Args:
            segments: a number for each row, int [N]; a new number begins a new block.
            length: most rows of a block.
            seed: seed of the resamples.

        Raises:
            InputError: there are no rows, or `length` is less than 1.
        """
        if length < 1 or not len(segments):
            raise InputError(f'cannot cut {len(segments)} rows into blocks of {length}: both must be at least 1')
        self.length = length
        self._starts = _starts(segments, length)
        self.count = len(self._starts)
        rng = np.random.default_rng(seed)
        self._draws = rng.multinomial(self.count, np.full(self.count, 1.0 / self.count), RESAMPLES).astype(np.float64)

    def intervals(self, values: Doubles) -> tuple[Interval, list[Interval]]:
        """Return the mean of `values`, float64 [N, K], and the mean of each column; rows with a NaN are left out."""
        known = np.asarray(~np.isnan(values).any(axis=1))
        if not known.any():
            nothing = Interval(math.nan, math.nan, math.nan)
            return nothing, [nothing] * values.shape[1]
        sums = np.stack([np.add.reduceat(np.where(known, column, 0.0), self._starts) for column in values.T], axis=1)
        sums = np.concatenate([sums.mean(axis=1, keepdims=True), sums], axis=1)
        counts = np.add.reduceat(known.astype(np.float64), self._starts)
        means = sums.sum(axis=0) / counts.sum()
        if np.count_nonzero(counts) < 2:
            found = [Interval(float(mean), math.nan, math.nan) for mean in means]
        else:
            drawn = self._draws @ counts
            # A resample can consist of blocks without a value. It is dropped.
            resampled = (self._draws @ sums)[drawn > 0] / drawn[drawn > 0, None]
            low, high = np.percentile(resampled, (2.5, 97.5), axis=0)
            found = [Interval(*map(float, row)) for row in zip(means, low, high, strict=True)]
        return found[0], found[1:]

    def interval(self, values: Doubles) -> Interval:
        """Return the mean of one column, float64 [N]; see `intervals`."""
        return self.intervals(values[:, None])[0]


def block_length(series: Iterable[Doubles], segments: NDArray[np.int64]) -> tuple[int, bool]:
    """Return the length of a block, and whether the recording is long enough for it.

    The length is twice the lag beyond which the autocorrelation of every series is noise. By the rule of Politis and
    White (2004) that is the case below 2 sqrt(log10(N) / N) at five lags in a row. The length is at least the cube root
    of N, so that the interval converges, and a long recording has about `MOST_BLOCKS` blocks. It is at most a tenth of
    N, so that there are ten blocks. If that is too short, the intervals are too narrow and the second value is False.

    Args:
        series: values whose means are taken, float64 [N] each, with NaN for missing values.
        segments: a number for each row, int [N]; see `Blocks`.
    """
    rows = len(segments)
    wanted = max((2 * _decorrelated(values, segments) for values in series), default=1)
    most = max(1, rows // LEAST_BLOCKS)
    least = max(math.ceil(rows ** (1 / 3)), math.ceil(rows / MOST_BLOCKS))
    return min(max(wanted, least), most), wanted <= most


def _decorrelated(values: Doubles, segments: NDArray[np.int64], in_a_row: int = 5) -> int:
    """Return the last lag before the autocorrelation is noise; only pairs within a segment count."""
    known = ~np.isnan(values)
    rows = int(known.sum())
    if rows < 2 * in_a_row:
        return 1
    centred = np.where(known, values - values[known].mean(), 0.0)
    variance = float(centred @ centred) / rows
    if variance <= 0.0:
        return 1
    noise, quiet = 2.0 * math.sqrt(math.log10(rows) / rows), 0
    last = rows // (2 * LEAST_BLOCKS) + in_a_row  # a greater lag needs longer blocks than allowed
    for lag in range(1, last + 1):
        pairs = known[lag:] & known[:-lag] & (segments[lag:] == segments[:-lag])
        count = int(pairs.sum())
        correlation = float((centred[lag:] * centred[:-lag])[pairs].sum()) / max(count, 1) / variance
        quiet = quiet + 1 if abs(correlation) < noise else 0
        if quiet == in_a_row:
            return max(1, lag - in_a_row)
    return last


def _starts(segments: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return the first rows of the blocks: each segment is cut into equal parts of at most `length` rows."""
    edges = np.flatnonzero(np.diff(segments, prepend=segments[0] - 1))
    found: list[int] = []
    for begin, end in zip(edges, [*edges[1:], len(segments)], strict=True):
        parts = math.ceil((end - begin) / length)
        found += [int(begin + (end - begin) * part // parts) for part in range(parts)]
    return np.asarray(found, np.int64)
