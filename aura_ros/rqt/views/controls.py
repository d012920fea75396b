# SPDX-License-Identifier: Apache-2.0
"""The bar at the bottom: pause, slider, time window, robot and policy."""

from collections.abc import Sequence

from aura_ros.common.names import POLICIES
from aura_ros.rqt.moment import Mode, Moment
from aura_ros.rqt.qt import Qt, QtWidgets, Signal
from aura_ros.rqt.robots import label as robot_label
from aura_ros.rqt.style import Theme
from aura_ros.rqt.views import units
from aura_ros.rqt.views.panel import label, tint
from aura_ros.rqt.views.slider import JumpSlider
from aura_ros.rqt.views.words import tip

WINDOWS_S = (30.0, 120.0, 600.0)
_SLIDER_STEPS = 1000
_POLICY_LABELS = ('base', 'AURA', 'KV')
_MODES = {
    Mode.EMPTY: 'no step yet',
    Mode.LIVE: 'live',
    Mode.QUIET: 'last step',
    Mode.PAUSED: 'paused at',
    Mode.PAST: 'shows',
}
_LOCKED = 'The monitor is read-only. To change the policy, start it with: {}'


class Scrubber(QtWidgets.QWidget):
    """Pause, a slider over the history, and the moment that is shown."""

    paused = Signal(bool)
    """Whether the page is paused."""
    moved = Signal(object)
    """Moment to show [s, ROS clock]; None for the present."""

    def __init__(self) -> None:
        super().__init__()
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.pause = QtWidgets.QPushButton('Pause')
        self.pause.setCheckable(True)
        self.pause.setToolTip('Freeze the page. The monitor continues to record. Key: Space')
        self.slider = JumpSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _SLIDER_STEPS)
        self.slider.setValue(_SLIDER_STEPS)
        self.slider.setToolTip(
            'Show a moment of the last 10 minutes. Keys: Left and Right for a step, P and N for a write, Home and End.'
        )
        self.live = QtWidgets.QPushButton('Live')
        self.live.setToolTip('Return to the present. Key: L')
        self.moment = label('', 'body', 'Moment that is shown, on the ROS clock.')
        self.moment.setMinimumWidth(170)
        row.addWidget(self.pause)
        row.addWidget(self.live)
        row.addWidget(self.slider, 1)
        row.addWidget(self.moment)
        self.pause.toggled.connect(self.paused)
        self.live.clicked.connect(self.go_live)
        self.slider.valueChanged.connect(self._on_slider)
        self._span = (0.0, 0.0)

    def go_live(self) -> None:
        """Return to the present."""
        self.pause.setChecked(False)
        self.moved.emit(None)

    def _on_slider(self, value: int) -> None:
        begin, end = self._span
        self.moved.emit(None if value >= _SLIDER_STEPS else begin + (end - begin) * value / _SLIDER_STEPS)

    def show_span(self, span: tuple[float, float], moment: Moment, theme: Theme) -> None:
        """Show the span of the history [s, ROS clock] and the moment of the page."""
        self._span = begin, end = span
        place = _SLIDER_STEPS
        if moment.mode is Mode.PAST and end > begin:
            share = (moment.stamp_s - begin) / (end - begin)
            place = min(_SLIDER_STEPS - 1, max(0, round(share * _SLIDER_STEPS)))
        if not self.slider.isSliderDown():
            blocked = self.slider.blockSignals(True)
            self.slider.setValue(place)
            self.slider.blockSignals(blocked)
        self.live.setEnabled(moment.frozen)
        when = units.moment(moment.stamp_s) if end else ''
        self.moment.setText(f'{_MODES[moment.mode]} {when}'.strip())
        tint(self.moment, theme.muted if moment.live or not end else theme.alarm)


class PolicyControl(QtWidgets.QWidget):
    """Three buttons that request a policy, if that is allowed."""

    requested = Signal(int)
    """Number of the requested policy, ActionChunk.POLICY_*."""

    def __init__(self, allowed: bool, unlock: str) -> None:
        """Make the buttons; they are disabled unless `allowed`, and name the command `unlock` that enables them."""
        super().__init__()
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        locked = _LOCKED.format(unlock)
        about = 'Policy that drives the robot.' if allowed else locked
        row.addWidget(label('Policy' if allowed else 'Policy (locked)', 'caption', tip(about, 'policy')))
        self.buttons = []
        for policy, name in enumerate(_POLICY_LABELS):
            button = QtWidgets.QPushButton(name)
            button.setCheckable(True)
            button.setEnabled(allowed)
            about = f'Let {name} drive from the next chunk boundary.'
            button.setToolTip(tip(about, 'policy', 'chunk') if allowed else locked)
            button.clicked.connect(lambda _, policy=policy: self.requested.emit(policy))
            row.addWidget(button)
            self.buttons.append(button)

    def show_policy(self, policy: str) -> None:
        """Mark the policy that drives, which may differ from the requested one."""
        for name, button in zip(POLICIES, self.buttons, strict=True):
            button.setChecked(name == policy)


class WindowChoice(QtWidgets.QComboBox):
    """How much time the curves show."""

    chosen = Signal(float)
    """Time [s]."""

    def __init__(self, window_s: float) -> None:
        """Select `window_s`, one of WINDOWS_S."""
        super().__init__()
        for seconds in WINDOWS_S:
            self.addItem(f'{seconds:.0f} s' if seconds < 120 else f'{seconds / 60:.0f} min', seconds)
        self.setToolTip('How much time the curves show.')
        self.setCurrentIndex(WINDOWS_S.index(window_s))
        self.currentIndexChanged.connect(lambda place: self.chosen.emit(WINDOWS_S[place]))


class RobotChoice(QtWidgets.QComboBox):
    """Which robot is shown; hidden while there is only one."""

    chosen = Signal(str)
    """Namespace of the robot, '' or '/name'."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip('The robot that is shown, by its namespace.')
        self.hide()
        self.activated.connect(lambda _: self.chosen.emit(self.currentData()))

    def show_robots(self, robots: Sequence[str], chosen: str | None) -> None:
        """Offer the namespaces `robots`; `chosen` is the robot that is shown."""
        if [self.itemData(place) for place in range(self.count())] != list(robots):
            self.clear()
            for namespace in robots:
                self.addItem(robot_label(namespace), namespace)
        if chosen in robots and self.currentData() != chosen:
            self.setCurrentIndex(robots.index(chosen))
        self.setVisible(len(robots) > 1)
