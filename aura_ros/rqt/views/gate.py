# SPDX-License-Identifier: Apache-2.0
"""When and why: the gate score over time, filled where it is above the threshold, with a mark at each write."""

import numpy as np

from aura_ros.rqt.answers import Gate
from aura_ros.rqt.qt import Signal, pyqtgraph
from aura_ros.rqt.style import Theme
from aura_ros.rqt.views import words
from aura_ros.rqt.views.panel import Panel, Plot

_TOP = 1.12
_TIP = (
    'Gate score of AURA-Mem at each step [0..1]. The memory writes where it is above the threshold.\n'
    'Each mark at the top is a write. Click to look at that moment.'
)


class GateTimeline(Panel):
    """Draws a `Gate` over the seconds before a moment.

    Signals:
        chosen: time on the ROS clock that was clicked [s].
    """

    chosen = Signal(float)

    def __init__(self) -> None:
        """Make the curves."""
        super().__init__('When and why: gate score', _TIP)
        self.plot = Plot(bottom=False)
        self.plot.setYRange(-0.04, _TOP, padding=0)
        self.plot.getAxis('left').setTicks([[(0.0, '0'), (0.5, '0.5'), (1.0, '1')]])
        self._excess, self._curve, self._threshold, self._marks = (pyqtgraph.PlotCurveItem() for _ in range(4))
        self._heads = pyqtgraph.ScatterPlotItem(symbol='t', size=11)
        self._cursor = pyqtgraph.InfiniteLine(0.0, angle=90)
        for item in (self._excess, self._marks, self._threshold, self._curve, self._heads, self._cursor):
            self.plot.addItem(item, ignoreBounds=True)
        self.plot.read_with(self._read)
        self.plot.scene().sigMouseClicked.connect(self._on_click)
        self.body.addWidget(self.plot, 1)
        self._gate: Gate | None = None
        self._end_s = 0.0

    def paint_in(self, theme: Theme) -> None:
        """Take on other colours."""
        super().paint_in(theme)
        self.plot.paint_in(theme)
        pen = pyqtgraph.mkPen
        self._curve.setPen(pen(theme.aura, width=1))
        fill = pyqtgraph.mkColor(theme.aura)
        fill.setAlpha(150)
        self._excess.setPen(pen(None))
        self._excess.setBrush(fill)
        self._threshold.setPen(pen(theme.muted, width=1, dash=[4, 3]))
        self._marks.setPen(pen(theme.text, width=1))
        self._heads.setPen(None)
        self._heads.setBrush(theme.text)
        self._cursor.setPen(pen(theme.alarm, width=1))

    def show_gate(self, gate: Gate, end_s: float, window_s: float, cursor_s: float | None) -> None:
        """Draw the `window_s` before `end_s`, and a line at `cursor_s`; on the ROS clock [s]."""
        self._gate, self._end_s = gate, end_s
        x = gate.t - end_s
        self.plot.setXRange(-window_s, 0.0, padding=0)
        score, threshold = gate.gate.astype(float), gate.threshold.astype(float)
        level = float(threshold[-1]) if len(threshold) else 0.0
        self._curve.setData(x, score)
        self._excess.setData(x, np.maximum(score, level), fillLevel=level)
        self._threshold.setData(x, threshold)
        at = x[gate.written]
        self._marks.setData(np.repeat(at, 2), np.tile([0.0, _TOP - 0.05], len(at)), connect='pairs')
        self._heads.setData(at, np.full(len(at), _TOP - 0.05))
        self._cursor.setVisible(cursor_s is not None)
        self._cursor.setPos((cursor_s or 0.0) - end_s)
        count = len(at)
        self.caption.setText(
            f'threshold {level:.2f} · {count} write{"" if count == 1 else "s"} in these {words.duration(window_s)}'
            if len(x)
            else 'no step heard yet'
        )

    def _nearest(self, x: float) -> int | None:
        gate = self._gate
        if gate is None or not len(gate.t):
            return None
        return int(np.abs(gate.t - self._end_s - x).argmin())

    def _read(self, x: float, _: float) -> str:
        place, gate = self._nearest(x), self._gate
        if place is None or gate is None:
            return ''
        verdict = 'wrote' if gate.written[place] else 'did not write'
        return (
            f'step {gate.seq[place]}: {verdict}\n{words.moment(float(gate.t[place]))}\n'
            f'gate {gate.gate[place]:.3f}, threshold {gate.threshold[place]:.2f}\n'
            f'surprise {gate.surprise[place]:.3f}\nmemory step {gate.step_us[place]:.0f} µs'
        )

    def _on_click(self, event: object) -> None:
        box = self.plot.getPlotItem().getViewBox()
        place = self._nearest(box.mapSceneToView(event.scenePos()).x())
        if place is not None and self._gate is not None:
            self.chosen.emit(float(self._gate.t[place]))
