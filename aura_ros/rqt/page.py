# SPDX-License-Identifier: Apache-2.0
"""The page: all views and where they are. It shows what it is given, and reads neither model nor source."""

from collections.abc import Callable

from aura_ros.rqt.moment import Mode, Moment
from aura_ros.rqt.qt import Qt, QtCore, QtGui, QtWidgets
from aura_ros.rqt.style import LIGHT, Theme, style_sheet
from aura_ros.rqt.views.camera import CameraPanel
from aura_ros.rqt.views.controls import PolicyControl, RobotChoice, Scrubber, WindowChoice
from aura_ros.rqt.views.cost import CostPanel
from aura_ros.rqt.views.crosshair import Crosshair, Readout
from aura_ros.rqt.views.gate import GateTimeline
from aura_ros.rqt.views.header import HeaderStrip
from aura_ros.rqt.views.idle import IdlePage
from aura_ros.rqt.views.latency import LatencyTable
from aura_ros.rqt.views.panel import ViewPanel, label
from aura_ros.rqt.views.raster import WriteRaster
from aura_ros.rqt.views.state import StatePanel
from aura_ros.rqt.views.writes import WriteStrip

_RIGHT_PX, _CAMERA_PX = 372, 190
# Least heights of the plot of the sizes [px].
_PLOT_PX, _PLOT_SHORT_PX = 70, 36
_LEAST_PX = 700, 580
# A page that is less high has smaller pictures [px].
_SHORT_PX = 680
# A narrower page has a narrower right column [px].
_NARROW_PX, _RIGHT_NARROW_PX = 1000, 290


class Page(QtWidgets.QWidget):
    """The views of the monitor and their layout."""

    def __init__(self, window_s: float, allow_control: bool, domain_id: int, unlock: str) -> None:
        """Make the views.

        Args:
            window_s: time that the curves show, one of views.controls.WINDOWS_S [s].
            allow_control: whether the buttons of the policies are enabled.
            domain_id: ROS domain in which robots are searched.
            unlock: command that enables these buttons.
        """
        super().__init__()
        self.setObjectName('monitor')
        self.setWindowTitle('AURA-Mem monitor')
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.header, self.gate, self.raster = HeaderStrip(), GateTimeline(), WriteRaster()
        self.state, self.cost, self.latency, self.writes = StatePanel(), CostPanel(), LatencyTable(), WriteStrip()
        self.camera, self.idle = CameraPanel(), IdlePage(domain_id)
        self.scrubber, self.policies = Scrubber(), PolicyControl(allow_control, unlock)
        self.window_choice, self.robots = WindowChoice(window_s), RobotChoice()
        self.status = label('', 'caption')
        self.crosshair = Crosshair((self.gate, self.raster, self.cost))
        self.readout = Readout()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
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
        self._right = (self.cost, self.state, self.latency)
        page = QtWidgets.QVBoxLayout(self)
        page.setContentsMargins(6, 6, 6, 6)
        page.setSpacing(4)
        # The parts become smaller with the page, so their sizes do not bound it.
        page.setSizeConstraint(QtWidgets.QLayout.SizeConstraint.SetNoConstraint)
        self.setMinimumSize(*_LEAST_PX)
        page.addWidget(self.header)
        self._stack = QtWidgets.QStackedLayout()
        self._stack.addWidget(self.idle)
        self._stack.addWidget(self._views)
        page.addLayout(self._stack, 1)
        page.addWidget(self.readout)
        self._bar = self._make_bar()
        page.addLayout(self._bar)

    def _make_bar(self) -> QtWidgets.QBoxLayout:
        whole, time_bar, bar = QtWidgets.QHBoxLayout(), QtWidgets.QHBoxLayout(), QtWidgets.QHBoxLayout()
        time_bar.addWidget(self.robots)
        time_bar.addWidget(self.scrubber, 1)
        whole.addLayout(time_bar, 1)
        whole.addLayout(bar)
        bar.addStretch(1)
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
        return whole

    def resizeEvent(self, event: QtGui.QResizeEvent | None) -> None:
        """Fit the page into its window: a narrow one has two lines of buttons and no camera, a low one small images."""
        super().resizeEvent(event)
        narrow = self.width() < _NARROW_PX
        for panel in self._right:
            panel.setFixedWidth(_RIGHT_NARROW_PX if narrow else _RIGHT_PX)
        self.camera.setVisible(not narrow)
        self.header.compact = narrow
        short = self.height() < _SHORT_PX
        self.writes.show_small(short)
        self.cost.plot.setMinimumHeight(_PLOT_SHORT_PX if short else _PLOT_PX)
        self._bar.setDirection(
            QtWidgets.QBoxLayout.Direction.TopToBottom if narrow else QtWidgets.QBoxLayout.Direction.LeftToRight
        )

    def on_button(self, text: str, action: Callable[[], None]) -> None:
        """Call `action` at each click on the button with this text."""
        self.buttons[text].clicked.connect(lambda _: action())

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        self.theme = theme
        self.setStyleSheet(style_sheet(theme))
        for panel in self.findChildren(ViewPanel):
            panel.apply_theme(theme)
        self.crosshair.apply_theme(theme)
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
