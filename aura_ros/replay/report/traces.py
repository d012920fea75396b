# SPDX-License-Identifier: Apache-2.0
"""Charts over time: gate score and writes with camera pictures, errors, joint targets."""

import base64
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from aura_ros.replay.evaluate import PolicyRun, Write
from aura_ros.replay.evaluated import Evaluated, highlights
from aura_ros.replay.report import svg
from aura_ros.replay.report.charts import episode_lines, separated
from aura_ros.replay.report.styles import classes_of, marker
from aura_ros.replay.report.svg import Doubles
from aura_ros.replay.steps.arrays import Floats

SHOWN_STEPS = 300
"""Most steps in the charts of single joints: more would be a grey band."""
_BINS = 290
"""Most marks in a row of writes. More writes are drawn as a histogram."""
_LEFT, _RIGHT = 86.0, float(svg.WIDTH) - 10.0
_PICTURE = 110.0
_LABELS = 96.0
"""Width of the names at the right ends of lines."""
_MARKERS = 7
"""Markers on a line."""


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG as a data URI."""
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode("ascii")}'


def timeline_chart(found: Evaluated, name: str) -> Markup:
    """Draw the gate score of a policy with its writes and their pictures, and the writes of the other policies."""
    run, times = found.runs[name], found.steps.times_s
    across = svg.Scale(0.0, max(float(times[-1]), 1e-3), _LEFT, _RIGHT)
    shown = [write for write in highlights(run.writes, len(times)) if write.row in found.steps.thumbnails]
    top = 150.0 if shown else 20.0
    up = svg.Scale(0.0, 1.0, top + 170.0, top + 16.0)
    names = list(found.runs)
    classes = classes_of(names)
    rows = [other for other in found.runs if found.runs[other].written.any()]
    bottom = top + 186.0 + 22.0 * len(rows)
    threshold = float(np.nanmax(run.threshold)) if run.applied else 0.5
    class_ = classes[name]
    parts = [
        *svg.axis_below(across, top + 8, bottom, svg.clock),
        *svg.axis_left(up, _LEFT, _RIGHT, lambda value: f'{value:g}', 4),
        *episode_lines(found, across, top + 8, bottom),
        svg.text(8, up(1.0) - 12, 'gate score', 'label'),
        svg.line(_LEFT, up(threshold), _RIGHT, up(threshold), 'threshold'),
        svg.polyline(
            *svg.thinned(
                *svg.broken(across.positions(times), up.positions(run.gate.astype(np.float64)), found.steps.segments)
            ),
            class_=f'thin {class_}',
        ),
    ]
    for write in run.writes:
        at = float(times[write.row])
        title = svg.tag('title', _describe(write, at))
        parts.append(svg.tag('g', title, marker(name, names, across(at), up(write.gate), 4.0)))
    parts += _strip(found, shown, across, up)
    for index, other in enumerate(rows):
        y = top + 190.0 + 22.0 * index
        parts += [
            svg.text(_LEFT - 8, y + 13, other, 'name', 'end'),
            _marks(found.runs[other], times, across, y, classes[other]),
        ]
    return svg.chart(bottom + 24, parts, f'gate score of {name} over time, and when each policy wrote')


def _strip(found: Evaluated, shown: Sequence[Write], across: svg.Scale, up: svg.Scale) -> list[Markup]:
    """Return a row of pictures, each with a line to its write."""
    parts: list[Markup] = []
    times = found.steps.times_s[[write.row for write in shown]].tolist() if shown else []
    for write, at, x in zip(shown, times, _side_by_side([across(at) - _PICTURE / 2 for at in times]), strict=True):
        middle = x + _PICTURE / 2
        leader = f'M{middle:.1f} 136L{across(at):.1f} {up(1.0) - 6:.1f}V{up(write.gate):.1f}'
        uri = data_uri(found.steps.thumbnails[write.row])
        picture = svg.tag('image', href=uri, width='100%', height='100%', preserveAspectRatio='xMidYMid slice')
        place = {'x': x, 'y': 18.0, 'width': _PICTURE, 'height': _PICTURE}
        parts += [
            svg.tag('path', d=leader, class_='leader'),
            svg.tag('svg', picture, **place),
            svg.tag('rect', **place, class_='frame'),
            svg.text(middle, 12, svg.clock(at), 'tick', 'middle'),
        ]
    return parts


def _side_by_side(edges: Sequence[float], gap: float = 8.0) -> list[float]:
    """Move the left edges of pictures apart until none overlap and all lie within the chart."""
    step, found = _PICTURE + gap, list(edges)
    for index in range(len(found)):
        found[index] = max(found[index], found[index - 1] + step if index else 0.0)
    limit = svg.WIDTH - _PICTURE
    for index in reversed(range(len(found))):
        found[index] = min(found[index], limit)
        limit = found[index] - step
    return found


def _marks(run: PolicyRun, times: Doubles, across: svg.Scale, y: float, class_: str) -> Markup:
    """Draw each run of consecutive writes as a bar. Many runs become a histogram: the more writes, the more opaque."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], run.written, [False]])))
    begins, ends = edges[::2], edges[1::2] - 1
    if len(begins) <= _BINS:
        spans = zip(across.positions(times[begins]).tolist(), across.positions(times[ends]).tolist(), strict=True)
        bars = [svg.tag('rect', x=x - 0.7, y=y + 2, width=end - x + 1.4, height=16.0) for x, end in spans]
    else:
        steps, bins = np.histogram(times, _BINS)
        writes, _ = np.histogram(times[run.written], bins)
        width = (across.end - across.begin) / _BINS + 0.3
        bars = [
            svg.tag('rect', x=across(at), y=y + 2, width=width, height=16.0, fill_opacity=f'{written / count:.2f}')
            for at, written, count in zip(bins.tolist(), writes.tolist(), steps.tolist(), strict=False)
            if written
        ]
    return svg.tag('g', *bars, class_=f'fill {class_}')


