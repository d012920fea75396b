# SPDX-License-Identifier: Apache-2.0
"""The monitor as one widget, which plugin.py shows in rqt and window.py as a window of its own.

A timer moves points from the bridge to the model. It then repaints the views whose data have changed, no more often
than people can see. Everything runs in the GUI thread, and nothing blocks it.
"""

import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np

from aura_ros.common.text import cut
from aura_ros.rqt import export
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.points import CachePoint, DiagnosticPoint, GatePoint, StatePoint, StepPoint, Thumbnail, WritePoint
from aura_ros.rqt.qt import Qt, QtCore, QtGui, QtWidgets
from aura_ros.rqt.schedule import PaintSchedule, PaintTask
from aura_ros.rqt.series import thin
from aura_ros.rqt.source import PointSource
from aura_ros.rqt.style import DARK, LIGHT, Theme, style_sheet
from aura_ros.rqt.view_data import GateSeries
from aura_ros.rqt.views.controls import PolicyControl, RobotChoice, Scrubber, WindowChoice
from aura_ros.rqt.views.cost import CostPanel
from aura_ros.rqt.views.gate import GateTimeline
from aura_ros.rqt.views.header import HeaderStrip
from aura_ros.rqt.views.latency import LatencyTable
from aura_ros.rqt.views.panel import ViewPanel, Window, label, tint
from aura_ros.rqt.views.raster import BINS, WriteRaster
from aura_ros.rqt.views.state import StatePanel
from aura_ros.rqt.views.writes import CARDS, WriteStrip

# The bridge takes messages each 100 ms. Together, a write is visible within 200 ms.
TICK_MS = 90
WINDOW_S = 120.0
_RIGHT_PX = 372
# Approximate width of the curves, which is also the number of points that can be seen.
_PIXELS = _POINTS = 800
# How long a status text stays at the bottom [s].
_STATUS_S = 8.0
_STATUS_LENGTH = 60


