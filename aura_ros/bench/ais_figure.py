# SPDX-License-Identifier: Apache-2.0
"""The plot of `ais`: bounds and measured loss over the discount."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aura_ros.bench.plots import COLOURS, MARKERS, saved_figure

CURVES = (
    ('bound_total_variation_high', 'bound, total variation (upper end)'),
    ('bound_value_high', 'bound, delta = 0 (upper end)'),
    ('true_loss', 'measured loss'),
)
SHOWN_SETTINGS = 4
"""Largest number of settings in the plot."""


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the plot as PNG, the settings side by side.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    names = list(dict.fromkeys(row['setting'] for row in rows))[:SHOWN_SETTINGS]
    with saved_figure(path, len(names), (5.2 * len(names), 4.8)) as panels:
        for axes, name in zip(panels, names, strict=True):
            own = [row for row in rows if row['setting'] == name]
            places = range(len(own))
            for index, (column, label) in enumerate(CURVES):
                style = {'color': COLOURS[index], 'marker': MARKERS[index]}
                axes.plot(places, [row[column] or None for row in own], **style, label=label)  # A log scale has no 0.
            axes.plot(places, [row['all_right'] for row in own], color='black', ls='--', label='largest possible loss')
            axes.axhline(1.0, color='#8C8C8C', ls=':', label='Rmax')
            axes.set(title=name.replace(': ', ':\n'), yscale='log', xlabel='discount gamma')
            axes.set_xticks(list(places), [f'{row["gamma"]:g}' for row in own])
            axes.grid(axis='y', color='#E3E3E3', lw=0.7)
        panels[0].set_ylabel('loss, share of Rmax sum gamma^t')
        panels[0].legend(frameon=False, fontsize=8, loc='upper center', bbox_to_anchor=(0.5, -0.14), ncols=2)
