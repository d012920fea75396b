# SPDX-License-Identifier: Apache-2.0
"""The table of all topics: who publishes, how fast, how fresh."""

from __future__ import annotations

import time
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from aura_ros.ros.graph import TopicError, TopicGraph, Watch, message_class
from aura_ros.tools.topics.text import Rate

_REFRESH_S = 0.5
# Where there is no terminal: a block of lines so often [s].
_PLAIN_S = 2.0
# Enough for what comes while the table is drawn; of a topic's past only this much is asked for.
_DEPTH = 100
_COLUMNS = ('topic', 'type', 'publishers', 'rate [Hz]', 'age')
# Title, caption, frame and the prompt below [lines].
_FRAME_LINES = 8


class Row:
    """One topic with its subscription."""

    def __init__(self, graph: TopicGraph, topic: str, types: list[str]) -> None:
        """Subscribe, if the type is installed; `problem` says if not."""
        self.topic, self.types = topic, types
        self.problem = ''
        self.rate = Rate()
        self._graph = graph
        self._watch: Watch | None = None
        try:
            if len(types) > 1:
                raise TopicError(f'{topic} has several types: {", ".join(types)}')
            kind = message_class(types[0])
            self._watch = Watch(graph, topic, kind, self._heard, depth=_DEPTH, raw=True)
        except TopicError as error:
            self.problem = str(error)

    def _heard(self, _message: bytes, sent_ns: int) -> None:
        self.rate.add(sent_ns)

    def match(self) -> None:
        """Follow the publishers."""
        if self._watch is not None:
            self._watch.match()

    def close(self) -> None:
        """Subscribe no longer."""
        if self._watch is not None:
            self._watch.close()

    def cells(self, now_ns: int) -> tuple[str, ...]:
        """Return what `_COLUMNS` name."""
        watch = self._watch
        count = len(self._graph.publishers(self.topic)) if watch is None else watch.publishers
        hz, age_s = self.rate.hz(now_ns), self.rate.age_s(now_ns)
        rate = '-' if hz is None else f'{hz:.{0 if hz >= 100 else 1}f}'
        return self.topic, ', '.join(self.types), str(count), rate, _age(age_s)


def _age(age_s: float | None) -> str:
    if age_s is None:
        return '-'
    if age_s < 10.0:
        return f'{age_s:.1f} s'
    return f'{age_s:.0f} s' if age_s < 120.0 else f'{age_s / 60:.0f} min'


class TopicTable:
    """All topics of the graph, kept up to date by `refresh`."""

    def __init__(self, graph: TopicGraph) -> None:
        """Watch every topic of `graph` that is not hidden."""
        self._graph = graph
        self._rows: dict[str, Row] = {}

    def refresh(self) -> None:
        """Add what is new, drop what is gone, follow the publishers of the rest."""
        topics = self._graph.topics()
        for topic, row in list(self._rows.items()):
            if topics.get(topic) == row.types:
                row.match()
            else:
                row.close()
                del self._rows[topic]
        for topic, types in topics.items():
            if topic not in self._rows:
                self._rows[topic] = Row(self._graph, topic, types)

    def _sorted(self) -> list[Row]:
        return [self._rows[topic] for topic in sorted(self._rows)]

    def drawn(self, height: int) -> Table:
        """Return the table for a terminal of `height` lines."""
        rows, now_ns = self._sorted(), time.time_ns()
        shown = rows[: max(1, height - _FRAME_LINES)]
        notes = ['' if rows else self._graph.nothing_there()]
        if len(shown) < len(rows):
            notes.append(f'{len(rows) - len(shown)} more need a higher window')
        notes += [row.problem for row in rows if row.problem][:1]
        table = Table(
            box=box.SIMPLE_HEAD,
            title=f'topics on {self._graph.where}; Ctrl-C ends',
            caption='\n'.join(filter(None, notes)) or None,
        )
        table.add_column(_COLUMNS[0], no_wrap=True)
        # the one to be cut in a narrow window
        table.add_column(_COLUMNS[1], overflow='ellipsis')
        for name in _COLUMNS[2:]:
            table.add_column(name, justify='right', no_wrap=True)
        for row in shown:
            style = 'red' if row.problem else 'dim' if row.rate.newest_ns is None else None
            table.add_row(*row.cells(now_ns), style=style)
        return table

    def lines(self) -> list[str]:
        """Return the table as aligned lines, for a pipe or a log."""
        now_ns = time.time_ns()
        cells: list[tuple[str, ...]] = [_COLUMNS, *(row.cells(now_ns) for row in self._sorted())]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [_aligned(row, widths) for row in cells]
        lines += [f'# {row.problem}' for row in self._sorted() if row.problem]
        return lines if self._rows else [f'# {self._graph.nothing_there()}']


def _aligned(cells: tuple[Any, ...], widths: list[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return '  '.join(left + right)


def show_table(graph: TopicGraph) -> None:
    """Show the table until interrupted, in place on a terminal, else a block now and then."""
    table, console = TopicTable(graph), Console(highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        while True:
            end = time.monotonic() + _PLAIN_S
            while (left := end - time.monotonic()) > 0.0:
                table.refresh()
                graph.spin(min(left, _REFRESH_S))
            print(*table.lines(), '', sep='\n', flush=True)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            table.refresh()
            live.update(table.drawn(console.height), refresh=True)
            graph.spin(_REFRESH_S)
