# SPDX-License-Identifier: Apache-2.0
"""The locks belong to pyproject.toml and constraints.txt, and a file with another hash is not installed."""

import importlib.util
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / 'tools' / f'{name}.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LOCK = load('lock')


def normalised(requirement: str) -> str:
    found = re.match(r'[\w.-]+', requirement)
    assert found
    return re.sub(r'[-_.]+', '-', found.group()).lower()


def entries(*groups: str, ros: str = 'kilted') -> dict[str, str]:
    """Return the entries of some groups by package."""
    return {normalised(text): text for text in re.split(r'\n(?=\S)', LOCK.select(ros, set(groups)).strip())}


@pytest.mark.parametrize('group', LOCK.groups())
def test_each_group_has_its_requirements_in_the_tested_versions(group: str) -> None:
    locked = entries(group)
    pins = [line for line in (ROOT / 'constraints.txt').read_text().splitlines() if '==' in line and line[0] != '#']
    tested = {normalised(line): line.partition('==')[2] for line in pins}
    assert {normalised(line) for line in LOCK.groups()[group]} <= set(locked), 'run python tools/lock.py --update'
    for name, text in locked.items():
        assert re.match(r'\S+==(\S+)', text)[1] == tested[name], f'{name}: run python tools/lock.py --update'  # type: ignore[index]
        assert re.search(r'--hash=sha256:[0-9a-f]{64}', text)


def test_torch_is_not_locked_and_an_unknown_group_is_refused() -> None:
    assert not {'torch', 'triton'} & set(entries(*LOCK.groups()))
    with pytest.raises(ValueError, match=r'requirements\.lock has no package of other'):
        LOCK.select('kilted', {'core', 'other'})


@pytest.mark.parametrize('group', ['build', 'core'])
def test_jazzy_has_its_own_ros_packages_and_the_others_of_kilted(group: str) -> None:
    locked = entries(group, ros='jazzy')
    for requirement in LOCK.jazzy_groups()[group]:
        name, _, version = requirement.partition('==')
        text = locked[normalised(name)]
        assert text.startswith(f'{name.partition("[")[0]}=={version} '), f'{name}: run python tools/lock.py --update'
        assert re.search(r'--hash=sha256:[0-9a-f]{64}', text)
    others = {name: text for name, text in locked.items() if not LOCK.is_ros(name)}
    assert others == entries(group, ros='sourced')
    assert others.items() <= entries(group).items()


def test_a_machine_without_wheels_of_qt_uses_the_qt_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOCK.platform, 'machine', lambda: 'x86_64')
    with_qt = entries('monitor', ros='sourced')
    monkeypatch.setattr(LOCK.platform, 'machine', lambda: 'aarch64')
    assert with_qt.keys() - entries('monitor', ros='sourced').keys() == {'pyqt5', 'pyqt5-qt5', 'pyqt5-sip'}


def test_a_sourced_ros_brings_its_own_packages() -> None:
    assert not [name for name in entries('build', 'core', 'sim', ros='sourced') if LOCK.is_ros(name)]
    with pytest.raises(ValueError, match="the source of ROS packages is 'humble': must be"):
        LOCK.select('humble', {'core'})


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel in a folder of its own."""
    path = tmp_path / 'wheels' / 'lockedpackage-1.0-py3-none-any.whl'
    path.parent.mkdir()
    about = 'lockedpackage-1.0.dist-info'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('lockedpackage.py', '')
        archive.writestr(f'{about}/METADATA', 'Metadata-Version: 2.1\nName: lockedpackage\nVersion: 1.0\n')
        archive.writestr(f'{about}/WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        archive.writestr(f'{about}/RECORD', '')
    return path


@pytest.mark.parametrize('unlocked', ['', 'no'])
def test_a_file_with_another_hash_is_not_installed(wheel: Path, tmp_path: Path, unlocked: str) -> None:
    requirements = tmp_path / 'requirements.txt'
    requirements.write_text(f'lockedpackage==1.0 \\\n    --hash=sha256:{"0" * 64}\n')
    # pip with its real checks, but without an index and without an installation
    script = (
        '. "$root/tools/setup.sh"; pip_quiet() { "$python" -m pip install --dry-run --no-index --find-links "$wheels" '
        '"$@"; }; install_locked "$list"'
    )
    env = {'python': sys.executable, 'root': str(ROOT), 'wheels': str(wheel.parent), 'list': str(requirements)}
    env |= {'AURA_LOCK': unlocked} if unlocked else {}
    done = subprocess.run(['/bin/sh', '-uc', script], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) == bool(unlocked), done.stderr
    assert ('DO NOT MATCH THE HASHES' in done.stderr) == (not unlocked)
