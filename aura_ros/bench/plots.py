# SPDX-License-Identifier: Apache-2.0
"""Styles and the figure that all plots share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aura_ros.common.errors import ConfigError
from aura_ros.common.policy_styles import styles_of

COLOURS = ('#0072B2', '#D55E00', '#009E73')
"""Colours of Okabe and Ito for curves that are not memories. They are distinct for all types of colour vision."""
MARKERS = ('o', 's', '^')


def memory_style(name: str, names: Sequence[str]) -> dict[str, Any]:
    """Return colour, marker and dash of a memory; `names` are all memories of the figure."""
    style = styles_of(names)[name]
    return {'color': style.light, 'marker': style.marker, 'ls': (0, style.dash) if style.dash else '-'}


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
