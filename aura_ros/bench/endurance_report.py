# SPDX-License-Identifier: Apache-2.0
"""The table of the endurance walks."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from aura_ros.bench.endurance_figure import draw
from aura_ros.bench.endurance_window import Course
from aura_ros.bench.store import ResultStore
from aura_ros.bench.synthetic_report import CHANCE, WRITE_SHARES, interval_text, share_interval
from aura_ros.common.files import replace_text
from aura_ros.common.stats import mean_interval
from aura_ros.common.tables import FiguresTable

MIDDLE = 100_000
"""Step whose window has a column of its own."""
AGREEMENT = 0.99
"""Share of the answers and writes that module and NumPy memory have in common; less is printed."""
Row = dict[str, Any]


def report(name: str, runs: Sequence[Row], course: Course, store: ResultStore, console: Console) -> None:
    """Write CSV, JSON, Markdown and PNG, and print the table. The CSV of the windows has one row for each of them."""
    table = summarise(runs, course)
    bare = [{column: value for column, value in run.items() if column != 'windows'} for run in runs]
    store.write(table, {'seeds': sorted({run['seed'] for run in runs}), 'runs': bare})
    walked = [{'memory': run['memory'], 'seed': run['seed'], **window} for run in runs for window in run['windows']]
    store.write_csv('-windows.csv', walked)
    replace_text(store.file('.md'), markdown(table, course))
    show(name, table, course, console)
    draw(name, {memory: curve(runs, memory) for memory in _memories(runs)}, course, store.file('.png'))
    store.print_files(console, '.csv', '-windows.csv', '.json', '.md', '.png')


def accuracy_at(run: Row, step: int) -> float | None:
    """Return the accuracy in the window with the step `step`, counted from 1; `CHANCE` after a stop at chance."""
    for window in run['windows']:
        if window['end'] - window['steps'] < step <= window['end']:
            accuracy: float | None = window['accuracy']
            return accuracy
    return CHANCE if run['ended'] == 'chance' else None


def summarise(runs: Sequence[Row], course: Course) -> list[Row]:
    """Return one row for each memory, best last window first; means over seeds with 95 % intervals (Student t).

    first, middle, last: accuracy in the first window, in that of step `MIDDLE`, and in the last one. A seed that
        stopped at chance counts as chance in later windows. `last` of a memory that grows is its own last window.
    last_worst: `last` of the worst seed.
    kept: last divided by first.
    fire_*, state_norm: in the last window that was walked.
    steps: of the seed that came least far.
    stopped: number of seeds that stopped at chance.
    numpy_*: smallest agreement of a seed.
    """
    rows = [_row([run for run in runs if run['memory'] == memory], course) for memory in _memories(runs)]
    return sorted(rows, key=lambda row: -row['last'])


def _memories(runs: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(run['memory'] for run in runs))


def _row(own: Sequence[Row], course: Course) -> Row:
    ends = [run['steps'] if run['ended'] == 'entries' else course.steps for run in own]
    last = [_known(accuracy_at(run, end)) for run, end in zip(own, ends, strict=True)]
    first = [_known(accuracy_at(run, 1)) for run in own]
    row: Row = {
        'memory': own[0]['memory'],
        'seeds': len(own),
        'parameters': own[0]['parameters'],
        'state_bytes': own[0]['state_bytes'],
        'steps': min(run['steps'] for run in own),
        'stopped': sum(run['ended'] == 'chance' for run in own),
        'grown': any(run['ended'] == 'entries' for run in own),
    }
    _add(row, 'first', first)
    middle = [accuracy_at(run, MIDDLE) for run in own] if course.steps >= MIDDLE else []
    _add(row, 'middle', [value for value in middle if value is not None])
    _add(row, 'last', last)
    row['last_worst'] = min(last)
    _add(row, 'kept', [after / max(before, 1e-9) for after, before in zip(last, first, strict=True)], share=False)
    _add(row, 'writes_per_step', [run['writes_per_step'] for run in own])
    for column in (*WRITE_SHARES, 'state_norm'):
        values = [run['windows'][-1][column] for run in own]
        _add(row, column, [value for value in values if value is not None], share=column != 'state_norm')
    for column in ('numpy_answers', 'numpy_writes'):
        row[column] = min((run[column] for run in own if run[column] is not None), default=None)
    row['steps_per_s'] = round(sum(run['steps_per_s'] for run in own) / len(own))
    return row


def _known(accuracy: float | None) -> float:
    assert accuracy is not None, 'a walk has a window at its first and at its last step'
    return accuracy


def _add(row: Row, column: str, values: Sequence[float], share: bool = True) -> None:
    """Add the mean of the values with its interval, if there are values; the interval of a share stays in 0..1."""
    if values:
        found = share_interval(values) if share else mean_interval(values)
        row[column], row[f'{column}_low'], row[f'{column}_high'] = found


def curve(runs: Sequence[Row], memory: str) -> list[Row]:
    """Return mean, lowest and highest accuracy of the seeds at the end of each window that a seed walked."""
    own = [run for run in runs if run['memory'] == memory]
    points = []
    for end in sorted({window['end'] for run in own for window in run['windows']}):
        values = [value for run in own if (value := accuracy_at(run, end)) is not None]
        points.append(
            {'end': end, 'accuracy': sum(values) / len(values), 'lowest': min(values), 'highest': max(values)}
        )
    return points


def _accuracies(course: Course) -> dict[str, str]:
    """Return the headings of the columns of accuracy."""
    middle = {'middle': f'at {MIDDLE:,}'} if course.steps >= MIDDLE else {}
    return {'first': f'first {min(course.window, course.steps):,}', **middle, 'last': f'last, to {course.steps:,}'}


def ended(row: Row) -> str:
    """Return why walks ended before the end of the course; empty if none did."""
    found = []
    if row['grown']:
        found.append(f'{row["steps"]:,} entries')
    if row['stopped']:
        seeds = '' if row['stopped'] == row['seeds'] else f', {row["stopped"]} of {row["seeds"]} seeds'
        found.append(f'chance at {row["steps"]:,}{seeds}')
    return '; '.join(found)


def markdown(rows: Sequence[Row], course: Course) -> str:
    """Return the table of docs/results.md."""
    columns = _accuracies(course)
    names = ['memory', *columns.values(), 'worst seed', 'last / first', 'writes per step', 'events', 'distractors']
    names += ['repeats', 'queries', 'state [B]', 'ended']
    lines = [names, ['---'] * len(names)]
    for row in rows:
        accuracies = [interval_text(row, column, '.3f') if column in row else '-' for column in columns]
        kept = interval_text(row, 'kept', '.3f')
        size = f'{row["state_bytes"]:,}'
        lines.append([row['memory'], *accuracies, f'{row["last_worst"]:.3f}', kept, *_writes(row), size, ended(row)])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines) + '\n'


def _writes(row: Row) -> list[str]:
    """Return the cells of the writes per step, and of the shares in `WRITE_SHARES`."""
    shares = [f'{row[column]:.3f}' if column in row else '-' for column in WRITE_SHARES]
    return [f'{row["writes_per_step"]:.4f}', *shares]


def show(name: str, rows: Sequence[Row], course: Course, console: Console) -> None:
    """Print the table, and below it which walks ended early and which module differs from its NumPy memory."""
    columns = [{'first': 'first', 'middle': '100k', 'last': 'last'}[column] for column in _accuracies(course)]
    table = FiguresTable(
        f'{name}: accuracy over {course.steps:,} steps without a reset; means over seeds [95 %]',
        keys=('memory',),
        figures=(*columns, 'worst', 'writes', 'event', 'distr.', 'repeat', 'query'),
        caption='writes per step of the whole walk; share written by kind of step in its last window',
    )
    for row in rows:
        means = [f'{row[column]:.3f}' if column in row else '-' for column in _accuracies(course) if column != 'last']
        last = interval_text(row, 'last', '.3f')
        table.add_row(row['memory'], *means, last, f'{row["last_worst"]:.3f}', *_writes(row))
    console.print(table)
    for row in rows:
        if reason := ended(row):
            console.print(f'  {row["memory"]}: {reason}')
        answers, writes = (1.0 if row[column] is None else row[column] for column in ('numpy_answers', 'numpy_writes'))
        if min(answers, writes) < AGREEMENT:
            console.print(
                f'  {row["memory"]}: the NumPy memory gives {answers:.4f} of the same answers '
                f'and {writes:.4f} of the same writes'
            )
