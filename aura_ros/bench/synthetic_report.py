# SPDX-License-Identifier: Apache-2.0
"""The table and the plot of the synthetic benchmark."""

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

ALWAYS_WRITERS = ('always', 'gru', 'lstm', 'ssm')
"""Constant-size memories that write at every step."""
CHANCE = 0.125
WRITE_SHARES = ('fire_event', 'fire_distractor', 'fire_repeat', 'fire_query')
Row = dict[str, Any]


def report(name: str, runs: Sequence[Row], store: ResultStore, console: Console) -> None:
    """Write CSV, JSON, Markdown and PNG, and print the table."""
    table = summarise(runs)
    comparison = compare(runs)
    store.write(table, {'seeds': sorted({run['seed'] for run in runs}), 'aura': comparison, 'runs': list(runs)})
    replace_text(store.file('.md'), markdown(table))
    show(name, table, console)
    for line in comparison_lines(comparison):
        console.print('  ' + line, highlight=False)
    draw(name, table, store.file('.png'))


def summarise(runs: Sequence[Row]) -> list[Row]:
    """Return one row for each memory: means over seeds with 95 % intervals (Student t)."""
    table = []
    for memory in dict.fromkeys(run['memory'] for run in runs):
        own = [run for run in runs if run['memory'] == memory]
        row: Row = {
            'memory': memory,
            'seeds': len(own),
            'parameters': own[0]['parameters'],
            'state_bytes': own[0].get('state_bytes'),
        }
        for column in ('accuracy', 'writes_per_step', *WRITE_SHARES):
            values = [run[column] for run in own if column in run]
            if values:
                row[column], row[f'{column}_low'], row[f'{column}_high'] = share_interval(values)
        over = [run['writes_per_step'] / run['events_per_step'] for run in own]
        row['over_oracle'], row['over_oracle_low'], row['over_oracle_high'] = mean_interval(over)
        table.append(row)
    return table


def share_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """As `mean_interval`, clipped to 0..1."""
    mean, low, high = mean_interval(values)
    return (mean, max(low, 0.0), min(high, 1.0)) if len(values) > 1 else (mean, low, high)


def compare(runs: Sequence[Row]) -> Row:
    """Compare AURA with the best of `ALWAYS_WRITERS`, seed by seed: difference in accuracy and ratio of writes."""
    by = {(run['memory'], run['seed']): run for run in runs}
    seeds = sorted({run['seed'] for run in runs if run['memory'] == 'aura'})
    rivals = [memory for memory in ALWAYS_WRITERS if all((memory, seed) in by for seed in seeds)]
    if not seeds or not rivals:
        return {}
    best = max(rivals, key=lambda memory: sum(by[memory, seed]['accuracy'] for seed in seeds))
    differences = [by['aura', seed]['accuracy'] - by[best, seed]['accuracy'] for seed in seeds]
    ratios = [by[best, seed]['writes_per_step'] / by['aura', seed]['writes_per_step'] for seed in seeds]
    difference, low, high = mean_interval(differences)
    ratio, ratio_low, ratio_high = mean_interval(ratios)
    return {
        'best_always_writer': best,
        'accuracy_difference': difference,
        'accuracy_difference_low': low,
        'accuracy_difference_high': high,
        'write_ratio': ratio,
        'write_ratio_low': ratio_low,
        'write_ratio_high': ratio_high,
    }


def comparison_lines(comparison: Row) -> list[str]:
    """Return the lines that `report` prints below the table."""
    if not comparison:
        return []
    best = comparison['best_always_writer']
    return [
        f'best constant-size memory that writes at every step: {best}',
        f'accuracy, aura minus {best}: {interval_text(comparison, "accuracy_difference", "+.4f")}',
        f'writes, {best} divided by aura: {interval_text(comparison, "write_ratio", ".2f")}',
    ]


