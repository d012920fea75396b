# SPDX-License-Identifier: Apache-2.0
"""The cost panel: sizes over time on a log axis, and a table that compares AURA with the KV-cache."""

import math
from collections.abc import Sequence

import numpy as np

from aura_ros.rqt.memory_log import MemoryEvent
from aura_ros.rqt.qt import Qt, QtWidgets, pyqtgraph
from aura_ros.rqt.style import Theme
from aura_ros.rqt.view_data import Cost
from aura_ros.rqt.views import units
from aura_ros.rqt.views.axis import time_ticks
from aura_ros.rqt.views.marks import MemoryMarks
from aura_ros.rqt.views.panel import Plot, ViewPanel, Window, label, tint
from aura_ros.rqt.views.words import tip

_TIP = tip('Cost of each memory on the same steps: AURA-Mem, and a KV-cache that stores every step.', 'state', 'write')
_LOWEST, _HIGHEST = 2.0, 6.0
_ROWS = (
    ('state', tip('Size of the state. The KV-cache grows at every step.', 'state')),
    ('steps that write', tip('Share of the steps of the last minute that wrote, and writes per minute.', 'write')),
    (
        'to storage',
        tip(
            'Bytes written to the storage, in whole pages. The KV-cache is not stored: its value is the cost of '
            'storing it at every step.',
            'storage',
        ),
    ),
    (
        'storage life',
        tip('Time until the storage reaches its rated endurance. Set storage_tbw_bytes to see it.', 'storage'),
    ),
)


class CostPanel(ViewPanel):
    """Draws `Cost`."""

    def __init__(self) -> None:
        super().__init__('What it costs', _TIP)
        self.plot = Plot()
        decades = range(int(_LOWEST), 13)
        names = {2: '100 B', 3: '1 KB', 4: '10 KB', 5: '100 KB', 6: '1 MB', 7: '10 MB', 8: '100 MB', 9: '1 GB'}
        self.plot.getAxis('left').setTicks([[(decade, names.get(decade, '')) for decade in decades]])
        self.plot.getPlotItem().showGrid(y=True, alpha=0.25)
        self._aura, self._kv = pyqtgraph.PlotCurveItem(), pyqtgraph.PlotCurveItem()
        for curve in (self._kv, self._aura):
            self.plot.addItem(curve, ignoreBounds=True)
        self.events = MemoryMarks(self.plot, _LOWEST, 12.0)
        self.body.addWidget(self.plot, 1)
        grid = QtWidgets.QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(0)
        grid.setColumnStretch(0, 1)
        self._heads = [label(text, 'title', _TIP) for text in ('AURA', 'KV-cache')]
        self._cells = [[label(units.NOTHING, 'body', tip) for _ in range(2)] for _, tip in _ROWS]
        for row, cells in enumerate([self._heads, *self._cells]):
            if row:
                grid.addWidget(label(_ROWS[row - 1][0], 'caption', _ROWS[row - 1][1]), row, 0)
            for column, cell in enumerate(cells, 1):
                cell.setAlignment(Qt.AlignmentFlag.AlignRight)
                grid.addWidget(cell, row, column)
        self.body.addLayout(grid)
        self.end_s = 0.0
        """Right end of the plot [s, ROS clock]."""

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        super().apply_theme(theme)
        self.plot.apply_theme(theme)
        self._aura.setPen(pyqtgraph.mkPen(theme.aura, width=2))
        self._kv.setPen(pyqtgraph.mkPen(theme.kv, width=2))
        self.events.apply_theme(theme)
        for place, colour in enumerate((theme.aura, theme.kv)):
            for cell in (self._heads[place], self._cells[0][place]):
                tint(cell, colour, 'font-weight: 600;')

    def show_cost(self, cost: Cost, window: Window, events: Sequence[MemoryEvent] = (), frozen: bool = False) -> None:
        """Draw the sizes from the first step to the moment that is shown, and fill the table.

        Args:
            cost: cost at that moment; the values to the storage are those of the present.
            window: window of the other curves, which names the moment.
            events: when the memory was lost, reset or restored.
            frozen: whether the page shows a past moment, so that values of the present do not belong to it.
        """
        self.end_s = window.shown_s
        begins = [float(t[0]) for t in (cost.t, cost.kv_t) if len(t)]
        if begins:
            length_s = max(window.shown_s - min(begins), 1.0)
            shown = Window(window.shown_s, length_s, live=window.live)
            self.plot.setXRange(-length_s, 0.0, padding=0)
            self.plot.getAxis('bottom').setTicks([time_ticks(shown, 3)])
            self.events.show_events(events, shown)
        highest = _HIGHEST
        for curve, t, sizes in ((self._aura, cost.t, cost.aura_bytes), (self._kv, cost.kv_t, cost.kv_bytes)):
            drawn = np.log10(np.maximum(sizes, 1))
            curve.setData(t - window.shown_s, drawn)
            highest = max(highest, math.ceil(float(drawn.max()))) if len(drawn) else highest
        self.plot.setYRange(_LOWEST, highest, padding=0)
        self._fill(cost, frozen)

    def _fill(self, cost: Cost, frozen: bool) -> None:
        aura = int(cost.aura_bytes[-1]) if len(cost.aura_bytes) else None
        cache = int(cost.kv_bytes[-1]) if len(cost.kv_bytes) else None
        rate = f'{cost.gate_rate:.1%} · {cost.writes_per_min_now:.1f}/min' if aura else units.NOTHING
        rows = (
            (_size(aura), _size(cache)),
            (rate, '100 %' if cache else units.NOTHING),
            (_per_hour(cost.device_bytes_per_hour, aura), _per_hour(cost.kv_device_bytes_per_hour, cache)),
            (units.years(cost.storage_life_years), units.years(cost.kv_storage_life_years)),
        )
        if frozen:
            rows = (*rows[:2], *((units.NOTHING, units.NOTHING),) * 2)
        for cells, texts in zip(self._cells, rows, strict=True):
            for cell, text in zip(cells, texts, strict=True):
                cell.setText(text)
        self.caption.setText(f'KV-cache: {cache / aura:,.0f} times as large' if aura and cache else '')


def _size(count: int | None) -> str:
    return units.NOTHING if count is None else units.size(count)


def _per_hour(count: float, state_bytes: int | None) -> str:
    if state_bytes is None:
        return units.NOTHING
    return f'{units.size(count)}/h' if math.isfinite(count) else 'RAM only'
