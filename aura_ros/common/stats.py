# SPDX-License-Identifier: Apache-2.0
"""The statistics of a comparison, each with what it assumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a success rate, for independent trials; (0, 1) without trials.

    It stays within 0..1 and is honest for few trials and for rates near 0 or 1, where the usual
    normal interval has no width.

    Raises:
        ValueError: counts that cannot be, or a confidence outside 0..1.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f'successes = {successes}: must be 0..{trials}, the trials')
    if not 0.0 < confidence < 1.0:
        raise ValueError(f'confidence = {confidence}: must be between 0 and 1')
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    rate, shrink = successes / trials, 1.0 + z * z / trials
    centre = (rate + z * z / (2.0 * trials)) / shrink
    spread = z * math.sqrt(rate * (1.0 - rate) / trials + z * z / (4.0 * trials * trials)) / shrink
    # At the ends the bound is exact; rounding would leave 1e-17 or 0.9999999.
    low = 0.0 if successes == 0 else centre - spread
    high = 1.0 if successes == trials else centre + spread
    return low, high


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The value below which `percent` of the values lie, interpolated; None without values."""
    return float(np.percentile(np.asarray(values, dtype=np.float64), percent)) if values else None


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean and Student's t interval of it, for independent values such as one per seed.

    Returns:
        mean, low and high; one value alone has an interval without ends. A rate's interval may reach beyond 0..1.

    Raises:
        ValueError: no values, or a confidence outside 0..1.

    """
    if not len(values):
        raise ValueError('values: at least one is needed for a mean')
    if not 0.0 < confidence < 1.0:
        raise ValueError(f'confidence = {confidence}: must be between 0 and 1')
    data = np.asarray(values, dtype=np.float64)
    mean = float(data.mean())
    if len(data) == 1:
        return mean, -math.inf, math.inf
    half = _student(len(data) - 1, confidence) * float(data.std(ddof=1)) / math.sqrt(len(data))
    return mean, mean - half, mean + half


def _student(freedom: int, confidence: float) -> float:
    """The t with P(|T| <= t) = confidence: bisection on the angle atan(t / sqrt(freedom))."""
    low, high = 0.0, math.pi / 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """P(|T| <= sqrt(freedom) tan(angle)), the finite series of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= k / (k + 1) * cosine * cosine
    return 2.0 / math.pi * (angle + sine * total) if odd else sine * total
