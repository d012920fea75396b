# SPDX-License-Identifier: Apache-2.0
"""When and why: the gate score over time, filled where it is above the threshold, with a mark at each write."""

import numpy as np
from numpy.typing import NDArray

from aura_ros.rqt.answers import Gate, Spans
from aura_ros.rqt.points import POLICIES
from aura_ros.rqt.qt import Signal, pyqtgraph
from aura_ros.rqt.series import thin
from aura_ros.rqt.style import Theme
from aura_ros.rqt.views import words
from aura_ros.rqt.views.panel import Panel, Plot, Window

_BOTTOM, _TOP = -0.12, 1.12
# Heads of the marks of writes, and the band that tells who drove.
_HEAD, _BAND = 1.05, -0.09
_FOR_EVER_S = 1e6
# The curve and the marks: about one for each pixel. Heads are wide: one for each three.
_POINTS, _HEADS = 800, 260
# Nothing is drawn over a silence of so long.
_BREAK_S = 1.0
_TIP = (
    'Gate score of AURA-Mem at each step [0..1]. The memory writes where it is above the threshold.\n'
    'Each mark at the top is a write. The band below tells who drove: blue AURA, orange the KV-cache, grey the base\n'
    'VLA. A dotted line is the begin of an episode. Click to look at that moment.'
)


class GateTimeline(Panel):
    """Draws a `Gate` over the seconds before a moment.

    Signals:
        chosen: time on the ROS clock that was clicked [s].
    """

    chosen = Signal(float)

    def __init__(self) -> None:
        """Make the curves."""
        super().__init__("When and why: AURA's gate score", _TIP)
        self.plot = Plot(bottom=False)
        self.plot.setYRange(_BOTTOM, _TOP, padding=0)
        self.plot.getAxis('left').setTicks([[(0.0, '0'), (0.5, '0.5'), (1.0, '1')]])
        self._excess, self._curve, self._threshold, self._marks, self._heads, self._begins = (
            pyqtgraph.PlotCurveItem() for _ in range(6)
        )
        self._driven = {policy: pyqtgraph.PlotCurveItem() for policy in POLICIES}
        self._cursor = pyqtgraph.InfiniteLine(0.0, angle=90)
        # what is written once and then only moves; the others are drawn anew
        self._moving = pyqtgraph.ItemGroup()
        for item in (self._begins, self._marks, self._heads, *self._driven.values()):
            item.setParentItem(self._moving)
        for item in (self._moving, self._excess, self._threshold, self._curve, self._cursor):
            self.plot.addItem(item, ignoreBounds=True)
        self.plot.read_with(self._read)
        self.plot.scene().sigMouseClicked.connect(self._on_click)
        self.body.addWidget(self.plot, 1)
        self._gate: Gate | None = None
        self._end_s = self._base_s = self._shown_s = 0.0
        self._marked: object = None

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
        self._heads.setPen(pen(theme.text, width=7))
        self._begins.setPen(pen(theme.muted, width=1, dash=[1, 3]))
        for policy, curve in self._driven.items():
            curve.setPen(pen(theme.policy(policy), width=4))
        self._cursor.setPen(pen(theme.alarm, width=1))

    def show_gate(self, gate: Gate, policies: Spans, episodes: Spans, window: Window) -> None:
        """Draw what lies in a window."""
        self._gate, self._end_s = gate, window.end_s
        if self._shown_s != window.length_s:
            self._shown_s = window.length_s
            self.plot.setXRange(-window.length_s, 0.0, padding=0)
        # all writes are in `gate`; of a stream of them the curve needs no more points than any other
        drawn = thin(gate.t, gate.gate, np.zeros(len(gate.t), bool), _POINTS)
        x, score, threshold = gate.t[drawn] - window.end_s, gate.gate[drawn], gate.threshold[drawn]
        level = float(threshold[-1]) if len(threshold) else 0.0
        at = _breaks(x)
        broken = np.insert(x, at, np.nan), np.insert(score, at, np.nan)
        self._curve.setData(*broken, connect='finite')
        self._fill(*broken, level)
        # a dashed line costs by its points, and this one is straight
        bends = np.flatnonzero(np.diff(threshold, prepend=np.nan, append=np.nan)[:-1])
        bends = np.union1d(bends, np.maximum(bends - 1, 0))
        ends = np.union1d(bends, [len(x) - 1]) if len(x) else bends
        self._threshold.setData(x[ends], threshold[ends])
        count = self._mark(gate, policies, episodes)
        self._moving.setPos(self._base_s - window.end_s, 0.0)
        self._cursor.setVisible(window.cursor_s is not None)
        if window.cursor_s is not None:
            self._cursor.setPos(window.cursor_s - window.end_s)
        writes = f'{count} write{"" if count == 1 else "s"} in these {words.duration(window.length_s)}'
        self.caption.setText(f'threshold {level:.2f} · {writes}' if len(x) else 'no step heard yet')

    def _fill(self, x: NDArray[np.float64], score: NDArray[np.float32], level: float) -> None:
        """Fill what is above `level`; of what is below only the neighbours matter, which are seldom."""
        above = score > level
        near = above.copy()
        near[1:] |= above[:-1]
        near[:-1] |= above[1:]
        self._excess.setVisible(bool(near.any()))
        self._excess.setData(x[near], np.maximum(score[near], level), fillLevel=level, connect='finite')

    def _mark(self, gate: Gate, policies: Spans, episodes: Spans) -> int:
        """Mark the writes, the episodes and who drove; while none comes or goes, all that only moves."""
        at = gate.t[gate.written]
        told = (at.tobytes(), policies, episodes)
        if told != self._marked:
            self._marked = told
            self._base_s = float(gate.t[0]) if len(gate.t) else 0.0
            for item, low, high, marks in (
                (self._marks, 0.0, _HEAD, _POINTS),
                (self._heads, _HEAD - 0.03, _HEAD + 0.06, _HEADS),
            ):
                places = _apart(at, self._shown_s / marks) - self._base_s
                item.setData(np.repeat(places, 2), np.tile([low, high], len(places)), connect='pairs')
            begins = np.repeat(np.array(episodes.t) - self._base_s, 2)
            self._begins.setData(begins, np.tile([_BOTTOM, _TOP], len(episodes.t)), connect='pairs')
            for policy, curve in self._driven.items():
                drove = _pairs(policies, policy) - self._base_s
                curve.setData(drove, np.full(len(drove), _BAND), connect='pairs')
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


def _apart(at: NDArray[np.float64], slice_s: float) -> NDArray[np.float64]:
    """Return the first time of each slice: more marks could not be told apart, and each costs."""
    return at[np.flatnonzero(np.diff(np.floor(at / slice_s), prepend=-np.inf))]


def _breaks(x: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return where the curve is to be broken: before a step that came long after the one before it."""
    apart = np.diff(x)
    return np.flatnonzero(apart > max(_BREAK_S, 4.0 * float(np.median(apart)))) + 1 if len(apart) else np.zeros(0, int)


def _pairs(spans: Spans, policy: str) -> NDArray[np.float64]:
    """Return begin and end of each time a policy drove, one after the other; the last has no end."""
    ends = (*spans.t[1:], spans.t[-1] + _FOR_EVER_S) if spans.t else ()
    drove = [(begin, end) for begin, end, label in zip(spans.t, ends, spans.labels, strict=True) if label == policy]
    return np.array(drove, float).reshape(-1)
