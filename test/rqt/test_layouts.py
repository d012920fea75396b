# SPDX-License-Identifier: Apache-2.0
"""The layouts for other tools name existing topics and fields, in the format that the tools read."""

import ast
import importlib
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from aura_ros.msg import ActionChunk, WriteEvent
from rclpy.qos import ReliabilityPolicy

from aura_ros.ros import qos

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'config'
NUMBERS = {
    'boolean',
    'float',
    'double',
    'int8',
    'uint8',
    'int16',
    'uint16',
    'int32',
    'uint32',
    'int64',
    'uint64',
    'octet',
}
ROW = re.compile(r'^\| `([^`]+)` \| `([\w/]+)` \| out \| `([^`]+)`', re.MULTILINE)


def published():
    """Topics of our nodes with type and QoS profile, from the node pages, which another test compares with the code."""
    topics = {}
    for page in (ROOT / 'docs/nodes').glob('*_node.md'):
        for topic, kind, profile in ROW.findall(page.read_text(encoding='utf-8')):
            package, _, name = kind.partition('/')
            for camera in ('front', 'wrist'):
                full = '/' + topic.replace('CAMERA', camera).lstrip('/')
                topics[full] = getattr(importlib.import_module(f'{package}.msg'), name), profile
    return topics


TOPICS = published()


def field(kind, path):
    """Type of a field of a message by its path, such as ['header', 'stamp', 'sec']."""
    for name in path[:-1]:
        package, _, inner = kind.get_fields_and_field_types()[name].partition('/')
        kind = getattr(importlib.import_module(f'{package}.msg'), inner)
    return kind.get_fields_and_field_types()[path[-1]]


def resolve(reference, separator):
    """Topic and type of the field that `/some/topic<separator>field` names."""
    topic = max((t for t in TOPICS if reference.startswith(t + separator)), key=len, default=None)
    assert topic is not None, f'no node publishes {reference}'
    return topic, field(TOPICS[topic][0], reference.removeprefix(topic + separator).split(separator))


def test_our_topics_are_found():
    some = {'/aura/gate', '/aura/write_event', '/kv/cache_status', '/policy_status', '/camera/front/image_raw'}
    assert some <= set(TOPICS)


# rqt. -------------------------------------------------------------------------------------------------------------
def perspective():
    return json.loads((CONFIG / 'aura.perspective').read_text(encoding='utf-8'))


def values(settings):
    """The keys of a group as rqt reads them: it evaluates their `repr`."""
    assert set(settings) == {'keys', 'groups'}
    for entry in settings['keys'].values():
        assert entry['type'] == 'repr'
    return {key: ast.literal_eval(entry['repr']) for key, entry in settings['keys'].items()}


def test_the_perspective_opens_the_registered_plugin():
    manager = perspective()['groups']['pluginmanager']
    running = values(manager)['running-plugins']
    names = [f'aura_ros/{one.get("name")}' for one in ElementTree.parse(ROOT / 'plugin.xml').iter('class')]
    assert [plugin for plugin in running if plugin.startswith('aura_ros/')] == names
    groups = {f'plugin__{plugin.replace("/", "__")}__{number}' for plugin, all_ in running.items() for number in all_}
    assert set(manager['groups']) == groups


def test_the_perspective_plots_published_numbers():
    plots = perspective()['groups']['pluginmanager']['groups']
    references = [
        reference
        for name, group in plots.items()
        if '__rqt_plot__' in name
        for reference in values(group['groups']['plugin'])['topics']
    ]
    assert len(references) == 4
    for reference in references:
        assert resolve(reference, '/')[1] in NUMBERS


@pytest.mark.parametrize('topic', ['/aura/gate', '/aura/write_event', '/kv/cache_status', '/policy_status'])
def test_rqt_plot_accepts_every_scalar_of_our_series(topic):
    message = TOPICS[topic][0]()
    names = [name for name, kind in message.get_fields_and_field_types().items() if kind in NUMBERS]
    assert len(names) > 3
    for name in names:
        float(getattr(message, name))


