# SPDX-License-Identifier: Apache-2.0
"""The one module that selects the Qt binding; all other modules import Qt from here.

Inside rqt it must be the binding that rqt uses, which `python_qt_binding` provides: PyQt5 on Jazzy and Kilted.
pyqtgraph uses the binding that was imported before it, so the order of the imports matters. Without rqt, pyqtgraph uses
an installed binding (PyQt6, PySide6 or PyQt5), or the one that the environment variable PYQTGRAPH_QT_LIB names.

Other modules write enumerations in full (`Qt.AlignmentFlag.AlignLeft`), because all bindings accept that. Type checks
use the types of PyQt5.
"""

import os
import sys
from typing import TYPE_CHECKING

from aura_ros.common.errors import ConfigError

if TYPE_CHECKING:
    import pyqtgraph
    from PyQt5 import QtCore, QtGui, QtWidgets
    from PyQt5.QtCore import pyqtSignal as Signal
else:
    try:
        try:
            from python_qt_binding import QtCore, QtGui, QtWidgets
        except ImportError:
            from pyqtgraph.Qt import QtCore, QtGui, QtWidgets
        import pyqtgraph
    except Exception as error:  # pyqtgraph raises a plain Exception when it finds no Qt
        raise ConfigError(
            f'No Qt binding found ({error}). Start the monitor with ./run monitor, or install the extra "monitor" of '
            'this package, or install python3-pyqt5 and python3-pyqtgraph of your distribution.'
        ) from error
    Signal = getattr(QtCore, 'Signal', None) or QtCore.pyqtSignal

__all__ = ['Qt', 'QtCore', 'QtGui', 'QtWidgets', 'Signal', 'application', 'pyqtgraph']

Qt = QtCore.Qt

pyqtgraph.setConfigOptions(antialias=False, imageAxisOrder='row-major')


def _drop_opencv_plugins() -> None:
    """Keep Qt from loading the plugins of `opencv-python`. They belong to another Qt, and Qt would abort."""
    name = 'QT_QPA_PLATFORM_PLUGIN_PATH'
    if f'{os.sep}cv2{os.sep}' in os.environ.get(name, ''):
        del os.environ[name]


def application() -> QtWidgets.QApplication:
    """Return the running application, or start one with the same look on every desktop."""
    running = QtWidgets.QApplication.instance()
    if isinstance(running, QtWidgets.QApplication):
        return running
    _drop_opencv_plugins()
    scaling = getattr(Qt.ApplicationAttribute, 'AA_EnableHighDpiScaling', None)
    if scaling is not None:  # Qt 6 always scales with the screen
        QtWidgets.QApplication.setAttribute(scaling)
    started = QtWidgets.QApplication([sys.argv[0]])
    started.setApplicationName('aura_ros monitor')
    started.setStyle('Fusion')
    return started
