# SPDX-License-Identifier: Apache-2.0
"""The latency panel: median and 95th percentile of each stage, and how often something was late."""

from aura_ros.rqt.qt import Qt, QtWidgets
from aura_ros.rqt.style import Theme
from aura_ros.rqt.view_data import Latency
from aura_ros.rqt.views import units
from aura_ros.rqt.views.panel import ViewPanel, label, tint
from aura_ros.rqt.views.words import explain, tip

_TIP = tip('Duration of each stage over its last samples: median (p50) and 95th percentile (p95).', 'backbone', 'step')
_ROWS = 5


class LatencyTable(ViewPanel):
    """Shows `Latency` as a table."""

    def __init__(self) -> None:
        super().__init__('How fast', _TIP)
        grid = QtWidgets.QGridLayout()
        grid.setVerticalSpacing(0)
        grid.setHorizontalSpacing(10)
        grid.setColumnStretch(0, 1)
        for column, text in enumerate(('p50', 'p95'), 1):
            grid.addWidget(_right(label(text, 'caption', _TIP)), 0, column)
        self._rows = [(label('', 'caption'), _right(label()), _right(label())) for _ in range(_ROWS)]
        for row, cells in enumerate(self._rows, 1):
            for column, cell in enumerate(cells):
                grid.addWidget(cell, row, column)
        self.body.addLayout(grid)
        self._misses = label('', 'caption')
        self._misses.setWordWrap(True)
        self.body.addWidget(self._misses)
        self.body.addStretch(1)

    def show_latency(self, latency: Latency, frozen: bool = False) -> None:
        """Fill the table; the counts are those of the present, so a `frozen` page does not show them."""
        for place, cells in enumerate(self._rows):
            stage = latency.stages[place] if place < len(latency.stages) else None
            texts = ('', '', '')
            if stage is not None:
                texts = (stage.name, units.milliseconds(stage.p50_ms), units.milliseconds(stage.p95_ms))
            for cell, text in zip(cells, texts, strict=True):
                cell.setText(text)
                cell.setVisible(stage is not None)
                cell.setToolTip('' if stage is None else f'{stage.tooltip}\n{stage.samples:,} samples')
        late = ' · '.join(f'{name} {count:,}' for name, count in latency.misses.items() if count)
        late = f'late: {late}' if late else 'nothing was late' if latency.misses else ''
        self._misses.setText('' if frozen else late)
        counts = '\n'.join(f'{name}: {count:,}' for name, count in latency.misses.items())
        self._misses.setToolTip(f'Counts of the nodes since their activation:\n{counts}\n\n{explain("hold", "chunk")}')

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        super().apply_theme(theme)
        tint(self._misses, theme.muted, 'font-size: 11px;')


def _right(cell: QtWidgets.QLabel) -> QtWidgets.QLabel:
    cell.setAlignment(Qt.AlignmentFlag.AlignRight)
    return cell
