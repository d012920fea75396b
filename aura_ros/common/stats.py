# SPDX-License-Identifier: Apache-2.0
"""Statistics of a comparison, with their assumptions."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a success rate, for independent trials; (0, 1) without trials.

    The interval stays within 0..1 and is valid for few trials and for rates near 0 or 1, where the normal interval
    has no width.

    Raises:
        ValueError: impossible counts, or a confidence outside 0..1.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f'successes = {successes}, allowed: 0..{trials} (trials)')
    if not 0.0 < confidence < 1.0:
        raise ValueError(f'confidence = {confidence}, allowed: between 0 and 1')
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    rate, shrink = successes / trials, 1.0 + z * z / trials
    centre = (rate + z * z / (2.0 * trials)) / shrink
    spread = z * math.sqrt(rate * (1.0 - rate) / trials + z * z / (4.0 * trials * trials)) / shrink
    # The bounds 0 and 1 are exact; rounding would give 1e-17 or 0.9999999.
    low = 0.0 if successes == 0 else centre - spread
    high = 1.0 if successes == trials else centre + spread
    return low, high


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Of two policies on the same rounds, only the rounds count that one of them solved and the other did not. If neither
    is better, each of these is a toss of a fair coin. Without such rounds the value is 1.

    Raises:
        ValueError: a negative count.
    """
    low, trials = min(only_first, only_second), only_first + only_second
    if low < 0:
        raise ValueError(f'counts = {only_first}, {only_second}, allowed: integers >= 0')
    tail = sum(math.comb(trials, k) for k in range(low + 1))
    return min(1.0, 2 * tail / (1 << trials))


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the interpolated percentile of the values; None without values."""
    return float(np.percentile(np.asarray(values, dtype=np.float64), percent)) if values else None


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the mean and its Student's t interval, for independent values such as one per seed.

    Returns:
        Mean, low and high. One value has an infinite interval. The interval of a rate may exceed 0..1.

    Raises:
        ValueError: no values, or a confidence outside 0..1.
    """
    if not len(values):
        raise ValueError('values: a mean needs at least one')
    if not 0.0 < confidence < 1.0:
        raise ValueError(f'confidence = {confidence}, allowed: between 0 and 1')
    data = np.asarray(values, dtype=np.float64)
    mean = float(data.mean())
    if len(data) == 1:
        return mean, -math.inf, math.inf
    half = _student(len(data) - 1, confidence) * float(data.std(ddof=1)) / math.sqrt(len(data))
    return mean, mean - half, mean + half


def _student(freedom: int, confidence: float) -> float:
    """Return t with P(|T| <= t) = confidence, by bisection on the angle atan(t / sqrt(freedom))."""
    low, high = 0.0, math.pi / 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """Return P(|T| <= sqrt(freedom) tan(angle)) by the finite series of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= k / (k + 1) * cosine * cosine
    return 2.0 / math.pi * (angle + sine * total) if odd else sine * total