def _describe(write: Write, at: float) -> str:
    return (
        f'write {write.writes} at {svg.clock(at)}, step {write.seq}: gate {write.gate:.2f}, surprise '
        f'{write.surprise:.2f}, moves a joint target by {write.action_change:.4f} rad'
    )


def error_trace(found: Evaluated, window: int) -> Markup:
    """Draw the action error of every policy over time, smoothed over `window` steps; '' without recorded actions."""
    times = found.steps.times_s
    curves = []
    for run in found.runs.values():
        curves.append(svg.thinned(*svg.broken(times, smoothed_error(run, window), found.steps.segments)))
        found.steps.arrays.release()
    highest = max((float(np.nanmax(curve)) for _, curve in curves if not np.isnan(curve).all()), default=0.0)
    if not highest:
        return Markup('')
    right = _RIGHT - _LABELS
    across, up = svg.Scale(0.0, max(float(times[-1]), 1e-3), _LEFT, right), svg.Scale(0.0, highest * 1.05, 210.0, 14.0)
    parts = [
        *svg.axis_left(up, _LEFT, right, lambda value: f'{value:.3g}'),
        *svg.axis_below(across, 14, 210, svg.clock),
        *episode_lines(found, across, 14, 210),
        svg.text(8, 10, 'error [rad]', 'label'),
    ]
    names, labels = list(found.runs), []
    for name, (at, curve) in zip(names, curves, strict=True):
        x, y = across.positions(at), up.positions(curve)
        parts.append(_marked(name, names, x, y, 'line'))
        if (known := np.flatnonzero(~np.isnan(y))).size:
            labels.append((float(y[known[-1]]), name, f'{classes_of(names)[name]} of-policy'))
    parts += [svg.text(right + 12, y + 4, name, f'end-label {class_}') for y, name, class_ in separated(labels)]
    return svg.chart(236, parts, 'action error of each policy over time')


