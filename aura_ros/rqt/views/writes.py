# SPDX-License-Identifier: Apache-2.0
"""The last writes, one card each: what the camera saw, when, why, and how safe it is. The newest is on the right."""

from collections.abc import Sequence

import numpy as np

from aura_ros.rqt.points import DURABILITIES, DURABLE, RAM, Thumbnail, WritePoint
from aura_ros.rqt.qt import Qt, QtCore, QtGui, QtWidgets, Signal
from aura_ros.rqt.style import BODY_PX, Theme
from aura_ros.rqt.views import words
from aura_ros.rqt.views.panel import Panel, Window, label, tint

CARDS = 20
_WIDTH, _HEIGHT = 110, 82
_CARD, _GAP = 120, 5
# A thumbnail belongs to the write of the same observation; a camera that is not the first may be a little off [s].
_NEAR_S = 0.25
_TIP = (
    'The last writes, the newest on the right: what the first camera saw, the step, the gate score over its\n'
    'threshold, and how safe the write is. Click to look at that moment.'
)


class Card(QtWidgets.QFrame):
    """One write.

    Signals:
        clicked: without arguments.
    """

    clicked = Signal()

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__()
        self.setProperty('role', 'panel')
        self.setFixedWidth(_CARD)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        rows = QtWidgets.QVBoxLayout(self)
        rows.setContentsMargins(4, 4, 4, 3)
        rows.setSpacing(0)
        self.image = QtWidgets.QLabel()
        self.image.setFixedSize(_WIDTH, _HEIGHT)
        self.image.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.when, self.step = label(role='title'), label(role='caption')
        self.why, self.safe = label(role='caption'), label(role='caption')
        first = QtWidgets.QHBoxLayout()
        first.addWidget(self.when, 1)
        first.addWidget(self.step)
        rows.addWidget(self.image)
        rows.addLayout(first)
        rows.addWidget(self.why)
        rows.addWidget(self.safe)
        self.write: WritePoint | None = None
        self.picture: QtGui.QPixmap | None = None

    def show_write(self, write: WritePoint, picture: QtGui.QPixmap | None, end_s: float, theme: Theme) -> None:
        """Show a write, how long before `end_s` it was [s, ROS clock], and what the camera saw."""
        self.when.setText(words.ago(end_s - write.stamp_s))
        if self.write != write:
            self.write = write
            self.step.setText(f'step {write.seq:,}')
            self.why.setText(f'gate {write.gate:.2f} > {write.threshold:.2f}')
            safe = write.durability == DURABLE
            self.safe.setText('on the medium' if safe else 'in RAM only' if write.durability == RAM else 'queued')
            tint(self.safe, theme.good if safe else theme.muted, 'font-size: 11px;')
        if picture is None:
            self.image.setText('no image')
            tint(self.image, theme.muted, f'background: {theme.window}; font-size: {BODY_PX}px;')
        elif picture is not self.picture:
            self.image.setPixmap(picture)
        self.picture = picture

    def forget(self) -> None:
        """Show the next write even if it is the same, for colours have changed."""
        self.write = self.picture = None

    def choose(self, chosen: bool) -> None:
        """Frame it as the one that is looked at."""
        if self.property('chosen') != chosen:
            self.setProperty('chosen', chosen)
            self.style().unpolish(self)
            self.style().polish(self)

    def event(self, event: QtCore.QEvent) -> bool:
        """Say all about the write once somebody asks: most cards pass unread."""
        if event.type() == QtCore.QEvent.Type.ToolTip and self.write is not None:
            self.setToolTip(describe(self.write))
        return bool(super().event(event))

    def mousePressEvent(self, _: QtGui.QMouseEvent) -> None:
        """Tell that it was clicked."""
        self.clicked.emit()


