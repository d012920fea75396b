# SPDX-License-Identifier: Apache-2.0
"""The gate panel: the gate score over time, filled above the threshold, with a mark at each write."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.names import POLICIES
from aura_ros.rqt.qt import QtCore, Signal, pyqtgraph
from aura_ros.rqt.series import thin
from aura_ros.rqt.style import Theme
from aura_ros.rqt.view_data import GateSeries, Spans
from aura_ros.rqt.views import units
from aura_ros.rqt.views.marks import MemoryMarks
from aura_ros.rqt.views.panel import Plot, ViewPanel, Window
from aura_ros.rqt.views.words import tip

_BOTTOM, _TOP = -0.12, 1.12
# Heights of the heads of the write marks, and of the band that shows the policy.
_HEAD, _BAND = 1.05, -0.09
_NO_END_S = 1e6
# Most points of a curve or marks, about one for each pixel; heads are wide, so one for each three pixels.
_POINTS, _HEADS = 800, 260
# The curve has a gap where no step was received for longer than this.
_GAP_S = 1.0
_TIP = tip(
    'Gate score of AURA-Mem at each step. The memory writes where the score is above the dashed threshold; a mark at '
    'the top shows each write. The band at the bottom shows the policy: blue AURA, orange KV-cache, grey base. Dotted '
    'lines show the start of episodes. Click to show that moment.',
    'gate',
    'write',
    'surprise',
)


class _Click(Protocol):
    """The part of pyqtgraph's MouseClickEvent that is used."""

    def scenePos(self) -> QtCore.QPointF: ...


