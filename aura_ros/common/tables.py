# SPDX-License-Identifier: Apache-2.0
"""The table that every program prints. No figure in it is ever cut, however narrow the terminal is."""

import textwrap
from collections.abc import Collection, Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

_GAP = 2
"""Columns of the terminal between two columns of a table."""
_LONGEST_WORD = 36
"""A longer word of a name or a text may be broken to make room."""

Cell = str | Text


class FiguresTable:
    """A table with columns of names (`keys`), of figures, and of `texts`.

    Where it is too wide, it first wraps the headings, then drops the `optional` columns, and then spreads the others
    over several tables, each with the keys. Names and texts wrap, figures do not. Cells are plain text without markup.
    """

    def __init__(
        self,
        title: str = '',
        *,
        keys: Sequence[str],
        figures: Sequence[str] = (),
        texts: Sequence[str] = (),
        optional: Collection[str] = (),
        caption: str = '',
    ) -> None:
        """Make a table without rows.

        Args:
            title: line above the table.
            keys: headings of the first columns, which name the row.
            figures: headings of the columns with figures.
            texts: headings of the last columns, with text.
            optional: headings of figures that follow from others.
            caption: line below the table.
        """
        self._caption = caption
        self._title, self._headings, self._optional = title, (*keys, *figures, *texts), optional
        self._keys, self._texts = len(keys), len(keys) + len(figures)
        self._rows: list[tuple[tuple[Text, ...], str]] = []
        self._ends: set[int] = set()

    def add_row(self, *cells: Cell, style: str = '') -> None:
        """Add a row with a cell for each column."""
        if len(cells) != len(self._headings):
            raise ValueError(f'{len(cells)} cells, must be {len(self._headings)}')
        self._rows.append((tuple(cell if isinstance(cell, Text) else Text(cell) for cell in cells), style))

    def add_section(self) -> None:
        """Leave a line free below the last row."""
        self._ends.add(len(self._rows))

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return len(self._rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        """Yield the tables that show this one in the width of `options`."""
        if self._title:
            yield Text(f'\n{self._title}', style='bold')
        yield from self._tables(options.max_width)
        if self._caption:
            yield Text(self._caption, style='dim')

    def _tables(self, width: int) -> Iterator[Table | Text]:
        everything = range(len(self._headings))
        needed = [name for name in everything if self._headings[name] not in self._optional]
        for chosen, wrapped in ((everything, False), (everything, True), (needed, True)):
            if self._width(chosen, wrapped) <= width:
                yield self._table(chosen, wrapped, width)
                return
        for number, part in enumerate(self._parts(needed[self._keys :], width)):
            if number:
                yield Text()
            yield self._table(part, True, width)

    def _parts(self, columns: Sequence[int], width: int) -> Iterator[Sequence[int]]:
        """Yield groups of columns that fit, each after the keys."""
        keys = tuple(range(self._keys))
        part: tuple[int, ...] = ()
        for column in columns:
            if part and self._width((*keys, *part, column), True) > width:
                yield (*keys, *part)
                part = ()
            part += (column,)
        yield (*keys, *part)

    def _is_figure(self, column: int) -> bool:
        return self._keys <= column < self._texts

    def _width(self, columns: Sequence[int], wrapped: bool) -> int:
        """Return the smallest width of a table with these columns."""
        return sum(self._least(column, wrapped) for column in columns) + _GAP * (len(columns) - 1)

    def _least(self, column: int, wrapped: bool) -> int:
        lines = self._heading(column, wrapped).split('\n')
        if self._is_figure(column):
            return max(map(cell_len, (*lines, *self._cells(column))), default=0)
        words = [word for text in (*lines, *self._cells(column)) for word in (text.split() if wrapped else [text])]
        longest = max(map(cell_len, words), default=0)
        return min(longest, _LONGEST_WORD) if wrapped else longest

    def _cells(self, column: int) -> Iterator[str]:
        return (line for cells, _ in self._rows for line in cells[column].plain.split('\n'))

    def _heading(self, column: int, wrapped: bool) -> str:
        name = self._headings[column]
        if not wrapped or not name:
            return name
        room = max(map(cell_len, (*name.split(), *self._cells(column))))
        return '\n'.join(textwrap.wrap(name, room, break_long_words=False, break_on_hyphens=False))

    def _table(self, columns: Sequence[int], wrapped: bool, width: int) -> Table:
        free = max(0, width - self._width(columns, wrapped))
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for column in columns:
            figure, least = self._is_figure(column), self._least(column, wrapped)
            more = 0 if figure else min(free, self._least(column, False) - least)
            free -= more
            table.add_column(
                Text(self._heading(column, wrapped)),
                justify='right' if figure else 'left',
                width=least + more,
                no_wrap=figure,
                overflow='fold',
                vertical='top',
            )
        for number, (cells, style) in enumerate(self._rows, 1):
            table.add_row(*(cells[column] for column in columns), style=style, end_section=number in self._ends)
        return table
