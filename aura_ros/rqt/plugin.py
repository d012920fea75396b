# SPDX-License-Identifier: Apache-2.0
"""The monitor as an rqt plugin on the node of rqt. plugin.xml names this class."""

import argparse
from typing import Protocol

from rclpy.node import Node
from rqt_gui_py.plugin import Plugin

from aura_ros.rqt.bridge import CAMERA, SpunBridge
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.monitor import WINDOW_S, Monitor
from aura_ros.rqt.qt import QtGui, QtWidgets
from aura_ros.rqt.style import DARK, LIGHT
from aura_ros.rqt.views.controls import WINDOWS_S


class _Context(Protocol):
    """The part of qt_gui's PluginContext that the plugin uses."""

    node: Node

    def argv(self) -> list[str]: ...
    def serial_number(self) -> int: ...
    def add_widget(self, widget: QtWidgets.QWidget) -> None: ...


class _Settings(Protocol):
    """The part of qt_gui's Settings that the plugin uses; values are text."""

    def set_value(self, key: str, value: str) -> None: ...
    def value(self, key: str, default: object = None) -> object: ...


class AuraMonitor(Plugin):  # type: ignore[misc]  # rqt has no types
    """The plugin. rqt calls it in the GUI thread, and spins the node in another thread."""

    def __init__(self, context: _Context) -> None:
        """Use rqt's node; `context.argv()` may hold `--allow-control`, `--namespace NS` and `--camera TOPIC`."""
        super().__init__(context)
        self.setObjectName('AuraMonitor')
        options = _parse(context.argv())
        self._bridge = SpunBridge(context.node, options.namespace, options.camera, options.allow_control)
        self._monitor = Monitor(MonitorModel(), self._bridge, dark=_is_dark())
        number = context.serial_number()
        if number > 1:
            self._monitor.setWindowTitle(f'{self._monitor.windowTitle()} ({number})')
        context.add_widget(self._monitor)

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the options to `rqt --help`; rqt passes them on with --args."""
        _add_arguments(parser.add_argument_group('options of the AURA-Mem monitor'))

    def shutdown_plugin(self) -> None:
        """Destroy the subscriptions before rqt destroys the node."""
        self._monitor.stop()
        self._bridge.close()

    def save_settings(self, plugin_settings: _Settings, instance_settings: _Settings) -> None:
        """Store colours, window and robot in the perspective."""
        instance_settings.set_value('dark', str(self._monitor.theme.dark).lower())
        instance_settings.set_value('window_s', str(self._monitor.window_s))
        instance_settings.set_value('namespace', self._bridge.namespace or '')

    def restore_settings(self, plugin_settings: _Settings, instance_settings: _Settings) -> None:
        """Restore colours, window and robot; ignore values that this version cannot read."""
        dark = instance_settings.value('dark')
        if dark in ('true', 'false'):
            self._monitor.apply_theme(DARK if dark == 'true' else LIGHT)
        try:
            window_s = float(str(instance_settings.value('window_s', WINDOW_S)))
        except ValueError:
            window_s = WINDOW_S
        if window_s in WINDOWS_S:
            self._monitor.window_choice.setCurrentIndex(WINDOWS_S.index(window_s))
        namespace = instance_settings.value('namespace')
        if namespace:
            self._bridge.select_robot(str(namespace))


def _add_arguments(group: argparse._ActionsContainer) -> None:
    group.add_argument('--allow-control', action='store_true', help='enable the buttons that change the policy')
    group.add_argument('--namespace', help='namespace of the robot (default: the first robot found)')
    group.add_argument('--camera', default=CAMERA, help="topic of the camera images at the writes; '' for none")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='aura_monitor', add_help=False)
    _add_arguments(parser)
    return parser.parse_known_args(argv)[0]


def _is_dark() -> bool:
    """Return whether the desktop uses dark colours; the monitor starts with the same."""
    return QtWidgets.QApplication.palette().color(QtGui.QPalette.ColorRole.Window).lightness() < 128
