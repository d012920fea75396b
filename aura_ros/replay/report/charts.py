# SPDX-License-Identifier: Apache-2.0
"""The report's pictures of all policies together: who follows best, what each carries, what it costs the medium."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aura_ros.replay.evaluated import Evaluated
from aura_ros.replay.policies import TITLES
from aura_ros.replay.report.intervals import Interval
from aura_ros.replay.report.summary import ReplayRow, Summary
from aura_ros.replay.report.svg import (
    WIDTH,
    Scale,
    axis_below,
    axis_left,
    clock,
    line,
    picture,
    polyline,
    size,
    tag,
    text,
    thinned,
)

_ROW = 34
_TOP = 46


def colours(names: Sequence[str]) -> dict[str, str]:
    """Classes of the style sheet by policy: a known policy has the same colour in every report."""
    own = [name for name in names if name not in TITLES]
    known = list(TITLES)
    return {name: f'a{known.index(name) if name in TITLES else len(known) + own.index(name)}' for name in names}


def following(summary: Summary) -> str:
    """Action error of every policy, and its paired difference to base, each with its interval."""
    rows = summary.policies
    bottom = _TOP + _ROW * len(rows)
    left = Scale(*_span([row.error for row in rows], True), 250.0, 660.0)
    right = Scale(*_span([row.difference for row in rows[1:]], False), 740.0, 1130.0)
    parts = [
        text(250, 18, 'action error [rad], less is better', 'label'),
        text(740, 18, 'difference to base [rad], left of the line is better', 'label'),
        *axis_below(left, _TOP - 14, bottom, _short, 5),
        *axis_below(right, _TOP - 14, bottom, _short, 5),
        line(right(0.0), _TOP - 14, right(0.0), bottom, 'zero'),
    ]
    classes = colours([row.name for row in rows])
    for index, row in enumerate(rows):
        y = _TOP + _ROW * index + 6.0
        parts += [
            text(8, y - 1, row.name, 'name'),
            text(8, y + 12, row.title, 'small'),
            _whisker(left, row.error, y, classes[row.name]),
        ]
        if row.name != 'base':
            parts.append(_whisker(right, row.difference, y, classes[row.name]))
    return picture(bottom + 26, parts, 'action error of each policy with 95 % intervals')


def _whisker(scale: Scale, found: Interval, y: float, class_: str) -> str:
    if math.isnan(found.mean):
        return ''
    parts = [tag('circle', cx=scale(found.mean), cy=y, r=5.0, class_=f'dot {class_}')]
    if not math.isnan(found.low):
        parts.insert(0, line(scale(found.low), y, scale(found.high), y, f'whisker {class_}'))
    title = tag('title', f'{found.mean:.5f} [{found.low:.5f}, {found.high:.5f}]')
    return tag('g', title + ''.join(parts))


def _span(intervals: Sequence[Interval], from_zero: bool) -> tuple[float, float]:
    """Ends of an axis that holds all intervals and zero, with some room."""
    values = [value for found in intervals for value in (found.low, found.mean, found.high) if not math.isnan(value)]
    low, high = min([0.0, *values]), max([0.0, *values])
    room = 0.06 * ((high - low) or 1e-3)
    return (0.0 if from_zero else low - room), high + room


def carried(found: Evaluated) -> str:
    """What each memory carries over time, on a logarithmic axis."""
    curves = _curves(found)
    if not curves:
        return ''
    biggest = max(float(curve.max()) for _, curve in curves)
    smallest = min(float(curve[curve > 0].min()) for _, curve in curves)
    times = found.times_s
    across = Scale(0.0, max(float(times[-1]), 1e-3), 70.0, 860.0)
    low, high = math.floor(math.log10(smallest)), math.ceil(math.log10(biggest * 1.01))
    up = Scale(10.0**low, 10.0**high, 250.0, 20.0, True)
    parts = [*axis_left(up, 70, 860, size, 6), *axis_below(across, 20, 250, clock)]
    labels: list[tuple[float, str, str]] = []
    for names, curve in curves:
        class_ = colours(list(found.runs))[names[0]]
        values = np.where(curve > 0, curve, np.nan)
        parts.append(polyline(*thinned(across.places(times), up.places(values)), class_=f'line {class_}'))
        labels.append((up(float(curve[-1])), f'{", ".join(names)}  {size(float(curve[-1]))}', class_))
    for y, words, class_ in _apart(labels):
        parts.append(text(868, y + 4, words, f'end-label {class_}'))
    return picture(278, parts, 'bytes carried by each memory over time, logarithmic')


def _curves(found: Evaluated) -> list[tuple[list[str], NDArray[np.float64]]]:
    """Sizes over time of the policies that carry something; policies of the same size together."""
    curves: list[tuple[list[str], NDArray[np.float64]]] = []
    for name, run in found.runs.items():
        curve = run.state_bytes.astype(np.float64)
        if not curve.any():
            continue
        same = next((names for names, other in curves if np.array_equal(curve, other)), None)
        if same is None:
            curves.append(([name], curve))
        else:
            same.append(name)
    return curves


def _apart(labels: Sequence[tuple[float, str, str]], least: float = 17.0) -> list[tuple[float, str, str]]:
    """Labels moved downwards until no two overlap."""
    placed: list[tuple[float, str, str]] = []
    for y, words, class_ in sorted(labels):
        placed.append((max(y, placed[-1][0] + least) if placed else y, words, class_))
    return placed


def on_disk(summary: Summary) -> str:
    """What keeping each memory through a power cut would have cost, on a logarithmic axis."""
    shown = [row for row in summary.policies if row.device_bytes]
    if not shown:
        return ''
    classes = colours([row.name for row in summary.policies])
    biggest, smallest = max(row.device_bytes for row in shown), min(row.device_bytes for row in shown)
    across = Scale(10.0 ** math.floor(math.log10(smallest) - 0.3), biggest * 4.0, 120.0, float(WIDTH) - 20.0, True)
    bottom = 12 + 28 * len(shown)
    parts = axis_below(across, 8, bottom, size, 6)
    for place, row in enumerate(shown):
        y = 14.0 + 28 * place
        parts += [
            text(112, y + 14, row.name, 'name', 'end'),
            tag(
                'rect',
                x=120.0,
                y=y,
                width=across(row.device_bytes) - 120.0,
                height=18.0,
                rx=3.0,
                class_=f'bar {classes[row.name]}',
            ),
            text(across(row.device_bytes) + 8, y + 14, _cost(row), 'small'),
        ]
    return picture(bottom + 24, parts, 'bytes to the medium, logarithmic')


def _cost(row: ReplayRow) -> str:
    return f'{size(row.device_bytes)} for {row.writes:,} writes'


def _short(value: float) -> str:
    return f'{value:.4g}'.replace('-', '−')  # noqa: RUF001 a minus sign
