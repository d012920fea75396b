# SPDX-License-Identifier: Apache-2.0
"""The plugin as a wheel: it builds without network, its metadata is complete, and LeRobot finds it."""

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / 'lerobot_policy_aura'
NAME = 'lerobot_policy_aura'
# The first setuptools that reads `license = "Apache-2.0"`.
SETUPTOOLS = 77


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the folder by the installed setuptools."""
    if importlib.util.find_spec('pip') is None:
        pytest.skip('needs pip')
    try:
        found = importlib.metadata.version('setuptools')
    except importlib.metadata.PackageNotFoundError:
        found = '0'
    if int(found.partition('.')[0]) < SETUPTOOLS:
        pytest.skip(f'needs setuptools {SETUPTOOLS} or newer, this is {found}')
    folder = tmp_path_factory.mktemp('wheel')
    source = shutil.copytree(PLUGIN, folder / 'source', ignore=shutil.ignore_patterns('build', '*.egg-info'))
    # The wheel is for every Python; only its use needs that of LeRobot.
    options = ['--no-deps', '--no-index', '--no-build-isolation', '--ignore-requires-python']
    command = [sys.executable, '-m', 'pip', 'wheel', *options, '--wheel-dir', str(folder / 'dist'), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = (folder / 'dist').iterdir()
    return built


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_has_all_modules_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        licence = [name for name in names if name.endswith('.dist-info/licenses/LICENSE')]
        assert len(licence) == 1 and archive.read(licence[0]) == (ROOT / 'LICENSE').read_bytes()
    sources = {path.relative_to(PLUGIN / 'src').as_posix() for path in (PLUGIN / 'src' / NAME).glob('*.py')}
    assert sources | {f'{NAME}/py.typed'} == {name for name in names if '.dist-info/' not in name}


def test_the_metadata_is_complete_and_of_the_version_of_the_package(wheel: Path) -> None:
    found = _metadata(wheel)
    version = re.search(r'<version>(.+)</version>', (ROOT / 'package.xml').read_text())
    assert version is not None and found['Version'] == version.group(1)
    assert wheel.name == f'{NAME}-{version.group(1)}-py3-none-any.whl'
    for key in ('Summary', 'License-Expression', 'License-File', 'Keywords', 'Classifier', 'Description-Content-Type'):
        assert found[key], key
    assert found['Requires-Python'] == '>=3.12'
    assert str(found.get_payload()).startswith(f'# {NAME}')
    needed = found.get_all('Requires-Dist', [])
    assert 'lerobot>=0.6' in needed and not [name for name in needed if name.startswith(('ros', 'aura'))]


def test_the_name_is_one_that_lerobot_imports(wheel: Path, tmp_path: Path) -> None:
    """LeRobot imports installed distributions by their name as written, so a dash would hide the plugin."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    (found,) = importlib.metadata.distributions(path=[str(tmp_path)])
    assert found.metadata['Name'] == NAME and (tmp_path / NAME / '__init__.py').is_file()


def test_lerobot_finds_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    pytest.importorskip('lerobot', reason='needs LeRobot: ./run test --vla')
    options = ['--no-deps', '--no-index', '--target', str(tmp_path)]
    subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', *options, str(wheel)], check=True)
    code = (
        'import json, sys\n'
        'from lerobot.configs.policies import PreTrainedConfig\n'
        'from lerobot.policies.factory import get_policy_class\n'
        'from lerobot.utils.import_utils import register_third_party_plugins\n'
        'before = "aura" in PreTrainedConfig.get_known_choices()\n'
        'register_third_party_plugins()\n'
        'kind = get_policy_class("aura")\n'
        'print(json.dumps([before, kind.__name__, sys.modules[kind.__module__].__file__]))\n'
    )
    environment = os.environ | {'PYTHONPATH': f'{tmp_path}:{ROOT}'}
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    before, kind, file = json.loads(done.stdout.splitlines()[-1])
    assert (before, kind) == (False, 'AuraPolicy')
    assert Path(file).is_relative_to(tmp_path)
