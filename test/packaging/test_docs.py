# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/nodes agree with the code: every parameter, and every quality of service."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip('rclpy')
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from aura_ros.ros import qos

ROOT = Path(__file__).parents[2]
PAGES = ROOT / 'docs' / 'nodes'
ROW = re.compile(r'^\| `([^`]+)` \|(.*)\|$', re.MULTILINE)


def load(path: Path) -> ModuleType:
    """Return a module that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Type, default, unit, range and text of each parameter, as the reference of the site shows them.
NODES: dict[str, dict[str, tuple[str, ...]]] = load(ROOT / 'docs' / 'generated.py').parameters_by_node()


def _section(page: Path, title: str) -> str:
    """Return the text of a section of a page."""
    text = page.read_text(encoding='utf-8')
    assert f'\n## {title}\n' in text, f'{page.name} has no section "{title}"'
    return text.split(f'\n## {title}\n')[1].split('\n## ')[0]


def _documented(page: Path, title: str) -> dict[str, tuple[str, ...]]:
    """Return the rows of the tables in a section: name, and the other cells."""
    rows = ROW.findall(_section(page, title))
    names = [name for name, _ in rows]
    assert len(set(names)) == len(names), f'{page.name}: duplicate name in {names}'
    return {name: tuple(cell.strip(' `') for cell in cells.split('|')) for name, cells in rows}


@pytest.mark.parametrize('node', NODES)
def test_page_names_every_parameter_and_no_other(node: str) -> None:
    declared, documented = NODES[node], _documented(PAGES / f'{node}.md', 'Parameters')
    assert set(declared) - set(documented) == set(), 'missing in the page'
    assert set(documented) - set(declared) == set(), 'not a parameter of the node'


@pytest.mark.parametrize('node', NODES)
def test_page_has_type_default_unit_and_range_of_every_parameter(node: str) -> None:
    documented = _documented(PAGES / f'{node}.md', 'Parameters')
    for name, cells in NODES[node].items():
        assert cells[4], f'{name} has no description in the code'
        assert documented[name][:4] == cells[:4], name
        assert documented[name][4], f'{name} has no description'


@pytest.mark.parametrize('page', sorted(PAGES.glob('*.md')), ids=lambda page: page.stem)
def test_examples_set_parameters_that_exist(page: Path) -> None:
    known = {'use_sim_time'}.union(*NODES.values())
    if page.stem in NODES:
        known = {'use_sim_time', *NODES[page.stem]}
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
