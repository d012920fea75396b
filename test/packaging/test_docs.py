# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/nodes agree with the code: every parameter, and every quality of service."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from aura_ros.nodes import kv_baseline as kv_baseline_node
from aura_ros.nodes.memory import node as memory_node
from aura_ros.nodes.player import playback
from aura_ros.nodes.policy_switch import node as policy_switch_node
from aura_ros.nodes.recorder import node as recorder
from aura_ros.nodes.sim import node as sim_node
from aura_ros.nodes.vla import node as vla_node
from aura_ros.ros import qos, robot_file
from aura_ros.ros.parameters import _KEY
from aura_ros.tools.panel import main as panel

PAGES = Path(__file__).parents[2] / 'docs' / 'nodes'
# The parameter that every lifecycle node declares: type, default, unit, range.
AUTOSTART = {'autostart': ('bool', 'false', '', '')}
# The schemas of each page, with the prefixes of their parameters.
NODES: dict[str, tuple[dict[str, Any], ...]] = {
    'vla_node': (
        AUTOSTART,
        {
            '': vla_node.VlaNodeConfig,
            'robot.': robot_file.SourceParameters,
            'robot.map_JOINT.': robot_file.MapParameters,
        },
    ),
    'memory_node': (AUTOSTART, {'': memory_node.MemoryNodeConfig}),
    'kv_baseline_node': (AUTOSTART, {'': kv_baseline_node.KvBaselineConfig}),
    'policy_switch_node': (
        AUTOSTART,
        {
            '': policy_switch_node.SwitchNodeConfig,
            'robot.': robot_file.RobotParameters,
            'robot.OUTPUT.': robot_file.OutputParameters,
            'robot.end_effector.': robot_file.EndEffectorParameters,
            'robot.map_JOINT.': robot_file.MapParameters,
        },
    ),
    'sim_node': ({}, {'': sim_node.SimNodeConfig}),
    'panel': ({}, {'': panel.PanelConfig}),
    'player': ({}, {'': playback.PlayerConfig}),
    'recorder': ({}, {'': recorder.RecorderConfig}),
}
ROW = re.compile(r'^\| `([^`]+)` \|(.*)\|$', re.MULTILINE)
TYPES = {
    Parameter.Type.BOOL: 'bool',
    Parameter.Type.INTEGER: 'integer',
    Parameter.Type.DOUBLE: 'double',
    Parameter.Type.STRING: 'string',
    Parameter.Type.STRING_ARRAY: 'string array',
    Parameter.Type.DOUBLE_ARRAY: 'double array',
}


def _section(page: Path, title: str) -> str:
    """Return the text of a section of a page."""
    text = page.read_text(encoding='utf-8')
    assert f'\n## {title}\n' in text, f'{page.name} has no section "{title}"'
    return text.split(f'\n## {title}\n')[1].split('\n## ')[0]


def _as_yaml(value: object) -> str:
    if isinstance(value, tuple):
        return '[' + ', '.join(value) + ']'
    if isinstance(value, bool):
        return str(value).lower()
    return value or "''" if isinstance(value, str) else str(value)


def _cells(default: object, rule: Any) -> tuple[str, str, str, str]:
    """Return type, default, unit and range of a parameter as a page shows them."""
    allowed = ', '.join(rule.choices)
    if rule.low is not None:
        low, high = rule.low, rule.high
        whole = rule.kind is Parameter.Type.INTEGER
        allowed = f'{low}..{high}' if whole else f'{low:g}..{high:g}'
    return TYPES[rule.kind], _as_yaml(default), rule.unit, allowed


def _declared(node: str) -> dict[str, tuple[str, ...]]:
    own, schemas = NODES[node]
    return own | {
        prefix + spec.name: _cells(spec.default, spec.metadata[_KEY])
        for prefix, schema in schemas.items()
        for spec in fields(schema)
    }


def _documented(page: Path, title: str) -> dict[str, tuple[str, ...]]:
    """Return the rows of the tables in a section: name, and the other cells."""
    rows = ROW.findall(_section(page, title))
    names = [name for name, _ in rows]
    assert len(set(names)) == len(names), f'{page.name}: duplicate name in {names}'
    return {name: tuple(cell.strip(' `') for cell in cells.split('|')) for name, cells in rows}


@pytest.mark.parametrize('node', NODES)
def test_page_names_every_parameter_and_no_other(node: str) -> None:
    declared, documented = _declared(node), _documented(PAGES / f'{node}.md', 'Parameters')
    assert set(declared) - set(documented) == set(), 'missing in the page'
    assert set(documented) - set(declared) == set(), 'not a parameter of the node'


@pytest.mark.parametrize('node', NODES)
def test_page_has_type_default_unit_and_range_of_every_parameter(node: str) -> None:
    documented = _documented(PAGES / f'{node}.md', 'Parameters')
    for name, cells in _declared(node).items():
        assert documented[name][:4] == cells, name
        assert documented[name][4], f'{name} has no description'


@pytest.mark.parametrize('page', sorted(PAGES.glob('*.md')), ids=lambda page: page.stem)
def test_examples_set_parameters_that_exist(page: Path) -> None:
    known = {'use_sim_time'}.union(*(_declared(node) for node in NODES))
    if page.stem in NODES:
        known = {'use_sim_time', *_declared(page.stem)}
    assert set(re.findall(r'-p (\S+?):=', page.read_text(encoding='utf-8'))) <= known


def test_index_links_every_page() -> None:
    links = re.findall(r'\]\((\w+)\.md\)', (PAGES / 'README.md').read_text(encoding='utf-8'))
    assert set(links) == set(NODES) == {page.stem for page in PAGES.glob('*.md')} - {'README'}


def test_index_has_every_quality_of_service() -> None:
    profiles = {name: found for name, found in vars(qos).items() if isinstance(found, QoSProfile)}
    profiles |= {'step()': qos.step(), 'chunk()': qos.chunk()}
    expected = {
        name: (
            'reliable' if profile.reliability is ReliabilityPolicy.RELIABLE else 'best effort',
            'transient local' if profile.durability is DurabilityPolicy.TRANSIENT_LOCAL else 'volatile',
            str(profile.depth),
        )
        for name, profile in profiles.items()
    }
    documented = _documented(PAGES / 'README.md', 'Quality of service')
    # The caller of sensor() chooses reliability and depth.
    assert 'sensor()' in documented
    assert {name: documented[name][1:4] for name in documented.keys() - {'sensor()'}} == expected
