# SPDX-License-Identifier: Apache-2.0
"""aura bench: the parts that all commands share."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from aura_ros.bench import cli
from aura_ros.common.errors import ConfigError

BLOCKED = """
import sys
sys.modules['torch'] = None  # as if it were not installed
from aura_ros.bench.cli import COMMANDS, load, parser_of
for name in COMMANDS:
    command = load(name)
    assert command.SUMMARY and '\\n' not in command.SUMMARY, name
    assert len(parser_of(name, command).format_help()) > 200, name
"""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A command that stores its arguments."""
    made = SimpleNamespace(SUMMARY='a dance', __doc__='Dances.\n\nTakes no time.', seen=None, error=None)

    def run(args: argparse.Namespace, console: Console) -> int:
        made.seen = args
        if made.error is not None:
            raise made.error
        return 3

    made.run, made.add_arguments = run, lambda parser: parser.add_argument('--turns', type=int, default=1)
    monkeypatch.setattr(cli, 'COMMANDS', ('dance',))
    monkeypatch.setattr(cli, 'load', lambda name: made)
    return made


def test_command_gets_its_arguments_and_returns_the_exit_code(command: SimpleNamespace) -> None:
    assert cli.main(['dance', '--turns', '4', '--seeds', '2,5..7,5', '--jobs', '2', '--output', 'here']) == 3
    seen = command.seen
    assert (seen.turns, seen.seeds, seen.jobs, seen.output) == (4, (2, 5, 6, 7), 2, Path('here'))
    assert not seen.quick and not seen.fresh


def test_quick_run_writes_to_its_own_folder(command: SimpleNamespace) -> None:
    cli.main(['dance'])
    assert (command.seen.output, command.seen.seeds) == (Path('results'), (0, 1, 2, 3, 4))
    cli.main(['dance', '--quick'])
    assert (command.seen.output, command.seen.seeds) == (Path('results/quick'), (0,))


def test_help_shows_the_docstring(command: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(['dance', '--help'])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and 'Takes no time.' in text and '--turns' in text
    with pytest.raises(SystemExit) as stop:
        cli.main([])
    assert stop.value.code == 0 and 'dance  a dance' in capsys.readouterr().out


@pytest.mark.parametrize(
    'words',
    [
        ['jump'],
        ['dance', '--seeds', 'a'],
        ['dance', '--seeds', '4..1'],
        ['dance', '--seeds', '-1'],
        ['dance', '--jobs', '0'],
    ],
)
def test_invalid_arguments_are_rejected(command: SimpleNamespace, words: list[str]) -> None:
    assert cli.main(words) == 2 and command.seen is None


@pytest.mark.parametrize(
    ('error', 'code', 'expected'),
    [
        (ConfigError('turns = 0'), 2, 'aura bench: turns = 0'),
        (ModuleNotFoundError('no', name='torch'), 1, 'pip install "aura_ros[train]"'),
        (KeyboardInterrupt(), 130, 'continues with the next run'),
    ],
)
def test_errors_are_one_line(
    command: SimpleNamespace, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, expected: str
) -> None:
    command.error = error
    assert cli.main(['dance']) == code
    text = capsys.readouterr().err
    assert expected in text and text.count('\n') == 1


def test_import_error_of_the_package_is_raised(command: SimpleNamespace) -> None:
    command.error = ImportError('cannot import name', name='aura_ros.bench')
    with pytest.raises(ImportError):
        cli.main(['dance'])


def test_help_of_every_command_works_without_torch() -> None:
    subprocess.run([sys.executable, '-c', BLOCKED], check=True, timeout=60)
