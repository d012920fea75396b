# SPDX-License-Identifier: Apache-2.0
"""The result of a replay on the terminal: a table for each recording, the verdict and the files."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from aura_ros.common.tables import FiguresTable
from aura_ros.common.text import printable
from aura_ros.replay.report.summary import Report, Summary
from aura_ros.replay.report.svg import size
from aura_ros.replay.report.verdict import drivers_text, error_text, gain_texts, verdict

_COLUMNS = ('error [rad]', 'minus base [rad]', 'writes', 'of steps', 'state', 'storage', 'µs/step')


def print_report(console: Console, report: Report, paths: list[Path]) -> None:
    """Print the figures of each recording and of all together, what was left out, and the paths of the files."""
    for found, summary in zip(report.recordings, report.single, strict=True):
        about = found.about
        if about.partial:
            console.print(f'[yellow]{escape(about.name)} is incomplete:[/] {escape(about.partial)}', soft_wrap=True)
        if len(report.recordings) > 1:
            console.print(_table(summary, about.name))
        if about.live:
            console.print(f'{about.name}: {about.live}', markup=False, soft_wrap=True)
    title = report.recordings[0].about.name if len(report.recordings) == 1 else 'all recordings'
    console.print(_table(report.pooled, title))
    for why in report.left_out.values():
        console.print(f'  {why}', style='dim', markup=False, soft_wrap=True)
    for sentence in (verdict(report.pooled), *gain_texts(report.pooled)):
        console.print(sentence, markup=False)
    for path in paths:
        console.print(f'  {path}', markup=False, soft_wrap=True)


def _table(summary: Summary, name: str) -> FiguresTable:
    title = f'{name}: {summary.steps:,} steps, {summary.scored:,} with recorded actions'
    table = FiguresTable(printable(title), keys=('policy',), figures=_COLUMNS, optional=('of steps',))
    comparable = not drivers_text(summary)
    for row in summary.policies:
        significant = comparable and row.name != 'base' and row.difference.apart_from_zero
        colour = ('green' if row.difference.mean < 0 else 'red') if significant else ''
        table.add_row(
            row.name,
            error_text(row.error, unit=''),
            Text('' if row.name == 'base' else error_text(row.difference, '+', ''), colour),
            f'{row.writes:,}',
            f'{row.write_rate:.1%}',
            size(row.state_bytes),
            size(row.device_bytes),
            f'{row.p50_us:.0f}',
            style='bold' if row.gated else '',
        )
    return table
