# SPDX-License-Identifier: Apache-2.0
"""The monitor as one widget: the same in rqt (plugin.py) and as a window of its own (window.py).

A timer takes what the bridge has heard, gives it to the model, and lets those views paint whose data have changed,
each no more often than the eye needs. The GUI's thread does all of it and waits for nobody.
"""

import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np

from aura_ros.rqt import export
from aura_ros.rqt.answers import Gate
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.points import CachePoint, DiagnosticPoint, GatePoint, StatePoint, StepPoint, Thumbnail, WritePoint
from aura_ros.rqt.qt import Qt, QtCore, QtGui, QtWidgets
from aura_ros.rqt.schedule import Due, Schedule
from aura_ros.rqt.series import thin
from aura_ros.rqt.source import Source
from aura_ros.rqt.style import DARK, LIGHT, Theme, style_sheet
from aura_ros.rqt.views.controls import PolicyControl, RobotChoice, Scrubber, WindowChoice
from aura_ros.rqt.views.cost import CostPanel
from aura_ros.rqt.views.gate import GateTimeline
from aura_ros.rqt.views.header import HeaderStrip
from aura_ros.rqt.views.latency import LatencyTable
from aura_ros.rqt.views.panel import Panel, Window, label, tint
from aura_ros.rqt.views.raster import BINS, WriteRaster
from aura_ros.rqt.views.state import StateMap
from aura_ros.rqt.views.writes import CARDS, WriteStrip

# The bridge takes messages each 100 ms: together a write is seen within 200 ms, one of a stream within half a second.
TICK_MS = 90
WINDOW_S = 120.0
_RIGHT_PX = 372
# Width of the curves and points of each, about: more than its pixels cannot be seen.
_PIXELS = _POINTS = 800
# How long a remark stays at the bottom [s].
_REMARK_S = 8.0


