# SPDX-License-Identifier: Apache-2.0
"""The one module that knows which Qt this is; all others take it from here.

Inside rqt it must be the Qt that rqt runs on, which `python_qt_binding` tells (PyQt5 on Jazzy and Kilted). Where
there is no rqt it is the first installed of PyQt5, PyQt6 and PySide6; the variable PYQTGRAPH_QT_LIB names another.
pyqtgraph takes the binding that was imported before it, hence the order here.

Code above this module writes enumerations in full (`Qt.AlignmentFlag.AlignLeft`), which all of them understand.
"""

import importlib
import os
import sys
from types import ModuleType

from aura_ros.errors import ConfigError

_BINDINGS = ('PyQt5', 'PyQt6', 'PySide6')


def _bind() -> tuple[ModuleType, ModuleType, ModuleType]:
    """Import QtCore, QtGui and QtWidgets of one binding.

    Raises:
        ConfigError: there is none.
    """
    named = os.environ.get('PYQTGRAPH_QT_LIB')
    for name in (named,) if named else ('python_qt_binding', *_BINDINGS):
        try:
            core, gui, widgets = (
                importlib.import_module(f'{name}.{part}') for part in ('QtCore', 'QtGui', 'QtWidgets')
            )
        except ModuleNotFoundError:
            continue
        return core, gui, widgets
    raise ConfigError(
        f'no Qt for Python ({named or ", ".join(_BINDINGS)}): install the extra "monitor" of this package, '
        'for instance with ./run monitor, or python3-pyqt5 and python3-pyqtgraph of your distribution'
    )


def _drop_plugins_of_opencv() -> None:
    """Keep Qt from loading the plugins that `opencv-python` brings: they are of another Qt, and Qt aborts."""
    name = 'QT_QPA_PLATFORM_PLUGIN_PATH'
    if f'{os.sep}cv2{os.sep}' in os.environ.get(name, ''):
        del os.environ[name]


QtCore, QtGui, QtWidgets = _bind()
Qt = QtCore.Qt
Signal = getattr(QtCore, 'Signal', None) or QtCore.pyqtSignal

import pyqtgraph  # noqa: E402

pyqtgraph.setConfigOptions(antialias=False, imageAxisOrder='row-major')


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