def _marked(name: str, names: Sequence[str], x: Doubles, y: Doubles, class_: str) -> Markup:
    """Return the line of a policy with its markers; those of different policies are not at the same steps."""
    known = np.flatnonzero(~np.isnan(y))
    offset = (names.index(name) + 0.5) / len(names)
    places = known[((np.arange(_MARKERS) + offset) / _MARKERS * len(known)).astype(int)] if len(known) else known
    points = [marker(name, names, float(x[place]), float(y[place]), 4.0) for place in places]
    line = svg.polyline(x, y, class_=f'{class_} {classes_of(names)[name]} dashed')
    return svg.tag('g', line, *points, class_=f'{classes_of(names)[name]} of-policy')


def smoothed_error(run: PolicyRun, window: int) -> Doubles:
    """Return the action error of a policy, the mean over joints, smoothed over `window` steps."""
    return _smoothed(run.errors.mean(axis=1, dtype=np.float64), window)


def _smoothed(values: Doubles, window: int) -> Doubles:
    """Return the running mean over `window` steps, ignoring NaN; NaN if all of them are NaN."""
    known = ~np.isnan(values)
    kernel = np.ones(max(1, min(window, len(values))))
    count = np.convolve(known, kernel, 'same')
    sums = np.convolve(np.where(known, values, 0.0), kernel, 'same')
    return np.asarray(np.where(count > 0.5, sums / np.maximum(count, 1.0), np.nan))


def shown_rows(found: Evaluated, name: str) -> tuple[int, int]:
    """Return the first row and the end of the `SHOWN_STEPS` steps in which a policy differs most from base."""
    count = len(found.steps)
    if count <= SHOWN_STEPS:
        return 0, count
    apart = np.nan_to_num(np.abs(found.runs[name].actions - found.runs['base'].actions).astype(np.float64)).mean(axis=1)
    sums = np.convolve(apart, np.ones(SHOWN_STEPS), 'valid')
    begin = int(np.argmax(sums))
    return begin, begin + SHOWN_STEPS


def joint_chart(found: Evaluated, column: int, first_and_end: tuple[int, int]) -> Markup:
    """Draw the recorded target of a joint, the target of every policy, and below them the errors."""
    rows, name = slice(*first_and_end), found.steps.info.joint_names[column]
    times, segments = found.steps.times_s[rows], found.steps.segments[rows]
    across = svg.Scale(float(times[0]), float(times[-1]) + 1e-9, 58.0, 566.0)
    parts = [svg.text(58, 12, name, 'name'), *svg.axis_below(across, 20, 188, svg.clock, 5)]
    x = across.positions(times)

    def curve(values: Floats) -> Doubles:
        return svg.broken(x, values[rows, column].astype(np.float64), segments)[1]

    actions = {'': curve(found.steps.recorded)} | {name: curve(run.actions) for name, run in found.runs.items()}
    errors = {name: curve(run.errors) for name, run in found.runs.items()}
    x = svg.broken(x, x, segments)[0]
    parts += _panel(x, across, actions, (20.0, 130.0), False)
    if not all(np.isnan(values).all() for values in errors.values()):
        parts += _panel(x, across, errors, (142.0, 188.0), True)
        parts.append(svg.text(562, 151, 'error', 'small', 'end'))
    return svg.chart(210, parts, f'joint {name}', 572)


def _panel(
    x: Doubles, across: svg.Scale, curves: Mapping[str, Doubles], sides: tuple[float, float], from_zero: bool
) -> list[Markup]:
    """Draw curves over the positions `x`, between `sides`: top and bottom. The curve '' is the recorded one."""
    values = np.concatenate(list(curves.values()))
    values = values[~np.isnan(values)]
    if not len(values):
        return []
    low, high = (0.0 if from_zero else float(values.min())), float(values.max())
    margin = 0.08 * max(high - low, 1e-3)
    up = svg.Scale(low if from_zero else low - margin, high + margin, sides[1], sides[0])
    names = [name for name in curves if name]
    return [
        *svg.axis_left(up, across.begin, across.end, lambda value: f'{value:.3g}', 2 if from_zero else 4),
        *(
            _marked(name, names, x, up.positions(curve), 'thin')
            if name
            else svg.polyline(x, up.positions(curve), 'recorded')
            for name, curve in curves.items()
        ),
    ]
