# SPDX-License-Identifier: Apache-2.0
"""The parts of ./run that need no virtual environment."""

import os
import re
import shutil
import subprocess
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
    for name in ('ros.sh', 'setup.sh', 'vla.sh'):
        shutil.copy(ROOT / 'tools' / name, at / 'tools')
    return at


@pytest.mark.parametrize('arguments', [['--help'], ['-h'], ['help'], []])
def test_help_lists_every_command(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 0
    for command in re.findall(r'^    (\w+)(?: \|.*)?\)', TEXT, re.MULTILINE):
        assert re.search(rf'^  {command}\b', done.stdout, re.MULTILINE), command


def test_unknown_command_is_refused() -> None:
    done = run('dance')
    assert done.returncode == 1
    assert done.stderr.endswith("run: there is no command 'dance'.\n")


@pytest.mark.parametrize('arguments', [['--rounds'], ['rounds']])
def test_invalid_option_is_refused_before_the_setup(copy: Path, arguments: list[str]) -> None:
    done = run('demo', *arguments, at=copy)
    assert done.returncode == 1
    assert done.stderr.startswith('run: ') and done.stderr.count('\n') == 1
    assert not (copy / '.venv').exists()


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [
        (['--distro'], '--distro needs a distribution: jazzy or kilted.'),
        (['--distro', 'humble'], "AURA_ROS is 'humble', must be one of: jazzy kilted."),
    ],
)
def test_an_unknown_distribution_is_refused_before_the_setup(copy: Path, arguments: list[str], text: str) -> None:
    done = run('test', *arguments, at=copy)
    assert (done.returncode, done.stderr) == (1, f'run: {text}\n')
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
