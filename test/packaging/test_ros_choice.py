# SPDX-License-Identifier: Apache-2.0
"""Which ROS 2 ./run uses: the decisions of tools/ros.sh and tools/setup.sh, with prefixes that have no files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPORT = 'choose_ros; echo "$ros|${venv#"$root"/}|$ros_prefix|$ros_python"; enter_ros; '
REPORT += 'echo "${AMENT_PREFIX_PATH-unset}|${LD_LIBRARY_PATH-unset}|${PYTHONPATH-unset}|${ROS_DISTRO-unset}"'
OWN_PYTHON = f'{sys.version_info.major}.{sys.version_info.minor}'


def shell(folder: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script that uses the functions of ./run; `folder` stands for the repository."""
    return subprocess.run(
        ['/bin/sh', '-uc', f'. "{ROOT}/tools/setup.sh"; . "{ROOT}/tools/ros.sh"; {script}'],
        env={'PATH': os.environ['PATH'], 'root': str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def prefix(folder: Path, python: str = '3.12') -> Path:
    """Make the prefix of a sourced ROS 2 for a version of Python."""
    (folder / f'lib/python{python}/site-packages/rclpy').mkdir(parents=True)
    return folder


def sourced(*prefixes: Path, distro: str = 'jazzy') -> dict[str, str]:
    """Return the variables that setup.bash sets."""
    return {
        'ROS_DISTRO': distro,
        'AMENT_PREFIX_PATH': ':'.join(map(str, prefixes)),
        'PYTHONPATH': ':'.join(f'{each}/lib/python3.12/site-packages' for each in prefixes),
        'LD_LIBRARY_PATH': ':'.join(f'{each}/lib' for each in prefixes),
    }


def test_without_a_sourced_ros_the_kilted_wheels_are_used(tmp_path: Path) -> None:
    done = shell(tmp_path, REPORT)
    assert done.stdout == f'kilted|.venv||\n{tmp_path}/.venv|unset|unset|unset\n', done.stderr


@pytest.mark.parametrize('distro', ['jazzy', 'kilted'])
def test_a_sourced_ros_is_used(tmp_path: Path, distro: str) -> None:
    ros = prefix(tmp_path / 'ros')
    done = shell(tmp_path, REPORT, **sourced(ros, distro=distro))
    own = f'{tmp_path}/.venv-sourced-{distro}'
    assert done.stdout.splitlines() == [
        f'sourced|.venv-sourced-{distro}|{ros}|3.12',
        f'{own}:{ros}|{own}/lib:{ros}/lib|{ros}/lib/python3.12/site-packages|{distro}',
    ], done.stderr


def test_a_workspace_over_the_sourced_ros_stays_in_use(tmp_path: Path) -> None:
    ros, workspace = prefix(tmp_path / 'ros'), tmp_path / 'workspace'
    workspace.mkdir()
    done = shell(tmp_path, REPORT, **sourced(workspace, ros))
    assert done.stdout.splitlines()[0] == f'sourced|.venv-sourced-jazzy|{ros}|3.12', done.stderr
    assert f':{workspace}:{ros}|' in done.stdout


@pytest.mark.parametrize(('distro', 'venv'), [('kilted', '.venv'), ('jazzy', '.venv-jazzy')])
def test_wheels_are_used_on_request(tmp_path: Path, distro: str, venv: str) -> None:
    environment = sourced(prefix(tmp_path / 'ros'), distro='humble')
    done = shell(tmp_path, REPORT, AURA_ROS=distro, **environment)
    assert done.stdout == f'{distro}|{venv}||\n{tmp_path}/{venv}|unset|unset|unset\n', done.stderr


def test_the_environment_of_run_shell_is_no_sourced_ros(tmp_path: Path) -> None:
    done = shell(tmp_path, REPORT, ROS_DISTRO='jazzy', AMENT_PREFIX_PATH=f'{tmp_path}/.venv')
    assert done.stdout.startswith('kilted|.venv||\n'), done.stderr


@pytest.mark.parametrize(
    ('distro', 'package', 'text'),
    [
        ('humble', 'lib/python3.12/site-packages/rclpy', "the sourced ROS 2 is 'humble', must be one of: jazzy kilted"),
        ('jazzy', 'lib', 'the sourced ROS 2 has no rclpy: install ros-jazzy-ros-base'),
        ('jazzy', 'share/ament_index/resource_index/packages/aura_ros', 'contains aura_ros itself: use ros2 launch'),
    ],
)
def test_a_sourced_ros_that_cannot_be_used_is_refused(tmp_path: Path, distro: str, package: str, text: str) -> None:
    found = tmp_path / 'ros' / package
    found.parent.mkdir(parents=True)
    found.touch() if package.startswith('share') else found.mkdir()
    done = shell(tmp_path, REPORT, **sourced(tmp_path / 'ros', distro=distro))
    assert (done.returncode, done.stdout) == (1, '')
    assert text in done.stderr
    assert done.stderr.startswith('run: ') and done.stderr.count('\n') == 1


def test_an_unknown_distribution_of_wheels_is_refused(tmp_path: Path) -> None:
    done = shell(tmp_path, REPORT, AURA_ROS='humble')
    assert (done.returncode, done.stderr) == (1, "run: AURA_ROS is 'humble', must be one of: jazzy kilted.\n")


@pytest.mark.parametrize('has_ros', [False, True])
def test_a_machine_without_wheels_needs_a_sourced_ros(tmp_path: Path, has_ros: bool) -> None:
    uname = tmp_path / 'bin' / 'uname'
    uname.parent.mkdir()
    uname.write_text('#!/bin/sh\necho Linux aarch64\n')
    uname.chmod(0o755)
    environment = {'PATH': f'{uname.parent}:{os.environ["PATH"]}'}
    environment |= sourced(prefix(tmp_path / 'ros')) if has_ros else {}
    done = shell(tmp_path, REPORT, **environment)
    if has_ros:
        assert done.stdout.startswith('sourced|.venv-sourced-jazzy|'), done.stderr
    else:
        assert done.returncode == 1
        assert done.stderr.startswith('run: there are no ROS 2 wheels for Linux aarch64: install ROS 2 Jazzy or Kilted')
        assert done.stderr.count('\n') == 1


@pytest.mark.parametrize(('wanted', 'suitable'), [('', True), (OWN_PYTHON, True), ('3.10', False)])
def test_the_python_is_that_of_the_sourced_ros(tmp_path: Path, wanted: str, suitable: bool) -> None:
    environment = sourced(prefix(tmp_path / 'ros', wanted)) if wanted else {}
    script = 'choose_ros; find_python; [ -n "$python$python_packages" ] || no_python; echo "$python"'
    done = shell(tmp_path, script, AURA_PYTHON=sys.executable, **environment)
    assert (done.stdout == f'{sys.executable}\n') == suitable, done.stderr
    assert ('found no CPython 3.10' in done.stderr) == (not suitable)
