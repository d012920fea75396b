# SPDX-License-Identifier: Apache-2.0
"""The raster panel: rows of W over time, with a colour for the size of each change."""

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.qt import pyqtgraph
from aura_ros.rqt.style import Theme, sequential
from aura_ros.rqt.view_data import Raster
from aura_ros.rqt.views import units
from aura_ros.rqt.views.axis import Ticks, time_ticks
from aura_ros.rqt.views.marks import MemoryMarks
from aura_ros.rqt.views.panel import Plot, ViewPanel, Window
from aura_ros.rqt.views.words import tip

ROWS = 32
# Columns of the picture; each is wide enough to be visible.
BINS = 160
_TIP = tip(
    'Each column is a write, and each line is a row of W. A stronger colour is a larger change of the row (norm).',
    'W',
    'write',
)


class WriteRaster(ViewPanel):
    """Draws `Raster` over a time window, aligned with the gate above it."""

    def __init__(self) -> None:
        super().__init__('What was written: rows of W over time', _TIP)
        self.plot = Plot()
        self.plot.setYRange(0, ROWS, padding=0)
        self.plot.getPlotItem().invertY(True)
        self.plot.getAxis('left').setTicks([[(row + 0.5, f'row {row}') for row in (0, 8, 16, 24, 31)]])
        self._picture = pyqtgraph.ImageItem()
        self._cursor = pyqtgraph.InfiniteLine(0.0, angle=90)
        for item in (self._picture, self._cursor):
            self.plot.addItem(item, ignoreBounds=True)
        self.events = MemoryMarks(self.plot, 0.0, ROWS)
        self.plot.read_with(self._read)
        self.body.addWidget(self.plot, 1)
        self._raster: Raster | None = None
        self.end_s = self._length_s = 0.0
        self._highest = 1e-6
        self._ticks: Ticks = []
        self._shown = (b'', 0.0)

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        super().apply_theme(theme)
        self.plot.apply_theme(theme)
        self._picture.setLookupTable(sequential(theme))
        self._cursor.setPen(pyqtgraph.mkPen(theme.alarm, width=1))
        self.events.apply_theme(theme)

    def show_raster(self, raster: Raster, window: Window) -> None:
        """Draw the changes in a window."""
        self._raster, self.end_s, self._length_s = raster, window.end_s, window.length_s
        ticks = time_ticks(window)
        if self._ticks != ticks:
            self._ticks = ticks
            self.plot.setXRange(-window.length_s, 0.0, padding=0)
            self.plot.getAxis('bottom').setTicks([ticks])
        picture = self._picture_of(raster, window)
        shown = (picture.tobytes(), window.length_s)
        if shown != self._shown:
            self._shown = shown
            rect = (-window.length_s, 0, window.length_s, ROWS)
            self._picture.setImage(picture, autoLevels=False, levels=(0, 255), rect=rect)
            largest = f'largest change of a row: {self._highest:.2g}'
            self.caption.setText(largest if len(raster.t) else 'no write received yet')
        self._cursor.setVisible(window.cursor_s is not None)
        if window.cursor_s is not None:
            self._cursor.setPos(window.cursor_s - window.end_s)

    def _picture_of(self, raster: Raster, window: Window) -> NDArray[np.uint8]:
        """Return the largest change of each row in each column of time, as colours uint8 [32, BINS]."""
        change = np.zeros((BINS, ROWS), np.float32)
        place = np.floor((raster.t - window.end_s) / window.length_s * BINS).astype(int) + BINS
        inside = (place >= 0) & (place <= BINS)
        np.maximum.at(change, np.minimum(place[inside], BINS - 1), raster.amount.T[inside])
        # The scale only grows, so that colours do not change their meaning often.
        self._highest = max(self._highest, float(change.max()))
        # The root makes small changes visible beside large ones.
        colours: NDArray[np.uint8] = (np.sqrt(change.T / self._highest) * 255).astype(np.uint8)
        return colours

    def _read(self, x: float, y: float) -> str:
        raster = self._raster
        if raster is None or not len(raster.t):
            return ''
        place = int(np.abs(raster.t - self.end_s - x).argmin())
        if abs(raster.t[place] - self.end_s - x) > self._length_s / BINS * 2:
            return ''
        row = min(ROWS - 1, max(0, int(y)))
        changes = raster.amount[:, place]
        return (
            f'step {raster.seq[place]}, {units.moment(float(raster.t[place]))}\n'
            f'row {row} changed by {changes[row]:.3g}\n{int((changes > 0).sum())} of {ROWS} rows changed'
        )
