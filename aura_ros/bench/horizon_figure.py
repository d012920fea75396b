# SPDX-License-Identifier: Apache-2.0
"""The plot of `horizon`: bytes of state on the left, time of a step on the right."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aura_ros.bench.plots import COLOURS, MARKERS, sheet

Rows = Sequence[dict[str, Any]]


def draw(rows: Rows, compared: int, path: Path) -> None:
    """Write the plot as PNG.

    Args:
        rows: of `horizon`.
        compared: steps up to which all memories ran together; only these times are shown.
        path: of the PNG.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    names = list(dict.fromkeys(row['memory'] for row in rows))
    with sheet(path, 2, (14.0, 5.2)) as (size_axes, time_axes):
        for series, shared in _by_bytes(rows, names).items():
            size_axes.plot(*zip(*series, strict=True), **_style(names.index(shared[0])), label=', '.join(shared))
        for index, name in enumerate(names):
            own = [row for row in rows if row['memory'] == name and row['run'] == 'together']
            steps, times = ([row[column] for row in own] for column in ('steps', 'median_us'))
            time_axes.plot(steps, times, **_style(index), label=name)
        size_axes.set(title='State carried', ylabel='bytes')
        time_axes.set(title=f'Time of a step, median, all in one run to {compared:,}', ylabel='µs')
        for axes in (size_axes, time_axes):
            axes.set(xscale='log', yscale='log', xlabel='steps since the episode began')
            axes.grid(which='major', color='#E3E3E3', lw=0.7)
        size_axes.legend(frameon=False, fontsize=8)
        time_axes.legend(frameon=False, fontsize=8, loc='center left', bbox_to_anchor=(1.0, 0.5))


def _by_bytes(rows: Rows, names: Sequence[str]) -> dict[tuple[tuple[int, int], ...], list[str]]:
    """The curves of bytes over steps and the memories that share each; no bytes have no place on this scale."""
    shared: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for name in names:
        series = {row['steps']: row['bytes'] for row in rows if row['memory'] == name}
        if any(series.values()):
            shared.setdefault(tuple(sorted(series.items())), []).append(name)
    return shared


def _style(index: int) -> dict[str, Any]:
    return {
        'color': COLOURS[index % len(COLOURS)],
        'marker': MARKERS[index % len(MARKERS)],
        'ms': 3.5,
        'lw': 1.4,
        'ls': ('-', '--')[index // len(COLOURS) % 2],
    }
