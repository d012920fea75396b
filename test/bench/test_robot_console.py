# SPDX-License-Identifier: Apache-2.0
"""What the console shows, on a terminal and in a log."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console

from aura_ros.bench.robot.console import Leg, ProgressView, print_checks, print_table
from aura_ros.bench.robot.records import Check, RunRecord, acceptance, summarise

LEGS = [Leg('recall', 'base'), Leg('recall', 'aura')]


def console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=110, force_terminal=terminal, highlight=False)


def text(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def play(on: Console) -> None:
    with ProgressView(on, LEGS, 8) as view:
        for leg in LEGS:
            view.begin(leg)
            for done in range(1, 9):
                for _ in range(5):
                    view.update(leg, done, done - 1, None if leg.policy == 'base' else 2 * done)


def test_a_log_gets_a_few_plain_lines() -> None:
    log = console()
    play(log)
    lines = text(log).splitlines()
    assert len(lines) == 10  # 0, 2, 4, 6 and 8 rounds of each leg
    assert lines[0].startswith('recall · base') and '0/8 rounds' in lines[0]
    assert '2/8 rounds, 1 solved' in lines[1] and 'left in all' in lines[1]
    assert 'writes' not in lines[1] and '7 solved, 16 writes' in lines[-1]
    assert '\x1b' not in text(log)


def test_a_terminal_gets_bars() -> None:
    terminal = console(terminal=True)
    play(terminal)
    assert '8/8 rounds' in text(terminal) and '\x1b' in text(terminal)


def test_the_table_has_every_number(make_run: Callable[..., RunRecord]) -> None:
    log = console()
    rows = [summarise(episode) for episode in make_run().episodes]
    print_table(log, rows)
    shown = text(log)
    for word in ('recall', 'visible', 'base', 'aura', 'kv', '12/12', '4,224', '[0.76, 1.00]'):
        assert word in shown
    assert shown.count('recall') == 1
    assert max(map(len, shown.splitlines())) <= 110


def test_checks_say_what_holds(make_run: Callable[..., RunRecord]) -> None:
    log = console()
    print_checks(log, [Check('a >= b', True), Check('c [b] <= d', False), Check('e', None)])
    assert text(log).splitlines() == ['  a >= b: holds', '  c [b] <= d: BROKEN', '  e: too few rounds to tell']
    print_checks(log, acceptance([summarise(episode) for episode in make_run().episodes]))
    assert 'writes KV / AURA' in text(log)
