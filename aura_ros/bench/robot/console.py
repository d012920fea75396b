# SPDX-License-Identifier: Apache-2.0
"""Prints the table and the checks at the end of a run (no ROS)."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aura_ros.bench.robot.records import Check, PanelRow


def print_table(console: Console, rows: Sequence[PanelRow]) -> None:
    """Print the final table, one line per task and policy."""
    table = Table(title='Same seed for all policies, one episode without resets each')
    for name in ('task', 'policy'):
        table.add_column(name)
    for name in ('solved', 'success [95 %]', 'writes', 'writes/round', 'state [B]', 'p50 [µs]', 'p95 [µs]'):
        table.add_column(name, justify='right', no_wrap=True)
    task = ''
    for row in rows:
        if task and row.task != task:
            table.add_section()
        low, high = row.interval
        table.add_row(
            '' if row.task == task else row.task,
            row.policy,
            f'{row.successes}/{row.rounds}',
            escape(f'{row.rate:.2f} [{low:.2f}, {high:.2f}]'),
            _number(row.writes, ','),
            _number(row.writes_per_round, '.2f'),
            _number(row.state_bytes, ','),
            _number(row.p50_us, '.0f'),
            _number(row.p95_us, '.0f'),
        )
        task = row.task
    console.print(table)


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
