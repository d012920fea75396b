# SPDX-License-Identifier: Apache-2.0
"""The table and the plot of the memories on perturbed streams."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from aura_ros.bench.plots import memory_style, saved_figure
from aura_ros.bench.store import ResultStore
from aura_ros.bench.synthetic_report import CHANCE, interval_text, share_interval
from aura_ros.common.files import replace_text
from aura_ros.common.tables import FiguresTable

Levels = Mapping[str, Sequence[float]]
"""Levels of each kind of change."""
Row = dict[str, Any]
MEASURED = ('accuracy', 'writes_per_step', 'fire_event', 'fire_repeat', 'fire_distractor', 'fire_query')
TABLE = {'noise': (2.0, 4.0), 'gain': (0.7, 1.3), 'offset': (0.1, 0.3), 'walk': (0.1, 0.3)}
"""Levels with a column in the table, where they were evaluated."""
UNCHANGED = {'noise': 1.0, 'gain': 1.0, 'offset': 0.0, 'walk': 0.0}
"""Levels that change nothing."""
AXES = {
    'noise': 'noise of the codes, times',
    'gain': 'features, times',
    'offset': 'constant offset of each feature',
    'walk': 'offset after a random walk, standard deviation',
}


def report(name: str, runs: Sequence[Row], levels: Levels, store: ResultStore, console: Console) -> None:
    """Write CSV, JSON, Markdown and PNG, and print the table."""
    rows = summarise(runs)
    store.write(rows, {'seeds': sorted({run['seed'] for run in runs}), 'runs': list(runs)})
    replace_text(store.file('.md'), markdown(rows, levels))
    show(name, rows, levels, console)
    draw(name, rows, levels, store.file('.png'))
    store.print_files(console, '.csv', '.json', '.md', '.png')


def summarise(runs: Sequence[Row]) -> list[Row]:
    """Return one row for each memory, change and level: means over seeds with 95 % intervals (Student t)."""
    rows = []
    for memory in dict.fromkeys(run['memory'] for run in runs):
        own = [run for run in runs if run['memory'] == memory]
        for points in zip(*(run['points'] for run in own), strict=True):
            row: Row = {'memory': memory, 'seeds': len(own), 'change': points[0]['change'], 'level': points[0]['level']}
            for column in MEASURED:
                values = [point[column] for point in points if column in point]
                if values:
                    row[column], row[f'{column}_low'], row[f'{column}_high'] = share_interval(values)
            row['accuracy_worst'] = min(point['accuracy'] for point in points)
            rows.append(row)
    return rows


def columns_of(levels: Levels) -> list[tuple[str, float]]:
    """Return the changes with a column in the table; the first one changes nothing."""
    kind = next(iter(levels))
    shown = [(name, level) for name, values in TABLE.items() for level in values if level in levels.get(name, ())]
    return [(kind, UNCHANGED[kind]), *shown]


def _cells(rows: Sequence[Row], memory: str, columns: Sequence[tuple[str, float]]) -> list[Row]:
    found = {(row['change'], row['level']): row for row in rows if row['memory'] == memory}
    return [found[column] for column in columns]


def _headings(columns: Sequence[tuple[str, float]]) -> list[str]:
    return ['unchanged', *(f'{kind} {level:g}' for kind, level in columns[1:])]


def _by_accuracy(rows: Sequence[Row], columns: Sequence[tuple[str, float]]) -> list[str]:
    """Return the memories, best accuracy without a change first."""
    memories = dict.fromkeys(row['memory'] for row in rows)
    return sorted(memories, key=lambda memory: -_cells(rows, memory, columns)[0]['accuracy'])


def markdown(rows: Sequence[Row], levels: Levels) -> str:
    """Return the tables of docs/results.md: the accuracy, and the share of the repeats that is written."""
    columns = columns_of(levels)
    parts = []
    for column, heading in (('accuracy', 'accuracy [95 %]'), ('fire_repeat', 'share of the repeats that is written')):
        lines = [[f'{heading}: memory', *_headings(columns)], ['---'] * (1 + len(columns))]
        for memory in _by_accuracy(rows, columns):
            cells = _cells(rows, memory, columns)
            texts = [
                interval_text(row, column, '.3f') if column == 'accuracy' else f'{row[column]:.3f}' for row in cells
            ]
            lines.append([memory, *texts])
        parts.append('\n'.join(f'| {" | ".join(line)} |' for line in lines) + '\n')
    return '\n'.join(parts)


def show(name: str, rows: Sequence[Row], levels: Levels, console: Console) -> None:
    """Print the accuracies."""
    columns = columns_of(levels)
    table = FiguresTable(
        f'{name}: accuracy under changes of the features; means over seeds',
        keys=('memory',),
        figures=tuple(_headings(columns)),
    )
    for memory in _by_accuracy(rows, columns):
        table.add_row(memory, *(f'{row["accuracy"]:.3f}' for row in _cells(rows, memory, columns)))
    console.print(table)


def draw(name: str, rows: Sequence[Row], levels: Levels, path: Path) -> None:
    """Plot accuracy and writes over the level of each change."""
    memories = list(dict.fromkeys(row['memory'] for row in rows))
    with saved_figure(path, len(levels), (4.2 * len(levels), 7.4), nrows=2) as axes:
        for i, kind in enumerate(levels):
            accuracy, writes = axes[i], axes[i + len(levels)]
            for memory in memories:
                own = [row for row in rows if row['memory'] == memory and row['change'] == kind]
                style, at = memory_style(memory, memories), [row['level'] for row in own]
                accuracy.plot(at, [row['accuracy'] for row in own], **style, ms=5, label=memory)
                writes.plot(at, [max(row['writes_per_step'], 1e-3) for row in own], **style, ms=5)
            accuracy.axhline(CHANCE, color='#8C8C8C', lw=0.9, ls=':')
            accuracy.set(ylim=(-0.02, 1.04))
            writes.set(yscale='log', ylim=(8e-4, 1.3), xlabel=AXES[kind])
        axes[0].set_ylabel('accuracy of the answers')
        axes[len(levels)].set_ylabel('writes per step (0 is drawn at 0.001)')
        axes[0].set_title(f'{name}: changed features', loc='left', weight='bold')
        axes[0].legend(frameon=False, fontsize=8, loc='lower left')
