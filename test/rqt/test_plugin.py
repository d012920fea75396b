# SPDX-License-Identifier: Apache-2.0
"""The plugin as rqt uses it: the class in plugin.xml loads, stores its settings, and cleans up rqt's node.

rqt is in no Python package index, so a substitute replaces its base class where rqt is not installed.
"""

import importlib
import sys
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('pyqtgraph')
pytest.importorskip('pytestqt')
from aura_ros.rqt.qt import QtCore
from aura_ros.rqt.style import DARK

ROOT = Path(__file__).parents[2]


class Context(QtCore.QObject):
    """The plugin context of rqt; the real Plugin class passes it to QObject.__init__ as its parent."""

    def __init__(self, node, *argv):
        super().__init__()
        self.node, self._argv, self.widgets = node, argv, []

    def argv(self):
        return list(self._argv)

    def serial_number(self):
        return 2

    def add_widget(self, widget):
        self.widgets.append(widget)


class Settings(dict):
    """The settings of a perspective; all values are text."""

    def set_value(self, key, value):
        self[key] = value

    def value(self, key, default=None):
        return self.get(key, default)


@pytest.fixture
def plugin_class(monkeypatch):
    """The class that plugin.xml names, loaded as rqt does."""
    if importlib.util.find_spec('rqt_gui_py') is None:
        package, module = types.ModuleType('rqt_gui_py'), types.ModuleType('rqt_gui_py.plugin')
        module.Plugin = type('Plugin', (QtCore.QObject,), {'__init__': lambda self, _: QtCore.QObject.__init__(self)})
        monkeypatch.setitem(sys.modules, 'rqt_gui_py', package)
        monkeypatch.setitem(sys.modules, 'rqt_gui_py.plugin', module)
    named = ElementTree.parse(ROOT / 'plugin.xml').find('class').get('type')
    module, _, name = named.rpartition('.')
    yield getattr(importlib.import_module(module), name)
    sys.modules.pop(module, None)


@pytest.fixture
def loaded(plugin_class, graph, qtbot):
    """Load plugins on the node of the test, which the test spins as rqt does."""
    made = []

    def load(*argv):
        context = Context(graph.node, *argv)
        plugin = plugin_class(context)
        qtbot.addWidget(context.widgets[0])
        made.append(plugin)
        return plugin, context.widgets[0]

    yield load
    for plugin in made:
        plugin.shutdown_plugin()


def test_the_package_exports_plugin_xml():
    export = ElementTree.parse(ROOT / 'package.xml').find('export/rqt_gui')
    assert export.get('plugin') == '${prefix}/plugin.xml'


@pytest.mark.graph
def test_it_is_read_only_without_allow_control(loaded):
    for argv, allowed in (((), False), (('--allow-control',), True)):
        _, monitor = loaded(*argv)
        assert [button.isEnabled() for button in monitor.policies.buttons] == [allowed] * 3
        assert monitor.windowTitle() == 'AURA-Mem monitor (2)'


@pytest.mark.graph
def test_a_perspective_restores_the_settings(loaded):
    plugin, monitor = loaded('--namespace', '/left')
    monitor.apply_theme(DARK)
    monitor.window_choice.setCurrentIndex(2)
    settings = Settings()
    plugin.save_settings(None, settings)
    other, restored = loaded()
    other.restore_settings(None, settings)
    assert restored.theme == DARK and restored.window_s == 600.0 and restored.source.namespace == '/left'
    assert all(isinstance(value, str) for value in settings.values()), 'rqt stores text'


@pytest.mark.graph
@pytest.mark.parametrize('settings', [{}, {'dark': None, 'window_s': 'wide'}, {'window_s': '17'}])
def test_unreadable_settings_are_ignored(loaded, settings):
    plugin, monitor = loaded()
    plugin.restore_settings(None, Settings(settings))
    assert monitor.window_s == 120.0


@pytest.mark.graph
def test_shutdown_leaves_nothing_on_the_node(plugin_class, graph, qtbot):
    from aura_ros.msg import GateSample

    from aura_ros.ros import qos

    gates = graph.node.create_publisher(GateSample, 'aura/gate', qos.GATE)
    before = len(list(graph.node.subscriptions)), len(list(graph.node.timers)), len(list(graph.node.clients))
    context = Context(graph.node)
    plugin = plugin_class(context)
    qtbot.addWidget(context.widgets[0])
    graph.until(gates.get_subscription_count, 'subscribed')
    plugin.shutdown_plugin()
    after = len(list(graph.node.subscriptions)), len(list(graph.node.timers)), len(list(graph.node.clients))
    assert after == before
    plugin.shutdown_plugin()
