# SPDX-License-Identifier: Apache-2.0
"""The monitor as a plugin of rqt: the same widget, on rqt's node. plugin.xml names this class."""

import argparse

from rqt_gui_py.plugin import Plugin

from aura_ros.rqt.bridge import CAMERA, SpunBridge
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.monitor import WINDOW_S, Monitor
from aura_ros.rqt.style import DARK, LIGHT
from aura_ros.rqt.views.controls import WINDOWS_S


class AuraMonitor(Plugin):
    """Lives as long as its dock; rqt calls all of it in the GUI's thread, and spins the node in another."""

    def __init__(self, context: object) -> None:
        """Join rqt's node; `context.argv()` may hold `--allow-control`, `--namespace NS` and `--camera TOPIC`."""
        super().__init__(context)
        self.setObjectName('AuraMonitor')
        options = _parse(context.argv())
        self._bridge = SpunBridge(
            context.node, options.namespace, camera=options.camera, allow_control=options.allow_control
        )
        self._monitor = Monitor(MonitorModel(), self._bridge, dark=_is_dark())
        number = context.serial_number()
        if number > 1:
            self._monitor.setWindowTitle(f'{self._monitor.windowTitle()} ({number})')
        context.add_widget(self._monitor)

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Tell `rqt --help` of the options; rqt hands them on with --args."""
        _arguments(parser.add_argument_group('options of the AURA-Mem monitor'))

    def shutdown_plugin(self) -> None:
        """Destroy the subscriptions before rqt takes the node away."""
        self._monitor.stop()
        self._bridge.close()

    def save_settings(self, plugin_settings: object, instance_settings: object) -> None:
        """Keep what was chosen in the perspective."""
        instance_settings.set_value('dark', str(self._monitor.theme.dark).lower())
        instance_settings.set_value('window_s', str(self._monitor.window_s))
        instance_settings.set_value('namespace', self._bridge.namespace or '')

    def restore_settings(self, plugin_settings: object, instance_settings: object) -> None:
        """Take up what was chosen; what another version wrote is left alone."""
        dark = instance_settings.value('dark')
        if dark in ('true', 'false'):
            self._monitor.paint_in(DARK if dark == 'true' else LIGHT)
        try:
            window_s = float(instance_settings.value('window_s', WINDOW_S))
        except (TypeError, ValueError):
            window_s = WINDOW_S
        if window_s in WINDOWS_S:
            self._monitor.window_choice.setCurrentIndex(WINDOWS_S.index(window_s))
        namespace = instance_settings.value('namespace')
        if namespace:
            self._bridge.select_robot(namespace)


def _arguments(group: argparse._ActionsContainer) -> None:
    group.add_argument('--allow-control', action='store_true', help='let the buttons change which policy drives')
    group.add_argument('--namespace', help='robot to begin with; default: the first that is found')
    group.add_argument('--camera', default=CAMERA, help='camera of the thumbnails; empty: none')


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='aura_monitor', add_help=False)
    _arguments(parser)
    return parser.parse_known_args(argv)[0]


def _is_dark() -> bool:
    """Whether the desktop is: rqt's windows follow it, and so does the monitor at first."""
    from aura_ros.rqt.qt import QtGui, QtWidgets

    palette = QtWidgets.QApplication.instance().palette()
    return palette.color(QtGui.QPalette.ColorRole.Window).lightness() < 128
