# SPDX-License-Identifier: Apache-2.0
"""monitor: the live monitor as a window of its own, where there is no rqt.

./run monitor --dark
ros2 run aura_ros monitor --namespace /left --ros-args -p use_sim_time:=true
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from aura_ros.errors import AuraError
from aura_ros.rqt.bridge import CAMERA, OwnBridge
from aura_ros.rqt.model import MonitorModel


def parse(args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what comes from `--ros-args` on is ROS's."""
    parser = argparse.ArgumentParser(
        prog='monitor', description='What the memory wrote, when, why, and what it cost: live.',
        epilog='--ros-args ... at the end: as for every ROS node',
    )  # fmt: skip
    parser.add_argument('--namespace', help='robot to begin with, such as /left; default: the first that is found')
    parser.add_argument('--camera', default=CAMERA, help='camera of the thumbnails (%(default)s); empty: none')
    parser.add_argument('--allow-control', action='store_true', help='let the buttons change which arm drives')
    parser.add_argument('--dark', action='store_true', help='colours for a dark room')
    parser.add_argument('--save', type=Path, metavar='PNG', help='save a picture after --after seconds, and end')
    parser.add_argument('--after', type=float, default=30.0, metavar='S', help='see --save (%(default)s s)')
    given = list(args)
    place = given.index('--ros-args') if '--ros-args' in given else len(given)
    return parser.parse_args(given[:place]), given[place:]


def _show(options: argparse.Namespace, ros_args: list[str]) -> int:
    # Qt last: a machine without it can still read --help
    from aura_ros.rqt.monitor import Monitor
    from aura_ros.rqt.qt import QtCore, application

    app = application()
    bridge = OwnBridge(ros_args, options.namespace, camera=options.camera, allow_control=options.allow_control)
    try:
        monitor = Monitor(MonitorModel(), bridge, dark=options.dark)
        monitor.resize(monitor.sizeHint())
        monitor.show()
        # Python sees a signal when Qt next calls it, which the monitor's timer makes soon.
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: app.quit())
        if options.save is not None:

            def save() -> None:
                monitor.save_png(options.save)
                app.quit()

            QtCore.QTimer.singleShot(round(options.after * 1000), save)
        status = app.exec() if hasattr(app, 'exec') else app.exec_()
        monitor.stop()
        return int(status)
    finally:
        bridge.close()


def main(args: Sequence[str] | None = None) -> int:
    """Show the monitor until its window is closed; returns 0, or 1 when it cannot be shown."""
    options, ros_args = parse(sys.argv[1:] if args is None else args)
    try:
        return _show(options, ros_args)
    except (AuraError, OSError) as error:
        Console(stderr=True).print(f'monitor: {error}', style='bold red', markup=False, soft_wrap=True)
        return 1
