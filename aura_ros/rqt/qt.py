# SPDX-License-Identifier: Apache-2.0
"""The one module that knows which Qt this is; all others take it from here.

Inside rqt it must be the Qt that rqt runs on, which `python_qt_binding` tells: PyQt5 on Jazzy and Kilted. pyqtgraph
takes the binding that was imported before it, hence the order here. Where there is no rqt it finds an installed one
by itself (PyQt6, PySide6, PyQt5), or takes the one that the variable PYQTGRAPH_QT_LIB names.

Code above this module writes enumerations in full (`Qt.AlignmentFlag.AlignLeft`), which all of them understand.
"""

import os
import sys

from aura_ros.common.errors import ConfigError

try:
    try:
        from python_qt_binding import QtCore, QtGui, QtWidgets
    except ImportError:
        from pyqtgraph.Qt import QtCore, QtGui, QtWidgets
    import pyqtgraph
except Exception as error:  # pyqtgraph raises no narrower one when it finds no Qt
    raise ConfigError(
        f'no Qt to draw with ({error}): start it by ./run monitor, or install the extra "monitor" of this package, '
        'or python3-pyqt5 and python3-pyqtgraph of your distribution'
    ) from error

__all__ = ['Qt', 'QtCore', 'QtGui', 'QtWidgets', 'Signal', 'application', 'pyqtgraph']

Qt = QtCore.Qt
Signal = getattr(QtCore, 'Signal', None) or QtCore.pyqtSignal

pyqtgraph.setConfigOptions(antialias=False, imageAxisOrder='row-major')


def _drop_plugins_of_opencv() -> None:
    """Keep Qt from loading the plugins that `opencv-python` brings: they are of another Qt, and Qt aborts."""
    name = 'QT_QPA_PLATFORM_PLUGIN_PATH'
    if f'{os.sep}cv2{os.sep}' in os.environ.get(name, ''):
        del os.environ[name]


def application() -> QtWidgets.QApplication:
    """Return the running application, or start one that looks the same on every desktop."""
    running = QtWidgets.QApplication.instance()
    if running is not None:
        return running
    _drop_plugins_of_opencv()
    started = QtWidgets.QApplication([sys.argv[0]])
    started.setApplicationName('aura_ros monitor')
    started.setStyle('Fusion')
    return started
