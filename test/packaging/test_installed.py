# SPDX-License-Identifier: Apache-2.0
"""The installed package: ROS finds it, it is complete, and its libraries load."""

import importlib
import importlib.metadata
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from rclpy.serialization import deserialize_message, serialize_message

ROOT = Path(__file__).parents[2]
INTERFACES = [(kind, path.stem) for kind in ('msg', 'srv', 'action') for path in sorted((ROOT / kind).iterdir())]


def test_version_is_that_of_package_xml() -> None:
    version = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    installed = ElementTree.parse(Path(get_package_share_directory('aura_ros')) / 'package.xml')
    assert installed.findtext('version') == version, 'build and install the package again'
    # A wheel has metadata; in a workspace ament_cmake_python writes it.
    assert importlib.metadata.version('aura_ros') == version


@pytest.mark.parametrize(('kind', 'name'), INTERFACES)
def test_interface_loads_with_its_type_support(kind: str, name: str) -> None:
    interface = getattr(importlib.import_module(f'aura_ros.{kind}'), name)
    type(interface).__import_type_support__()  # raises when the library cannot be loaded
    assert type(interface)._TYPE_SUPPORT is not None
    if kind == 'msg':
        assert deserialize_message(serialize_message(interface()), interface) == interface()
    assert (Path(get_package_share_directory('aura_ros')) / kind / f'{name}.{kind}').is_file()


def test_executables_are_where_ros_looks_for_them() -> None:
    folder = Path(get_package_prefix('aura_ros')) / 'lib' / 'aura_ros'
    for script in (ROOT / 'scripts').iterdir():
        assert os.access(folder / script.name, os.X_OK), f'{script.name} is missing: build the package again'


@pytest.mark.parametrize('folder', ['launch', 'config'])
def test_share_is_up_to_date(folder: str) -> None:
    share = Path(get_package_share_directory('aura_ros'))
    for path in sorted((ROOT / folder).rglob('*')):
        if path.is_file() and '__pycache__' not in path.parts:
            copy = share / path.relative_to(ROOT)
            assert copy.read_bytes() == path.read_bytes(), f'{copy} is outdated: build and install the package again'


def test_messages_load_without_library_path() -> None:
    """Load a message in a process without library path, ROS prefix and Python path in its environment."""
    if '_ROS_WHEELS_BOOTSTRAP_COMPLETE' not in os.environ:
        pytest.skip('a workspace sets its library path in setup.bash')
    code = 'from aura_ros.msg import WriteEvent as W; W.__import_type_support__(); print(W().seq)'
    done = subprocess.run(
        [sys.executable, '-c', code],
        env={'PATH': os.environ['PATH']},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, '0\n'), done.stderr
