# SPDX-License-Identifier: Apache-2.0
"""What it costs: bytes carried along over time on a log axis, and a table of AURA against the KV-cache."""

import math

import numpy as np

from aura_ros.rqt.answers import Cost
from aura_ros.rqt.qt import Qt, QtWidgets, pyqtgraph
from aura_ros.rqt.style import Theme
from aura_ros.rqt.views import words
from aura_ros.rqt.views.panel import Panel, Plot, label, tint

_TIP = 'What each memory costs on the same steps: AURA-Mem against a key-value cache that keeps every step.'
_LOWEST, _HIGHEST = 2.0, 6.0
_ROWS = (
    ('state', 'Size of what is carried along [B]; the cache grows with every step.'),
    ('steps that write', 'Share of the steps that wrote, in the last minute [%], and writes a minute [1/min].'),
    (
        'to the medium',
        'Bytes a storage device has to take, whole pages [B/h]. The cache keeps nothing: what keeping it '
        'as durably would cost.',
    ),
    ('life of the medium', 'Time until the medium has taken what it endures, at this rate; needs storage_tbw_bytes.'),
)


class CostPanel(Panel):
    """Draws a `Cost`."""

    def __init__(self) -> None:
        """Make curves and table."""
        super().__init__('What it costs', _TIP)
        self.plot = Plot(bottom=False)
        self.plot.setMinimumHeight(70)
        decades = range(int(_LOWEST), 13)
        names = {2: '100 B', 3: '1 KB', 4: '10 KB', 5: '100 KB', 6: '1 MB', 7: '10 MB', 8: '100 MB', 9: '1 GB'}
        self.plot.getAxis('left').setTicks([[(decade, names.get(decade, '')) for decade in decades]])
        self.plot.getPlotItem().showGrid(y=True, alpha=0.25)
        self._aura, self._kv = pyqtgraph.PlotCurveItem(), pyqtgraph.PlotCurveItem()
        for curve in (self._kv, self._aura):
            self.plot.addItem(curve, ignoreBounds=True)
        self.body.addWidget(self.plot, 1)
        grid = QtWidgets.QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(0)
        grid.setColumnStretch(0, 1)
        self._heads = [label(text, 'title', _TIP) for text in ('AURA', 'KV-cache')]
        self._cells = [[label(words.NOTHING, 'body', tip) for _ in range(2)] for _, tip in _ROWS]
        for row, cells in enumerate([self._heads, *self._cells]):
            if row:
                grid.addWidget(label(_ROWS[row - 1][0], 'caption', _ROWS[row - 1][1]), row, 0)
            for column, cell in enumerate(cells, 1):
                cell.setAlignment(Qt.AlignmentFlag.AlignRight)
                grid.addWidget(cell, row, column)
        self.body.addLayout(grid)

    def paint_in(self, theme: Theme) -> None:
        """Take on other colours."""
        super().paint_in(theme)
        self.plot.paint_in(theme)
        self._aura.setPen(pyqtgraph.mkPen(theme.aura, width=2))
        self._kv.setPen(pyqtgraph.mkPen(theme.kv, width=2))
        for place, colour in enumerate((theme.aura, theme.kv)):
            for cell in (self._heads[place], self._cells[0][place]):
                tint(cell, colour, 'font-weight: 600;')

    def show_cost(self, cost: Cost) -> None:
        """Draw the sizes and fill the table."""
        ends = [t[-1] for t in (cost.t, cost.kv_t) if len(t)]
        begins = [t[0] for t in (cost.t, cost.kv_t) if len(t)]
        if ends:
            self.plot.setXRange(min(begins), max(max(ends), min(begins) + 1.0), padding=0)
        highest = _HIGHEST
        for curve, t, sizes in ((self._aura, cost.t, cost.aura_bytes), (self._kv, cost.kv_t, cost.kv_bytes)):
            drawn = np.log10(np.maximum(sizes, 1))
            curve.setData(t, drawn)
            highest = max(highest, math.ceil(float(drawn.max()))) if len(drawn) else highest
        self.plot.setYRange(_LOWEST, highest, padding=0)
        self._fill(cost)

    def _fill(self, cost: Cost) -> None:
        aura = int(cost.aura_bytes[-1]) if len(cost.aura_bytes) else None
        cache = int(cost.kv_bytes[-1]) if len(cost.kv_bytes) else None
        rate = f'{cost.gate_rate:.1%} · {cost.writes_per_min_now:.1f}/min' if aura else words.NOTHING
        rows = (
            (_size(aura), _size(cache)),
            (rate, '100 %' if cache else words.NOTHING),
            (_per_hour(cost.device_bytes_per_hour, aura), _per_hour(cost.kv_device_bytes_per_hour, cache)),
            (words.years(cost.storage_life_years), words.years(cost.kv_storage_life_years)),
        )
        for cells, texts in zip(self._cells, rows, strict=True):
            for cell, text in zip(cells, texts, strict=True):
                cell.setText(text)
        self.caption.setText(f'the cache is {cache / aura:,.0f} times as large' if aura and cache else '')


def _size(count: int | None) -> str:
    return words.NOTHING if count is None else words.size(count)


def _per_hour(count: float, carried: int | None) -> str:
    if carried is None:
        return words.NOTHING
    return f'{words.size(count)}/h' if math.isfinite(count) else 'RAM only'
