# SPDX-License-Identifier: Apache-2.0
"""What the views are made of: a frame with a title, and plots that look alike."""

from collections.abc import Callable
from dataclasses import dataclass

from aura_ros.rqt.qt import Qt, QtGui, QtWidgets, pyqtgraph
from aura_ros.rqt.style import AXIS_PX, SMALL_PX, Theme


@dataclass(frozen=True)
class Window:
    """The time that curves show, on the ROS clock.

    end_s: where they end [s].
    length_s: how much time there is before [s].
    cursor_s: the moment that is looked at; None for now [s].
    """

    end_s: float
    length_s: float
    cursor_s: float | None = None


def label(text: str = '', role: str = 'body', tip: str = '') -> QtWidgets.QLabel:
    """Return a label in plain text; `role` is 'title', 'caption', 'large' or 'body', see style_sheet."""
    made = QtWidgets.QLabel(text)
    made.setProperty('role', role)
    made.setToolTip(tip)
    made.setTextFormat(Qt.TextFormat.PlainText)
    return made


class Elided(QtWidgets.QLabel):
    """A label that ends in an ellipsis where there is no room for all of it, and never widens the window."""

    def __init__(self, role: str, tip: str = '') -> None:
        """Begin empty; `role` as of `label`."""
        super().__init__()
        self.setProperty('role', role)
        self.setToolTip(tip)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)

    def paintEvent(self, _: QtGui.QPaintEvent) -> None:
        """Draw as much as there is room for."""
        painter = QtGui.QPainter(self)
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), int(self.alignment()), text)
        painter.end()


def tint(widget: QtWidgets.QWidget, colour: str, rest: str = '') -> None:
    """Give a label a colour of its own, if it has not got it."""
    sheet = f'color: {colour}; {rest}'
    if widget.styleSheet() != sheet:
        widget.setStyleSheet(sheet)


# Room for the last label of a time axis [px].
RIGHT_PX = 16


class Panel(QtWidgets.QFrame):
    """A frame with a title on the left and a caption on the right; views put their content below."""

    def __init__(self, title: str, tip: str) -> None:
        """Begin with an empty body."""
        super().__init__()
        self.setProperty('role', 'panel')
        self.theme: Theme | None = None
        self.title, self.caption = label(title, 'title', tip), Elided('caption', tip)
        self.caption.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.top = QtWidgets.QHBoxLayout()
        self.top.addWidget(self.title)
        self.top.addWidget(self.caption, 1)
        self.body = QtWidgets.QVBoxLayout(self)
        self.body.setContentsMargins(8, 4, 8, 4)
        self.body.setSpacing(2)
        self.body.addLayout(self.top)

    def paint_in(self, theme: Theme) -> None:
        """Take on other colours; a view that has colours of its own extends this."""
        self.theme = theme


class Plot(pyqtgraph.PlotWidget):
    """A plot that stays where it is: no panning, no menu, axes of a fixed width, and a text under the mouse."""

    def __init__(self, left: bool = True, bottom: bool = True) -> None:
        """Show the axes that are asked for."""
        super().__init__()
        item = self.getPlotItem()
        item.setMenuEnabled(False)
        item.hideButtons()
        item.setMouseEnabled(x=False, y=False)
        item.getViewBox().setDefaultPadding(0.0)
        item.setContentsMargins(0, 2, RIGHT_PX, 0)
        font = QtGui.QFont()
        font.setPixelSize(SMALL_PX)
        for name, wanted in (('left', left), ('bottom', bottom)):
            item.showAxis(name, wanted)
            axis = item.getAxis(name)
            axis.setStyle(tickFont=font, tickLength=-4, tickTextOffset=4, hideOverlappingLabels=False)
        item.getAxis('left').setWidth(AXIS_PX if left else 0)
        item.getAxis('bottom').setHeight(18 if bottom else 0)
        self.setMinimumSize(40, 30)
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self._read: Callable[[float, float], str] | None = None

    def paint_in(self, theme: Theme) -> None:
        """Take on other colours."""
        self.setBackground(theme.panel)
        for name in ('left', 'bottom'):
            axis = self.getPlotItem().getAxis(name)
            axis.setPen(theme.line)
            axis.setTextPen(theme.muted)

    def read_with(self, read: Callable[[float, float], str]) -> None:
        """Show what `read(x, y)` says of the place under the mouse; nothing where it says ''."""
        self._read = read
        self.setMouseTracking(True)

    def place(self, event: QtGui.QMouseEvent) -> tuple[float, float] | None:
        """Return where in the plot's coordinates the mouse is; None outside."""
        box = self.getPlotItem().getViewBox()
        scene = self.mapToScene(event.pos())
        if not box.sceneBoundingRect().contains(scene):
            return None
        point = box.mapSceneToView(scene)
        return point.x(), point.y()

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        """Show the text of the place."""
        place = self.place(event) if self._read is not None else None
        text = self._read(*place) if place is not None else ''
        QtWidgets.QToolTip.showText(self.mapToGlobal(event.pos()), text, self)
        super().mouseMoveEvent(event)
