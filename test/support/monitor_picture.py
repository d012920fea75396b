# SPDX-License-Identifier: Apache-2.0
"""Saves a picture of the monitor with a story. The scale of Qt can only be set before a process starts to draw.

QT_SCALE_FACTOR=3 python test/support/monitor_picture.py PNG
"""

import sys
from pathlib import Path

from monitor_stage import SIZE, FakeSource
from monitor_story import Story

from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.monitor import Monitor
from aura_ros.rqt.qt import application

if __name__ == '__main__':
    running = application()
    source = FakeSource()
    page = Monitor(MonitorModel(), source)
    page.stop()
    page.resize(*SIZE)
    page.show()
    source.points = [timed.point for timed in Story()]
    page.tick()
    running.processEvents()
    page.save_png(Path(sys.argv[1]))
