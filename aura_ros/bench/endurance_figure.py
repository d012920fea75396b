# SPDX-License-Identifier: Apache-2.0
"""The plot of the endurance walks: accuracy over steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aura_ros.bench.endurance_window import Course
from aura_ros.bench.plots import memory_style, saved_figure
from aura_ros.bench.synthetic_report import CHANCE

MARKS = 8
"""Number of markers on a line of full length, at equal distances on the axis."""


def draw(name: str, curves: Mapping[str, list[dict[str, Any]]], course: Course, path: Path) -> None:
    """Write the plot as PNG: a line for the mean of each memory, and a band from the lowest to the highest seed.

    Args:
        name: setting.
        curves: points of `endurance_report.curve` by memory.
        course: how far the walks go.
        path: PNG file.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    with saved_figure(path, 1, (11.0, 5.6)) as (axes,):
        from matplotlib.ticker import LogLocator

        for memory in sorted(curves, key=lambda memory: -curves[memory][-1]['accuracy']):
            points, style, strong = curves[memory], memory_style(memory, list(curves)), memory == 'aura'
            ends = [point['end'] for point in points]
            axes.fill_between(
                ends,
                [point['lowest'] for point in points],
                [point['highest'] for point in points],
                color=style['color'],
                alpha=0.14,
                lw=0,
            )
            axes.plot(
                ends,
                [point['accuracy'] for point in points],
                **style,
                lw=2.6 if strong else 1.3,
                ms=5,
                markevery=_marks(ends),
                label=memory,
                zorder=3 if strong else 2,
            )
        axes.axhline(CHANCE, color='#8C8C8C', lw=0.9, ls=':')
        axes.set_xscale('log', subs=())
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter('{x:,.0f}')
        axes.set(ylim=(-0.02, 1.04), ylabel='accuracy of the answers in the window')
        axes.set_xlabel(f'steps without a reset, at the end of each window of {course.window:,}')
        axes.set_title(f'{name}: mean over seeds, band from the worst to the best seed', loc='left', weight='bold')
        axes.grid(which='major', color='#E3E3E3', lw=0.7)
        axes.legend(frameon=False, fontsize=9, loc='center left', bbox_to_anchor=(1.0, 0.5))


def _marks(ends: Sequence[int]) -> list[int]:
    """Return the indices of points at equal distances on a logarithmic axis."""
    ratio = (ends[-1] / ends[0]) ** (1 / (MARKS - 1))
    aims = [ends[0] * ratio**mark for mark in range(MARKS)]
    return sorted({min(range(len(ends)), key=lambda index: abs(ends[index] - aim)) for aim in aims})