class WriteStrip(Panel):
    """Shows the last writes as cards.

    Signals:
        chosen: time of the write that was clicked [s, ROS clock].
    """

    chosen = Signal(float)

    def __init__(self) -> None:
        """Make the cards once: they are filled and hidden as needed."""
        super().__init__('The last writes', _TIP)
        inner = QtWidgets.QWidget()
        inner.setObjectName('cards')
        row = QtWidgets.QHBoxLayout(inner)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(_GAP)
        self._nothing = label('nothing written yet', 'caption')
        row.addWidget(self._nothing)
        self.cards = [Card() for _ in range(CARDS)]
        for card in self.cards:
            card.hide()
            card.clicked.connect(lambda card=card: self._on_click(card))
            row.addWidget(card)
        row.addStretch(1)
        self._area = QtWidgets.QScrollArea()
        self._area.setWidget(inner)
        self._area.setWidgetResizable(True)
        self._area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.horizontalScrollBar().rangeChanged.connect(self._follow)
        self.body.addWidget(self._area, 1)
        self._pictures: dict[Thumbnail, QtGui.QPixmap] = {}

    def minimumSizeHint(self) -> QtCore.QSize:
        """Room for a whole card."""
        return QtCore.QSize(200, _HEIGHT + 92)

    def paint_in(self, theme: Theme) -> None:
        """Take on other colours."""
        super().paint_in(theme)
        for card in self.cards:
            card.forget()

    def show_writes(self, writes: Sequence[WritePoint], thumbnails: Sequence[Thumbnail], window: Window) -> None:
        """Show writes, oldest first.

        Args:
            writes: those up to the moment that is looked at.
            thumbnails: what the camera saw, as far as it is known.
            window: the time axis above; with a cursor, the last write is the one that is looked at.
        """
        shown = writes[-CARDS:]
        assert self.theme is not None
        self._pictures = {made: self._pictures.get(made) or _pixmap(made) for made in thumbnails}
        self._nothing.setVisible(not shown)
        for place, card in enumerate(self.cards):
            card.setVisible(place < len(shown))
            if place < len(shown):
                thumbnail = _thumbnail_of(shown[place], thumbnails)
                picture = None if thumbnail is None else self._pictures[thumbnail]
                card.show_write(shown[place], picture, window.end_s, self.theme)
                card.choose(window.cursor_s is not None and place == len(shown) - 1)
        self.caption.setText('' if not shown else summary(shown[-1]))

    def _follow(self, _: int, highest: int) -> None:
        self._area.horizontalScrollBar().setValue(highest)

    def _on_click(self, card: Card) -> None:
        if card.write is not None:
            self.chosen.emit(card.write.stamp_s)


def summary(write: WritePoint) -> str:
    """Say what the last write was, in a line."""
    return (
        f'write {write.writes:,} at step {write.seq:,}: surprise {write.surprise:.2f}, '
        f'W moved by {write.delta_norm:.2f}, an action by {write.action_change:.3f} rad'
    )


def describe(write: WritePoint) -> str:
    """Say all there is about a write, with units."""
    return (
        f'write {write.writes:,} since the last reset, at step {write.seq:,}\n'
        f'observation of {words.moment(write.stamp_s)}\n'
        f'gate score {write.gate:.3f} over the threshold {write.threshold:.2f}\n'
        f'surprise |v - W k| {write.surprise:.3f}\n'
        f'the state moved by {write.delta_norm:.3f} (Frobenius norm)\n'
        f'an action moves by up to {write.action_change:.4f} rad or m\n'
        f'{words.size(write.bytes_written)} of state rewritten, {words.size(write.device_bytes)} to the medium so far\n'
        f'kept: {DURABILITIES[write.durability]}; CRC-32 {write.crc:08x}'
    )


def _thumbnail_of(write: WritePoint, thumbnails: Sequence[Thumbnail]) -> Thumbnail | None:
    nearest = min(thumbnails, key=lambda thumbnail: abs(thumbnail.stamp_s - write.stamp_s), default=None)
    return nearest if nearest is not None and abs(nearest.stamp_s - write.stamp_s) <= _NEAR_S else None


def _pixmap(thumbnail: Thumbnail) -> QtGui.QPixmap:
    rgb = np.ascontiguousarray(thumbnail.rgb)
    height, width, _ = rgb.shape
    image = QtGui.QImage(rgb.data, width, height, 3 * width, QtGui.QImage.Format.Format_RGB888)
    return QtGui.QPixmap.fromImage(image).scaled(
        _WIDTH, _HEIGHT, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
