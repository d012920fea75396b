# SPDX-License-Identifier: Apache-2.0
"""One vertical line in all panels over time, and a line of text with the values at that time."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from aura_ros.rqt.qt import QtCore, Signal, pyqtgraph
from aura_ros.rqt.reading import Reading
from aura_ros.rqt.style import Theme
from aura_ros.rqt.views import units
from aura_ros.rqt.views.panel import ElidedLabel, Plot
from aura_ros.rqt.views.words import tip

_NOTHING = 'Point at a curve, or move with the arrow keys: all values of that time appear here.'


class TimeView(Protocol):
    """A view with a plot over time."""

    plot: Plot
    end_s: float
    """Right end of the plot [s, ROS clock]; x is the time before it."""


class Crosshair(QtCore.QObject):
    """The linked lines of several plots, whose x is the time before the end of each plot."""

    pointed = Signal(object)
    """Time under the mouse pointer [s, ROS clock]; None when it left the plots."""

    def __init__(self, views: Sequence[TimeView]) -> None:
        """Link the plots of some views."""
        super().__init__()
        self._lines = [(view, pyqtgraph.InfiniteLine(0.0, angle=90)) for view in views]
        for view, line in self._lines:
            line.hide()
            view.plot.addItem(line, ignoreBounds=True)
            view.plot.pointed.connect(partial(self._on_pointed, view))

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        for _, line in self._lines:
            line.setPen(pyqtgraph.mkPen(theme.muted, width=1))

    def _on_pointed(self, view: TimeView, x: float | None) -> None:
        self.pointed.emit(None if x is None else view.end_s + x)

    def show_time(self, stamp_s: float | None) -> None:
        """Move the lines to a time [s, ROS clock]; None hides them."""
        for view, line in self._lines:
            line.setVisible(stamp_s is not None)
            if stamp_s is not None:
                line.setPos(stamp_s - view.end_s)


class Readout(ElidedLabel):
    """The values at the crosshair, always at the same place."""

    def __init__(self) -> None:
        about = 'Values of the step at the crosshair, or at the selected moment.'
        super().__init__('caption', tip(about, 'step', 'gate', 'surprise', 'state'))
        self.setText(_NOTHING)

    def show_reading(self, stamp_s: float | None, reading: Reading | None, policy: str) -> None:
        """Show the values at a time [s, ROS clock].

        Args:
            stamp_s: the time, None for no time.
            reading: values of the step nearest to it, None where no step was received.
            policy: policy at that time, '' when unknown.
        """
        if stamp_s is None:
            self.setText(_NOTHING)
        elif reading is None:
            self.setText(f'{units.moment(stamp_s)} · no step received at this time')
        else:
            self.setText(' · '.join(_parts(reading, policy)))


def _parts(reading: Reading, policy: str) -> list[str]:
    wrote = f'wrote {reading.rows} rows of W' if reading.rows else 'wrote' if reading.written else 'no write'
    sizes = f'state {units.size(reading.aura_bytes)}'
    if reading.kv_bytes:
        sizes += f', KV-cache {units.size(reading.kv_bytes)}'
    return [
        units.moment(reading.stamp_s),
        f'step {reading.seq:,}',
        f'gate {reading.gate:.2f}, threshold {reading.threshold:.2f}: {wrote}',
        f'surprise {reading.surprise:.1f}',
        sizes,
        f'policy {policy or "unknown"}',
    ]