class Monitor(QtWidgets.QWidget):
    """Everything on one page; see docs/monitor.md."""

    def __init__(self, model: MonitorModel, source: Source, dark: bool = False, window_s: float = WINDOW_S) -> None:
        """Make the views and start the timer.

        Args:
            model: where the points go.
            source: where they come from; the caller closes it.
            dark: colours for a dark room.
            window_s: how much time the curves show, one of views.controls.WINDOWS_S [s].
        """
        super().__init__()
        self.setObjectName('monitor')
        self.setWindowTitle('AURA-Mem monitor')
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.model, self.source, self.window_s = model, source, window_s
        self.header, self.gate, self.raster = HeaderStrip(), GateTimeline(), WriteRaster()
        self.state, self.cost, self.latency, self.writes = StateMap(), CostPanel(), LatencyTable(), WriteStrip()
        self.scrubber, self.policies = Scrubber(), PolicyControl(source.allow_control)
        self.window_choice, self.robots = WindowChoice(window_s), RobotChoice()
        self.remark = label('', 'caption')
        self._remark_until_s = 0.0
        self._lay_out()
        self._connect()
        self.schedule, self._kinds = self._schedule(), set()
        self.theme = LIGHT
        self.paint_in(DARK if dark else LIGHT)
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.tick)
        self._timer.start(TICK_MS)

    def sizeHint(self) -> QtCore.QSize:
        """All of it can be read at this size."""
        return QtCore.QSize(1280, 720)

    # How it is put together. ----------------------------------------------------------------------
    def _lay_out(self) -> None:
        grid = QtWidgets.QGridLayout()
        grid.setSpacing(5)
        for row, (left, right, stretch) in enumerate(
            ((self.gate, self.cost, 20), (self.raster, self.state, 24), (self.writes, self.latency, 0))
        ):
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
        bar.addWidget(self.remark)
        bar.addWidget(self.window_choice)
        for text, tip, do in (
            ('PNG', 'Save a picture of this window. Key: Ctrl+S', self._ask_png),
            ('CSV', 'Save what is remembered as tables, one file each.', self._ask_csv),
            ('◐', 'Light or dark.', lambda: self.paint_in(LIGHT if self.theme.dark else DARK)),
        ):
            button = QtWidgets.QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(lambda _, do=do: do())
            bar.addWidget(button)
        bar.addWidget(self.policies)
        return bar

    def _connect(self) -> None:
        self.scrubber.paused.connect(self.pause)
        self.scrubber.moved.connect(self.look_at)
        self.gate.chosen.connect(self.look_at)
        self.writes.chosen.connect(self.look_at)
        self.window_choice.chosen.connect(self.show_window)
        self.robots.chosen.connect(self._choose_robot)
        self.policies.asked.connect(self._ask_policy)
        shortcut = getattr(QtGui, 'QShortcut', None) or QtWidgets.QShortcut  # Qt 6 moved it
        keys_of = {'Space': self.scrubber.pause.toggle, 'L': self.scrubber.live.click, 'Ctrl+S': self._ask_png}
        for keys, do in keys_of.items():
            made = shortcut(QtGui.QKeySequence(keys), self)
            # only here: rqt has other plugins with keys of their own
            made.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            made.activated.connect(do)

    # The clockwork. -------------------------------------------------------------------------------
    def _schedule(self) -> Schedule:
        # a curve need not be drawn before it has moved by a pixel, nor more than twice a second
        return Schedule(
            Due(self._paint_gate, max(0.5, self.window_s / _PIXELS), {GatePoint}, urgent={WritePoint}),
            Due(self._paint_raster, max(0.5, self.window_s / BINS), {StatePoint, GatePoint}),
            Due(lambda: self.state.show_state(self.model.state()), 0.5, {StatePoint}),
            # each second, for how long ago they were
            Due(self._paint_writes, 1.0, {GatePoint}, urgent={WritePoint, Thumbnail}),
            Due(lambda: self.cost.show_cost(self.model.cost(points=200)), 1.0, {GatePoint, CachePoint}),
            Due(lambda: self.latency.show_latency(self.model.latency()), 1.0, {GatePoint, StepPoint, DiagnosticPoint}),
            Due(self._paint_header, 0.5),
            Due(self._paint_story, 1.0, {GatePoint}),
        )

    def tick(self) -> None:
        """Take in what was heard and paint what is due."""
        now_s = time.monotonic()
        points = self.source.drain()
        jumps = self.model.jumps
        for point in points:
            self.model.ingest(point, now_s)
        if self.model.jumps != jumps:
            self.schedule.hasten()
        self._kinds |= {type(point) for point in points}
        if self.isVisible():
            self.schedule.run(self._kinds, now_s)
            self._kinds = set()

    def _window(self) -> Window:
        """What the curves show; a cursor stands within it, with what came after."""
        newest, cursor = self.model.span[1], self.model.cursor
        end_s = newest if cursor is None else min(newest, cursor + self.window_s / 4)
        return Window(end_s, self.window_s, cursor)

    def _paint_gate(self) -> None:
        window = self._window()
        gate = _cut(self.model.gate(), window.end_s - window.length_s, window.end_s)
        self.gate.show_gate(gate, self.model.policies(), self.model.episodes(), window)

    def _paint_raster(self) -> None:
        self.raster.show_raster(self.model.raster(), self._window())

    def _paint_writes(self) -> None:
        self.writes.show_writes(self.model.writes(CARDS), self.model.thumbnails(CARDS), self._window())

    def _paint_header(self) -> None:
        now_s, model = time.monotonic(), self.model
        header = model.header(now_s)
        self.header.show_header(header)
        self.policies.show_policy(header.policy)
        self.scrubber.show_span(model.span, model.cursor, self.theme)
        self.robots.show_robots(self.source.robots(), self.source.namespace)
        if self._remark_until_s < now_s:
            self.remark.setText('')

    def _paint_story(self) -> None:
        model, gate, last = self.model, self.model.gate(), self.model.writes(1)
        newest_s = model.span[1] if model.cursor is None else None
        self.header.tell(
            int(np.count_nonzero(gate.written)), len(gate.t), last[0] if last else None, model.cost(2), newest_s
        )

    def stop(self) -> None:
        """Paint no more, for the source is about to close."""
        self._timer.stop()

    # What people do. ------------------------------------------------------------------------------
    def paint_in(self, theme: Theme) -> None:
        """Take on other colours."""
        self.theme = theme
        self.setStyleSheet(style_sheet(theme))
        for panel in self.findChildren(Panel):
            panel.paint_in(theme)
        self.schedule.hasten()

    def pause(self, paused: bool) -> None:
        """Keep the picture as it is, or go on."""
        self.model.paused = paused
        self.scrubber.pause.setChecked(paused)
        self.scrubber.pause.setText('Go on' if paused else 'Pause')
        self.schedule.hasten()

    def look_at(self, stamp_s: float | None) -> None:
        """Look at a moment on the ROS clock [s]; None for now."""
        self.model.cursor = stamp_s
        self.schedule.hasten()

    def show_window(self, window_s: float) -> None:
        """Show so much time [s]."""
        self.window_s = window_s
        self.schedule = self._schedule()

    def _choose_robot(self, namespace: str) -> None:
        self.source.select_robot(namespace)
        self.model = MonitorModel(self.model.history_s, self.model.rate_hz)
        self.pause(False)

    def _ask_policy(self, policy: int) -> None:
        self.say('asking the policy switch…')
        self.source.select_policy(policy, lambda success, reason: self.say(reason, fault=not success))

    def say(self, text: str, fault: bool = False) -> None:
        """Show a remark at the bottom for a while."""
        self.remark.setText(text if len(text) < 60 else text[:59] + '…')
        self.remark.setToolTip(text)
        tint(self.remark, self.theme.alarm if fault else self.theme.muted)
        self._remark_until_s = time.monotonic() + _REMARK_S

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
                self.say(str(error), fault=True)
            else:
                self.say(f'saved {chosen}')

    def save_png(self, path: Path) -> None:
        """Save a picture of the whole widget, all views of one moment.

        Raises:
            OSError: it could not be written.
        """
        self.schedule.hasten()
        self.schedule.run(set(), time.monotonic())
        if not self.grab().save(str(path), 'PNG'):
            raise OSError(f'could not write {path}')

    def save_csv(self, path: Path) -> None:
        """Save what is remembered as tables: `path`, and beside it one for the writes and one for the rows of W.

        Raises:
            OSError: one could not be written.
        """
        export.save_csv(self.model, path)


def _cut(gate: Gate, begin: float, end: float) -> Gate:
    """Return what lies between two times, with one sample more on either side so that the curve reaches the edges."""
    first = max(0, int(np.searchsorted(gate.t, begin)) - 1)
    inside = slice(first, int(np.searchsorted(gate.t, end, side='right')) + 1)
    part = Gate(*(getattr(gate, field.name)[inside] for field in fields(Gate)))
    drawn = thin(part.t, part.gate, part.written, _POINTS)
    return Gate(*(getattr(part, field.name)[drawn] for field in fields(Gate)))
