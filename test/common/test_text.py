# SPDX-License-Identifier: Apache-2.0
"""Text from outside is shown cut, escaped and on one line."""

import pytest

from aura_ros.common.console import make_console
from aura_ros.common.errors import InputError
from aura_ros.common.program import program
from aura_ros.common.text import cut, printable, printable_lines

EVIL = '\x1b]0;OWNED\x07\x1b[2J\x1b[31mall good\r fake\u202egnp.exe\x9b31m\ud800\n[bold]x[/]'


@pytest.mark.fault('F34')
@pytest.mark.parametrize('char', [chr(code) for code in (0, 7, 8, 10, 13, 27, 127, 0x85, 0x9B, 0x2028, 0x202E, 0x2066)])
def test_a_character_that_controls_the_output_is_escaped(char):
    shown = printable(f'a{char}b')
    assert shown.isprintable() and shown.startswith('a\\') and shown.endswith('b')


@pytest.mark.parametrize('text', ['', 'ordinary text', 'Grüße 字 µs · →', 'C:\\new'])
def test_a_printable_text_is_unchanged(text):
    assert printable(text) == printable_lines(text) == text


def test_a_second_call_changes_nothing():
    assert printable(printable(EVIL)) == printable(EVIL)


@pytest.mark.fault('F34')
def test_a_long_text_is_cut_before_it_is_escaped():
    assert printable('\x1b' * 1_000_000, 3) == '\\x1b\\x1b…'
    assert (cut('abc', 3), cut('abcd', 3)) == ('abc', 'ab…')


@pytest.mark.fault('F34')
def test_an_error_that_quotes_such_text_is_printed_escaped_and_cut(capsys, measured):
    @program('aura test')
    def main() -> int:
        raise InputError(f'topic {EVIL}{"x" * 100_000} is not valid')

    assert main() == 1
    line = capsys.readouterr().err
    assert line.startswith('aura test: topic \\x1b]0;OWNED') and len(line) < 5000
    assert line.replace('\n', '').isprintable()
    measured('error line: escape sequences, direction marks and 100,000 characters escaped and cut')


@pytest.mark.fault('F34')
def test_the_console_escapes_what_it_prints(capsys):
    make_console().print(f'{EVIL}: done', markup=False, soft_wrap=True)
    assert capsys.readouterr().out.replace('\n', '').isprintable()
