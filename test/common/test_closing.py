# SPDX-License-Identifier: Apache-2.0
"""The last words of a launch."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aura_ros.common.closing import VARIABLE, closing_console, closing_text
from aura_ros.common.tables import FiguresTable

CHILD = """
from aura_ros.common.closing import closing_console
with closing_console() as console:
    console.print('last words of a child, ' * 6)
"""


def test_a_child_speaks_last_and_in_full_width(capfd: pytest.CaptureFixture[str]) -> None:
    with closing_text():
        subprocess.run([sys.executable, '-c', CHILD], check=True, timeout=60)
        print('shutdown lines', flush=True)
    assert VARIABLE not in os.environ
    assert capfd.readouterr().out == 'shutdown lines\n' + 'last words of a child, ' * 6 + '\n'


def test_without_a_launch_it_is_printed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with closing_console({}) as console:
        console.print('a result')
    assert capsys.readouterr().out == 'a result\n'


def test_the_width_is_that_of_the_terminal_of_the_launch(tmp_path: Path) -> None:
    name = tmp_path / 'text'
    table = FiguresTable('title', keys=('key',), figures=('one', 'two'))
    table.add_row('row', '1,234,567,890', '1,234,567,890')
    with closing_console({VARIABLE: f'24:{name}', 'TERM': 'dumb'}) as console:
        console.print(table)
    assert console.is_terminal and sum('row' in line for line in name.read_text().splitlines()) == 2


def test_a_launch_needs_no_place_for_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'none'))
    with closing_text():
        assert VARIABLE not in os.environ
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    with closing_text():
        (made,) = tmp_path.iterdir()
        made.unlink()
    assert not list(tmp_path.iterdir()) and capfd.readouterr().out == ''


def test_nothing_is_printed_for_silent_children_and_errors_pass(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), closing_text():
        raise RuntimeError('a bug')
    assert capsys.readouterr().out == ''
