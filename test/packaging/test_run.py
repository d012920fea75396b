# SPDX-License-Identifier: Apache-2.0
"""The parts of ./run that need no virtual environment."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / 'run').read_text(encoding='utf-8')


def run(*arguments: str, at: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ['/bin/sh', str(at / 'run'), *arguments],
        env={'PATH': os.environ['PATH'], **environment},
        cwd='/',
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a space in its name that contains the files of ./run."""
    at = tmp_path / 'a copy'
    (at / 'tools').mkdir(parents=True)
    shutil.copy(ROOT / 'run', at)
    for name in ('ros.sh', 'setup.sh', 'vla.sh', 'usage.txt'):
        shutil.copy(ROOT / 'tools' / name, at / 'tools')
    return at


@pytest.fixture
def fresh(copy: Path) -> Path:
    """A copy with the package, and without an environment."""
    (copy / 'aura_ros').symlink_to(ROOT / 'aura_ros')
    return copy


@pytest.mark.parametrize('arguments', [['--help'], ['-h'], ['help'], []])
def test_help_lists_every_command(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 0
    for command in re.findall(r'^    ([a-z]\w*)(?: \|.*)?\)', TEXT, re.MULTILINE):
        assert re.search(rf'^  {command}\b', done.stdout, re.MULTILINE), command


def test_unknown_command_is_refused() -> None:
    done = run('dance')
    assert done.returncode == 2
    assert done.stderr == "run: there is no command 'dance'. See ./run --help.\n"
    assert run('dmo').stderr == "run: there is no command 'dmo', did you mean demo? See ./run --help.\n"


def test_help_fits_in_80_columns() -> None:
    assert max(map(len, run('--help').stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [
        (['demo', '--tasks', 'recll'], "--tasks: there is no 'recll', did you mean recall?"),
        (['demo', '--rounds'], '--rounds: expected one argument'),
        (['demo', 'rounds'], "'rounds': write options as --rounds 60"),
        (['panel', '--policis', 'aura'], 'there is no option --policis, did you mean --policies?'),
    ],
)
def test_the_demo_is_checked_before_anything_is_installed(fresh: Path, arguments: list[str], text: str) -> None:
    done = run(*arguments, at=fresh, AURA_PYTHON=sys.executable)
    assert (done.returncode, done.stdout) == (2, '')
    assert text in done.stderr and done.stderr.count('\n') == 1
    assert not list(fresh.glob('.venv*'))


def test_help_of_the_demo_installs_nothing(fresh: Path) -> None:
    done = run('demo', '--help', at=fresh, AURA_PYTHON=sys.executable)
    assert done.returncode == 0 and done.stdout.startswith('usage: aura demo ')
    assert not list(fresh.glob('.venv*'))


@pytest.mark.parametrize(
    ('arguments', 'code', 'text'),
    [
        (['bench', '--help'], 0, 'usage: aura bench '),
        (['bench', 'synthetic', '--help'], 0, 'usage: aura bench synthetic '),
        (['bench', 'synthetic', '--settings', 'x'], 2, "--settings: there is no 'x'"),
        (['bench', 'vla', '--backbone', 'lerobot', '--steps', '0'], 2, '--steps: '),
        (['train', 'check', '--tasks', 'x'], 2, "--tasks: there is no 'x'"),
        (['replay', '--help'], 0, 'usage: aura replay '),
        (['replay', 'bag', '--limit', '0'], 2, '--limit: '),
        (['monitor', '--after', '3'], 2, '--after needs --save'),
        (['serve', '--port', 'x'], 2, '--port: '),
        (['soak', '--minutes', '0'], 2, '--minutes: '),
        (['launch', '--help'], 0, 'usage: aura launch '),
    ],
)
def test_arguments_are_checked_before_extras_are_installed(
    fresh: Path, arguments: list[str], code: int, text: str
) -> None:
    """The base is set up here, by a Python that has its packages."""
    (fresh / '.venv' / 'bin').mkdir(parents=True)
    python = fresh / '.venv' / 'bin' / 'python'
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = run(*arguments, at=fresh, AURA_PYTHON='/bin/false')
    assert done.returncode == code and text in (done.stderr if code else done.stdout)
    assert not (fresh / '.venv' / 'stamps').exists()


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [
        (['test', '--distro'], '--distro needs a distribution: jazzy or kilted.'),
        (['test', '--distro', 'humble'], "--distro is 'humble', must be one of: jazzy kilted."),
        (['setup', 'train'], "setup takes no arguments, and has 'train'."),
        (['vla_env', 'lerobt'], "there is no environment 'lerobt'; name one of: lerobot openvla_oft."),
        (['launch'], 'name a launch file, for example: ./run launch aura.launch.yaml.'),
        (['launch', 'none.yaml'], 'there is no launch file {root}/launch/none.yaml.'),
    ],
)
def test_wrong_use_is_refused_before_the_setup(copy: Path, arguments: list[str], text: str) -> None:
    done = run(*arguments, at=copy)
    assert (done.returncode, done.stderr) == (2, f'run: {text.format(root=copy)} See ./run --help.\n')
    assert not list(copy.glob('.venv*'))


def test_a_foreign_venv_is_not_changed(copy: Path) -> None:
    (copy / '.venv').mkdir()
    (copy / '.venv' / 'mine').touch()
    done = run('setup', at=copy)
    assert done.returncode == 1
    assert 'was not made by ./run' in done.stderr
    assert (copy / '.venv' / 'mine').exists()


def test_an_unsuitable_python_is_reported(copy: Path) -> None:
    done = run('setup', at=copy, AURA_PYTHON='/bin/false')
    assert done.returncode == 1
    assert 'AURA_PYTHON' in done.stderr


def test_ci_runs_the_tests() -> None:
    assert re.search(r'^exec .*/run" test', (ROOT / '.ci' / 'run').read_text(), re.MULTILINE)
    for path in ('run', '.ci/run'):
        assert os.access(ROOT / path, os.X_OK)
