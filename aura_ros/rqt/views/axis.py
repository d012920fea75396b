# SPDX-License-Identifier: Apache-2.0
"""The labels of a time axis: round numbers, before the present on a live page, and on the ROS clock otherwise."""

import math

from aura_ros.rqt.views import units
from aura_ros.rqt.views.panel import Window

# Distances between two labels [s].
_STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 86400)
_LABELS = 6

Ticks = list[tuple[float, str]]


def time_ticks(window: Window, labels: int = _LABELS) -> Ticks:
    """Return places and labels of a time axis.

    Args:
        window: time that the axis shows; places are seconds before its end, so none is above 0.
        labels: the largest number of labels.
    """
    least = window.length_s / labels
    step = next((step for step in _STEPS_S if step >= least), _STEPS_S[-1])
    if window.live:
        count = math.ceil(window.length_s / step) - 1
        return [*((-float(step * place), _before(step * place)) for place in range(count, 0, -1)), (0.0, 'now')]
    begin_s = window.end_s - window.length_s
    first, last = math.ceil(begin_s / step), math.floor(window.end_s / step)
    return [(place * step - window.end_s, units.clock(place * step)) for place in range(first, last + 1)][-2 * labels :]


def _before(seconds: int) -> str:
    return f'{units.MINUS}{seconds} s' if seconds % 60 or seconds < 120 else f'{units.MINUS}{seconds // 60} min'
