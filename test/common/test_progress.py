# SPDX-License-Identifier: Apache-2.0
"""Progress: few lines in a log, a bar on a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from aura_ros.common.progress import LINES, Bar


def shown(total: int, terminal: bool, done: int = 0, later: int = 0) -> str:
    file = io.StringIO()
    with Bar(Console(file=file, width=110, force_terminal=terminal, highlight=False), 'run', total, done, later) as bar:
        for step in range(done, total):
            bar.advance(text=f'part {step}')
    return file.getvalue()


def test_a_log_gets_few_lines_and_always_the_last() -> None:
    lines = shown(1000, terminal=False).splitlines()
    assert lines[0] == 'run: 0/1000' and len(lines) <= LINES + 1 and lines[-1].startswith('run: 1000/1000, part 999')
    assert len(shown(3, terminal=False).splitlines()) == 4


def test_what_was_done_before_counts_in_the_total() -> None:
    lines = shown(4, terminal=False, done=2).splitlines()
    assert lines[0] == 'run: 2/4' and lines[1].startswith('run: 3/4') and lines[-1].startswith('run: 4/4')


def test_the_time_left_includes_later_bars() -> None:
    lines = shown(2, terminal=False, later=8).splitlines()
    assert lines[1].endswith(' left in all') and 'left' not in lines[2]


def test_a_narrow_terminal_gets_whole_figures() -> None:
    for width in (80, 60):
        file = io.StringIO()
        with Bar(Console(file=file, width=width, force_terminal=True, highlight=False), 'put_back · base', 1000) as bar:
            bar.advance(1000, '987 solved, 1,234,567 writes')
        text = file.getvalue()
        assert '1000/1000' in text and '1,234,567' in text and '…' not in text


def test_a_terminal_gets_a_bar() -> None:
    text = shown(4, terminal=True)
    assert '4/4' in text and 'part 3' in text
