# SPDX-License-Identifier: Apache-2.0
"""The newest image of the first camera, with its time."""

from aura_ros.rqt.moment import Moment
from aura_ros.rqt.points import CameraPoint, Thumbnail
from aura_ros.rqt.qt import Qt, QtCore, QtWidgets
from aura_ros.rqt.views import units
from aura_ros.rqt.views.images import pixmap
from aura_ros.rqt.views.panel import ViewPanel, label
from aura_ros.rqt.views.words import tip

_TIP = tip('The newest image of the first camera, twice a second, and its time on the ROS clock.')
_LEAST_PX = 90


class CameraPanel(ViewPanel):
    """Shows a `CameraPoint`."""

    def __init__(self) -> None:
        super().__init__('Camera', _TIP)
        self.image = label('', 'caption', _TIP)
        self.image.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.image.setWordWrap(True)
        self.image.setMinimumSize(_LEAST_PX, _LEAST_PX)
        # The picture follows the size of the panel, and never the other way round.
        policy = QtWidgets.QSizePolicy.Policy.Ignored
        self.image.setSizePolicy(policy, policy)
        self.body.addWidget(self.image, 1)
        self._shown: tuple[CameraPoint, QtCore.QSize] | None = None

    def show_camera(self, point: CameraPoint | None, fresh: bool, moment: Moment) -> None:
        """Show an image.

        Args:
            point: newest image, None before the first.
            fresh: whether images arrive.
            moment: moment of the page; the newest image does not belong to a past one.
        """
        self.dim(not fresh or not moment.live)
        if point is None or moment.frozen:
            self._shown = None
            self.image.setText('no image received' if point is None else 'The image of this moment was not kept.')
            self.caption.setText('')
            return
        self.caption.setText(units.clock(point.stamp_s) if fresh else f'last {units.clock(point.stamp_s)}')
        if self._shown != (point, self.image.size()):
            self._shown = point, self.image.size()
            self.image.setPixmap(pixmap(Thumbnail(point.stamp_s, point.rgb), self.image.width(), self.image.height()))
