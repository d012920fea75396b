# SPDX-License-Identifier: Apache-2.0
"""What moved: the rows of W over time, darker the more a write changed them."""

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.answers import Raster
from aura_ros.rqt.qt import pyqtgraph
from aura_ros.rqt.style import Theme, sequential
from aura_ros.rqt.views import words
from aura_ros.rqt.views.panel import Panel, Plot, Window

ROWS = 32
# Columns of the picture: each is wide enough to be seen.
BINS = 160
_TIP = (
    'Each column is a write, each line a row of W. The stronger the colour, the further the write moved the row\n'
    '(norm of its change). Bursts and long silences show at once.'
)


class WriteRaster(Panel):
    """Draws a `Raster` over the seconds before a moment, in line with the gate above it."""

    def __init__(self) -> None:
        """Make the picture."""
        super().__init__('What was written: rows of W over time', _TIP)
        self.plot = Plot()
        self.plot.setYRange(0, ROWS, padding=0)
        self.plot.getPlotItem().invertY(True)
        self.plot.getAxis('left').setTicks([[(row + 0.5, f'row {row}') for row in (0, 8, 16, 24, 31)]])
        self._picture = pyqtgraph.ImageItem()
        self._cursor = pyqtgraph.InfiniteLine(0.0, angle=90)
        for item in (self._picture, self._cursor):
            self.plot.addItem(item, ignoreBounds=True)
        self.plot.read_with(self._read)
        self.body.addWidget(self.plot, 1)
        self._raster: Raster | None = None
        self._end_s = self._length_s = 0.0
        self._highest = 1e-6
        self._axis = (0.0, False)
        self._shown = (b'', 0.0)

    def paint_in(self, theme: Theme) -> None:
        """Take on other colours."""
        super().paint_in(theme)
        self.plot.paint_in(theme)
        self._picture.setLookupTable(sequential(theme))
        self._cursor.setPen(pyqtgraph.mkPen(theme.alarm, width=1))

    def show_raster(self, raster: Raster, window: Window) -> None:
        """Draw the changes that lie in a window."""
        self._raster, self._end_s, self._length_s = raster, window.end_s, window.length_s
        live = window.cursor_s is None
        if self._axis != (window.length_s, live):
            self._axis = window.length_s, live
            self.plot.setXRange(-window.length_s, 0.0, padding=0)
            self.plot.getAxis('bottom').setTicks([seconds_before(window.length_s, 'now' if live else '')])
        picture = self._picture_of(raster, window)
        shown = (picture.tobytes(), window.length_s)
        if shown != self._shown:
            self._shown = shown
            rect = (-window.length_s, 0, window.length_s, ROWS)
            self._picture.setImage(picture, autoLevels=False, levels=(0, 255), rect=rect)
            moved = f'strongest: a row moved by {self._highest:.2g}'
            self.caption.setText(moved if len(raster.t) else 'no write seen yet')
        self._cursor.setVisible(window.cursor_s is not None)
        if window.cursor_s is not None:
            self._cursor.setPos(window.cursor_s - window.end_s)

    def _picture_of(self, raster: Raster, window: Window) -> NDArray[np.uint8]:
        """Sort the changes into columns of time; uint8 [32, columns], the strongest of each."""
        change = np.zeros((BINS, ROWS), np.float32)
        place = np.floor((raster.t - window.end_s) / window.length_s * BINS).astype(int) + BINS
        inside = (place >= 0) & (place <= BINS)
        np.maximum.at(change, np.minimum(place[inside], BINS - 1), raster.amount.T[inside])
        # The scale only grows, so that a colour keeps its meaning while one looks.
        self._highest = max(self._highest, float(change.max()))
        # The root lets small changes be seen beside large ones.
        return (np.sqrt(change.T / self._highest) * 255).astype(np.uint8)

    def _read(self, x: float, y: float) -> str:
        raster = self._raster
        if raster is None or not len(raster.t):
            return ''
        place = int(np.abs(raster.t - self._end_s - x).argmin())
        if abs(raster.t[place] - self._end_s - x) > self._length_s / BINS * 2:
            return ''
        row = min(ROWS - 1, max(0, int(y)))
        moved = raster.amount[:, place]
        return (
            f'step {raster.seq[place]}, {words.moment(float(raster.t[place]))}\n'
            f'row {row} moved by {moved[row]:.3g}\n{int((moved > 0).sum())} of {ROWS} rows changed'
        )


def seconds_before(window_s: float, end: str) -> list[tuple[float, str]]:
    """Return ticks of a time axis, by the time before its end, which is named `end`."""
    step = window_s / 6
    unit, name = (60.0, 'min') if window_s > 300 else (1.0, 's')
    ticks = [(-step * count, f'{words.MINUS}{step * count / unit:g} {name}') for count in range(5, 0, -1)]
    return [*ticks, (0.0, end)]
