# SPDX-License-Identifier: Apache-2.0
"""The tables and the plot of the T-Mazes."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from aura_ros.bench.plots import memory_style, saved_figure
from aura_ros.bench.store import ResultStore
from aura_ros.common.files import replace_text
from aura_ros.common.stats import wilson_interval
from aura_ros.common.tables import FiguresTable

CHANCE = 0.5
"""Success of random turns after a faultless corridor."""
Row = dict[str, Any]


def at_chance(solved: int, corridors: int) -> bool:
    """Return whether the 95 % Wilson interval of success does not lie above chance."""
    return wilson_interval(solved, corridors)[0] <= CHANCE


def report(runs: Sequence[Row], store: ResultStore, console: Console) -> None:
    """Write CSV, JSON, Markdown and PNG, and print the tables."""
    rows = summarise(runs)
    store.write(rows, {'seeds': sorted({run['seed'] for run in runs}), 'runs': list(runs)})
    mazes = list(dict.fromkeys(row['maze'] for row in rows))
    tables = [markdown([row for row in rows if row['maze'] == maze]) for maze in mazes]
    replace_text(store.file('.md'), '\n'.join(tables))
    for maze in mazes:
        console.print(_table(maze, [row for row in rows if row['maze'] == maze]))
    draw(rows, store.file('.png'))


def summarise(runs: Sequence[Row]) -> list[Row]:
    """Return one row for each maze, memory and length, over all seeds.

    solved: solved corridors out of `corridors`; a seed that stopped at chance counts as half solved.
    success, low, high: success rate and its 95 % Wilson interval over corridors.
    lowest: success of the worst seed.
    stopped: number of seeds that stopped at chance at a shorter length.
    writes, oracle_writes: mean per episode over the other seeds; None without any.
    state_bytes: bytes of the state; of a memory that grows, at this length.
    """
    rows = []
    for maze, memory in dict.fromkeys((run['maze'], run['memory']) for run in runs):
        own = [run for run in runs if (run['maze'], run['memory']) == (maze, memory)]
        for length in _lengths(run for run in runs if run['maze'] == maze):
            row = _row(own, length)
            if row is not None:
                rows.append({'maze': maze, 'memory': memory, 'length': length, **row})
    return rows


def _lengths(runs: Iterable[Row]) -> list[int]:
    return sorted({result['length'] for run in runs for result in run['results']})


def _row(runs: Sequence[Row], length: int) -> Row | None:
    """Return the row of one length; None if a seed stopped at a shorter length for another reason than chance."""
    found = [next((result for result in run['results'] if result['length'] == length), None) for run in runs]
    reached = [result for result in found if result is not None]
    last = [run['results'][-1] for run in runs]
    if any(
        result is None and not at_chance(end['solved'], end['corridors'])
        for result, end in zip(found, last, strict=True)
    ) or (not reached and runs[0]['bytes_per_step']):
        return None
    corridors_each = reached[0]['corridors'] if reached else last[0]['corridors']
    solved = [corridors_each // 2 if result is None else result['solved'] for result in found]
    corridors = corridors_each * len(runs)
    low, high = wilson_interval(sum(solved), corridors)
    grown = runs[0]['bytes_per_step'] * length
    return {
        'seeds': len(runs),
        'stopped': len(runs) - len(reached),
        'corridors': corridors,
        'solved': sum(solved),
        'success': sum(solved) / corridors,
        'low': low,
        'high': high,
        'lowest': min(solved) / corridors_each,
        'writes': _mean([result['writes'] for result in reached]),
        'oracle_writes': _mean([result['oracle_writes'] for result in reached]),
        'state_bytes': grown or runs[0]['state_bytes'],
        'parameters': runs[0]['parameters'],
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _cells(rows: Sequence[Row], memory: str, interval: bool) -> list[str]:
    """Return success at each length of the maze; '-' where the memory was not walked."""
    cells = []
    for length in sorted({row['length'] for row in rows}):
        row = next((row for row in rows if (row['memory'], row['length']) == (memory, length)), None)
        if row is None:
            cells.append('-')
        elif row['stopped'] == row['seeds']:
            cells.append('chance')
        else:
            cells.append(
                f'{row["success"]:.2f}'
                + ('*' if row['stopped'] else '')
                + (f' ({row["low"]:.2f} to {row["high"]:.2f})' if interval else '')
            )
    return cells


def _state_and_writes(rows: Sequence[Row], memory: str) -> tuple[str, str]:
    """Return state bytes and writes per episode at the longest corridor that all seeds reached."""
    full = [row for row in rows if row['memory'] == memory and not row['stopped']]
    if not full:
        return '-', '-'
    last = max(full, key=lambda row: int(row['length']))
    return f'{last["state_bytes"]:,}', f'{last["writes"]:,.1f} / {last["oracle_writes"]:,.1f} at {last["length"]:,}'


def markdown(rows: Sequence[Row]) -> str:
    """Return the table of one maze as Markdown: success with its interval."""
    lengths = sorted({row['length'] for row in rows})
    lines = [
        f'Success in the {rows[0]["maze"]} T-Maze by corridor length (95 % Wilson interval)',
        '',
        "| memory | state [B] | writes / oracle's | " + ' | '.join(f'{length:,}' for length in lengths) + ' |',
        '|---|---|---|' + '---|' * len(lengths),
    ]
    for memory in _by_success(rows):
        lines.append(f'| {memory} | {" | ".join([*_state_and_writes(rows, memory), *_cells(rows, memory, True)])} |')
    return '\n'.join(lines) + '\n'


def _by_success(rows: Sequence[Row]) -> list[str]:
    """Return the memories, best mean success first."""

    def reach(memory: str) -> float:
        return sum(float(row['success']) for row in rows if row['memory'] == memory)

    return sorted(dict.fromkeys(row['memory'] for row in rows), key=reach, reverse=True)


def _table(maze: str, rows: Sequence[Row]) -> FiguresTable:
    table = FiguresTable(
        f'{maze}: success by corridor length [steps]',
        keys=('memory',),
        figures=[_short(length) for length in sorted({row['length'] for row in rows})],
        caption='*: some seeds stopped at chance and count as 0.5; chance: all seeds stopped; -: not walked',
    )
    for memory in _by_success(rows):
        table.add_row(memory, *_cells(rows, memory, False))
    return table


def _short(length: int) -> str:
    """Return a length for a narrow column: 600, 1.2k, 100k, 1M."""
    for size, unit in ((1_000_000, 'M'), (1000, 'k')):
        if length >= size:
            return f'{length / size:g}{unit}'
    return str(length)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Plot success over corridor length with 95 % intervals, the mazes side by side."""
    mazes = list(dict.fromkeys(row['maze'] for row in rows))
    names = list(dict.fromkeys(row['memory'] for row in rows))
    with saved_figure(path, len(mazes), (7.5 * len(mazes), 5.6)) as axes:
        for ax, maze in zip(axes, mazes, strict=True):
            for name in names:
                own = [row for row in rows if (row['maze'], row['memory']) == (maze, name)]
                lengths, success = [row['length'] for row in own], [row['success'] for row in own]
                bars = [[row['success'] - row['low'] for row in own], [row['high'] - row['success'] for row in own]]
                ax.errorbar(
                    lengths,
                    success,
                    bars,
                    **memory_style(name, names),
                    ms=4,
                    lw=2.4 if name == 'aura' else 1.2,
                    elinewidth=0.6,
                    label=name,
                    zorder=3 if name == 'aura' else 2,
                )
            ax.axhline(CHANCE, color='#8C8C8C', lw=0.9, ls=':')
            ax.set(xscale='log', xlabel='corridor length [steps]', ylabel='success', ylim=(-0.02, 1.04))
            ax.set_title(f'{maze} T-Maze', loc='left', weight='bold')
        axes[-1].legend(frameon=False, fontsize=8, loc='center left', bbox_to_anchor=(1.0, 0.5))
