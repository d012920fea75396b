# SPDX-License-Identifier: Apache-2.0
"""The table and the checks on the console."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console

from aura_ros.bench.robot.console import print_checks, print_sentence, print_table
from aura_ros.bench.robot.records import Check, RunRecord, acceptance, summarise


def console() -> Console:
    return Console(file=io.StringIO(), width=110, highlight=False)


def text(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def test_table_has_all_numbers(make_run: Callable[..., RunRecord]) -> None:
    log = console()
    rows = [summarise(episode) for episode in make_run().episodes]
    print_table(log, rows)
    shown = text(log)
    for word in ('recall', 'visible', 'base', 'aura', 'kv', '12/12', '4,224', '[0.76, 1.00]'):
        assert word in shown
    assert shown.count('recall') == 1
    assert max(map(len, shown.splitlines())) <= 110


def test_checks_show_their_result(make_run: Callable[..., RunRecord]) -> None:
    log = console()
    print_checks(log, [Check('a >= b', True), Check('c [b] <= d', False), Check('e', None)])
    assert text(log).splitlines() == ['  a >= b: passed', '  c [b] <= d: FAILED', '  e: undecided, too few rounds']
    print_checks(log, acceptance([summarise(episode) for episode in make_run().episodes]))
    assert 'writes KV / AURA' in text(log)


def test_one_sentence_sums_the_tasks() -> None:
    log = console()
    results = [('base', 4, 12, None), ('aura', 11, 12, 14), ('aura', 12, 12, 3), ('kv', 12, 12, 1234)]
    print_sentence(log, results)
    assert ' '.join(text(log).split()) == (
        'The robot solved 23 of 24 rounds with AURA-Mem (17 writes), 12 of 12 with the KV-cache (1,234 writes) '
        'and 4 of 12 without a memory.'
    )


def test_the_sentence_needs_no_other_policy() -> None:
    log = console()
    print_sentence(log, [('base', 4, 12, None)])
    assert text(log) == '\nThe robot solved 4 of 12 rounds without a memory.\n'
    print_sentence(log, [])
    assert text(log).count('\n') == 2
