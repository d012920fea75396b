# SPDX-License-Identifier: Apache-2.0
"""The tables and the picture of the T-Mazes."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from aura_ros.bench.plots import COLOURS, MARKERS, sheet
from aura_ros.bench.store import ResultStore
from aura_ros.common.stats import wilson_interval

CHANCE = 0.5
"""Success of one who walks right and turns up or down by lot."""
Row = dict[str, Any]


def at_chance(solved: int, corridors: int) -> bool:
    """Whether chance lies in the 95 % interval of success, or above it."""
    return wilson_interval(solved, corridors)[0] <= CHANCE


def report(runs: Sequence[Row], store: ResultStore, console: Console) -> None:
    """Write CSV, JSON, Markdown and PNG, print the tables."""
    rows = summarise(runs)
    store.write(rows, {'seeds': sorted({run['seed'] for run in runs}), 'runs': list(runs)})
    mazes = list(dict.fromkeys(row['maze'] for row in rows))
    store.file('.md').write_text('\n'.join(markdown([row for row in rows if row['maze'] == maze]) for maze in mazes))
    for maze in mazes:
        console.print(_table(maze, [row for row in rows if row['maze'] == maze]))
    draw(rows, store.file('.png'))


def summarise(runs: Sequence[Row]) -> list[Row]:
    """One row for each maze, memory and length, over all seeds.

    solved: of `corridors`; a seed that is at chance and was not walked as far counts as half solved.
    success, low, high: with the 95 % Wilson interval over corridors.
    lowest: success of the worst seed.
    stopped: seeds that were not walked as far.
    writes, oracle_writes: mean per episode, of the seeds that were; None where there are none.
    state_bytes: carried; of a memory that grows, after so many steps.
    """
    rows = []
    for maze, memory in dict.fromkeys((run['maze'], run['memory']) for run in runs):
        mine = [run for run in runs if (run['maze'], run['memory']) == (maze, memory)]
        for length in _lengths(run for run in runs if run['maze'] == maze):
            row = _row(mine, length)
            if row is not None:
                rows.append({'maze': maze, 'memory': memory, 'length': length, **row})
    return rows


def _lengths(runs: Iterable[Row]) -> list[int]:
    return sorted({arrival['length'] for run in runs for arrival in run['arrivals']})


def _row(runs: Sequence[Row], length: int) -> Row | None:
    """One length of one memory; None if no seed was walked as far for another reason than chance."""
    found = [next((arrival for arrival in run['arrivals'] if arrival['length'] == length), None) for run in runs]
    there = [arrival for arrival in found if arrival is not None]
    last = [run['arrivals'][-1] for run in runs]
    if any(
        arrival is None and not at_chance(end['solved'], end['corridors'])
        for arrival, end in zip(found, last, strict=True)
    ) or (not there and runs[0]['bytes_per_step']):
        return None
    each = there[0]['corridors'] if there else last[0]['corridors']
    solved = [each // 2 if arrival is None else arrival['solved'] for arrival in found]
    corridors = each * len(runs)
    low, high = wilson_interval(sum(solved), corridors)
    grown = runs[0]['bytes_per_step'] * length
    return {
        'seeds': len(runs),
        'stopped': len(runs) - len(there),
        'corridors': corridors,
        'solved': sum(solved),
        'success': sum(solved) / corridors,
        'low': low,
        'high': high,
        'lowest': min(solved) / each,
        'writes': _mean([arrival['writes'] for arrival in there]),
        'oracle_writes': _mean([arrival['news'] for arrival in there]),
        'state_bytes': grown or runs[0]['state_bytes'],
        'parameters': runs[0]['parameters'],
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _cells(rows: Sequence[Row], memory: str, interval: bool) -> list[str]:
    """Success at each length of the maze; '-' where the memory was not walked."""
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


def _facts(rows: Sequence[Row], memory: str) -> tuple[str, str]:
    """State and writes per episode at the longest corridor that every seed was walked to."""
    full = [row for row in rows if row['memory'] == memory and not row['stopped']]
    if not full:
        return '-', '-'
    last = max(full, key=lambda row: int(row['length']))
    return f'{last["state_bytes"]:,}', f'{last["writes"]:,.1f} / {last["oracle_writes"]:,.1f} at {last["length"]:,}'


def markdown(rows: Sequence[Row]) -> str:
    """The table of one maze, success with its interval."""
    lengths = sorted({row['length'] for row in rows})
    lines = [
        f'Success in the {rows[0]["maze"]} T-Maze by steps of corridor (95 % Wilson interval)',
        '',
        "| memory | state [B] | writes / oracle's | " + ' | '.join(f'{length:,}' for length in lengths) + ' |',
        '|---|---|---|' + '---|' * len(lengths),
    ]
    for memory in _by_success(rows):
        lines.append(f'| {memory} | {" | ".join([*_facts(rows, memory), *_cells(rows, memory, True)])} |')
    return '\n'.join(lines) + '\n'


def _by_success(rows: Sequence[Row]) -> list[str]:
    """Memories, those that get far first."""

    def reach(memory: str) -> float:
        return sum(float(row['success']) for row in rows if row['memory'] == memory)

    return sorted(dict.fromkeys(row['memory'] for row in rows), key=reach, reverse=True)


def _table(maze: str, rows: Sequence[Row]) -> Table:
    table = Table(title=f'{maze}: success by steps of corridor')
    table.add_column('memory', no_wrap=True)
    for length in sorted({row['length'] for row in rows}):
        table.add_column(_short(length), justify='right', no_wrap=True)
    for memory in _by_success(rows):
        table.add_row(memory, *_cells(rows, memory, False))
    table.caption = '* some seeds were at chance and count as half; chance: all were; - not walked'
    return table


def _short(length: int) -> str:
    """A length as a narrow column has it: 600, 1.2k, 100k, 1M."""
    for size, unit in ((1_000_000, 'M'), (1000, 'k')):
        if length >= size:
            return f'{length / size:g}{unit}'
    return str(length)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Success over the length of the corridor, with 95 % intervals, one maze beside the other."""
    mazes = list(dict.fromkeys(row['maze'] for row in rows))
    names = list(dict.fromkeys(row['memory'] for row in rows))
    with sheet(path, len(mazes), (7.5 * len(mazes), 5.6)) as axes:
        for ax, maze in zip(axes, mazes, strict=True):
            for i, name in enumerate(names):
                mine = [row for row in rows if (row['maze'], row['memory']) == (maze, name)]
                lengths, success = [row['length'] for row in mine], [row['success'] for row in mine]
                bars = [[row['success'] - row['low'] for row in mine], [row['high'] - row['success'] for row in mine]]
                ax.errorbar(
                    lengths,
                    success,
                    bars,
                    color=COLOURS[i % len(COLOURS)],
                    marker=MARKERS[i % len(MARKERS)],
                    ls=('-', '--')[i // len(COLOURS) % 2],
                    ms=4,
                    lw=2.4 if name == 'aura' else 1.2,
                    elinewidth=0.6,
                    label=name,
                    zorder=3 if name == 'aura' else 2,
                )
            ax.axhline(CHANCE, color='#8C8C8C', lw=0.9, ls=':')
            ax.set(xscale='log', xlabel='steps of corridor', ylabel='success', ylim=(-0.02, 1.04))
            ax.set_title(f'{maze} T-Maze', loc='left', weight='bold')
        axes[-1].legend(frameon=False, fontsize=8, loc='center left', bbox_to_anchor=(1.0, 0.5))
