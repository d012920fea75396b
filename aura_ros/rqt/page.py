# SPDX-License-Identifier: Apache-2.0
"""The page: all views and where they are. It shows what it is given, and reads neither model nor source."""

from collections.abc import Callable

from aura_ros.rqt.moment import Mode, Moment
from aura_ros.rqt.qt import Qt, QtCore, QtWidgets
from aura_ros.rqt.style import LIGHT, Theme, style_sheet
from aura_ros.rqt.views.camera import CameraPanel
from aura_ros.rqt.views.controls import PolicyControl, RobotChoice, Scrubber, WindowChoice
from aura_ros.rqt.views.cost import CostPanel
from aura_ros.rqt.views.gate import GateTimeline
from aura_ros.rqt.views.header import HeaderStrip
from aura_ros.rqt.views.idle import IdlePage
from aura_ros.rqt.views.latency import LatencyTable
from aura_ros.rqt.views.panel import ViewPanel, label
from aura_ros.rqt.views.raster import WriteRaster
from aura_ros.rqt.views.state import StatePanel
from aura_ros.rqt.views.writes import WriteStrip

_RIGHT_PX, _CAMERA_PX = 372, 190


class Page(QtWidgets.QWidget):
    """The views of the monitor and their layout."""

    def __init__(self, window_s: float, allow_control: bool, domain_id: int) -> None:
        """Make the views.

        Args:
            window_s: time that the curves show, one of views.controls.WINDOWS_S [s].
            allow_control: whether the buttons of the policies are enabled.
            domain_id: ROS domain in which robots are searched.
        """
        super().__init__()
        self.setObjectName('monitor')
        self.setWindowTitle('AURA-Mem monitor')
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.header, self.gate, self.raster = HeaderStrip(), GateTimeline(), WriteRaster()
        self.state, self.cost, self.latency, self.writes = StatePanel(), CostPanel(), LatencyTable(), WriteStrip()
        self.camera, self.idle = CameraPanel(), IdlePage(domain_id)
        self.scrubber, self.policies = Scrubber(), PolicyControl(allow_control)
        self.window_choice, self.robots = WindowChoice(window_s), RobotChoice()
        self.status = label('', 'caption')
        self.buttons: dict[str, QtWidgets.QPushButton] = {}
        self.theme = LIGHT
        self._moment = Moment(Mode.EMPTY, 0.0)
        self._lay_out()

    def sizeHint(self) -> QtCore.QSize:
        """Return a size at which all texts are readable."""
        return QtCore.QSize(1280, 720)

    def _lay_out(self) -> None:
        self._views = QtWidgets.QWidget()
        grid = QtWidgets.QGridLayout(self._views)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(5)
        bottom = QtWidgets.QWidget()
        seen = QtWidgets.QHBoxLayout(bottom)
        seen.setContentsMargins(0, 0, 0, 0)
        seen.setSpacing(5)
        seen.addWidget(self.writes, 1)
        seen.addWidget(self.camera)
        self.camera.setFixedWidth(_CAMERA_PX)
        rows: tuple[tuple[QtWidgets.QWidget, QtWidgets.QWidget, int], ...] = (
            (self.gate, self.cost, 20),
            (self.raster, self.state, 24),
            (bottom, self.latency, 0),
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
        self._stack = QtWidgets.QStackedLayout()
        self._stack.addWidget(self.idle)
        self._stack.addWidget(self._views)
        page.addLayout(self._stack, 1)
        page.addLayout(self._bar())

    def _bar(self) -> QtWidgets.QHBoxLayout:
        bar = QtWidgets.QHBoxLayout()
        bar.addWidget(self.robots)
        bar.addWidget(self.scrubber, 1)
        bar.addWidget(self.status)
        bar.addWidget(self.window_choice)
        for text, tip in (
            ('PNG', 'Save a picture of this page. Key: Ctrl+S'),
            ('CSV', 'Save the history as tables: steps, writes and changed rows of W.'),
            ('◐', 'Switch between light and dark colours.'),
        ):
            button = self.buttons[text] = QtWidgets.QPushButton(text)
            button.setToolTip(tip)
            bar.addWidget(button)
        bar.addWidget(self.policies)
        return bar

    def on_button(self, text: str, action: Callable[[], None]) -> None:
        """Call `action` at each click on the button with this text."""
        self.buttons[text].clicked.connect(lambda _: action())

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        self.theme = theme
        self.setStyleSheet(style_sheet(theme))
        for panel in self.findChildren(ViewPanel):
            panel.apply_theme(theme)
        self.dim(self._moment)

    def show_idle(self, idle: bool) -> None:
        """Show what to type next in place of the views, until the first message arrives."""
        self._stack.setCurrentWidget(self.idle if idle else self._views)

    def dim(self, moment: Moment) -> None:
        """Give a grey ground to the panels that do not show the present, or that do not show the moment of the page."""
        self._moment = moment
        self.header.dim(moment.frozen)
        for panel in (self.gate, self.raster, self.cost, self.latency, self.writes, self.state.map, self.state.items):
            panel.dim(moment.mode is Mode.QUIET)
