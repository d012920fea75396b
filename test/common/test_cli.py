# SPDX-License-Identifier: Apache-2.0
"""The command `aura`."""

import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from aura_ros import cli


def test_help_has_one_line_for_each_verb(capsys):
    assert cli.main(['--help']) == 0
    lines = capsys.readouterr().out.splitlines()
    for verb, (_, summary) in cli.VERBS.items():
        assert sum(line.split()[:1] == [verb] and line.endswith(summary) for line in lines) == 1
    assert max(map(len, lines)) <= 80


def test_no_verb_shows_the_help_on_stderr(capsys):
    assert cli.main([]) == 2
    assert capsys.readouterr() == ('', cli.HELP)


@pytest.mark.parametrize(
    ('verb', 'hint'), [('replya', ', did you mean replay?'), ('xyz', '; choose from demo, launch')]
)
def test_an_unknown_verb_suggests_a_near_one(verb, hint, capsys):
    assert cli.main([verb]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"aura: there is no '{verb}'{hint}")


def test_a_verb_passes_its_words_and_its_exit_code_on(monkeypatch):
    seen = []
    monkeypatch.setattr(cli, 'import_module', lambda name: SimpleNamespace(main=lambda words: seen.append(words) or 7))
    assert cli.main(['state', 'verify', 'file', '--help']) == 7
    assert seen == [['verify', 'file', '--help']]


@pytest.mark.parametrize('verb', cli.VERBS)
def test_every_verb_has_a_program(verb):
    assert find_spec(cli.VERBS[verb][0]) is not None


@pytest.mark.parametrize(
    'verb', ['demo', 'state', 'launch', 'replay', 'bench', 'features', 'train', 'topics', 'soak', 'panel', 'robot']
)
def test_usage_names_the_verb(verb):
    done = subprocess.run(
        [sys.executable, '-m', 'aura_ros.cli', verb, '--help'], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith(f'usage: aura {verb} ')


def test_only_the_chosen_program_is_imported():
    code = (
        'import sys; from aura_ros.cli import main; main(["--help"]);'
        'sys.exit(any(name in sys.modules for name in ("numpy", "rclpy", "rich")))'
    )
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, timeout=30)
