# SPDX-License-Identifier: Apache-2.0
"""aura monitor: the live monitor as a window of its own, where there is no rqt.

./run monitor --dark
ros2 run aura_ros monitor --namespace /left --ros-args -p use_sim_time:=true
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aura_ros.common.errors import ConfigError
from aura_ros.common.program import FAILED, program
from aura_ros.rqt.bridge import CAMERA, OwnBridge
from aura_ros.rqt.model import MonitorModel

if TYPE_CHECKING:
    from aura_ros.rqt.monitor import Monitor

_AFTER_S = 30.0


def parse(args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what comes from `--ros-args` on is ROS's."""
    parser = argparse.ArgumentParser(
        prog='aura monitor',
        description='What the memory wrote, when, why, and what it cost: live.',
        epilog='--ros-args ... at the end: as for every ROS node',
    )
    parser.add_argument('--namespace', help='robot to begin with, such as /left; default: the first that is found')
    parser.add_argument('--camera', default=CAMERA, help='camera of the thumbnails (%(default)s); empty: none')
    parser.add_argument('--allow-control', action='store_true', help='let the buttons change which policy drives')
    parser.add_argument('--dark', action='store_true', help='colours for a dark room')
    parser.add_argument('--save', type=Path, metavar='PNG', help='save a picture after --after seconds, and end')
    parser.add_argument('--after', type=float, metavar='S', help=f'see --save ({_AFTER_S:g} s)')
    given = list(args)
    place = given.index('--ros-args') if '--ros-args' in given else len(given)
    options = parser.parse_args(given[:place])
    if options.save is None and options.after is not None:
        parser.error('--after says when to --save: give both')
    options.after = _AFTER_S if options.after is None else options.after
    return options, given[place:]


def _save(monitor: Monitor, path: Path) -> int:
    """Save a picture of the present view and return the exit code."""
    monitor.tick()
    if monitor.model.span == (0.0, 0.0):
        _report(f'{path} was not saved: no step was received; is the graph running with the same ROS_DOMAIN_ID?')
        return FAILED
    try:
        monitor.save_png(path)
    except OSError as error:
        _report(str(error))
        return FAILED
    print(f'saved {path}')
    return 0


def _report(text: str) -> None:
    print(f'aura monitor: {text}', file=sys.stderr)


def _draw_without_display() -> None:
    """Let Qt draw in memory where there is no display: it would abort the process."""
    if sys.platform.startswith('linux') and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        os.environ.setdefault('QT_QPA_PLATFORM', 'offscreen')


def _show(options: argparse.Namespace, ros_args: list[str]) -> int:
    # Qt last: a machine without it can still read --help
    from aura_ros.rqt.monitor import Monitor
    from aura_ros.rqt.qt import QtCore, application

    if options.save is not None:
        _draw_without_display()
    app = application()
    try:
        bridge = OwnBridge(ros_args, options.namespace, camera=options.camera, allow_control=options.allow_control)
    except RuntimeError as error:  # rclpy has no narrower public one
        text = str(error).partition(', at ')[0].replace('\n', ' ')
        raise ConfigError(f'cannot join the ROS graph, see --ros-args: {text}') from error
    try:
        monitor = Monitor(MonitorModel(), bridge, dark=options.dark)
        monitor.resize(monitor.sizeHint())
        monitor.show()
        # Python sees a signal when Qt next calls it, which the monitor's timer makes soon.
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: app.quit())
        if options.save is not None:
            QtCore.QTimer.singleShot(round(options.after * 1000), lambda: app.exit(_save(monitor, options.save)))
        status = app.exec() if hasattr(app, 'exec') else app.exec_()
        monitor.stop()
        return int(status)
    finally:
        bridge.close()


@program('aura monitor')
def main(args: Sequence[str] | None = None) -> int:
    """Show the monitor until its window is closed and return the exit code."""
    options, ros_args = parse(sys.argv[1:] if args is None else args)
    return _show(options, ros_args)
