# SPDX-License-Identifier: Apache-2.0
"""The monitor as one widget, which plugin.py shows in rqt and window.py as a window of its own.

A timer moves points from the bridge to the model. It then repaints the views whose data have changed, no more often
than people can see. Everything runs in the GUI thread, and nothing blocks it.
"""

import time
from collections.abc import Callable
from pathlib import Path

from aura_ros.common.text import cut
from aura_ros.rqt import export
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.page import Page
from aura_ros.rqt.painting import Painting
from aura_ros.rqt.qt import Qt, QtCore, QtGui, QtWidgets
from aura_ros.rqt.source import PointSource
from aura_ros.rqt.style import DARK, LIGHT, Theme
from aura_ros.rqt.views.panel import tint

# The bridge takes messages each 100 ms. Together, a write is visible within 200 ms.
TICK_MS = 90
WINDOW_S = 120.0
# How long a status text stays at the bottom [s].
_STATUS_S = 8.0
_STATUS_LENGTH = 60
_PLAIN = Qt.KeyboardModifier.NoModifier


class Monitor(Page):
    """The page with its data and actions; docs/monitor.md describes it."""

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
        super().__init__(window_s, source.allow_control, source.domain_id, source.unlock)
        self.model, self.source = model, source
        self._status_until_s = 0.0
        self._pointed_s: float | None = None
        self._connect()
        self.painting = Painting(self, model, window_s)
        self._kinds: set[type] = set()
        self.apply_theme(DARK if dark else LIGHT)
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.tick)
        self._timer.start(TICK_MS)

    def _connect(self) -> None:
        self.scrubber.paused.connect(self.pause)
        self.scrubber.moved.connect(self.look_at)
        for view in (self.gate, self.writes, self.state.items):
            view.chosen.connect(self.look_at)
        self.window_choice.chosen.connect(self.show_window)
        self.robots.chosen.connect(self._choose_robot)
        self.policies.requested.connect(self._request_policy)
        self.on_button('PNG', self._ask_png)
        self.on_button('CSV', self._ask_csv)
        self.on_button('◐', self._switch_theme)
        self.crosshair.pointed.connect(self._point_at)
        self._keys: dict[int, Callable[[], None]] = {
            Qt.Key.Key_Space: self.scrubber.pause.toggle,
            Qt.Key.Key_L: self.scrubber.go_live,
            Qt.Key.Key_Left: lambda: self._move(-1),
            Qt.Key.Key_Right: lambda: self._move(1),
            Qt.Key.Key_P: lambda: self._move(-1, writes=True),
            Qt.Key.Key_N: lambda: self._move(1, writes=True),
            Qt.Key.Key_Home: lambda: self.look_at(self.model.span[0]),
            Qt.Key.Key_End: lambda: self.look_at(None),
            Qt.Key.Key_Return: self._press,
            Qt.Key.Key_Enter: self._press,
        }

    def keyPressEvent(self, event: QtGui.QKeyEvent | None) -> None:
        """Act on a key that the focused widget does not use; so Space presses a focused button, else it pauses."""
        if event is None:
            return
        if event.key() == Qt.Key.Key_S and event.modifiers() == Qt.KeyboardModifier.ControlModifier:
            self._ask_png()
        elif event.key() in self._keys and event.modifiers() in (_PLAIN, Qt.KeyboardModifier.KeypadModifier):
            self._keys[event.key()]()
        else:
            super().keyPressEvent(event)

    def _press(self) -> None:
        focused = self.focusWidget()
        if isinstance(focused, QtWidgets.QAbstractButton):
            focused.click()

    def _move(self, direction: int, writes: bool = False) -> None:
        """Show the step, or the write or event of the memory, before or after the moment of the page."""
        stamp_s = self.model.moment(time.monotonic()).stamp_s
        self.look_at(self.model.beside(stamp_s, direction, writes))

    def _point_at(self, stamp_s: float | None) -> None:
        self._pointed_s = stamp_s
        self._show_reading()

    def _show_reading(self) -> None:
        pointed, model = self._pointed_s, self.model
        self.crosshair.show_time(pointed)
        stamp_s = model.cursor if pointed is None else pointed
        found = None if stamp_s is None else model.reading(stamp_s)
        self.readout.show_reading(stamp_s, found, '' if stamp_s is None else model.policies().at(stamp_s))

    @property
    def window_s(self) -> float:
        """Time that the curves show [s]."""
        return self.painting.window_s

    def tick(self) -> None:
        """Add the received points to the model and paint what is due."""
        now_s = time.monotonic()
        points = self.source.drain()
        jumps = self.model.jumps
        for point in points:
            self.model.ingest(point, now_s)
        if self.model.jumps != jumps:
            self.painting.schedule.repaint()
        self._kinds |= {type(point) for point in points}
        if self.isVisible():
            self.painting.run(self._kinds, now_s)
            self._kinds = set()
            self._refresh(now_s)

    def _refresh(self, now_s: float) -> None:
        self.robots.show_robots(self.source.robots(), self.source.namespace)
        self._show_reading()
        if self._status_until_s < now_s:
            self.status.setText('')

    def stop(self) -> None:
        """Stop the timer, before the source is closed."""
        self._timer.stop()

    # Actions. -------------------------------------------------------------------------------------
    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        super().apply_theme(theme)
        self.painting.schedule.repaint()

    def _switch_theme(self) -> None:
        self.apply_theme(LIGHT if self.theme.dark else DARK)

    def pause(self, paused: bool) -> None:
        """Pause or resume the page."""
        self.model.paused = paused
        self.scrubber.pause.setChecked(paused)
        self.scrubber.pause.setText('Resume' if paused else 'Pause')
        self.painting.schedule.repaint()

    def look_at(self, stamp_s: float | None) -> None:
        """Show a past moment [s, ROS clock]; None for the present."""
        self.model.cursor = stamp_s
        self.painting.schedule.repaint()

    def show_window(self, window_s: float) -> None:
        """Set the time that the curves show [s]."""
        self.painting.show_window(window_s)

    def _choose_robot(self, namespace: str) -> None:
        self.source.select_robot(namespace)
        self.model = self.painting.model = MonitorModel(self.model.history_s, self.model.rate_hz)
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

    def _ask(self, what: str, name: str, kinds: str, save: Callable[[Path], Path]) -> None:
        chosen, _ = QtWidgets.QFileDialog.getSaveFileName(self, f'Save {what}', name, kinds)
        if chosen:
            try:
                saved = save(Path(chosen))
            except OSError as error:
                self.show_status(str(error), fault=True)
            else:
                self.show_status(f'saved {saved}')

    def save_png(self, path: Path) -> Path:
        """Save a picture of the page, with all views at one moment, and return its file.

        Args:
            path: the file; a name without an ending gets `.png`.

        Raises:
            OSError: the file cannot be written.
        """
        path = path if path.suffix else path.with_suffix('.png')
        self.painting.schedule.repaint()
        self.painting.run(set(), time.monotonic())
        if not self.grab().save(str(path), 'PNG'):
            raise OSError(f'cannot write {path}')
        return path

    def save_csv(self, path: Path) -> Path:
        """Save the history as tables: `path`, and files beside it for the writes and the changed rows of W.

        Returns:
            The first file; a name without an ending gets `.csv`.

        Raises:
            OSError: a file cannot be written.
        """
        return export.save_csv(self.model, path)[0]
