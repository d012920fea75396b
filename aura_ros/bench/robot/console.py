# SPDX-License-Identifier: Apache-2.0
"""What a comparison shows on the console while it works and at its end (no ROS).

On a terminal: one bar per task and policy. Elsewhere (a pipe, a log, CI): a plain line now and then.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from aura_ros.bench.robot.records import Check, PanelRow
from aura_ros.common.console import minutes

# Plain lines per episode.
_LINES = 4


@dataclass(frozen=True)
class Leg:
    """One task with one policy: an episode to come, running or done."""

    task: str
    policy: str

    def __str__(self) -> str:
        return f'{self.task} · {self.policy}'


class ProgressView:
    """Shows rounds done, successes, writes and the time left; a context manager, one thread."""

    def __init__(self, console: Console, legs: Sequence[Leg], rounds: int) -> None:
        """Show `legs`, each of `rounds` rounds."""
        self._console = console
        self._legs = list(legs)
        self._rounds = rounds
        self._began = time.monotonic()
        self._leg_began = self._began
        self._shown = -1
        self._ids: dict[Leg, TaskID] = {}
        self._bars: Progress | None = None
        if console.is_terminal:
            self._bars = Progress(
                TextColumn('{task.description:<18}'),
                BarColumn(bar_width=30),
                TextColumn('{task.completed:.0f}/{task.total:.0f} rounds'),
                TextColumn('{task.fields[text]}'),
                console=console,
                refresh_per_second=4,
            )
            self._ids = {leg: self._bars.add_task(str(leg), total=rounds, text='') for leg in self._legs}

    def __enter__(self) -> ProgressView:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begin(self, leg: Leg) -> None:
        """The episode of `leg` begins."""
        self._leg_began = time.monotonic()
        self._shown = -1
        self.update(leg, 0, 0, None)

    def update(self, leg: Leg, done: int, solved: int, writes: int | None) -> None:
        """`done` rounds are over, `solved` of them solved, after `writes` of the policy's memory."""
        text = f'{solved} solved'
        if writes is not None:
            text += f', {writes} writes'
        left_s = self._left_s(leg, done)
        finished = done >= self._rounds
        if finished:
            text += f', {time.monotonic() - self._leg_began:.0f} s'
        elif left_s is not None:
            text += f', {minutes(left_s)} left in all'
        if self._bars is not None:
            self._bars.update(self._ids[leg], completed=done, text=text)
            return
        every = max(1, self._rounds // _LINES)
        if done != self._shown and (finished or done % every == 0):
            self._shown = done
            self._console.print(f'{leg!s:<18} {done:>4}/{self._rounds} rounds, {text}')

    def _left_s(self, leg: Leg, done: int) -> float | None:
        """Time left for all legs [s], by the pace so far; None before there is one."""
        over = self._legs.index(leg) * self._rounds + done
        total = len(self._legs) * self._rounds
        elapsed = time.monotonic() - self._began
        return elapsed / over * (total - over) if over else None


def print_table(console: Console, rows: Sequence[PanelRow]) -> None:
    """The final table, one line per task and policy."""
    table = Table(title='Same seed for all policies, one non-resetting episode each')
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
    """One line per promise."""
    for check in checks:
        if check.passed is None:
            mark, style = 'too few rounds to tell', 'dim'
        else:
            mark, style = ('holds', 'green') if check.passed else ('BROKEN', 'bold red')
        console.print(f'  {escape(check.text)}: [{style}]{mark}[/]')


def _number(value: float | None, spec: str) -> str:
    return '-' if value is None else format(value, spec)
