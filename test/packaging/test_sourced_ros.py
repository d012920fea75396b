# SPDX-License-Identifier: Apache-2.0
"""./run in a sourced ROS 2: the wheels in a folder of their own play the part of /opt/ros."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = f'python{sysconfig.get_python_version()}'
BASE_PYTHON = Path(sys.base_prefix) / 'bin' / PYTHON


def ros_requirements(distro: str) -> str:
    """Return the entries of the lock that are packages of ROS."""
    spec = importlib.util.spec_from_file_location('lock', ROOT / 'tools' / 'lock.py')
    assert spec is not None and spec.loader is not None
    lock = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lock)
    entries = re.split(r'\n(?=\S)', lock.select(distro, {'build', 'core'}))
    return '\n'.join(filter(lock.is_ros, entries))


def sourced_ros(folder: Path, distro: str) -> dict[str, str]:
    """Install the ROS packages alone; return the variables that a setup.bash would set."""
    venv.create(folder, symlinks=True)
    requirements = folder / 'requirements.txt'
    requirements.write_text(ros_requirements(distro), encoding='utf-8')
    command = [sys.executable, '-m', 'pip', '--python', folder / 'bin/python', 'install', '--quiet', '--no-deps']
    subprocess.run([*command, '--require-hashes', '-r', requirements], check=True)
    modules = folder / 'lib' / PYTHON / 'site-packages'
    libraries = [folder / 'lib', *modules.glob('ros_*.libs')]
    return {
        'ROS_DISTRO': distro,
        'AMENT_PREFIX_PATH': str(folder),
        'PYTHONPATH': str(modules),
        'LD_LIBRARY_PATH': ':'.join(map(str, libraries)),
    }


def copy_of_repository(folder: Path) -> Path:
    """Copy the files that git knows, and new ones."""
    listed = subprocess.run(
        ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip('needs the git repository')
    for name in filter(None, listed.stdout.split('\0')):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize('distro', ['jazzy', 'kilted'])
def test_run_builds_the_messages_and_plays_the_demo_with_a_sourced_ros(tmp_path: Path, distro: str) -> None:
    ros = sourced_ros(tmp_path / 'ros', distro)
    copy = copy_of_repository(tmp_path / 'copy')
    inherited = {name: value for name, value in os.environ.items() if name.startswith(('PIP_', 'HOME', 'MUJOCO_GL'))}
    environment = {**inherited, 'PATH': os.environ['PATH'], 'AURA_PYTHON': str(BASE_PYTHON), **ros}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [copy / 'run', *arguments], env=environment, capture_output=True, text=True, timeout=1200, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert 'messages' in run('setup')
    own = copy / f'.venv-sourced-{distro}'
    assert [path.name for path in copy.glob('.venv*')] == [own.name]
    assert not list(own.glob('lib/python3*/site-packages/rclpy')), 'the environment has no ROS of its own'
    code = 'import rclpy, sys, aura_ros.msg; print(rclpy.__file__, sys.prefix, *aura_ros.msg.__path__)'
    assert run('shell', '-c', f"python -c '{code}'").split() == [
        f'{ros["PYTHONPATH"]}/rclpy/__init__.py',
        str(own),
        f'{own}/lib/{PYTHON}/site-packages/aura_ros/msg',
    ]
    said = run('demo', '--rounds', '2', '--report-dir', str(tmp_path / 'report'))
    assert (tmp_path / 'report' / 'panel.json').is_file(), said
