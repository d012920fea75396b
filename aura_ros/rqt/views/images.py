# SPDX-License-Identifier: Apache-2.0
"""Camera images as pictures of Qt."""

from aura_ros.rqt.points import Thumbnail
from aura_ros.rqt.qt import Qt, QtGui


def pixmap(thumbnail: Thumbnail, width: int, height: int) -> QtGui.QPixmap:
    """Return a camera image, scaled to fit into `width` and `height` [px]."""
    rows, columns, _ = thumbnail.rgb.shape
    image = QtGui.QImage(thumbnail.rgb.tobytes(), columns, rows, 3 * columns, QtGui.QImage.Format.Format_RGB888)
    return QtGui.QPixmap.fromImage(image).scaled(
        width, height, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