class Monitor(QtWidgets.QWidget):
    """The whole page; docs/monitor.md describes it."""

    def __init__(
        self, model: MonitorModel, source: PointSource, dark: bool = False, window_s: float = WINDOW_S
    ) -> None:
        """Make the views and start the timer.

        Args:
            model: stores the points.
            source: yields the points; the caller closes it.
            dark: whether to use dark colours.
            window_s: time that the curves show, one of views.controls.WINDOWS_S [s].
        """
        super().__init__()
        self.setObjectName('monitor')
        self.setWindowTitle('AURA-Mem monitor')
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.model, self.source, self.window_s = model, source, window_s
        self.header, self.gate, self.raster = HeaderStrip(), GateTimeline(), WriteRaster()
        self.state, self.cost, self.latency, self.writes = StatePanel(), CostPanel(), LatencyTable(), WriteStrip()
        self.scrubber, self.policies = Scrubber(), PolicyControl(source.allow_control)
        self.window_choice, self.robots = WindowChoice(window_s), RobotChoice()
        self.status = label('', 'caption')
        self._status_until_s = 0.0
        self._lay_out()
        self._connect()
        self.schedule = self._schedule()
        self._kinds: set[type] = set()
        self.theme = LIGHT
        self.apply_theme(DARK if dark else LIGHT)
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.tick)
        self._timer.start(TICK_MS)

    def sizeHint(self) -> QtCore.QSize:
        """Return a size at which all texts are readable."""
        return QtCore.QSize(1280, 720)

    # Layout. --------------------------------------------------------------------------------------
    def _lay_out(self) -> None:
        grid = QtWidgets.QGridLayout()
        grid.setSpacing(5)
        rows: tuple[tuple[QtWidgets.QWidget, QtWidgets.QWidget, int], ...] = (
            (self.gate, self.cost, 20),
            (self.raster, self.state, 24),
            (self.writes, self.latency, 0),
        )
        for row, (left, right, stretch) in enumerate(rows):
            grid.addWidget(left, row, 0)
            grid.addWidget(right, row, 1)
            grid.setRowStretch(row, stretch)
            right.setFixedWidth(_RIGHT_PX)
        grid.setColumnStretch(0, 1)
        self.latency.setSizePolicy(QtWidgets.QSizePolicy.Policy.Fixed, QtWidgets.QSizePolicy.Policy.Ignored)
        page = QtWidgets.QVBoxLayout(self)
        page.setContentsMargins(6, 6, 6, 6)
        page.setSpacing(5)
        page.addWidget(self.header)
        page.addLayout(grid, 1)
        page.addLayout(self._bar())

    def _bar(self) -> QtWidgets.QHBoxLayout:
        bar = QtWidgets.QHBoxLayout()
        bar.addWidget(self.robots)
        bar.addWidget(self.scrubber, 1)
        bar.addWidget(self.status)
        bar.addWidget(self.window_choice)
        buttons: tuple[tuple[str, str, Callable[[], None]], ...] = (
            ('PNG', 'Save a picture of this page. Key: Ctrl+S', self._ask_png),
            ('CSV', 'Save the history as tables: steps, writes and changed rows of W.', self._ask_csv),
            ('◐', 'Switch between light and dark colours.', self._switch_theme),
        )
        for text, tip, action in buttons:
            button = QtWidgets.QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(lambda _, action=action: action())
            bar.addWidget(button)
        bar.addWidget(self.policies)
        return bar

    def _connect(self) -> None:
        self.scrubber.paused.connect(self.pause)
        self.scrubber.moved.connect(self.look_at)
        for view in (self.gate, self.writes, self.state.items):
            view.chosen.connect(self.look_at)
        self.window_choice.chosen.connect(self.show_window)
        self.robots.chosen.connect(self._choose_robot)
        self.policies.requested.connect(self._request_policy)
        shortcut = getattr(QtGui, 'QShortcut', None) or QtWidgets.QShortcut  # Qt 6 moved it
        actions = {'Space': self.scrubber.pause.toggle, 'L': self.scrubber.live.click, 'Ctrl+S': self._ask_png}
        for keys, action in actions.items():
            made = shortcut(QtGui.QKeySequence(keys), self)
            # Only inside the monitor, because other plugins of rqt have their own keys.
            made.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            made.activated.connect(action)

    # Painting. ------------------------------------------------------------------------------------
    def _schedule(self) -> PaintSchedule:
        # A curve is painted when it has moved by a pixel, and at most twice a second.
        return PaintSchedule(
            PaintTask(self._paint_gate, max(0.5, self.window_s / _PIXELS), {GatePoint}, urgent={WritePoint}),
            PaintTask(self._paint_raster, max(0.5, self.window_s / BINS), {StatePoint, GatePoint}),
            PaintTask(self._paint_state, 0.5, {StatePoint, Thumbnail}),
            # Each second, because the cards show how long ago the writes were.
            PaintTask(self._paint_writes, 1.0, {GatePoint}, urgent={WritePoint, Thumbnail}),
            PaintTask(lambda: self.cost.show_cost(self.model.cost(points=200)), 1.0, {GatePoint, CachePoint}),
            PaintTask(
                lambda: self.latency.show_latency(self.model.latency()), 1.0, {GatePoint, StepPoint, DiagnosticPoint}
            ),
            PaintTask(self._paint_header, 0.5),
            PaintTask(self._paint_summary, 1.0, {GatePoint}),
        )

    def tick(self) -> None:
        """Add the received points to the model and paint what is due."""
        now_s = time.monotonic()
        points = self.source.drain()
        jumps = self.model.jumps
        for point in points:
            self.model.ingest(point, now_s)
        if self.model.jumps != jumps:
            self.schedule.repaint()
        self._kinds |= {type(point) for point in points}
        if self.isVisible():
            self.schedule.run(self._kinds, now_s)
            self._kinds = set()

    def _window(self) -> Window:
        """Return the time that the curves show; a cursor is inside it, with the steps after it."""
        newest, cursor = self.model.span[1], self.model.cursor
        end_s = newest if cursor is None else min(newest, cursor + self.window_s / 4)
        return Window(end_s, self.window_s, cursor)

    def _paint_gate(self) -> None:
        window = self._window()
        gate = _cut(self.model.gate(), window.end_s - window.length_s, window.end_s)
        self.gate.show_gate(gate, self.model.policies(), self.model.episodes(), window)

    def _paint_raster(self) -> None:
        self.raster.show_raster(self.model.raster(), self._window())

    def _paint_state(self) -> None:
        self.state.show_state(self.model.state(), self.model.items(), self._window().end_s)

    def _paint_writes(self) -> None:
        self.writes.show_writes(self.model.writes(CARDS), self.model.thumbnails(CARDS), self._window())

    def _paint_header(self) -> None:
        now_s, model = time.monotonic(), self.model
        header = model.header(now_s)
        self.header.show_header(header)
        self.policies.show_policy(header.policy)
        self.scrubber.show_span(model.span, model.cursor, self.theme)
        self.robots.show_robots(self.source.robots(), self.source.namespace)
        if self._status_until_s < now_s:
            self.status.setText('')

    def _paint_summary(self) -> None:
        model, gate, last = self.model, self.model.gate(), self.model.writes(1)
        newest_s = model.span[1] if model.cursor is None else None
        self.header.show_summary(
            int(np.count_nonzero(gate.written)), len(gate.t), last[0] if last else None, model.cost(2), newest_s
        )

    def stop(self) -> None:
        """Stop the timer, before the source is closed."""
        self._timer.stop()

    # Actions. -------------------------------------------------------------------------------------
    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        self.theme = theme
        self.setStyleSheet(style_sheet(theme))
        for panel in self.findChildren(ViewPanel):
            panel.apply_theme(theme)
        self.schedule.repaint()

    def _switch_theme(self) -> None:
        self.apply_theme(LIGHT if self.theme.dark else DARK)

    def pause(self, paused: bool) -> None:
        """Pause or resume the page."""
        self.model.paused = paused
        self.scrubber.pause.setChecked(paused)
        self.scrubber.pause.setText('Resume' if paused else 'Pause')
        self.schedule.repaint()

    def look_at(self, stamp_s: float | None) -> None:
        """Show a past moment [s, ROS clock]; None for the present."""
        self.model.cursor = stamp_s
        self.schedule.repaint()

    def show_window(self, window_s: float) -> None:
        """Set the time that the curves show [s]."""
        self.window_s = window_s
        self.schedule = self._schedule()

    def _choose_robot(self, namespace: str) -> None:
        self.source.select_robot(namespace)
        self.model = MonitorModel(self.model.history_s, self.model.rate_hz)
        self.pause(False)

    def _request_policy(self, policy: int) -> None:
        self.show_status('waiting for policy_switch_node…')
        self.source.select_policy(policy, lambda success, text: self.show_status(text, fault=not success))

    def show_status(self, text: str, fault: bool = False) -> None:
        """Show a text at the bottom for a few seconds; the hover text holds all of a long one."""
        self.status.setText(cut(text, _STATUS_LENGTH))
        self.status.setToolTip(text)
        tint(self.status, self.theme.alarm if fault else self.theme.muted)
        self._status_until_s = time.monotonic() + _STATUS_S

    def _ask_png(self) -> None:
        self._ask('picture', 'aura_monitor.png', 'PNG (*.png)', self.save_png)

    def _ask_csv(self) -> None:
        self._ask('tables', 'aura_monitor.csv', 'CSV (*.csv)', self.save_csv)

    def _ask(self, what: str, name: str, kinds: str, save: Callable[[Path], None]) -> None:
        chosen, _ = QtWidgets.QFileDialog.getSaveFileName(self, f'Save {what}', name, kinds)
        if chosen:
            try:
                save(Path(chosen))
            except OSError as error:
                self.show_status(str(error), fault=True)
            else:
                self.show_status(f'saved {chosen}')

    def save_png(self, path: Path) -> None:
        """Save a picture of the page, with all views at one moment.

        Raises:
            OSError: the file cannot be written.
        """
        self.schedule.repaint()
        self.schedule.run(set(), time.monotonic())
        if not self.grab().save(str(path), 'PNG'):
            raise OSError(f'cannot write {path}')

    def save_csv(self, path: Path) -> None:
        """Save the history as tables: `path`, and files beside it for the writes and the changed rows of W.

        Raises:
            OSError: a file cannot be written.
        """
        export.save_csv(self.model, path)


def _cut(gate: GateSeries, begin: float, end: float) -> GateSeries:
    """Return the part between two times, thinned, with one more sample on each side so that curves reach the edges."""
    first = max(0, int(np.searchsorted(gate.t, begin)) - 1)
    inside = slice(first, int(np.searchsorted(gate.t, end, side='right')) + 1)
    part = GateSeries(*(getattr(gate, field.name)[inside] for field in fields(GateSeries)))
    drawn = thin(part.t, part.gate, part.written, _POINTS)
    return GateSeries(*(getattr(part, field.name)[drawn] for field in fields(GateSeries)))
