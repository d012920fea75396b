# SPDX-License-Identifier: Apache-2.0
"""A slider that jumps to the place that is clicked, and leaves the arrow keys to the page."""

from aura_ros.rqt.qt import Qt, QtGui, QtWidgets

# Width of the handle in the style sheet [px].
_HANDLE_PX = 10
_OF_THE_PAGE = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End)


class JumpSlider(QtWidgets.QSlider):
    """A horizontal slider."""

    def mousePressEvent(self, event: QtGui.QMouseEvent | None) -> None:
        """Move the handle below the pointer, then let it be dragged."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            room = self.width() - _HANDLE_PX
            place = event.pos().x() - _HANDLE_PX // 2
            span = self.minimum(), self.maximum()
            self.setSliderPosition(QtWidgets.QStyle.sliderValueFromPosition(*span, place, room))
        super().mousePressEvent(event)

    def keyPressEvent(self, event: QtGui.QKeyEvent | None) -> None:
        """Pass the keys on that mean the same on the whole page."""
        if event is not None and event.key() in _OF_THE_PAGE:
            event.ignore()
        else:
            super().keyPressEvent(event)
