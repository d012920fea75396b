# SPDX-License-Identifier: Apache-2.0
"""aura monitor: the live monitor as a window of its own, without rqt.

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

from aura_ros.common.arguments import make_parser, number_in
from aura_ros.common.errors import ConfigError
from aura_ros.common.program import FAILED, program
from aura_ros.rqt.bridge import CAMERA, OwnBridge
from aura_ros.rqt.model import MonitorModel

if TYPE_CHECKING:
    from aura_ros.rqt.monitor import Monitor

_EPILOG = """\
examples:
  aura monitor --dark                     beside a running graph
  aura monitor --namespace /left          one of several robots
  aura monitor --save now.png --after 10  a picture, without a screen

ROS arguments follow at the end, after --ros-args.
"""
_SAVE_AFTER_S = 30.0
_SCALES = 0.5, 4.0
# From the end of the window to that of the process, at most.
_END_S = 5.0


def _check(options: argparse.Namespace) -> None:
    if options.save is None and options.after is not None:
        raise ConfigError('--after needs --save: it is the time until the picture is saved')


def parse(args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options, and the arguments from `--ros-args` on."""
    parser = make_parser(
        'aura monitor', 'Shows live what the memory writes, when, why, and what it costs.', _EPILOG, _check
    )
    parser.add_argument(
        '--namespace', metavar='NS', help='namespace of the robot, such as /left (default: the first robot found)'
    )
    parser.add_argument(
        '--camera',
        default=CAMERA,
        metavar='TOPIC',
        help="topic of the camera images at the writes (default: %(default)s; '' for none)",
    )
    parser.add_argument('--allow-control', action='store_true', help='enable the buttons that change the policy')
    parser.add_argument('--dark', action='store_true', help='start with dark colours')
    parser.add_argument(
        '--scale',
        type=number_in(*_SCALES),
        metavar='F',
        help=f'size of texts and marks, {_SCALES[0]:g} to {_SCALES[1]:g} (default: that of the desktop)',
    )
    parser.add_argument(
        '--save', type=Path, metavar='PNG', help='save a picture after --after seconds, then exit (default: stay open)'
    )
    parser.add_argument(
        '--after',
        type=number_in(0.1, 86400),
        metavar='S',
        help=f'time until --save saves the picture [s] (default: {_SAVE_AFTER_S:g})',
    )
    given = list(args)
    place = given.index('--ros-args') if '--ros-args' in given else len(given)
    options = parser.parse_args(given[:place])
    options.after = _SAVE_AFTER_S if options.after is None else options.after
    return options, given[place:]


def _save(monitor: Monitor, path: Path) -> int:
    """Save a picture and return the exit code."""
    monitor.tick()
    if monitor.model.span == (0.0, 0.0):
        _print_error(
            f'{path} was not saved, because no step was received. Is the graph running, with the same ROS_DOMAIN_ID?'
        )
        return FAILED
    try:
        monitor.save_png(path)
    except OSError as error:
        _print_error(str(error))
        return FAILED
    print(f'saved {path}')
    return 0


def _print_error(text: str) -> None:
    print(f'aura monitor: {text}', file=sys.stderr)


def _draw_without_display() -> None:
    """Make Qt draw in memory if there is no display; Qt would abort the process otherwise."""
    if sys.platform.startswith('linux') and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        os.environ.setdefault('QT_QPA_PLATFORM', 'offscreen')


def _end_by(seconds: float) -> None:
    """Make the kernel end the process (SIGALRM) after some time, also if a thread blocks with Python's lock held."""
    if hasattr(signal, 'setitimer'):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _show(options: argparse.Namespace, ros_args: list[str]) -> int:
    # Imported here so that --help works without Qt.
    from aura_ros.rqt.monitor import Monitor
    from aura_ros.rqt.qt import QtCore, application

    if options.scale is not None:
        os.environ['QT_SCALE_FACTOR'] = f'{options.scale:g}'
    if options.save is not None:
        _draw_without_display()
    app = application()
    try:
        bridge = OwnBridge(ros_args, options.namespace, options.camera, options.allow_control)
    except RuntimeError as error:  # rclpy has no more specific public error
        text = str(error).partition(', at ')[0].replace('\n', ' ')
        raise ConfigError(f'cannot join the ROS graph; check the arguments after --ros-args: {text}') from error
    try:
        monitor = Monitor(MonitorModel(), bridge, dark=options.dark)
        monitor.resize(monitor.sizeHint())
        monitor.show()
        # Python handles a signal when Qt calls Python again, which the timer of the monitor does.
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: app.quit())
        if options.save is not None:
            QtCore.QTimer.singleShot(round(options.after * 1000), lambda: app.exit(_save(monitor, options.save)))
        status = int(app.exec())
        monitor.stop()
        monitor.close()
    finally:
        _end_by(_END_S)
        closed = bridge.close()
    if not closed:
        _print_error('the middleware did not close in time; the process ends without it')
        sys.stdout.flush()
        os._exit(status)  # a normal end would wait for the middleware again
    return status


@program('aura monitor')
def main(args: Sequence[str] | None = None) -> int:
    """Show the monitor until its window is closed and return the exit code."""
    options, ros_args = parse(sys.argv[1:] if args is None else args)
    return _show(options, ros_args)
