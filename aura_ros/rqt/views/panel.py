# SPDX-License-Identifier: Apache-2.0
"""Parts of all views: a frame with a title, labels, and plots of the same look."""

import html
from collections.abc import Callable
from dataclasses import dataclass

from aura_ros.common.text import cut, printable, printable_lines
from aura_ros.rqt.qt import Qt, QtCore, QtGui, QtWidgets, Signal, pyqtgraph
from aura_ros.rqt.style import AXIS_PX, SMALL_PX, Theme
from aura_ros.rqt.views import units

# Room for the last label of a time axis [px].
_RIGHT_PX = 16
_TIP_LENGTH = 4000


@dataclass(frozen=True)
class Window:
    """The time that the curves show."""

    end_s: float
    """Right end [s, ROS clock]."""
    length_s: float
    """Length [s]."""
    cursor_s: float | None = None
    """Moment that was selected [s, ROS clock]; None for the end of the window."""
    live: bool = True
    """Whether the end is the present, so that times may be relative to it."""

    @property
    def shown_s(self) -> float:
        """Moment that the panels show [s, ROS clock]."""
        return self.end_s if self.cursor_s is None else self.cursor_s

    def when(self, stamp_s: float) -> str:
        """Return a time in short form: before the present on a live page, else on the ROS clock."""
        return units.ago(self.end_s - stamp_s) if self.live else units.clock(stamp_s)

    def since(self, stamp_s: float) -> str:
        """Return a time as a sentence part: '11 s ago' on a live page, else 'at 14:15:13.5 UTC'."""
        if self.live:
            return f'{units.duration(max(0.0, self.end_s - stamp_s))} ago'
        return f'at {units.moment(stamp_s)}'


def markup(text: str) -> str:
    """Return a text as markup that shows it literally: escaped, and without control characters."""
    return html.escape(printable(text))


def hover(text: str) -> str:
    """Return a hover text that Qt shows literally; Qt would take a text with tags for markup."""
    shown = printable_lines(cut(text, _TIP_LENGTH))
    return f'<qt>{html.escape(shown).replace(chr(10), "<br>")}</qt>' if '<' in shown or '&' in shown else shown


class TextLabel(QtWidgets.QLabel):
    """A label that shows any text literally and never as markup, because names and reasons come from the graph."""

    def setText(self, text: str | None) -> None:
        """Show a text, cut and without control characters."""
        super().setText(printable(text or ''))

    def setToolTip(self, text: str | None) -> None:
        """Set a hover text, see `hover`."""
        super().setToolTip(hover(text or ''))


def label(text: str = '', role: str = 'body', tip: str = '') -> QtWidgets.QLabel:
    """Return a label with plain text; `role` is 'title', 'caption', 'large' or 'body', see style_sheet."""
    made = TextLabel()
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setText(text)
    made.setProperty('role', role)
    made.setToolTip(tip)
    return made


class ElidedLabel(TextLabel):
    """A label that ends in an ellipsis when its text does not fit. It never widens the window."""

    def __init__(self, role: str, tip: str = '') -> None:
        """Make an empty label; `role` as of `label`."""
        super().__init__()
        self.setProperty('role', role)
        self.setToolTip(tip)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)

    def paintEvent(self, _: QtGui.QPaintEvent | None) -> None:
        """Draw the part of the text that fits."""
        painter = QtGui.QPainter(self)
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), int(self.alignment()), text)
        painter.end()


def tint(widget: QtWidgets.QWidget, colour: str, rest: str = '') -> None:
    """Set the colour of a label, if it has another one."""
    sheet = f'color: {colour}; {rest}'
    if widget.styleSheet() != sheet:
        widget.setStyleSheet(sheet)


def restyle(widget: QtWidgets.QWidget, name: str, value: object) -> None:
    """Set a property that the style sheet uses, if it has another value."""
    style = widget.style()
    if widget.property(name) != value and style is not None:
        widget.setProperty(name, value)
        style.unpolish(widget)
        style.polish(widget)


class ViewPanel(QtWidgets.QFrame):
    """A frame with a title on the left and a caption on the right; views add their content below."""

    def __init__(self, title: str, tip: str) -> None:
        """Make a frame with an empty body; `tip` is the hover text of title and caption."""
        super().__init__()
        self.setProperty('role', 'panel')
        self.theme: Theme | None = None
        self.title, self.caption = label(title, 'title', tip), ElidedLabel('caption', tip)
        self.caption.setAlignment(Qt.Alignment() | Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.top = QtWidgets.QHBoxLayout()
        self.top.addWidget(self.title)
        self.top.addWidget(self.caption, 1)
        self.body = QtWidgets.QVBoxLayout(self)
        self.body.setContentsMargins(8, 4, 8, 4)
        self.body.setSpacing(2)
        self.body.addLayout(self.top)

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`; views with colours of their own extend this."""
        self.theme = theme

    def dim(self, dimmed: bool) -> None:
        """Show by a grey ground that the content is not of the present."""
        restyle(self, 'dimmed', dimmed)
        theme = self.theme
        if theme is not None:
            for plot in self.findChildren(Plot):
                plot.setBackground(theme.window if dimmed else theme.panel)


class Plot(pyqtgraph.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """A plot without panning and menu, with axes of a fixed width, and with a text at the mouse pointer."""

    pointed = Signal(object)
    """Place of the mouse pointer on the x axis; None when it left the plot."""

    def __init__(self, left: bool = True, bottom: bool = True) -> None:
        """Make an empty plot with the given axes."""
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setMouseTracking(True)
        item = self.getPlotItem()
        item.setMenuEnabled(False)
        item.hideButtons()
        item.setMouseEnabled(x=False, y=False)
        item.getViewBox().setDefaultPadding(0.0)
        item.setContentsMargins(0, 2, _RIGHT_PX, 0)
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
        self._read: Callable[[float, float], str] = lambda x, y: ''

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        self.setBackground(theme.panel)
        for name in ('left', 'bottom'):
            axis = self.getPlotItem().getAxis(name)
            axis.setPen(theme.line)
            axis.setTextPen(theme.muted)

    def read_with(self, read: Callable[[float, float], str]) -> None:
        """Show `read(x, y)` at the mouse pointer, or nothing where it returns ''."""
        self._read = read

    def _position(self, event: QtGui.QMouseEvent) -> tuple[float, float] | None:
        """Return the mouse position in the coordinates of the plot; None outside."""
        box = self.getPlotItem().getViewBox()
        scene = self.mapToScene(event.pos())
        if not box.sceneBoundingRect().contains(scene):
            return None
        point = box.mapSceneToView(scene)
        return point.x(), point.y()

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        """Show the text of the position."""
        position = self._position(event)
        text = '' if position is None else self._read(*position)
        self.pointed.emit(None if position is None else position[0])
        QtWidgets.QToolTip.showText(self.mapToGlobal(event.pos()), text, self)
        super().mouseMoveEvent(event)

    def leaveEvent(self, event: QtCore.QEvent) -> None:
        """Report that the pointer left."""
        self.pointed.emit(None)
        super().leaveEvent(event)
