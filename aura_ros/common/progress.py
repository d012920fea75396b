# SPDX-License-Identifier: Apache-2.0
"""Progress of long work: a bar on a terminal, a few plain lines in a log."""

import time
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Column

from aura_ros.common.console import minutes

LINES = 20
"""Largest number of plain lines for the progress of one bar; one more line announces its start."""

_BAR_FROM = 110
"""Width of a terminal from which on there is a bar beside the figures [characters]."""


class Bar:
    """Counts to `total`. Use it as a context manager, from one thread.

    Args:
        console: output.
        title: text in front of the bar.
        total: sum of all amounts given to `advance`.
        done: amount that was done earlier; the estimate of the time left ignores it.
        later: amount that further bars will count, for an estimate of the whole work.
    """

    def __init__(self, console: Console, title: str, total: int, done: int = 0, later: int = 0) -> None:
        self._console, self._title, self._total, self._later = console, title, total, later
        self._before = self._done = done
        self._shown, self._began = 0, time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn('{task.description}'),
                *([BarColumn(bar_width=30)] if console.width >= _BAR_FROM else []),
                MofNCompleteColumn(),
                TextColumn('{task.fields[text]}', table_column=Column(overflow='fold')),  # wrapped and never cut
                console=console,
                refresh_per_second=4,
            )
            self._task: TaskID = self._bar.add_task(title, total=total, completed=done, text='')

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        else:
            self._console.print(escape(f'{self._title}: {self._done}/{self._total}'))
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, amount: int = 1, text: str = '') -> None:
        """Add `amount`; `text` describes it."""
        self._done += amount
        elapsed, new = time.monotonic() - self._began, self._done - self._before
        left = self._total - self._done
        pace = minutes(elapsed)
        if left > 0:
            pace = f'{minutes(elapsed / max(new, 1) * (left + self._later))} left{" in all" if self._later else ""}'
        shown = ', '.join(part for part in (text, pace) if part)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, text=escape(shown))
        elif left <= 0 or self._done * LINES // self._total > self._shown:
            self._shown = self._done * LINES // self._total
            self._console.print(escape(f'{self._title}: {self._done}/{self._total}, {shown}'))
