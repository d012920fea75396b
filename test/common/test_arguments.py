# SPDX-License-Identifier: Apache-2.0
"""The command lines of all programs: help, errors, and checks without a start."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aura_ros import cli
from aura_ros.bench.cli import COMMANDS
from aura_ros.common.arguments import HelpFormatter, Parser, WrongArguments, fill, integer_in, names_of, number_in
from aura_ros.common.errors import ConfigError

PROGRAMS = [*([verb] for verb in cli.VERBS), *(['bench', name] for name in COMMANDS)]
OPTIONAL = ('torch', 'onnx', 'rosbags', 'mcap', 'pyarrow', 'av', 'jinja2', 'PyQt5', 'pyqtgraph', 'popgym', 'gymnasium')


def parsers(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Parser]:
    """Yield the parser of a program, and those of its commands."""
    found: list[Parser] = []
    monkeypatch.setattr(Parser, 'print_help', lambda self, file=None: found.append(self))
    with pytest.raises(SystemExit) as stop:
        cli.main([*words, '--help'])
    assert stop.value.code == 0
    for parser in found:
        assert isinstance(parser, Parser)
        yield parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += action.choices.values()


@pytest.mark.parametrize('words', PROGRAMS, ids=' '.join)
def test_help_fits_in_80_columns_and_describes_every_option(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('COLUMNS', '200')
    for parser in parsers(words, monkeypatch):
        text = parser.format_help()
        assert [line for line in text.split('\n') if len(line) > 80] == []
        assert 'example' in (parser.epilog or ''), parser.prog
        for action in parser._actions:
            assert action.help, f'{parser.prog}: {action.dest} has no description'
            required = action.required or any(
                action in group._group_actions for group in parser._mutually_exclusive_groups if group.required
            )
            if action.nargs != 0 and action.option_strings and not required:
                shown = HelpFormatter('')._get_help_string(action) or ''
                assert 'default' in shown, f'{parser.prog}: {action.option_strings} has no default in its help'


def test_help_of_aura_fits_in_80_columns() -> None:
    assert max(map(len, cli.HELP.split('\n'))) <= 80 and 'examples:' in cli.HELP


def test_help_needs_no_optional_package() -> None:
    code = (
        f'import sys; sys.modules.update(dict.fromkeys({OPTIONAL})); from aura_ros.cli import main\n'
        f'for words in {PROGRAMS}:\n'
        '    try: main([*words, "--help"])\n'
        '    except SystemExit as stop: assert not stop.code, words\n'
        '    else: sys.exit(f"{words} did not print its help")'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.parametrize(
    ('words', 'text'),
    [
        (['demo', '--tasks', 'recll'], "aura demo: --tasks: there is no 'recll', did you mean recall? Choose from"),
        (['demo', '--task', 'recall,recall'], "--tasks: 'recall' is given twice"),
        (['demo', '--rouns', '3'], 'there is no option --rouns, did you mean --rounds?'),
        (['demo', '--rounds', '0'], "--rounds: '0': must be an integer from 1 to 10000"),
        (['demo', '12'], "'12': write options as --rounds 60"),
        (['panel', '--policies', 'aurra'], "aura panel: --policies: there is no 'aurra', did you mean aura?"),
        (['panel', '--rounds', 'many'], "--rounds: 'many': must be an integer in 1..10000"),
        (['panel', '--lockstep', 'maybe'], "--lockstep: 'maybe': must be true or false"),
        (['panel', '--split', 'evaluate'], "--split: 'evaluate': must be one of"),
        (['launch', '--show-arg'], 'aura launch: name a launch file'),
        (['soak', '--minutes', '0'], "--minutes: '0': must be a number from 0.2 to 43200"),
        (['topics', 'lst'], "COMMAND: there is no 'lst', did you mean list?"),
        (['topics', 'echo', '/a', '--onec'], 'there is no option --onec, did you mean --once?'),
        (['robot', '--preset', 'ur5'], '--preset: no preset'),
        (['replay', 'bag', '--policies', 'kvv'], "--policies: there is no 'kvv', did you mean kv?"),
        (['replay', 'bag', '--from', '9', '--to', '8'], '--to 8 s: must be after --from 9 s'),
        (['replay'], 'the following arguments are required: BAG'),
        (['train', 'memroy'], "STAGE: there is no 'memroy', did you mean memory?"),
        (['train', 'check', '--tasks', 'x'], "--tasks: there is no 'x'; choose from recall"),
        (['train', 'driven', '--tasks', 'visible'], '--tasks: the stage driven has no task'),
        (['train', 'vla', '--from-bags', 'x'], '--from-bags belongs to the stage memory'),
        (['train', 'memory', '--memory', 'gr'], "--memory: there is no 'gr', did you mean gru?"),
        (['bench', 'synthetc'], "COMMAND: there is no 'synthetc', did you mean synthetic?"),
        (['bench', 'synthetic', '--settings', 'x'], "aura bench synthetic: --settings: there is no 'x'"),
        (['bench', 'synthetic', '--memories', 'random'], '--memories: random match the writes of aura; add aura'),
        (['bench', 'synthetic', '--augment', 'noise=0.5'], 'noise must be finite and >= 1'),
        (['bench', 'endurance', '--memory', 'aura'], '--memory needs weights'),
        (['bench', 'ais', '--memory', 'random'], "--memory: 'random': must be a kind"),
        (['serve', '--port', '70000'], "--port: '70000': must be an integer from 0 to 65535"),
        (['state', 'inspct', 'f'], "COMMAND: there is no 'inspct', did you mean inspect?"),
        (['monitor', '--after', '3'], '--after needs --save'),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, list) else '',
)
def test_a_wrong_argument_is_one_line_on_stderr(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ''
    assert text in printed.err and printed.err.count('\n') == 1


@pytest.mark.parametrize(
    'words',
    [
        ['demo', '--tasks', 'recall', 'lockstep:=false', '--rounds', '2'],
        ['panel', '--endurance', '--policies', 'aura,kv'],
        ['launch', 'demo.launch.yaml', 'rounds:=2'],
        ['soak', '--minutes', '1'],
        ['replay', 'no_such_bag'],
        ['train', 'all', '--tasks', 'recall'],
        ['bench', 'synthetic', '--tune', '--memories', 'elmur-2x16', '--rates', '0.003'],
        ['bench', 'tmaze', '--quick'],
        ['monitor', '--save', 'x.png', '--after', '2'],
        ['serve'],
    ],
    ids=' '.join,
)
def test_check_starts_nothing(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Parser, 'only_check', False)  # restored after the test
    with pytest.raises(SystemExit) as stop:
        cli.main(['--check', *words])
    assert not stop.value.code and capsys.readouterr() == ('', '') and not list(tmp_path.iterdir())


def test_demo_is_checked_with_the_standard_library_alone() -> None:
    code = (
        'import sys; from aura_ros.cli import main\n'
        'code = main(["--check", "demo", "--tasks", "recll"])\n'
        'print(sorted(set(sys.modules) & {"numpy", "rclpy", "rich", "yaml"}))\n'
        'sys.exit(code)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2 and done.stdout == '[]\n' and '--tasks' in done.stderr


def test_help_wraps_paragraphs_and_second_columns() -> None:
    text = 'One paragraph that is\nlonger than a line.\n\nlist:\n  word  what it means\n  a line as it is'
    assert list(fill(text, 40)) == [
        'One paragraph that is longer than a',
        'line.',
        '',
        'list:',
        '  word  what it means',
        '  a line as it is',
    ]
    two = '  word  what it means,\n        in several words'
    assert list(fill(two, 40)) == two.split('\n')
    assert list(fill(two + ' and more', 32)) == ['  word  what it means, in', '        several words and more']
    assert list(fill('  a long command --with an option  its meaning', 40)) == [
        '  a long command --with an option',
        '      its meaning',
    ]


def test_converters() -> None:
    assert names_of(('a', 'b'))(' b,a') == ('b', 'a')
    assert number_in(0.0, 1.0)('0.5') == 0.5 and integer_in(-1, 3)('-1') == -1
    for convert, text in (
        (names_of(('a',)), ','),
        (number_in(0.0, 1.0), 'nan'),
        (number_in(0.0, float('inf')), '-1'),
        (integer_in(0, 3), '1.0'),
        (integer_in(0, 3), '4'),
    ):
        with pytest.raises(argparse.ArgumentTypeError):
            convert(text)


def test_a_check_of_all_arguments_is_an_error_of_the_command_line() -> None:
    def refuse(options: argparse.Namespace) -> None:
        raise ConfigError('--a and --b exclude each other')

    parser = Parser('aura test')
    parser.check = refuse
    with pytest.raises(WrongArguments, match=r'^aura test: --a and --b exclude each other\. See aura test --help\.$'):
        parser.parse_args([])
