# SPDX-License-Identifier: Apache-2.0
"""The tables and the plot of the POPGym benchmark."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from aura_ros.bench.plots import memory_style, saved_figure
from aura_ros.bench.store import ResultStore
from aura_ros.common.files import replace_text
from aura_ros.common.stats import mean_interval
from aura_ros.common.tables import FiguresTable

Row = dict[str, Any]
MEASURES = ('return', 'score', 'agreement', 'writes_per_step')


def report(runs: Sequence[Row], store: ResultStore, console: Console) -> None:
    """Write CSV, JSON, Markdown and PNG, and print the tables."""
    table = summarise(runs)
    means = compare(table)
    store.write(table, {'seeds': sorted({run['seed'] for run in runs}), 'memories': means, 'runs': list(runs)})
    replace_text(store.file('.md'), markdown(table, means))
    console.print(_table_of_ids(table))
    console.print(_table_of_memories(means))
    draw(table, store.file('.png'))
    store.print_files(console, '.csv', '.json', '.md', '.png')


def score(run: Row) -> float:
    """Return 0 for the return of random actions, and 1 for that of the expert; other returns are in proportion."""
    return float((run['return'] - run['random_return']) / (run['expert_return'] - run['random_return']))


def summarise(runs: Sequence[Row]) -> list[Row]:
    """Return one row for each id and memory.

    return, score, agreement, writes_per_step: means over seeds, with 95 % intervals (Student t) in _low and _high. One
        seed has no interval.
    return_error: standard error of the mean return, from the evaluation episodes of all seeds.
    """
    table = []
    for name, memory in dict.fromkeys((run['id'], run['memory']) for run in runs):
        own = [run | {'score': score(run)} for run in runs if (run['id'], run['memory']) == (name, memory)]
        row: Row = {'id': name, 'memory': memory, 'seeds': len(own)}
        for column in ('parameters', 'state_bytes', 'steps'):
            row[column] = own[0][column]
        for column in MEASURES:
            row[column], row[f'{column}_low'], row[f'{column}_high'] = mean_interval([run[column] for run in own])
        for column in ('expert_return', 'random_return'):
            row[column] = sum(run[column] for run in own) / len(own)
        row['return_error'] = math.sqrt(sum(run['return_error'] ** 2 for run in own)) / len(own)
        table.append(row)
    return table


def compare(table: Sequence[Row]) -> list[Row]:
    """Return one row for each memory, over the ids that all memories have; best mean score first.

    near_best: number of ids whose return is not below the best one, or is below it by less than 1.96 standard errors of
        the difference over evaluation episodes.
    """
    memories = list(dict.fromkeys(row['memory'] for row in table))
    by = {(row['id'], row['memory']): row for row in table}
    ids = [
        name for name in dict.fromkeys(row['id'] for row in table) if all((name, memory) in by for memory in memories)
    ]
    rows = []
    for memory in memories if ids else []:
        own = [by[name, memory] for name in ids]
        rows.append(
            {
                'memory': memory,
                'ids': len(ids),
                **{column: sum(row[column] for row in own) / len(ids) for column in ('score', 'writes_per_step')},
                'lowest_score': min(row['score'] for row in own),
                'near_best': sum(_near(row, [by[row['id'], other] for other in memories]) for row in own),
                'state_bytes': [min(row['state_bytes'] for row in own), max(row['state_bytes'] for row in own)],
            }
        )
    return sorted(rows, key=lambda row: -float(row['score']))


def _near(row: Row, rivals: Sequence[Row]) -> bool:
    best = max(rivals, key=lambda rival: float(rival['return']))
    return bool(best['return'] - row['return'] <= 1.96 * math.hypot(best['return_error'], row['return_error']))


def markdown(table: Sequence[Row], means: Sequence[Row]) -> str:
    """Return the tables of docs/results.md: returns by id and memory, writes by id, and the means."""
    memories = list(dict.fromkeys(row['memory'] for row in table))
    lines = ['| id | expert | random | ' + ' | '.join(memories) + ' |', '|---|---|---|' + '---|' * len(memories)]
    for name in dict.fromkeys(row['id'] for row in table):
        own = {row['memory']: row for row in table if row['id'] == name}
        first = next(iter(own.values()))
        cells = [_return(own[memory]) if memory in own else '-' for memory in memories]
        cells = [f'{first["expert_return"]:.2f}', f'{first["random_return"]:.2f}', *cells]
        lines.append(f'| {name} | {" | ".join(cells)} |')
    lines += [
        '',
        '| memory | mean score | lowest | best or near it | writes per step | state [B] |',
        '|---|---|---|---|---|---|',
    ]
    lines += [f'| {" | ".join(_mean_cells(row))} |' for row in means]
    return '\n'.join(lines) + '\n'


def _return(row: Row) -> str:
    """Return the mean return, its interval over seeds if there is one, and the writes per step."""
    low, high = row['return_low'], row['return_high']
    interval = f' [{low:.2f}, {high:.2f}]' if math.isfinite(low) else ''
    return f'{row["return"]:.2f}{interval} ({row["writes_per_step"]:.2f})'


def _mean_cells(row: Row) -> list[str]:
    small, large = row['state_bytes']
    return [
        row['memory'],
        f'{row["score"]:.3f}',
        f'{row["lowest_score"]:.2f}',
        f'{row["near_best"]}/{row["ids"]}',
        f'{row["writes_per_step"]:.3f}',
        f'{small:,}' if small == large else f'{small:,} to {large:,}',
    ]


def _table_of_ids(table: Sequence[Row]) -> FiguresTable:
    memories = list(dict.fromkeys(row['memory'] for row in table))
    shown = FiguresTable(
        'POPGym: return by memory, and writes per step in parentheses',
        keys=('id',),
        figures=('expert', 'random', *memories),
    )
    for name in dict.fromkeys(row['id'] for row in table):
        own = {row['memory']: row for row in table if row['id'] == name}
        first = next(iter(own.values()))
        cells = [_return(own[memory]) if memory in own else '-' for memory in memories]
        shown.add_row(name, f'{first["expert_return"]:.2f}', f'{first["random_return"]:.2f}', *cells)
    return shown


def _table_of_memories(means: Sequence[Row]) -> FiguresTable:
    shown = FiguresTable(
        'Means over the ids that all memories have; score: 0 is random, 1 the expert',
        keys=('memory',),
        figures=('score', 'lowest', 'best or near', 'writes', 'bytes'),
    )
    for row in means:
        shown.add_row(*_mean_cells(row))
    return shown


def draw(table: Sequence[Row], path: Path) -> None:
    """Plot the score of each memory in each id."""
    ids = list(dict.fromkeys(row['id'] for row in table))
    memories = list(dict.fromkeys(row['memory'] for row in table))
    with saved_figure(path, 1, (4.5 + 0.6 * len(ids), 5.2)) as (ax,):
        for i, memory in enumerate(memories):
            own = [row for row in table if row['memory'] == memory]
            places = [ids.index(row['id']) + 0.12 * (i - (len(memories) - 1) / 2) for row in own]
            ax.plot(
                places, [row['score'] for row in own], **memory_style(memory, memories) | {'ls': ''}, ms=7, label=memory
            )
        for level, label in ((1.0, 'expert'), (0.0, 'random')):
            ax.axhline(level, color='#8C8C8C', lw=0.9, ls=':')
            ax.text(len(ids) - 0.45, level, label, color='#8C8C8C', va='center', fontsize=8)
        ax.set_xticks(range(len(ids)), ids, rotation=35, ha='right', fontsize=8)
        ax.set(ylabel='score', xlim=(-0.6, len(ids) - 0.4))
        ax.set_title('POPGym: clones of an expert', loc='left', weight='bold')
        ax.legend(frameon=False, fontsize=8, loc='center left', bbox_to_anchor=(1.06, 0.5))
