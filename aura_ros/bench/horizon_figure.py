# SPDX-License-Identifier: Apache-2.0
"""The plot of `horizon`: state bytes on the left, step time on the right."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aura_ros.bench.plots import memory_style, saved_figure

Rows = Sequence[dict[str, Any]]
_SIZES = {'ms': 3.5, 'lw': 1.4}


def draw(rows: Rows, compared: int, path: Path) -> None:
    """Write the plot as PNG.

    Args:
        rows: rows of `horizon`.
        compared: length of the shared run [steps]; only its times are shown.
        path: PNG file.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    names = list(dict.fromkeys(row['memory'] for row in rows))
    with saved_figure(path, 2, (14.0, 5.2)) as (size_axes, time_axes):
        for series, shared in _by_bytes(rows, names).items():
            size_axes.plot(
                *zip(*series, strict=True), **memory_style(shared[0], names), **_SIZES, label=', '.join(shared)
            )
        for name in names:
            own = [row for row in rows if row['memory'] == name and row['run'] == 'together']
            steps, times = ([row[column] for row in own] for column in ('steps', 'median_us'))
            time_axes.plot(steps, times, **memory_style(name, names), **_SIZES, label=name)
        size_axes.set(title='State size', ylabel='bytes')
        time_axes.set(title=f'Median step time in the shared run to {compared:,}', ylabel='µs')
        for axes in (size_axes, time_axes):
            axes.set(xscale='log', yscale='log', xlabel='steps of the episode')
            axes.grid(which='major', color='#E3E3E3', lw=0.7)
        size_axes.legend(frameon=False, fontsize=8)
        time_axes.legend(frameon=False, fontsize=8, loc='center left', bbox_to_anchor=(1.0, 0.5))


def _by_bytes(rows: Rows, names: Sequence[str]) -> dict[tuple[tuple[int, int], ...], list[str]]:
    """Return each curve of bytes over steps with the memories that share it, without curves that are 0 throughout."""
    shared: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for name in names:
        series = {row['steps']: row['bytes'] for row in rows if row['memory'] == name}
        if any(series.values()):
            shared.setdefault(tuple(sorted(series.items())), []).append(name)
    return shared