class GateTimeline(ViewPanel):
    """Draws `GateSeries` over a time window."""

    chosen = Signal(float)
    """Time of the step that was clicked [s, ROS clock]."""

    def __init__(self) -> None:
        super().__init__("When and why: AURA's gate score", _TIP)
        self.plot = Plot(bottom=False)
        self.plot.setYRange(_BOTTOM, _TOP, padding=0)
        self.plot.getAxis('left').setTicks([[(0.0, '0'), (0.5, '0.5'), (1.0, '1')]])
        self._excess, self._curve, self._threshold, self._marks, self._heads, self._begins = (
            pyqtgraph.PlotCurveItem() for _ in range(6)
        )
        self._driven = {policy: pyqtgraph.PlotCurveItem() for policy in POLICIES}
        self._cursor = pyqtgraph.InfiniteLine(0.0, angle=90)
        # Items that only move while no write comes or goes; the others are drawn again each time.
        self._moving = pyqtgraph.ItemGroup()
        for item in (self._begins, self._marks, self._heads, *self._driven.values()):
            item.setParentItem(self._moving)
        for item in (self._moving, self._excess, self._threshold, self._curve, self._cursor):
            self.plot.addItem(item, ignoreBounds=True)
        self.events = MemoryMarks(self.plot, 0.0, 0.9, named=True)
        self.plot.read_with(self._read)
        self.plot.scene().sigMouseClicked.connect(self._on_click)
        self.body.addWidget(self.plot, 1)
        self._gate: GateSeries | None = None
        self.end_s = self._base_s = self._shown_s = 0.0
        self._marked: tuple[bytes, Spans, Spans] | None = None

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        super().apply_theme(theme)
        self.plot.apply_theme(theme)
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
        self.events.apply_theme(theme)

    def show_gate(self, gate: GateSeries, policies: Spans, episodes: Spans, window: Window) -> None:
        """Draw the part in a window."""
        self._gate, self.end_s = gate, window.end_s
        if self._shown_s != window.length_s:
            self._shown_s = window.length_s
            self.plot.setXRange(-window.length_s, 0.0, padding=0)
        # `gate` contains all writes; the curve needs no more points during a stream of writes.
        drawn = thin(gate.t, gate.gate, np.zeros(len(gate.t), bool), _POINTS)
        x, score, threshold = gate.t[drawn] - window.end_s, gate.gate[drawn], gate.threshold[drawn]
        level = float(threshold[-1]) if len(threshold) else 0.0
        gaps = _gaps(x)
        broken = np.insert(x, gaps, np.nan), np.insert(score, gaps, np.nan)
        self._curve.setData(*broken, connect='finite')
        self._fill(*broken, level)
        # A dashed line is slow with many points, so draw only the ends and bends.
        bends = np.flatnonzero(np.diff(threshold, prepend=np.nan, append=np.nan)[:-1])
        bends = np.union1d(bends, np.maximum(bends - 1, 0))
        ends = np.union1d(bends, [len(x) - 1]) if len(x) else bends
        self._threshold.setData(x[ends], threshold[ends])
        count = self._mark(gate, policies, episodes)
        self._moving.setPos(self._base_s - window.end_s, 0.0)
        self._cursor.setVisible(window.cursor_s is not None)
        if window.cursor_s is not None:
            self._cursor.setPos(window.cursor_s - window.end_s)
        # A monitor that started inside the window has not seen all of it.
        seen_s = min(window.length_s, window.end_s - float(gate.t[0])) if len(x) else 0.0
        writes = f'{count} write{"" if count == 1 else "s"} in {units.duration(seen_s)}'
        self.caption.setText(f'threshold {level:.2f} · {writes}' if len(x) else 'no step received yet')

    def _fill(self, x: NDArray[np.float64], score: NDArray[np.float32], level: float) -> None:
        """Fill the curve above `level`, with only those points below it that are next to a point above it."""
        above = score > level
        near = above.copy()
        near[1:] |= above[:-1]
        near[:-1] |= above[1:]
        self._excess.setVisible(bool(near.any()))
        self._excess.setData(x[near], np.maximum(score[near], level), fillLevel=level, connect='finite')

    def _mark(self, gate: GateSeries, policies: Spans, episodes: Spans) -> int:
        """Draw writes, episodes and policies if they changed; return the number of writes."""
        at = gate.t[gate.written]
        marked = (at.tobytes(), policies, episodes)
        if marked != self._marked:
            self._marked = marked
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
        return int(np.abs(gate.t - self.end_s - x).argmin())

    def _read(self, x: float, _: float) -> str:
        place, gate = self._nearest(x), self._gate
        if place is None or gate is None:
            return ''
        result = 'wrote' if gate.written[place] else 'did not write'
        return (
            f'step {gate.seq[place]}: {result}\n{units.moment(float(gate.t[place]))}\n'
            f'gate {gate.gate[place]:.3f}, threshold {gate.threshold[place]:.2f}\n'
            f'surprise {gate.surprise[place]:.3f}\nmemory step {gate.step_us[place]:.0f} µs'
        )

    def _on_click(self, event: _Click) -> None:
        box = self.plot.getPlotItem().getViewBox()
        place = self._nearest(box.mapSceneToView(event.scenePos()).x())
        if place is not None and self._gate is not None:
            self.chosen.emit(float(self._gate.t[place]))


def _apart(at: NDArray[np.float64], slice_s: float) -> NDArray[np.float64]:
    """Return the first time of each slice, because closer marks look like one and each costs time."""
    return at[np.flatnonzero(np.diff(np.floor(at / slice_s), prepend=-np.inf))]


def _gaps(x: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the indices of steps that came long after the step before them."""
    apart = np.diff(x)
    return np.flatnonzero(apart > max(_GAP_S, 4.0 * float(np.median(apart)))) + 1 if len(apart) else np.zeros(0, int)


def _pairs(spans: Spans, policy: str) -> NDArray[np.float64]:
    """Return begin and end of each span of a policy, one after the other."""
    ends = (*spans.t[1:], min(spans.end_s, spans.t[-1] + _NO_END_S)) if spans.t else ()
    drove = [(begin, end) for begin, end, label in zip(spans.t, ends, spans.labels, strict=True) if label == policy]
    return np.array(drove, float).reshape(-1)