def show(name: str, rows: Sequence[Row], console: Console) -> None:
    """Print the table, best accuracy first."""
    table = FiguresTable(
        f'{name}: means over n seeds [95 %]; writes per step, and share written by kind of step',
        keys=('memory',),
        figures=('n', 'accuracy', 'writes', '/oracle', 'event', 'distr.', 'repeat', 'query', 'bytes'),
    )
    for row in sorted(rows, key=lambda row: -row['accuracy']):
        table.add_row(
            row['memory'],
            str(row['seeds']),
            interval_text(row, 'accuracy', '.3f'),
            f'{row["writes_per_step"]:.4f}',
            f'{row["over_oracle"]:.2f}',
            *(f'{row[column]:.3f}' if column in row else '-' for column in WRITE_SHARES),
            '-' if row['state_bytes'] is None else f'{row["state_bytes"]:,}',
        )
    console.print(table)


def interval_text(row: Row, column: str, spec: str) -> str:
    """Return a column with its interval, or alone if there is no interval."""
    low, high = row[f'{column}_low'], row[f'{column}_high']
    if not math.isfinite(low):  # One seed has no interval.
        return f'{row[column]:{spec}}'
    return f'{row[column]:{spec}} [{low:{spec}}, {high:{spec}}]'


def markdown(rows: Sequence[Row]) -> str:
    """Return the table of docs/results.md, best accuracy first."""
    lines = [
        '| memory | accuracy [95 %] | writes per step | over the oracle | on events | distractors | repeats '
        '| queries | state [B] |',
        '|---|---|---|---|---|---|---|---|---|',
    ]
    for row in sorted(rows, key=lambda row: -row['accuracy']):
        fires = [f'{row[column]:.3f}' if column in row else '-' for column in WRITE_SHARES]
        size = '-' if row['state_bytes'] is None else f'{row["state_bytes"]:,}'
        name = row['memory'].replace('|', '\\|')
        lines.append(
            f'| {name} | {interval_text(row, "accuracy", ".3f")} | {row["writes_per_step"]:.4f} '
            f'| {row["over_oracle"]:.2f} | {" | ".join(fires)} | {size} |'
        )
    return '\n'.join(lines) + '\n'


def draw(name: str, rows: Sequence[Row], path: Path) -> None:
    """Plot accuracy over writes, and the share of each kind of step that is written."""
    names = [row['memory'] for row in rows]
    with saved_figure(path, 2, (13.0, 5.2)) as (left, right):
        for row in rows:
            low, high = row['accuracy'] - row['accuracy_low'], row['accuracy_high'] - row['accuracy']
            bars = [[low], [high]] if math.isfinite(low) else None
            left.errorbar(
                max(row['writes_per_step'], 1e-3),
                row['accuracy'],
                bars,
                capsize=3,
                **memory_style(row['memory'], names) | {'ls': ''},
                ms=8,
                label=row['memory'],
            )
        left.axhline(CHANCE, color='#8C8C8C', lw=0.9, ls=':')
        left.set(xscale='log', ylabel='accuracy of the answers', ylim=(0.0, 1.05))
        left.set_xlabel('writes per step (0 is drawn at 0.001)')
        left.set_title(f'{name}: accuracy and writes', loc='left', weight='bold')
        left.legend(frameon=False, fontsize=8, ncols=2, loc='center left')
        shown = [row for row in rows if row['memory'] in ('aura', 'oracle', 'reconstruction', 'random', 'periodic')]
        columns = ('fire_event', 'fire_repeat', 'fire_query', 'fire_distractor')
        for bar, row in enumerate(shown):
            places = [place + 0.16 * (bar - len(shown) / 2) for place in range(len(columns))]
            right.bar(
                places,
                [row.get(column, 0.0) for column in columns],
                0.15,
                color=memory_style(row['memory'], names)['color'],
                label=row['memory'],
            )
        right.set_xticks(range(len(columns)), ['event', 'repeat', 'query', 'distractor'])
        right.set(ylabel='share of these steps written', ylim=(0.0, 1.05))
        right.set_title('Writes by kind of step', loc='left', weight='bold')
        right.legend(frameon=False)
