# SPDX-License-Identifier: Apache-2.0
"""How fast: median and 95th percentile of each stage, and how often something came too late."""

from collections.abc import Sequence

from aura_ros.rqt.answers import Latency
from aura_ros.rqt.qt import Qt, QtWidgets
from aura_ros.rqt.style import Theme
from aura_ros.rqt.views import words
from aura_ros.rqt.views.panel import Panel, label, tint

_TIP = 'Time of each stage over its last samples: median (p50) and 95th percentile (p95).'
_ROWS = 5


class LatencyTable(Panel):
    """Shows a `Latency` as a small table."""

    def __init__(self) -> None:
        """Make empty rows."""
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

    def show_latency(self, latency: Latency) -> None:
        """Fill the table."""
        for place, cells in enumerate(self._rows):
            stage = latency.stages[place] if place < len(latency.stages) else None
            texts: Sequence[str] = ('', '', '')
            if stage is not None:
                texts = (stage.name, words.milliseconds(stage.p50_ms), words.milliseconds(stage.p95_ms))
            for cell, text in zip(cells, texts, strict=True):
                cell.setText(text)
                cell.setVisible(stage is not None)
                cell.setToolTip(f'{stage.tooltip}\nof {stage.samples:,} samples' if stage is not None else '')
        late = {name: count for name, count in latency.misses.items() if count}
        text = ' · '.join(f'{name} {count:,}' for name, count in late.items())
        self._misses.setText(f'late: {text}' if late else 'nothing came too late' if latency.misses else '')
        self._misses.setToolTip(
            'Counted by the nodes since they were activated:\n'
            + '\n'.join(f'{name}: {count:,}' for name, count in latency.misses.items())
        )

    def paint_in(self, theme: Theme) -> None:
        """Take on other colours."""
        super().paint_in(theme)
        tint(self._misses, theme.muted, 'font-size: 11px;')


def _right(cell: QtWidgets.QLabel) -> QtWidgets.QLabel:
    cell.setAlignment(Qt.AlignmentFlag.AlignRight)
    return cell
