# SPDX-License-Identifier: Apache-2.0
"""Facts that several files of the package state agree."""

import ast
import re
import stat
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CMAKE = (ROOT / 'CMakeLists.txt').read_text(encoding='utf-8')
PYPROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))
PACKAGE = ElementTree.parse(ROOT / 'package.xml')
EXECUTABLES = sorted(path.name for path in (ROOT / 'scripts').iterdir() if path.is_file())


def pins() -> dict[str, str]:
    """Return the pinned versions of constraints.txt by name."""
    lines = (ROOT / 'constraints.txt').read_text(encoding='utf-8').splitlines()
    return dict(line.split('==') for line in lines if line and not line.startswith('#'))


def normalised(name: str) -> str:
    """Return the name of a requirement as package indexes compare names."""
    bare = re.match(r'[\w.-]+', name)
    assert bare, name
    return re.sub(r'[-_.]+', '-', bare.group()).lower()


@pytest.mark.parametrize('kind', ['msg', 'srv', 'action'])
def test_cmake_lists_every_interface(kind: str) -> None:
    listed = set(re.findall(rf'^\s+({kind}/\w+\.{kind})$', CMAKE, re.MULTILINE))
    assert listed == {f'{kind}/{path.name}' for path in (ROOT / kind).iterdir()}


def test_cmake_installs_every_executable() -> None:
    assert re.findall(r'^\s+scripts/(\w+)$', CMAKE, re.MULTILINE) == EXECUTABLES


@pytest.mark.parametrize('name', EXECUTABLES)
def test_executable_and_console_script_are_the_same_program(name: str) -> None:
    path = ROOT / 'scripts' / name
    text = path.read_text(encoding='utf-8')
    assert text.startswith('#!/usr/bin/env python3\n')
    assert path.stat().st_mode & stat.S_IXUSR
    module, function = PYPROJECT['project']['scripts'][name].split(':')
    assert f'from {module} import {function}' in text


@pytest.mark.parametrize(('name', 'target'), sorted(PYPROJECT['project']['scripts'].items()))
def test_console_script_names_a_function_that_exists(name: str, target: str) -> None:
    module, function = target.split(':')
    path = ROOT / (module.replace('.', '/') + '.py')
    assert path.is_file(), f'{name}: no module {module}'
    # Parse the module instead of importing it: training needs torch, and the monitor needs Qt.
    tree = ast.parse(path.read_text(encoding='utf-8'))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    names |= {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert function in names


def test_message_packages_are_declared_for_pip_and_for_ros() -> None:
    packages = {node.text for kind in ('depend', 'exec_depend') for node in PACKAGE.iter(kind)}
    of_ros = {name for name in packages if name and name.endswith(('_msgs', '_interfaces'))}
    of_pip = {normalised(line) for line in PYPROJECT['project']['dependencies']}
    assert {f'ros-{name.replace("_", "-")}' for name in of_ros} <= of_pip
    listed = re.search(r'DEPENDENCIES ([\w ]+)', CMAKE)
    assert listed and set(listed.group(1).split()) <= {node.text for node in PACKAGE.iter('depend')}


def test_every_requirement_is_pinned() -> None:
    project = PYPROJECT['project']
    lines = [*project['dependencies'], *PYPROJECT['build-system']['requires']]
    for extra in project['optional-dependencies'].values():
        lines += extra
    assert {normalised(line) for line in lines} - set(pins()) == set()


def test_torch_is_pinned_for_every_build_and_mujoco_is_version_3() -> None:
    assert pins()['torch'] == '2.13.0'
    assert pins()['mujoco'].startswith('3.')
    assert 'torch' not in {normalised(line) for line in PYPROJECT['project']['dependencies']}


def test_licence_is_the_same_everywhere() -> None:
    assert PACKAGE.findtext('license') == PYPROJECT['project']['license'] == 'Apache-2.0'
    assert 'Version 2.0, January 2004' in (ROOT / 'LICENSE').read_text(encoding='utf-8')


def test_every_source_file_names_the_licence() -> None:
    folders = ('aura_ros', 'docs', 'lerobot_policy_aura', 'scripts', 'test', 'tools')
    files = [ROOT / 'run', ROOT / 'setup.py', *(path for name in folders for path in (ROOT / name).rglob('*'))]
    sources = [path for path in files if path.suffix in ('.py', '.sh') or path.parent == ROOT / 'scripts']
    assert len(sources) > 500
    line = 'SPDX-License-Identifier: Apache-2.0'
    assert [path for path in sources if path.is_file() and line not in path.read_text(encoding='utf-8')[:200]] == []


def test_changelog_has_the_version() -> None:
    version = PACKAGE.findtext('version')
    text = (ROOT / 'CHANGELOG.rst').read_text(encoding='utf-8')
    assert re.search(rf'^{re.escape(version or "")}( |$)', text, re.MULTILINE)