def test_topics_that_the_tools_subscribe_reliably_are_reliable():
    for topic in ('/aura/gate', '/kv/gate', '/aura/write_event', '/kv/cache_status', '/policy_status', '/diagnostics'):
        profile = getattr(qos, TOPICS[topic][1])
        assert profile.reliability == ReliabilityPolicy.RELIABLE, topic


# Foxglove. --------------------------------------------------------------------------------------------------------
def foxglove():
    return json.loads((CONFIG / 'foxglove_layout.json').read_text(encoding='utf-8'))


def leaves(node):
    if isinstance(node, str):
        return [node]
    assert node['direction'] in ('row', 'column')
    assert 0 < node['splitPercentage'] < 100
    return leaves(node['first']) + leaves(node['second'])


def test_foxglove_shows_each_panel_once():
    layout = foxglove()
    shown = leaves(layout['layout'])
    assert sorted(shown) == sorted(layout['configById'])


def paths(kind):
    configs = foxglove()['configById'].items()
    return [path['value'] for name, config in configs if name.startswith(f'{kind}!') for path in config['paths']]


def test_foxglove_plots_published_numbers():
    assert len(paths('Plot')) > 8
    for reference in paths('Plot'):
        assert resolve(reference, '.')[1] in NUMBERS


def test_foxglove_shows_published_states():
    for reference in paths('StateTransitions'):
        assert resolve(reference, '.')[1] in NUMBERS


def test_foxglove_names_the_policies_as_the_messages_do():
    rules = foxglove()['configById']['Indicator!policy']['rules']
    named = {int(rule['rawValue']): rule['label'].upper() for rule in rules}
    assert named == {getattr(ActionChunk, f'POLICY_{name}'): name for name in ('BASE', 'AURA', 'KV')}
    assert (WriteEvent.DURABILITY_RAM, WriteEvent.DURABILITY_DURABLE) == (0, 2)


def test_foxglove_shows_published_messages():
    configs = foxglove()['configById']
    whole = [
        configs['Image!front']['imageMode']['imageTopic'],
        configs['RawMessages!write']['topicPath'],
        configs['DiagnosticSummary!all']['topicToRender'],
    ]
    assert set(whole) <= set(TOPICS)
    for name in ('Indicator!policy', 'Indicator!control'):
        assert resolve(configs[name]['path'], '.')[1] in NUMBERS


# PlotJuggler. -----------------------------------------------------------------------------------------------------
def plotjuggler():
    return ElementTree.parse(CONFIG / 'plotjuggler.xml').getroot()


def test_plotjuggler_plots_published_numbers_and_subscribes_to_their_topics():
    root = plotjuggler()
    curves = [curve.get('name') for curve in root.iter('curve')]
    assert len(curves) > 12
    plotted = set()
    for name in curves:
        topic, kind = resolve(name, '/')
        assert kind in NUMBERS
        plotted.add(topic)
    for plugin in root.find('Plugins'):
        assert set(plugin.find('selected_topics').get('value').split(';')) == plotted
    assert root.find('previouslyLoaded_Streamer').get('name') in {plugin.get('ID') for plugin in root.find('Plugins')}


def test_plotjuggler_splits_each_tab_into_the_stated_number_of_parts():
    tabs = list(plotjuggler().iter('Tab'))
    assert [tab.get('tab_name') for tab in tabs] == ['Gate', 'Cost', 'Time', 'Policy']
    for tab in tabs:
        splitter = tab.find('Container/DockSplitter')
        sizes = [float(size) for size in splitter.get('sizes').split(';')]
        assert len(sizes) == int(splitter.get('count')) == len(splitter)
        assert sum(sizes) == pytest.approx(1.0, abs=1e-3)
        assert all(len(area.findall('plot')) == 1 for area in splitter)
