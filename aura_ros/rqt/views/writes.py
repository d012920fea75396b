# SPDX-License-Identifier: Apache-2.0
"""The last writes, one card each: camera image, time, step, gate score and durability. The newest is on the right."""

from collections.abc import Mapping, Sequence

from aura_ros.rqt.items import image_at
from aura_ros.rqt.memory_log import MemoryEvent
from aura_ros.rqt.points import DURABLE, RAM, Thumbnail, WritePoint, durability_name
from aura_ros.rqt.qt import Qt, QtCore, QtGui, QtWidgets, Signal
from aura_ros.rqt.reasons import Reason
from aura_ros.rqt.style import BODY_PX, Theme
from aura_ros.rqt.views import marks, units
from aura_ros.rqt.views.images import pixmap
from aura_ros.rqt.views.panel import ViewPanel, Window, label, restyle, tint
from aura_ros.rqt.views.words import explain, tip

CARDS = 20
_WIDTH, _HEIGHT, _SMALL = 110, 82, 48
_CARD, _GAP = 120, 5
_TIP = tip(
    'The last writes, the newest on the right: the image of the first camera, the step, the surprise and how many '
    'times the usual one it is, and the durability. The gate decides by more than the surprise. Click to show the '
    'moment.',
    'write',
    'surprise',
    'gate',
    'durable',
)


