# SPDX-License-Identifier: Apache-2.0
"""The state panel: W as a map of 32 x 32 numbers with the age of each row, or as a list of items.

The list is for content-addressed memories, whose rows hold one item each. The map is for all others.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.items import Item
from aura_ros.rqt.memory_log import MemoryStatus
from aura_ros.rqt.points import StatePoint
from aura_ros.rqt.qt import QtWidgets, pyqtgraph
from aura_ros.rqt.style import Theme, diverging, sequential
from aura_ros.rqt.views.items import ItemPanel
from aura_ros.rqt.views.panel import Plot, ViewPanel, Window, label
from aura_ros.rqt.views.units import MINUS
from aura_ros.rqt.views.words import tip

ROWS = 32
# End of the colour scale [1]. It is fixed, so that a colour means the same on every screen and in every episode.
LIMIT = 4.0
# Least width of a map with counts below it [px].
_COUNTS_PX = 240
# Age at which a row fades into the background.
_OLD_STEPS = 1000
_TIP = tip(
    'The fast weights W. With dense keys, row = value index and column = key index. The colours always span '
    f'{MINUS}{LIMIT:g} to {LIMIT:g}, by the root of the amount. The bar on the left shows the steps since each row '
    'last changed: a strong colour is a recent change.',
    'W',
    'write',
)


class StatePanel(QtWidgets.QStackedWidget):
    """Shows a state in the way that fits its memory."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.items = StateMap(), ItemPanel()
        self.addWidget(self.map)
        self.addWidget(self.items)

    def show_state(
        self, state: StatePoint | None, items: Sequence[Item] | None, window: Window, memory: MemoryStatus
    ) -> None:
        """Show a state.

        Args:
            state: the state, None before the first.
            items: the items that it holds, newest write first; None for a memory that does not hold items.
            window: window of the curves, which names the moment that is shown.
            memory: what happened to the memory last.
        """
        emptied = f'memory {memory.event.kind.value}' if memory.event is not None and memory.empty else ''
        if items is None:
            self.map.show_state(state, emptied)
            self.setCurrentWidget(self.map)
        else:
            self.items.show_items(items, window, emptied)
            self.setCurrentWidget(self.items)


class StateMap(ViewPanel):
    """Draws W as a map: a `StatePoint` of a memory with dense keys, or of an unknown one."""

    def __init__(self) -> None:
        super().__init__('What it holds: W', _TIP)
        self.map, self.age = Plot(left=False), Plot(left=False)
        self._weights, self._ages = pyqtgraph.ImageItem(), pyqtgraph.ImageItem()
        maps = QtWidgets.QHBoxLayout()
        maps.setSpacing(4)
        for plot, picture, columns in ((self.age, self._ages, 1), (self.map, self._weights, ROWS)):
            plot.addItem(picture, ignoreBounds=True)
            plot.setRange(xRange=(0, columns), yRange=(0, ROWS), padding=0)
            plot.getPlotItem().invertY(True)
            plot.getPlotItem().setContentsMargins(0, 2, 0, 0)
            maps.addWidget(plot, columns)
        self.age.setFixedWidth(22)
        self.age.getAxis('bottom').setTicks([[(0.5, 'age')]])
        self.map.getAxis('bottom').setTicks([[(0.5, '0'), (31.5, '31')]])
        self.map.read_with(self._read)
        self.age.read_with(self._read_age)
        self._bar = pyqtgraph.ImageItem(np.linspace(254, 0, 64).astype(np.uint8)[:, None])
        self._scale = Plot(left=False)
        self._scale.addItem(self._bar, ignoreBounds=True)
        self._scale.setFixedWidth(12)
        self._scale.getAxis('bottom').setTicks([[]])
        maps.addWidget(self._scale)
        maps.addLayout(self._scale_labels())
        self.body.addLayout(maps, 1)
        self._state: StatePoint | None = None
        self._drawn: NDArray[np.float32] | None = None

    def _scale_labels(self) -> QtWidgets.QVBoxLayout:
        column = QtWidgets.QVBoxLayout()
        for place, text in enumerate(
            (f'+{LIMIT:g}', f'+{LIMIT / 4:g}', '0', f'{MINUS}{LIMIT / 4:g}', f'{MINUS}{LIMIT:g}')
        ):
            if place:
                column.addStretch(1)
            column.addWidget(label(text, 'caption', _TIP))
        column.setContentsMargins(0, 0, 0, 16)
        return column

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        super().apply_theme(theme)
        for plot in (self.map, self.age, self._scale):
            plot.apply_theme(theme)
        for picture in (self._weights, self._bar):
            picture.setLookupTable(diverging(theme))
            picture.setLevels((0, 255))
        self._ages.setLookupTable(sequential(theme)[::-1])
        self._bar.setRect(0, 0, 1, 1)
        self._scale.setRange(xRange=(0, 1), yRange=(0, 1), padding=0)
        self._scale.getPlotItem().invertY(True)

    def show_state(self, state: StatePoint | None, emptied: str = '') -> None:
        """Draw a state; None clears the panel. `emptied` is why it is empty."""
        self._state = state
        if state is None:
            self._weights.clear()
            self._ages.clear()
            self._drawn = None
            self.caption.setText('no state of this time received')
            return
        if self._drawn is None or not np.array_equal(self._drawn, state.weights):
            self._drawn = state.weights
            self._draw(state.weights)
        ages = np.log1p(state.row_age.astype(float))[:, None] * (255.0 / np.log1p(_OLD_STEPS))
        shades = np.minimum(ages, 255.0).astype(np.uint8)
        self._ages.setImage(shades, autoLevels=False, levels=(0, 255), rect=(0, 0, 1, ROWS))
        oldest, newest = int(state.row_age.max()), int(state.row_age.min())
        if not state.weights.any():
            self.caption.setText(f'step {state.seq:,} · empty: {emptied or "nothing is written yet"}')
            return
        same = newest == oldest
        steps = f'{newest:,}' if same else f'{newest:,} to {oldest:,}'
        self.caption.setText(f'step {state.seq:,} · {"last change" if same else "changes"} {steps} steps before')

    def _draw(self, weights: NDArray[np.float32]) -> None:
        # Indices of the colour table: 0 for -LIMIT, 127 for zero, 254 for LIMIT.
        roots = np.sign(weights) * np.sqrt(np.abs(weights) / LIMIT)
        shades = (np.rint(np.clip(np.nan_to_num(roots), -1.0, 1.0) * 127.0) + 127.0).astype(np.uint8)
        self._weights.setImage(shades, autoLevels=False, levels=(0, 255), rect=(0, 0, ROWS, ROWS))
        beyond = int((np.abs(weights) > LIMIT).sum())
        empty = int((np.abs(weights).max(axis=1) == 0).sum())
        counts = f'empty rows: {empty} · values off the scale: {beyond}'
        fits = self.map.width() > _COUNTS_PX
        self.map.getAxis('bottom').setTicks([[(0.5, '0'), *([(15.5, counts)] if fits else []), (31.5, '31')]])

    def _read(self, x: float, y: float) -> str:
        state = self._state
        if state is None:
            return ''
        row, column = (min(ROWS - 1, max(0, int(at))) for at in (y, x))
        return (
            f'W[{row}, {column}] = {state.weights[row, column]:+.4f}\n'
            f'row {row} last changed {state.row_age[row]:,} steps before\nCRC-32 of the state {state.crc:08x}'
        )

    def _read_age(self, _: float, y: float) -> str:
        row = min(ROWS - 1, max(0, int(y)))
        return f'row {row} last changed {self._state.row_age[row]:,} steps before' if self._state is not None else ''
