# SPDX-License-Identifier: Apache-2.0
"""The state panel of a content-addressed memory: one line for each item that W holds, the newest write first."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from aura_ros.memory.content_addressed import ROWS
from aura_ros.rqt.items import Item
from aura_ros.rqt.points import Thumbnail
from aura_ros.rqt.qt import Qt, QtCore, QtGui, QtWidgets, Signal
from aura_ros.rqt.style import BODY_PX, SMALL_PX, Theme, diverging
from aura_ros.rqt.views import units
from aura_ros.rqt.views.images import pixmap
from aura_ros.rqt.views.item_text import COLUMNS, PANEL, describe, ordinal, when, which_step
from aura_ros.rqt.views.panel import ViewPanel, Window, hover

# Heights [px].
LINE_PX, _HEAD, _STRIP = 27, 16, 14
_IMAGE = 32, 24
# Left edges of the columns [px].
_PLACE_X, _WRITTEN_X, STRENGTH_X, VALUE_X = 40, 94, 180, 248
# Sizes in the columns of strengths and values [px].
_BAR, _CELL, _VALUE_HEIGHT = 54, 6, 13
_WIDTH = VALUE_X + 16 * _CELL + 1
_COLUMNS = {0: 'seen', _PLACE_X: 'place', _WRITTEN_X: 'last write', STRENGTH_X: 'strength', VALUE_X: 'value'}
_PLACE_GAP = 2


class ItemPanel(ViewPanel):
    """Shows `Item`s, newest write first."""

    chosen = Signal(float)
    """Time of the last write of the item that was clicked [s, ROS clock]."""

    def __init__(self) -> None:
        super().__init__('What it holds', PANEL)
        self.places, self.lines = PlaceStrip(), ItemLines()
        self._head = ColumnHead()
        self._area = QtWidgets.QScrollArea()
        self._area.setWidget(self.lines)
        self._area.setWidgetResizable(True)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.lines.chosen.connect(self.chosen)
        self.body.addWidget(self.places)
        self.body.addWidget(self._head)
        self.body.addWidget(self._area, 1)

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        super().apply_theme(theme)
        for part in (self.places, self._head, self.lines):
            part.apply_theme(theme)

    def show_items(self, items: Sequence[Item], window: Window, emptied: str = '') -> None:
        """Show items, newest write first, and the times of their last writes; `emptied` is why there are none."""
        fading = sum(item.fading for item in items)
        counts = f'{len(items)} of {ROWS} places hold an item, {ROWS - len(items)} free'
        counts += f', {fading} fading' if fading else ''
        self.caption.setText(f'empty: {emptied}' if emptied else counts)
        self.places.show_items(items, window)
        self.lines.show_items(items, window)


class _Painted(QtWidgets.QWidget):
    """A widget that is painted by hand, in the colours of a theme."""

    def __init__(self, height: int) -> None:
        super().__init__()
        self.setFixedHeight(height)
        self.theme: Theme | None = None
        self.items: Sequence[Item] = ()
        self.times = Window(0.0, 0.0)

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        self.theme = theme
        self.update()

    def show_items(self, items: Sequence[Item], window: Window) -> None:
        """Paint items."""
        self.items, self.times = items, window
        self.update()

    def paintEvent(self, event: QtGui.QPaintEvent | None) -> None:
        """Paint with the theme; nothing before there is one."""
        if self.theme is not None:
            painter = QtGui.QPainter(self)
            self.draw(painter, self.theme, self.rect() if event is None else event.rect())
            painter.end()

    def draw(self, painter: QtGui.QPainter, theme: Theme, area: QtCore.QRect) -> None:
        """Paint the content, at least inside `area`."""
        raise NotImplementedError

    def read(self, place: QtCore.QPoint) -> str:
        """Return the hover text of a point."""
        raise NotImplementedError

    def event(self, event: QtCore.QEvent | None) -> bool:
        """Make the hover text when it is needed."""
        if isinstance(event, QtGui.QHelpEvent) and event.type() == QtCore.QEvent.Type.ToolTip:
            self.setToolTip(hover(self.read(event.pos())))
        return bool(super().event(event))


class PlaceStrip(_Painted):
    """A square for each row of W."""

    def __init__(self) -> None:
        super().__init__(_STRIP)

    def _side(self) -> int:
        return self.width() // ROWS

    def draw(self, painter: QtGui.QPainter, theme: Theme, _: QtCore.QRect) -> None:
        """Paint the squares: full for a whole item, paler for a weaker one, and only a border for a free place."""
        strengths = {item.row: item.strength for item in self.items}
        side = self._side()
        for row in range(ROWS):
            box = QtCore.QRect(row * side, 1, side - _PLACE_GAP, _STRIP - 4)
            colour = QtGui.QColor(theme.aura)
            colour.setAlphaF(min(1.0, strengths.get(row, 0.0) ** 2))
            painter.fillRect(box, colour)
            painter.setPen(QtGui.QColor(theme.aura if row in strengths else theme.line))
            painter.drawRect(box)

    def read(self, place: QtCore.QPoint) -> str:
        """Return what the row under the pointer holds."""
        row = min(ROWS - 1, place.x() // max(1, self._side()))
        found = next((item for item in self.items if item.row == row), None)
        return f'row {row} is free' if found is None else describe(found, self.times)


class ColumnHead(_Painted):
    """The names of the columns."""

    def __init__(self) -> None:
        super().__init__(_HEAD)

    def draw(self, painter: QtGui.QPainter, theme: Theme, _: QtCore.QRect) -> None:
        """Paint the names, and the scale of the values."""
        painter.setFont(_font(SMALL_PX))
        painter.setPen(QtGui.QColor(theme.muted))
        for left, name in _COLUMNS.items():
            painter.drawText(left, _HEAD - 4, name)
        end = VALUE_X + 16 * _CELL
        painter.drawText(VALUE_X + 34, _HEAD - 4, f'{units.MINUS}1')
        painter.drawText(end - 13, _HEAD - 4, '+1')
        _draw_values(painter, theme, np.linspace(-1.0, 1.0, 7), QtCore.QRect(VALUE_X + 53, 4, end - VALUE_X - 70, 8))

    def read(self, place: QtCore.QPoint) -> str:
        """Return what the column under the pointer shows."""
        left = max((left for left in _COLUMNS if left <= place.x()), default=0)
        return COLUMNS[_COLUMNS[left]]


class ItemLines(_Painted):
    """One line for each item."""

    chosen = Signal(float)

    def __init__(self) -> None:
        super().__init__(LINE_PX)
        self.setObjectName('items')
        self.setMinimumWidth(_WIDTH)
        self._pictures: dict[Thumbnail, QtGui.QPixmap] = {}

    def show_items(self, items: Sequence[Item], window: Window) -> None:
        """Show items, newest write first."""
        images = [item.image for item in items if item.image is not None]
        self._pictures = {image: self._pictures.get(image) or pixmap(image, *_IMAGE) for image in images}
        self.setFixedHeight(max(LINE_PX, LINE_PX * len(items)))
        super().show_items(items, window)

    def draw(self, painter: QtGui.QPainter, theme: Theme, area: QtCore.QRect) -> None:
        """Paint the lines inside `area`, because most of them are usually scrolled out of view."""
        if not self.items:
            painter.setFont(_font(SMALL_PX))
            painter.setPen(QtGui.QColor(theme.muted))
            painter.drawText(0, LINE_PX - 10, 'every place is free')
        for line, item in enumerate(self.items):
            if not area.intersects(QtCore.QRect(0, line * LINE_PX, self.width(), LINE_PX)):
                continue
            painter.save()
            painter.translate(0, line * LINE_PX)
            self._draw_image(painter, theme, item)
            _draw_texts(painter, theme, item, self.times)
            _draw_strength(painter, theme, item)
            box = QtCore.QRect(VALUE_X, 6, 16 * _CELL, _VALUE_HEIGHT)
            _draw_values(painter, theme, item.value, box)
            painter.restore()

    def _draw_image(self, painter: QtGui.QPainter, theme: Theme, item: Item) -> None:
        if item.image is not None:
            painter.drawPixmap(0, 1, self._pictures[item.image])
            return
        painter.fillRect(QtCore.QRect(0, 1, *_IMAGE), QtGui.QColor(theme.window))
        painter.setFont(_font(SMALL_PX))
        painter.setPen(QtGui.QColor(theme.muted))
        painter.drawText(QtCore.QRect(0, 1, *_IMAGE), int(Qt.AlignmentFlag.AlignCenter), units.NOTHING)

    def _item_at(self, place: QtCore.QPoint) -> Item | None:
        line = place.y() // LINE_PX
        return self.items[line] if 0 <= line < len(self.items) else None

    def read(self, place: QtCore.QPoint) -> str:
        """Return all about the item under the pointer."""
        item = self._item_at(place)
        return '' if item is None else describe(item, self.times)

    def mousePressEvent(self, event: QtGui.QMouseEvent | None) -> None:
        """Emit `chosen` for an item whose write has a known time."""
        item = None if event is None else self._item_at(event.pos())
        if item is not None and np.isfinite(item.write.stamp_s):
            self.chosen.emit(item.write.stamp_s)


def _font(size_px: int, bold: bool = False) -> QtGui.QFont:
    font = QtGui.QFont()
    font.setPixelSize(size_px)
    font.setBold(bold)
    return font


def _draw_texts(painter: QtGui.QPainter, theme: Theme, item: Item, window: Window) -> None:
    painter.setPen(QtGui.QColor(theme.muted if item.fading else theme.text))
    painter.setFont(_font(BODY_PX, bold=True))
    painter.drawText(_PLACE_X, 12, f'row {item.row}')
    painter.drawText(_WRITTEN_X, 12, when(item, window))
    painter.setPen(QtGui.QColor(theme.muted))
    painter.setFont(_font(SMALL_PX))
    painter.drawText(_PLACE_X, 24, ordinal(item.rank))
    painter.drawText(_WRITTEN_X, 24, which_step(item))
    painter.drawText(STRENGTH_X, 24, f'{item.strength:.2f}{" fading" if item.fading else ""}')


def _draw_strength(painter: QtGui.QPainter, theme: Theme, item: Item) -> None:
    box = QtCore.QRect(STRENGTH_X, 5, _BAR, 7)
    painter.fillRect(box, QtGui.QColor(theme.window))
    box.setWidth(round(_BAR * min(1.0, item.strength)))
    painter.fillRect(box, QtGui.QColor(theme.muted if item.fading else theme.aura))


@cache
def _colours(theme: Theme) -> list[QtGui.QColor]:
    """Return the colours of the values from -1 to 1."""
    return [QtGui.QColor(*colour) for colour in diverging(theme).tolist()]


def _draw_values(painter: QtGui.QPainter, theme: Theme, values: NDArray[np.floating], box: QtCore.QRect) -> None:
    """Paint numbers of -1..1 as a strip of colours, from left to right."""
    colours = _colours(theme)
    places = (np.rint(np.clip(values, -1.0, 1.0) * 127) + 127).astype(int)
    width = box.width() / len(values)
    for place, colour in enumerate(places.tolist()):
        painter.fillRect(QtCore.QRectF(box.x() + place * width, box.y(), width, box.height()), colours[colour])
    painter.setPen(QtGui.QColor(theme.line))
    painter.drawRect(box)
