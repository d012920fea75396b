# SPDX-License-Identifier: Apache-2.0
"""Colours, markers and the figure that all plots share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aura_ros.common.errors import ConfigError

COLOURS = ('#0072B2', '#D55E00', '#009E73', '#E69F00', '#CC79A7', '#56B4E9', '#000000', '#8C8C8C')
"""Colours of Okabe and Ito, which are distinct for all types of colour vision; lines also need markers."""
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X', 'h')


def series_style(index: int) -> dict[str, Any]:
    """Return colour, marker and line style of the series `index`."""
    return {
        'color': COLOURS[index % len(COLOURS)],
        'marker': MARKERS[index % len(MARKERS)],
        'ls': ('-', '--')[index // len(COLOURS) % 2],
    }


@contextmanager
def saved_figure(path: Path, columns: int, size: tuple[float, float], **layout: Any) -> Iterator[list[Any]]:
    """Yield the axes of a figure, which is saved as PNG at the end of the block.

    Args:
        path: PNG file.
        columns: number of axes side by side.
        size: width and height [inch].
        layout: further arguments of `Figure.subplots`, for example nrows.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError('the plot needs matplotlib: pip install "aura_ros[sim]"') from error
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context({'axes.spines.top': False, 'axes.spines.right': False}):
        figure = Figure(figsize=size, layout='constrained', facecolor='white')
        FigureCanvasAgg(figure)
        yield list(figure.subplots(ncols=columns, squeeze=False, **layout).flat)
        figure.savefig(path, dpi=130)
