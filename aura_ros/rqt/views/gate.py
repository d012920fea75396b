# SPDX-License-Identifier: Apache-2.0
"""When and why: the gate score over time, filled where it is above the threshold, with a mark at each write."""

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.answers import Gate
from aura_ros.rqt.qt import Signal, pyqtgraph
from aura_ros.rqt.style import Theme
from aura_ros.rqt.views import words
from aura_ros.rqt.views.panel import Panel, Plot, Window

_TOP = 1.12
# Where the marks of writes have their heads.
_HEAD = _TOP - 0.05
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
        self._end_s = self._base_s = self._shown_s = 0.0
        self._marked = b''

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

    def show_gate(self, gate: Gate, window: Window) -> None:
        """Draw what lies in a window."""
        self._gate, self._end_s = gate, window.end_s
        if self._shown_s != window.length_s:
            self._shown_s = window.length_s
            self.plot.setXRange(-window.length_s, 0.0, padding=0)
        x, score, threshold = gate.t - window.end_s, gate.gate, gate.threshold
        level = float(threshold[-1]) if len(threshold) else 0.0
        self._curve.setData(x, score)
        self._fill(x, score, level)
        # a dashed line costs by its points, and this one is straight
        bends = np.flatnonzero(np.diff(threshold, prepend=np.nan, append=np.nan)[:-1])
        bends = np.union1d(bends, np.maximum(bends - 1, 0))
        ends = np.union1d(bends, [len(x) - 1]) if len(x) else bends
        self._threshold.setData(x[ends], threshold[ends])
        count = self._mark(gate)
        for item in (self._marks, self._heads):
            item.setPos(self._base_s - window.end_s, 0.0)
        self._cursor.setVisible(window.cursor_s is not None)
        self._cursor.setPos((window.cursor_s or 0.0) - window.end_s)
        writes = f'{count} write{"" if count == 1 else "s"} in these {words.duration(window.length_s)}'
        self.caption.setText(f'threshold {level:.2f} · {writes}' if len(x) else 'no step heard yet')

    def _fill(self, x: NDArray[np.float64], score: NDArray[np.float32], level: float) -> None:
        """Fill what is above `level`; of what is below only the neighbours matter, which are seldom."""
        above = score > level
        near = above.copy()
        near[1:] |= above[:-1]
        near[:-1] |= above[1:]
        self._excess.setVisible(bool(near.any()))
        self._excess.setData(x[near], np.maximum(score[near], level), fillLevel=level)

    def _mark(self, gate: Gate) -> int:
        """Mark the writes; the marks stay as they are while none comes or goes, and only move."""
        at = gate.t[gate.written]
        told = at.tobytes()
        if told != self._marked:
            self._marked = told
            self._base_s = float(at[0]) if len(at) else 0.0
            places = at - self._base_s
            self._marks.setData(np.repeat(places, 2), np.tile([0.0, _HEAD], len(at)), connect='pairs')
            self._heads.setData(places, np.full(len(at), _HEAD))
        return len(at)

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
