# SPDX-License-Identifier: Apache-2.0
"""The environments of VLAs: their locks belong to their lists, and ./run serves each backbone in its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / 'tools' / 'vla').glob('*.txt'))

# Commands that would install or start something print what they would do.
SCRIPT = """
. "$root/tools/setup.sh"
. "$root/tools/vla.sh"
stage() { echo "stage $1"; }
ensure_torch() { echo "torch in $venv"; }
set_up() { venv=$root/.venv; }
enter() { :; }
"""


def shell(script: str, root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ['/bin/sh', '-uc', f'root={root}; started=0; {SCRIPT.replace("$root/tools", f"{ROOT}/tools")} {script}'],
        env={'PATH': os.environ['PATH'], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def versions(path: Path) -> dict[str, str]:
    """Return the pinned version of each package in a list or a lock."""
    found = re.findall(r'^([\w.-]+)==([^\s\\;]+)', path.read_text(encoding='utf-8'), re.MULTILINE)
    return {re.sub(r'[-_.]+', '-', name).lower(): version for name, version in found}


@pytest.mark.parametrize('name', NAMES)
def test_lock_has_the_packages_of_the_list_with_hashes(name: str) -> None:
    lock = ROOT / f'requirements-{name}.lock'
    assert versions(lock) == versions(ROOT / 'tools' / 'vla' / f'{name}.txt'), 'run python tools/lock.py --vla'
    entries = re.split(r'\n(?=#)', lock.read_text(encoding='utf-8'))[1:]
    assert entries and all('--hash=sha256:' in entry for entry in entries)


@pytest.mark.parametrize('name', NAMES)
def test_environment_runs_the_server_and_the_tests(name: str) -> None:
    locked = set(versions(ROOT / f'requirements-{name}.lock'))
    assert {'websockets', 'msgpack', 'numpy', 'pyyaml', 'safetensors', 'pytest'} <= locked
    assert not {'torch', 'triton'} & locked


def test_sizes_are_printed_before_anything_is_installed(tmp_path: Path) -> None:
    version = f'{sys.version_info[0]}.{sys.version_info[1]}'
    wanted = f'vla_facts() {{ vla_python={version} vla_size=9GB vla_disk=8GB; }};'
    done = shell(f'{wanted} vla_env lerobot', tmp_path, AURA_VLA_PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert '9GB' in lines[0] and '8GB' in lines[0]
    assert 'Weights are not downloaded' in lines[1]
    assert [line for line in lines[2:] if line.startswith('stage')][-1] == 'stage packages of lerobot'
    assert f'torch in {tmp_path}/.venv-lerobot' in lines
    again = shell(f'{wanted} vla_env lerobot', tmp_path, AURA_VLA_PYTHON=sys.executable)
    assert again.stdout == '', 'a finished environment is not set up again'


@pytest.mark.parametrize('name', NAMES)
def test_another_python_is_refused(name: str, tmp_path: Path) -> None:
    done = shell(f'vla_env {name}', tmp_path, AURA_VLA_PYTHON='/bin/false', PATH='/nowhere')
    assert done.returncode == 1
    assert 'AURA_VLA_PYTHON' in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('words', 'python'),
    [
        ('serve --backbone lerobot --path a.yaml', '.venv-lerobot/bin/python'),
        ('serve --path a.yaml --backbone=openvla_oft', '.venv-openvla_oft/bin/python'),
        ('serve --backbone embedded', ''),
        ('serve --port 9', ''),
        ('bench vla --random 7b --device cuda', '.venv-openvla_oft/bin/python'),
        ('bench vla', ''),
    ],
)
def test_each_backbone_runs_in_its_environment(words: str, python: str, tmp_path: Path) -> None:
    program = tmp_path / (python or 'other')
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text('#!/bin/sh\necho "$0 $*"\n')
    program.chmod(0o755)
    done = shell(f'vla_env() {{ venv=$root/.venv-$1; }}; run_in_vla_env {words}; echo none', tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (f'{program} -m aura_ros.cli {words}\n' if python else 'none\n')
