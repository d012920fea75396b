# SPDX-License-Identifier: Apache-2.0
"""Marks of the events of the memory in a plot over time, and their words."""

from collections.abc import Sequence

import numpy as np

from aura_ros.rqt.memory_log import MemoryEvent, MemoryEventKind, MemoryStatus
from aura_ros.rqt.qt import QtGui, pyqtgraph
from aura_ros.rqt.style import SMALL_PX, Theme
from aura_ros.rqt.views import units
from aura_ros.rqt.views.panel import Plot, Window

NAMES = {
    MemoryEventKind.LOST: 'memory lost',
    MemoryEventKind.RESET: 'memory reset',
    MemoryEventKind.RESTORED: 'memory restored',
}


def colour(kind: MemoryEventKind, theme: Theme) -> str:
    """Return the colour of an event: a loss is a fault."""
    return {MemoryEventKind.LOST: theme.alarm, MemoryEventKind.RESET: theme.text}.get(kind, theme.good)


def headline(status: MemoryStatus) -> str:
    """Return what happened to the memory last in a few words; '' if nothing that still matters."""
    event = status.event
    if event is None or (event.kind is not MemoryEventKind.LOST and not status.empty):
        return ''
    at = units.moment(event.stamp_s)
    if status.empty:
        return f'MEMORY EMPTY since {at}: {event.kind.value}'
    return f'memory lost at {at}, {status.writes_since:,} write{"" if status.writes_since == 1 else "s"} since'


class MemoryMarks:
    """A dashed line at each event, with its name if wanted."""

    def __init__(self, plot: Plot, low: float, high: float, named: bool = False) -> None:
        """Add the marks to a plot.

        Args:
            plot: x is the time before the end of its window [s].
            low, high: ends of the lines; a name stands at the upper one.
            named: whether to write the names.
        """
        self._plot, self._ends, self._named = plot, (low, high), named
        self._lines = {kind: pyqtgraph.PlotCurveItem(connect='pairs') for kind in MemoryEventKind}
        self._names: list[pyqtgraph.TextItem] = []
        self._theme: Theme | None = None
        for line in self._lines.values():
            line.setZValue(5)
            plot.addItem(line, ignoreBounds=True)

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        self._theme = theme
        for kind, line in self._lines.items():
            line.setPen(pyqtgraph.mkPen(colour(kind, theme), width=2, dash=[3, 2]))

    def show_events(self, events: Sequence[MemoryEvent], window: Window) -> None:
        """Mark the events inside a window."""
        inside = [event for event in events if window.end_s - window.length_s <= event.stamp_s <= window.end_s]
        for kind, line in self._lines.items():
            at = np.array([event.stamp_s - window.end_s for event in inside if event.kind is kind])
            line.setData(np.repeat(at, 2), np.tile(self._ends, len(at)))
        if self._named:
            self._name(inside, window)

    def _name(self, events: Sequence[MemoryEvent], window: Window) -> None:
        for name in self._names:
            self._plot.removeItem(name)
        self._names = []
        font = QtGui.QFont()
        font.setPixelSize(SMALL_PX)
        for event in events if self._theme is not None else ():
            x = event.stamp_s - window.end_s
            ink = colour(event.kind, self._theme) if self._theme is not None else ''
            # Beside the line, towards the middle of the plot.
            name = pyqtgraph.TextItem(NAMES[event.kind], color=ink, anchor=(0 if x < -window.length_s / 2 else 1, 0))
            name.setFont(font)
            name.setPos(x, self._ends[1])
            self._plot.addItem(name, ignoreBounds=True)
            self._names.append(name)
