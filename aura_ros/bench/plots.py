# SPDX-License-Identifier: Apache-2.0
"""What the plots of the benchmarks share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aura_ros.common.errors import ConfigError

COLOURS = ('#0072B2', '#D55E00', '#009E73', '#E69F00', '#CC79A7', '#56B4E9', '#000000', '#8C8C8C')
"""Okabe and Ito's colours, told apart with every kind of colour vision; give lines markers as well."""
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X', 'h')


@contextmanager
def sheet(path: Path, columns: int, size: tuple[float, float]) -> Iterator[list[Any]]:
    """A figure with axes side by side, saved as PNG at the end of the block.

    Args:
        path: of the PNG.
        columns: number of axes.
        size: width and height [inch].

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
        yield list(figure.subplots(1, columns, squeeze=False)[0])
        figure.savefig(path, dpi=130)