class Card(QtWidgets.QFrame):
    """One write."""

    clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty('role', 'panel')
        self.setFixedWidth(_CARD)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        rows = QtWidgets.QVBoxLayout(self)
        rows.setContentsMargins(4, 4, 4, 3)
        rows.setSpacing(0)
        self.image = QtWidgets.QLabel()
        self.image.setFixedSize(_WIDTH, _HEIGHT)
        self.image.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.when, self.step = label(role='title'), label(role='caption')
        self.gate, self.durability = label(role='caption'), label(role='caption')
        first = QtWidgets.QHBoxLayout()
        first.addWidget(self.when, 1)
        first.addWidget(self.step)
        rows.addWidget(self.image)
        rows.addLayout(first)
        rows.addWidget(self.gate)
        rows.addWidget(self.durability)
        self.write: WritePoint | None = None
        self.event_shown: MemoryEvent | None = None
        self.picture: QtGui.QPixmap | None = None

    def show_write(
        self, write: WritePoint, reason: Reason, picture: QtGui.QPixmap | None, window: Window, theme: Theme
    ) -> None:
        """Show a write, its time, its reason, and its camera image."""
        self.when.setText(window.when(write.stamp_s))
        self.event_shown = None
        if self.write != write:
            self.write = write
            self.step.setText(f'step {write.seq:,}')
            self.gate.setText(reason.short)
            self.durability.setText('RAM only' if write.durability == RAM else durability_name(write.durability))
            colour = theme.good if write.durability == DURABLE else theme.muted
            tint(self.durability, colour, 'font-size: 11px;')
        if picture is None:
            self.image.setText('no image')
            tint(self.image, theme.muted, f'background: {theme.window}; font-size: {BODY_PX}px;')
        elif picture is not self.picture:
            self.image.setPixmap(picture)
            tint(self.image, theme.muted)
        self.picture = picture

    def show_event(self, event: MemoryEvent, window: Window, theme: Theme) -> None:
        """Show an event of the memory in place of a write."""
        self.write = self.picture = None
        self.event_shown = event
        self.when.setText(window.when(event.stamp_s))
        for shown, text in ((self.step, ''), (self.gate, ''), (self.durability, 'no write')):
            shown.setText(text)
        tint(self.durability, theme.muted, 'font-size: 11px;')
        self.image.setText(marks.NAMES[event.kind].upper().replace(' ', '\n'))
        tint(self.image, theme.panel, f'background: {marks.colour(event.kind, theme)}; font-weight: 600;')

    def reset(self) -> None:
        """Repaint at the next `show_write`, even if it shows the same write."""
        self.write = self.picture = None

    def choose(self, chosen: bool) -> None:
        """Draw a frame around the card if its moment is shown."""
        restyle(self, 'chosen', chosen)

    def event(self, event: QtCore.QEvent | None) -> bool:
        """Make the hover text when it is needed."""
        if event is not None and event.type() == QtCore.QEvent.Type.ToolTip:
            if self.write is not None:
                self.setToolTip(f'{describe(self.write)}\n\n{explain("surprise", "durable")}')
            elif self.event_shown is not None:
                shown = self.event_shown
                self.setToolTip(f'{marks.NAMES[shown.kind]} at {units.moment(shown.stamp_s)}\n{shown.reason}')
        return bool(super().event(event))

    def keyPressEvent(self, event: QtGui.QKeyEvent | None) -> None:
        """Emit `clicked` for Return and Space; the page handles other keys."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.clicked.emit()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, _: QtGui.QMouseEvent | None) -> None:
        """Emit `clicked`."""
        self.clicked.emit()


class WriteStrip(ViewPanel):
    """Shows the last writes as cards, which are made once and hidden while empty."""

    chosen = Signal(float)
    """Time of the write that was clicked [s, ROS clock]."""

    def __init__(self) -> None:
        super().__init__('The last writes', _TIP)
        inner = QtWidgets.QWidget()
        inner.setObjectName('cards')
        row = QtWidgets.QHBoxLayout(inner)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(_GAP)
        self._nothing = label('no write yet', 'caption')
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
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll_bar = QtWidgets.QScrollBar(Qt.Orientation.Horizontal)
        self._area.setHorizontalScrollBar(self._scroll_bar)
        self._scroll_bar.rangeChanged.connect(self._follow)
        self.body.addWidget(self._area, 1)
        self._pictures: dict[Thumbnail, QtGui.QPixmap] = {}
        self._image_px = _HEIGHT

    def minimumSizeHint(self) -> QtCore.QSize:
        """Return room for a whole card."""
        return QtCore.QSize(200, self._image_px + 92)

    def show_small(self, small: bool) -> None:
        """Use small images, for a page that is not high."""
        height = _SMALL if small else _HEIGHT
        if height != self._image_px:
            self._image_px, self._pictures = height, {}
            for card in self.cards:
                card.image.setFixedHeight(height)
                card.reset()
            self.updateGeometry()

    def apply_theme(self, theme: Theme) -> None:
        """Use the colours of `theme`."""
        super().apply_theme(theme)
        for card in self.cards:
            card.reset()

    def show_writes(
        self,
        writes: Mapping[WritePoint, Reason],
        thumbnails: Sequence[Thumbnail],
        window: Window,
        events: Sequence[MemoryEvent] = (),
    ) -> None:
        """Show writes, and the events of the memory between them, oldest first.

        Args:
            writes: writes up to the moment that is shown, oldest first, with their reasons.
            thumbnails: camera images of some of them.
            window: window of the curves; with a cursor, the last card is the selected one.
            events: when the memory was lost, reset or restored.
        """
        until = [event for event in events if event.stamp_s <= window.shown_s]
        # A reset comes before the write of the same step.
        entries: list[WritePoint | MemoryEvent] = [*until, *writes]
        shown = sorted(entries, key=lambda entry: entry.stamp_s)[-CARDS:]
        assert self.theme is not None
        self._pictures = {made: self._pictures.get(made) or pixmap(made, _WIDTH, self._image_px) for made in thumbnails}
        self._nothing.setVisible(not shown)
        for place, card in enumerate(self.cards):
            card.setVisible(place < len(shown))
            if place < len(shown):
                self._show(card, shown[place], writes, thumbnails, window)
                card.choose(window.cursor_s is not None and place == len(shown) - 1)
        self.caption.setText('' if not writes else summary(*list(writes.items())[-1]))

    def _show(
        self,
        card: Card,
        entry: WritePoint | MemoryEvent,
        writes: Mapping[WritePoint, Reason],
        thumbnails: Sequence[Thumbnail],
        window: Window,
    ) -> None:
        theme = self.theme
        assert theme is not None
        if isinstance(entry, MemoryEvent):
            card.show_event(entry, window, theme)
            return
        thumbnail = image_at(entry.stamp_s, thumbnails)
        picture = None if thumbnail is None else self._pictures[thumbnail]
        card.show_write(entry, writes[entry], picture, window, theme)

    def _follow(self, _: int, highest: int) -> None:
        self._scroll_bar.setValue(highest)

    def _on_click(self, card: Card) -> None:
        shown = card.write or card.event_shown
        if shown is not None:
            self.chosen.emit(shown.stamp_s)


def summary(write: WritePoint, reason: Reason) -> str:
    """Return one line about a write."""
    return f'write {write.writes:,} at step {write.seq:,}: {reason}; change of an action {write.action_change:.3f} rad'


def describe(write: WritePoint) -> str:
    """Return all values of a write, with units."""
    return (
        f'write {write.writes:,} since the last reset, at step {write.seq:,}\n'
        f'observation at {units.moment(write.stamp_s)}\n'
        f'gate score {write.gate:.3f}, threshold {write.threshold:.2f}\n'
        f'surprise {write.surprise:.3f}\n'
        f'change of the state {write.delta_norm:.3f} (Frobenius norm)\n'
        f'change of an action up to {write.action_change:.4f} rad or m\n'
        f'{units.size(write.bytes_written)} of state changed, {units.size(write.device_bytes)} written to storage\n'
        f'durability: {durability_name(write.durability)}; CRC-32 of the state {write.crc:08x}'
    )
