# SPDX-License-Identifier: Apache-2.0
"""The report as one page that opens offline: no font, picture or script from elsewhere.

Everything can be read without a script. With uPlot (see explorer.py), the charts over time can be explored.

The templates in templates/ contain the markup and the text. They escape every value that is not markup itself.
"""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from aura_ros.replay.evaluate import PolicyRun
from aura_ros.replay.evaluated import CARDS, Evaluated
from aura_ros.replay.report.charts import error_chart, state_chart, storage_chart
from aura_ros.replay.report.explorer import VALUES_BYTES, library, shown_steps, values
from aura_ros.replay.report.intervals import RESAMPLES
from aura_ros.replay.report.styles import classes_of, style_rules, swatch
from aura_ros.replay.report.summary import ReplayRow, Report, Summary
from aura_ros.replay.report.svg import clock, size
from aura_ros.replay.report.traces import data_uri, error_trace, joint_chart, shown_rows, timeline_chart
from aura_ros.replay.report.verdict import drivers_text, ends_text, error_text, gain_texts, verdict

_CARDS_OPEN = 12
"""Writes that are described one by one without a click."""
_CHECKED = ('base', 'kv')
"""Policies whose lines are visible at first, besides the gated one."""


def page(report: Report) -> str:
    """Return the HTML of the report."""
    names = [found.about.name for found in report.recordings]
    summary, policies = report.pooled, list(report.recordings[0].runs)
    explorable = library()
    template = _environment().get_template('page.html.j2')
    return template.render(
        report=report,
        summary=summary,
        title=names[0] if len(names) == 1 else f'{len(names)} recordings',
        verdict=verdict(summary),
        gains=gain_texts(summary),
        comparable=bool(summary.scored) and summary.long_enough and not drivers_text(summary),
        drivers=drivers_text(summary),
        classes=classes_of(policies),
        style_rules=style_rules(policies),
        swatches={name: swatch(name, policies) for name in policies},
        library=explorable,
        singles=[
            {'name': name, 'summary': single, 'drivers': drivers_text(single), 'partial': bool(found.about.partial)}
            for name, single, found in zip(names, report.single, report.recordings, strict=True)
        ],
        tiles=_tiles(summary),
        charts={'errors': error_chart(summary), 'storage': storage_chart(summary)},
        recordings=_recordings(report, explorable is not None),
        cards_open=_CARDS_OPEN,
        resamples=RESAMPLES,
        provenance=_provenance(report),
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader('aura_ros.replay.report'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        'clock': clock,
        'figure': lambda value: '' if value is None or math.isnan(value) else f'{value:,.5g}',
        'interval': lambda found: '' if math.isnan(found.mean) else error_text(found, unit=''),
        'number': lambda value: f'{value:,}',
        'size': size,
    }
    return environment


def _tiles(summary: Summary) -> list[tuple[str, str]]:
    """Return the figures below the verdict, each with its explanation; none without a gated policy."""
    gated = summary.gated
    if gated is None:
        return []
    memories = [row for row in summary.policies if row.name != 'base']
    largest = max(memories, key=lambda row: row.state_bytes)
    dearest = max(memories, key=lambda row: row.device_bytes)
    writes = f'writes by {gated.name}: {gated.write_rate:.1%} of the steps, {gated.writes_per_minute:.1f} per minute'
    return [
        (f'{gated.writes:,}', writes),
        (size(gated.state_bytes), f'state of {gated.name}; at most {size(largest.state_bytes)} for {largest.name}'),
        (size(gated.device_bytes), f'to storage if it is kept; {size(dearest.device_bytes)} for {dearest.name}'),
        _difference_tile(summary, gated),
    ]


def _difference_tile(summary: Summary, gated: ReplayRow) -> tuple[str, str]:
    if driven := drivers_text(summary):
        return 'none', f'no difference of errors is claimed: {driven} drove during the recording'
    found = gated.difference
    figure = '–' if math.isnan(found.mean) else f'{found.mean:+.4f}'  # noqa: RUF001 a dash for no value
    return figure, f'rad: error of {gated.name} minus error of base, 95 % interval {ends_text(found)}'


def _recordings(report: Report, explorable: bool) -> Iterator[dict[str, Any]]:
    """Yield what the page shows of each recording, and release its arrays afterwards."""
    most_bytes = VALUES_BYTES // len(report.recordings)
    for number, (found, summary) in enumerate(zip(report.recordings, report.single, strict=True), 1):
        gated = summary.gated.name if summary.gated else next(iter(found.runs))
        rows = shown_rows(found, gated)
        yield {
            'number': number,
            'found': found,
            'heading': len(report.recordings) > 1,
            'verdict': verdict(summary),
            'gated': [_gated(found, name, run) for name, run in found.runs.items() if run.policy.gated],
            'state_chart': state_chart(found),
            'error_trace': error_trace(found, summary.block_steps),
            'smoothed': summary.block_steps,
            'shown': _shown(found, gated, rows),
            'checked': (*_CHECKED, gated),
            'explored': values(found, summary.block_steps, (*_CHECKED, gated), most_bytes) if explorable else None,
            'thinned': len(shown_steps(found, most_bytes)) < len(found.steps),
            'joint_charts': [joint_chart(found, column, rows) for column in range(len(summary.joint_names))],
            'input_columns': list(dict.fromkeys(name for figures in found.about.inputs.values() for name in figures)),
        }
        found.steps.arrays.release()


def _gated(found: Evaluated, name: str, run: PolicyRun) -> dict[str, Any]:
    """Return the timeline of a gated policy and a card for each of its first writes."""
    times, pictures = found.steps.times_s, found.steps.thumbnails
    cards = [
        {
            'write': write,
            'time_s': float(times[write.row]),
            'picture': data_uri(pictures[write.row]) if pictures.get(write.row) else '',
        }
        for write in run.writes[:CARDS]
    ]
    return {
        'name': name,
        'chart': timeline_chart(found, name),
        'cards': cards,
        'further': max(0, len(run.writes) - CARDS),
    }


def _shown(found: Evaluated, name: str, rows: tuple[int, int]) -> str:
    """Say which steps the charts of the joints show, unless they show all."""
    if rows[1] - rows[0] == len(found.steps):
        return ''
    first, last = (clock(float(found.steps.times_s[row])) for row in (rows[0], rows[1] - 1))
    return (
        f' The charts show {first} to {last}, where {name} differs most from base. '
        'The table of steps (steps.parquet or steps.csv) has all steps.'
    )


def _provenance(report: Report) -> list[tuple[str, str]]:
    items = [('command', report.command)]
    for found in report.recordings:
        items.append((found.about.name, f'{found.about.path}, SHA-256 {found.about.digest}'))
        items += [('note', note) for note in found.about.notes]
    items.append(('backbone', report.recordings[0].steps.info.backbone_hash or 'not named in the recording'))
    items += [(f'weights of {row.name}', row.memory_hash) for row in report.pooled.policies if row.memory_hash]
    items += [('left out', why) for why in report.left_out.values()]
    items.append(('versions', ', '.join(f'{name} {version}' for name, version in report.versions.items())))
    return items
