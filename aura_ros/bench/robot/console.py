# SPDX-License-Identifier: Apache-2.0
"""Prints the table and the checks at the end of a run (no ROS)."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from aura_ros.bench.robot.endurance import HUNDRED, Block, PolicyRun
from aura_ros.bench.robot.paired import PairedRow
from aura_ros.bench.robot.records import Check, PanelRow
from aura_ros.common.tables import FiguresTable


def print_table(console: Console, rows: Sequence[PanelRow]) -> None:
    """Print the final table, one line per task and policy."""
    table = FiguresTable(
        'Same rounds for all policies, one episode without resets each',
        keys=('task', 'policy'),
        figures=('solved', 'success [95 %]', 'writes', 'writes per round', 'state [B]', 'p50 [µs]', 'p95 [µs]'),
        optional=('writes per round',),
    )
    task = ''
    for row in rows:
        if task and row.task != task:
            table.add_section()
        low, high = row.interval
        table.add_row(
            '' if row.task == task else row.task,
            row.policy,
            f'{row.successes}/{row.rounds}',
            f'{row.rate:.2f} [{low:.2f}, {high:.2f}]',
            _number(row.writes, ','),
            _number(row.writes_per_round, '.2f'),
            _number(row.state_bytes, ','),
            _number(row.p50_us, '.0f'),
            _number(row.p95_us, '.0f'),
        )
        task = row.task
    console.print(table)


def print_paired(console: Console, rows: Sequence[PairedRow]) -> None:
    """Print the differences between policies, one line per task and pair; nothing if no two policies ran."""
    if not rows:
        return
    table = FiguresTable(
        "Pairs of policies on the same rounds, with McNemar's exact test",
        keys=('task', 'pair'),
        figures=('both', 'only first', 'only second', 'neither', 'difference', 'p'),
    )
    for row in rows:
        counts = (row.both, row.only_policy, row.only_other, row.neither)
        p_value = '< 0.001' if row.p_value < 0.001 else f'{row.p_value:.3f}'
        table.add_row(
            row.task.replace(',', ', '),
            f'{row.policy} - {row.other}',
            *map(str, counts),
            f'{row.difference:+.2f}',
            p_value,
        )
    console.print(table)


def print_sentence(console: Console, results: Sequence[tuple[str, int, int, int | None]]) -> None:
    """Print one sentence with the rounds of each policy.

    Args:
        console: where to print.
        results: policy, number of its solved rounds and of all its rounds, and its writes or None.
    """
    names = {'aura': 'with AURA-Mem', 'kv': 'with the KV-cache', 'base': 'without a memory'}
    parts: list[str] = []
    for policy, name in names.items():
        own = [(solved, rounds, writes) for driver, solved, rounds, writes in results if driver == policy and rounds]
        if not own:
            continue
        solved, rounds = sum(row[0] for row in own), sum(row[1] for row in own)
        writes = sum(row[2] or 0 for row in own)
        note = '' if own[0][2] is None else f' ({writes:,} write{"" if writes == 1 else "s"})'
        parts.append(f'{solved:,} of {rounds:,} {"" if parts else "rounds "}{name}{note}')
    if parts:
        *first, last = parts
        console.print(f'\nThe robot solved {", ".join(first)}{" and " if first else ""}{last}.')


def print_endurance(console: Console, runs: Sequence[PolicyRun]) -> None:
    """Print solved rounds and writes of each policy: a line for each hundred rounds, for all, and for each task."""
    table = FiguresTable(
        'Mixed tasks without a reset, the same rounds for all policies',
        keys=('rounds',),
        figures=[f'{run.policy} {name}' for run in runs for name in ('solved', 'writes', 'state [B]')],
    )
    for index in range(max((len(run.blocks) for run in runs), default=0)):
        blocks = [run.blocks[index] if index < len(run.blocks) else None for run in runs]
        first = index * HUNDRED
        last = first + max(block.rounds for block in blocks if block)
        table.add_row(f'{first + 1}-{last}', *(cell for block in blocks for cell in _block_cells(block)))
    table.add_section()
    for task in ('', *sorted({task for run in runs for task, _ in run.results})):
        table.add_row(task or 'all', *(cell for run in runs for cell in _total_cells(run, task)))
    console.print(table)


def _block_cells(block: Block | None) -> list[str]:
    if block is None:
        return ['-'] * 3
    return [f'{block.solved}/{block.rounds}', _number(block.writes, ','), _number(block.state_bytes, ',')]


def _total_cells(run: PolicyRun, task: str) -> list[str]:
    solved, rounds = run.solved(task)
    return [f'{solved}/{rounds}', '' if task else _number(run.writes(), ','), '']


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """Print one line per check."""
    for check in checks:
        if check.passed is None:
            mark, style = 'undecided, too few rounds', 'dim'
        else:
            mark, style = ('passed', 'green') if check.passed else ('FAILED', 'bold red')
        console.print(f'  {escape(check.text)}: [{style}]{mark}[/]')


def _number(value: float | None, spec: str) -> str:
    return '-' if value is None else format(value, spec)
