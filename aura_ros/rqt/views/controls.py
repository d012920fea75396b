# SPDX-License-Identifier: Apache-2.0
"""The bar at the bottom: pause and scrub, how much time to show, save; and which policy drives, if that is allowed."""

from collections.abc import Sequence

from aura_ros.rqt.points import POLICIES
from aura_ros.rqt.qt import Qt, QtWidgets, Signal
from aura_ros.rqt.robots import label as name_of
from aura_ros.rqt.style import Theme
from aura_ros.rqt.views import words
from aura_ros.rqt.views.panel import label, tint

WINDOWS_S = (30.0, 120.0, 600.0)
_STEPS = 1000
_POLICY_NAMES = ('base', 'AURA', 'KV')
_LOCKED = 'Look, do not touch: start the monitor with allow_control:=true to change who drives.'


class Scrubber(QtWidgets.QWidget):
    """Pause, a slider over what is remembered, and the time it stands at.

    Signals:
        paused: whether series shall stay as they are.
        moved: to a time on the ROS clock [s]; None for the newest.
    """

    paused = Signal(bool)
    moved = Signal(object)

    def __init__(self) -> None:
        """Begin live."""
        super().__init__()
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.pause = QtWidgets.QPushButton('Pause')
        self.pause.setCheckable(True)
        self.pause.setToolTip('Keep the picture as it is; what happens meanwhile is still recorded. Key: space')
        self.slider = QtWidgets.QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setValue(_STEPS)
        self.slider.setToolTip('Look at a moment of the last 10 minutes; at the right end: now.')
        self.live = QtWidgets.QPushButton('Live')
        self.live.setToolTip('Back to now. Key: L')
        self.moment = label('', 'body', 'The moment that is shown, on the ROS clock.')
        self.moment.setMinimumWidth(170)
        for widget, stretch in ((self.pause, 0), (self.live, 0), (self.slider, 1), (self.moment, 0)):
            row.addWidget(widget, stretch)
        self.pause.toggled.connect(self.paused)
        self.live.clicked.connect(self._go_live)
        self.slider.valueChanged.connect(self._on_slider)
        self._span = (0.0, 0.0)

    def _go_live(self) -> None:
        self.pause.setChecked(False)
        self.moved.emit(None)

    def _on_slider(self, value: int) -> None:
        begin, end = self._span
        self.moved.emit(None if value >= _STEPS else begin + (end - begin) * value / _STEPS)

    def show_span(self, span: tuple[float, float], cursor: float | None, theme: Theme) -> None:
        """Show what is remembered and where one looks; times on the ROS clock [s]."""
        self._span = begin, end = span
        place = _STEPS
        if cursor is not None and end > begin:
            place = min(_STEPS - 1, max(0, round((cursor - begin) / (end - begin) * _STEPS)))
        if not self.slider.isSliderDown():
            blocked = self.slider.blockSignals(True)
            self.slider.setValue(place)
            self.slider.blockSignals(blocked)
        live = cursor is None and not self.pause.isChecked()
        self.live.setEnabled(not live)
        ago = f'{words.duration(end - cursor)} before' if cursor is not None else 'paused' if not live else 'live'
        self.moment.setText(f'{ago} · {words.moment(end if cursor is None else cursor)}' if end else ago)
        tint(self.moment, theme.muted if live else theme.alarm)


class PolicyControl(QtWidgets.QWidget):
    """Which policy drives; three buttons that do nothing unless it is allowed.

    Signals:
        asked: the policy that shall drive, ActionChunk.POLICY_*.
    """

    asked = Signal(int)

    def __init__(self, allowed: bool) -> None:
        """Begin with no policy known."""
        super().__init__()
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(label('A/B' if allowed else 'A/B (locked)', 'caption', '' if allowed else _LOCKED))
        self.buttons = []
        for policy, name in enumerate(_POLICY_NAMES):
            button = QtWidgets.QPushButton(name)
            button.setCheckable(True)
            button.setEnabled(allowed)
            button.setToolTip(f'Let {name} drive from the next chunk boundary.' if allowed else _LOCKED)
            button.clicked.connect(lambda _, policy=policy: self.asked.emit(policy))
            row.addWidget(button)
            self.buttons.append(button)

    def show_policy(self, policy: str) -> None:
        """Mark the policy that drives: what the switch says, not what was asked for."""
        for name, button in zip(POLICIES, self.buttons, strict=True):
            button.setChecked(name == policy)


class WindowChoice(QtWidgets.QComboBox):
    """How much time the curves show.

    Signals:
        chosen: time [s].
    """

    chosen = Signal(float)

    def __init__(self, window_s: float) -> None:
        """Begin with `window_s`."""
        super().__init__()
        for seconds in WINDOWS_S:
            self.addItem(f'{seconds:.0f} s' if seconds < 120 else f'{seconds / 60:.0f} min', seconds)
        self.setToolTip('How much time the curves show.')
        self.setCurrentIndex(WINDOWS_S.index(window_s))
        self.currentIndexChanged.connect(lambda place: self.chosen.emit(WINDOWS_S[place]))


class RobotChoice(QtWidgets.QComboBox):
    """Which robot is looked at, by namespace; hidden while there is only one.

    Signals:
        chosen: its namespace, '' or '/name'.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.setToolTip('The robot that is looked at, by its namespace.')
        self.hide()
        self.activated.connect(lambda _: self.chosen.emit(self.currentData()))

    def show_robots(self, robots: Sequence[str], chosen: str | None) -> None:
        """Offer these robots, by namespace; `chosen` is the one that is looked at."""
        if [self.itemData(place) for place in range(self.count())] != list(robots):
            self.clear()
            for namespace in robots:
                self.addItem(name_of(namespace), namespace)
        if chosen in robots and self.currentData() != chosen:
            self.setCurrentIndex(robots.index(chosen))
        self.setVisible(len(robots) > 1)
