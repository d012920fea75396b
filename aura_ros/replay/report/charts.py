# SPDX-License-Identifier: Apache-2.0
"""Charts that compare all policies: their errors, the size of their states, the bytes they write to storage."""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from aura_ros.replay.evaluated import Evaluated
from aura_ros.replay.report import svg
from aura_ros.replay.report.intervals import Interval
from aura_ros.replay.report.styles import classes_of, marker
from aura_ros.replay.report.summary import Summary

_ROW = 34
_TOP = 46


def error_chart(summary: Summary) -> Markup:
    """Draw the action error of every policy and its paired difference to base, with their intervals."""
    rows = summary.policies
    bottom = _TOP + _ROW * len(rows)
    left = svg.Scale(*_span([row.error for row in rows], True), 250.0, 660.0)
    right = svg.Scale(*_span([row.difference for row in rows[1:]], False), 740.0, 1130.0)
    parts = [
        svg.text(250, 18, 'action error [rad], less is better', 'label'),
        svg.text(740, 18, 'difference to base [rad], left of the line is better', 'label'),
        *svg.axis_below(left, _TOP - 14, bottom, _short, 5),
        *svg.axis_below(right, _TOP - 14, bottom, _short, 5),
        svg.line(right(0.0), _TOP - 14, right(0.0), bottom, 'zero'),
    ]
    names = [row.name for row in rows]
    for index, row in enumerate(rows):
        y = _TOP + _ROW * index + 6.0
        parts += [
            svg.text(8, y - 1, row.name, 'name'),
            svg.text(8, y + 12, row.title, 'small'),
            _whisker(left, row.error, y, row.name, names),
        ]
        if row.name != 'base':
            parts.append(_whisker(right, row.difference, y, row.name, names))
    return svg.chart(bottom + 26, parts, 'action error of each policy with 95 % intervals')


def _whisker(scale: svg.Scale, found: Interval, y: float, name: str, names: Sequence[str]) -> Markup:
    if math.isnan(found.mean):
        return Markup('')
    parts = [marker(name, names, scale(found.mean), y, 5.5)]
    if not math.isnan(found.low):
        parts.insert(0, svg.line(scale(found.low), y, scale(found.high), y, f'whisker {classes_of(names)[name]}'))
    title = svg.tag('title', f'{found.mean:.5f} [{found.low:.5f}, {found.high:.5f}]')
    return svg.tag('g', title, *parts)


def _span(intervals: Sequence[Interval], from_zero: bool) -> tuple[float, float]:
    """Return the ends of an axis that contains all intervals and zero, with a margin."""
    values = [value for found in intervals for value in (found.low, found.mean, found.high) if not math.isnan(value)]
    low, high = min([0.0, *values]), max([0.0, *values])
    margin = 0.06 * ((high - low) or 1e-3)
    return (0.0 if from_zero else low - margin), high + margin


def state_chart(found: Evaluated) -> Markup:
    """Draw the size of each memory's state over time, on a logarithmic axis; '' if no memory has a state."""
    curves = _curves(found)
    if not curves:
        return Markup('')
    largest = max(float(curve.max()) for _, curve in curves)
    smallest = min(float(curve[curve > 0].min()) for _, curve in curves)
    times = found.steps.times_s
    across = svg.Scale(0.0, max(float(times[-1]), 1e-3), 70.0, 860.0)
    low, high = math.floor(math.log10(smallest)), math.ceil(math.log10(largest * 1.01))
    up = svg.Scale(10.0**low, 10.0**high, 250.0, 20.0, True)
    parts = [
        *svg.axis_left(up, 70, 860, svg.size, 6),
        *svg.axis_below(across, 20, 250, svg.clock),
        *episode_lines(found, across, 20, 250),
    ]
    labels: list[tuple[float, str, str]] = []
    classes = classes_of(list(found.runs))
    for names, curve in curves:
        class_ = classes[names[0]]
        values = np.where(curve > 0, curve, np.nan)
        x, y = svg.thinned(*svg.broken(across.positions(times), up.positions(values), found.steps.segments))
        parts.append(svg.polyline(x, y, class_=f'line {class_} dashed'))
        labels.append((up(float(curve[-1])), f'{", ".join(names)}  {svg.size(float(curve[-1]))}', class_))
    parts += [svg.text(868, y + 4, words, f'end-label {class_}') for y, words, class_ in separated(labels)]
    return svg.chart(278, parts, 'state size of each memory over time, logarithmic')


def episode_lines(found: Evaluated, across: svg.Scale, top: float, bottom: float) -> list[Markup]:
    """Return a line at each step that begins an episode, but for the first."""
    begins = found.steps.times_s[np.flatnonzero(np.diff(found.steps.segments)) + 1]
    return [svg.line(x, top, x, bottom, 'episode') for x in across.positions(begins).tolist()]


def _curves(found: Evaluated) -> list[tuple[list[str], NDArray[np.float64]]]:
    """Return the state sizes over time; policies with equal sizes share a curve."""
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


def separated(labels: Sequence[tuple[float, str, str]], least: float = 17.0) -> list[tuple[float, str, str]]:
    """Move labels downwards until no two overlap."""
    placed: list[tuple[float, str, str]] = []
    for y, words, class_ in sorted(labels):
        placed.append((max(y, placed[-1][0] + least) if placed else y, words, class_))
    return placed


def storage_chart(summary: Summary) -> Markup:
    """Draw the bytes written to storage to keep each memory through a power cut; '' if there are none."""
    shown = [row for row in summary.policies if row.device_bytes]
    if not shown:
        return Markup('')
    classes = classes_of([row.name for row in summary.policies])
    largest, smallest = max(row.device_bytes for row in shown), min(row.device_bytes for row in shown)
    across = svg.Scale(
        10.0 ** math.floor(math.log10(smallest) - 0.3), largest * 4.0, 120.0, float(svg.WIDTH) - 20.0, True
    )
    bottom = 12 + 28 * len(shown)
    parts = svg.axis_below(across, 8, bottom, svg.size, 6)
    for index, row in enumerate(shown):
        y, end = 14.0 + 28 * index, across(row.device_bytes)
        cost = f'{svg.size(row.device_bytes)} for {row.writes:,} writes'
        parts += [
            svg.text(112, y + 14, row.name, 'name', 'end'),
            svg.tag('rect', x=120.0, y=y, width=end - 120.0, height=18.0, rx=3.0, class_=f'bar {classes[row.name]}'),
            svg.text(end + 8, y + 14, cost, 'small'),
        ]
    return svg.chart(bottom + 24, parts, 'bytes written to storage, logarithmic')


def _short(value: float) -> str:
    return f'{value:.4g}'.replace('-', '−')  # noqa: RUF001 a minus sign
