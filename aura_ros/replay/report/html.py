# SPDX-License-Identifier: Apache-2.0
"""The report as one page that needs nothing else: no script, no font, no picture from anywhere; it opens offline.

Which policies the traces show is chosen with check boxes, by the style sheet alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template

from aura_ros.replay.evaluate import Write
from aura_ros.replay.evaluated import CARDS, Evaluated
from aura_ros.replay.report import charts, traces
from aura_ros.replay.report.charts import colours
from aura_ros.replay.report.intervals import RESAMPLES, Interval
from aura_ros.replay.report.summary import ReplayRow, Report, Summary, verdict
from aura_ros.replay.report.svg import clock, size

_CARDS_OPEN = 12
_FIRST_SHOWN = ('base', 'kv')


def page(report: Report) -> str:
    """The whole page."""
    names = [found.about.name for found in report.recordings]
    title = names[0] if len(names) == 1 else f'{len(names)} recordings'
    classes = colours(list(report.recordings[0].runs))
    hiding = '\n'.join(
        f'main:has(#show-{c}:not(:checked)) .{c}.of-policy {{ display: none; }}' for c in classes.values()
    )
    body = [_head(report, title), *_all_policies(report)]
    for found, summary in zip(report.recordings, report.single, strict=True):
        if len(names) > 1:
            body.append(
                f'<h2 class="recording">{escape(found.about.name)}</h2><p class="soft">{escape(verdict(summary))}</p>'
            )
        body += _recording(found, summary)
        found.columns.rest()
    body += [_method(report.pooled), _provenance(report)]
    template = Template((files('aura_ros.replay.report') / 'report.html').read_text(encoding='utf-8'))
    return template.substitute(title=escape(f'Replay of {title}'), hiding=hiding, body='\n'.join(filter(None, body)))


def _head(report: Report, title: str) -> str:
    summary = report.pooled
    parts = [
        f'<h1>Replay of {escape(title)}</h1>',
        f'<p class="soft">{summary.steps:,} steps in {clock(summary.duration_s)}, run through '
        f'{len(summary.policies)} policies: the same recorded frames for each, from an empty memory. '
        f'{escape(report.made)}.</p>',
    ]
    for found in report.recordings:
        if found.about.partial:
            parts.append(
                f'<p class="warning"><b>{escape(found.about.name)} is not whole:</b> '
                f'{escape(found.about.partial)}. What follows is of the part that can be read.</p>'
            )
    for name, why in report.refused.items():
        parts.append(f'<p class="warning"><b>{escape(name)} was left out:</b> {escape(why)}</p>')
    live = [found.about.live for found in report.recordings if found.about.live]
    parts += [
        f'<p class="verdict">{escape(verdict(summary))}</p>',
        _tiles(summary),
        *(f'<p class="soft">{escape(sentence)}</p>' for sentence in live),
    ]
    return '\n'.join(parts)


def _tiles(summary: Summary) -> str:
    gated = summary.gated
    if gated is None:
        return ''
    rivals = [row for row in summary.policies if row.name != 'base']
    biggest = max(rivals, key=lambda row: row.state_bytes)
    dearest = max(rivals, key=lambda row: row.device_bytes)
    tiles = [
        (
            f'{gated.writes:,}',
            f'writes by {gated.name}: {gated.write_rate:.1%} of the steps, {gated.writes_per_minute:.1f} a minute',
        ),
        (size(gated.state_bytes), f'carried by {gated.name}; at most {size(biggest.state_bytes)} by {biggest.name}'),
        (size(gated.device_bytes), f'to the medium if it is kept; {size(dearest.device_bytes)} for {dearest.name}'),
        _difference_tile(summary, gated),
    ]
    return (
        '<div class="tiles">'
        + ''.join(
            f'<div class="tile"><b>{escape(figure)}</b><span>{escape(words)}</span></div>' for figure, words in tiles
        )
        + '</div>'
    )


def _difference_tile(summary: Summary, gated: ReplayRow) -> tuple[str, str]:
    if summary.drove:
        return 'none', f'no difference of errors is claimed: {summary.drove} drove when this was recorded'
    return _signed(gated.difference.mean), (
        f'rad: error of {gated.name} minus that of base, 95 % interval {_ends(gated.difference)}'
    )


def _all_policies(report: Report) -> list[str]:
    summary = report.pooled
    parts = []
    if summary.scored:
        parts.append(
            _section(
                'Who follows the recorded actions best',
                (
                    'The action error is the distance between the joint targets of a policy and those that were '
                    'recorded, over '
                    'the part of each chunk that is executed, mean over joints. Right: the difference to base '
                    'on the same '
                    'steps; an interval that does not touch the line is more than chance.'
                ),
                charts.following(summary),
            )
        )
    parts.append(
        _section(
            'All figures',
            (
                'Intervals are 95 %. To the medium: what a storage device would have to take to keep the '
                'memory through a '
                'power cut. Median and 95 %: time of one memory step on this machine.'
            ),
            _table(summary),
        )
    )
    if summary.scored:
        parts.append(
            _section(
                'Joint by joint',
                (
                    'Action error of each joint [mrad; mm where the joint slides], in brackets the paired '
                    'difference to '
                    'base; bold where that is more than chance.'
                ),
                _joints(summary),
            )
        )
    parts.append(
        _section(
            'What keeping it costs the medium',
            (
                'Bytes that reach the storage device, whole pages: a memory of constant size rewrites one '
                'slot of its file at '
                'each write; a cache appends every step to a log and syncs it. The axis is logarithmic.'
            ),
            charts.on_disk(summary),
        )
    )
    return parts


def _recording(found: Evaluated, summary: Summary) -> list[str]:
    parts = []
    for name, run in found.runs.items():
        if run.policy.gated:
            parts.append(
                _section(
                    f'When {name} wrote',
                    (
                        'Top: what the first camera saw at the writes that surprised it most, one in each '
                        'stretch. Middle: the '
                        "gate score, the memory's own estimate of the probability that a write pays; above "
                        'the dashed line it '
                        'writes (dots). Bottom: when each policy wrote.'
                    ),
                    traces.timeline(found, name) + _writes(found, run.writes),
                )
            )
    parts.append(
        _section(
            'What each memory carries',
            'State from step to step, in bytes, on a logarithmic axis; base carries nothing.',
            charts.carried(found),
        )
    )
    if summary.scored:
        smooth = f'The error over time, mean over joints, smoothed over {summary.block_steps} steps.'
        parts.append(_section('Where the errors are', smooth, traces.errors(found, summary.block_steps)))
    parts.append(_traces(found, summary))
    parts.append(_inputs(found))
    return parts


def _section(title: str, words: str, content: str) -> str:
    if not content:
        return ''
    return f'<section><h2>{escape(title)}</h2><p class="soft">{escape(words)}</p>{content}</section>'


def _table(summary: Summary) -> str:
    classes = colours([row.name for row in summary.policies])
    head = (
        'policy',
        'writes',
        'of steps',
        'state at most',
        'to the medium',
        'error [rad]',
        'minus base [rad]',
        'median [µs]',
        '95 % [µs]',
    )
    rows = []
    for row in summary.policies:
        cells = (
            f'{row.writes:,}',
            f'{row.write_rate:.1%}',
            f'{row.state_bytes:,} B',
            size(row.device_bytes),
            _with_ends(row.error),
            '' if row.name == 'base' else _with_ends(row.difference),
            f'{row.p50_us:.0f}',
            f'{row.p95_us:.0f}',
        )
        name = (
            f'<td>{_swatch(classes[row.name])}{escape(row.name)}<br><span class="title">{escape(row.title)}</span></td>'
        )
        rows.append(
            f'<tr class="{"gated" if row.gated else ""}">{name}'
            + ''.join(f'<td>{cell}</td>' for cell in cells)
            + '</tr>'
        )
    return _grid(head, rows)


def _joints(summary: Summary) -> str:
    rows = [
        f'<tr><td>{escape(joint)}</td>' + ''.join(_joint_cell(row, column) for row in summary.policies) + '</tr>'
        for column, joint in enumerate(summary.joint_names)
    ]
    return _grid(('joint', *(row.name for row in summary.policies)), rows)


def _joint_cell(row: ReplayRow, column: int) -> str:
    error, difference = row.joint_errors[column], row.joint_differences[column]
    words = f'{error.mean * 1e3:.2f}'
    if row.name != 'base':
        words += f' ({difference.mean * 1e3:+.2f})'
    return f'<td><b>{words}</b></td>' if difference.apart_from_zero else f'<td>{words}</td>'


def _grid(head: Sequence[str], rows: Iterable[str]) -> str:
    cells = ''.join(f'<th>{escape(name)}</th>' for name in head)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _swatch(class_: str) -> str:
    return f'<span class="swatch {class_}"></span>'


def _writes(found: Evaluated, writes: Sequence[Write]) -> str:
    """A card for each write: what was seen, why it wrote, what it changed."""
    if not writes:
        return '<p>It never wrote.</p>'
    cards = [_card(found, write) for write in writes[:CARDS]]
    shown = f'<div class="writes">{"".join(cards[:_CARDS_OPEN])}</div>'
    if len(cards) > _CARDS_OPEN:
        shown += (
            f'<details><summary>{len(cards) - _CARDS_OPEN} more writes</summary>'
            f'<div class="writes">{"".join(cards[_CARDS_OPEN:])}</div></details>'
        )
    if len(writes) > CARDS:
        shown += f'<p class="soft">{len(writes) - CARDS:,} further writes are in report.json.</p>'
    return shown


def _card(found: Evaluated, write: Write) -> str:
    picture = found.thumbnails.get(write.row)
    image = f'<img alt="camera at step {write.seq}" src="{traces.data_uri(picture)}">' if picture else ''
    at = clock(float(found.times_s[write.row]))
    return (
        f'<div class="write">{image}<div><b>{at}</b> · step {write.seq}<br>'
        f'gate {write.gate:.2f} &gt; {write.threshold:g}, surprise {write.surprise:.2f}<br>'
        f'moves a target by {write.action_change:.4f} rad<br>'
        f'<code>state {write.state_crc32:08x}</code></div></div>'
    )


def _traces(found: Evaluated, summary: Summary) -> str:
    gated = summary.gated.name if summary.gated else next(iter(found.runs))
    classes = colours(list(found.runs))
    stretch = traces.telling_stretch(found, gated)
    boxes = ''.join(
        f'<label class="{c}"><input type="checkbox" id="show-{c}"{_checked(name, gated)}>{escape(name)}</label>'
        for name, c in classes.items()
    )
    times = found.times_s
    words = 'The first joint target of each chunk; broad and grey: what was recorded. Below it the error.'
    if stretch[1] - stretch[0] < len(times):
        words += (
            f' Shown are {clock(float(times[stretch[0]]))} to {clock(float(times[stretch[1] - 1]))}, where '
            f'{gated} differs most from base; all steps are in the table of steps.'
        )
    panels = ''.join(traces.joint(found, column, stretch) for column in range(len(found.info.joint_names)))
    return _section(
        'Actions, joint by joint',
        words,
        f'<div class="legend"><label class="key"><i></i>recorded</label>{boxes}</div>'
        f'<div class="joints">{panels}</div>',
    )


def _checked(name: str, gated: str) -> str:
    return ' checked' if name in (*_FIRST_SHOWN, gated) else ''


def _inputs(found: Evaluated) -> str:
    inputs = found.about.inputs
    if not inputs:
        return ''
    columns = list(dict.fromkeys(column for row in inputs.values() for column in row))
    rows = [
        f'<tr><td>{escape(stream)}</td>'
        + ''.join(f'<td>{_figure(row.get(column))}</td>' for column in columns)
        + '</tr>'
        for stream, row in inputs.items()
    ]
    return _section(
        'What was read',
        'Samples of each stream of the recording, and how far their stamps were from the '
        "first camera's. Nothing is filled in where something is missing: such a moment is no step.",
        _grid(('stream', *columns), rows),
    )


def _figure(value: float | None) -> str:
    return '' if value is None or math.isnan(value) else f'{value:,.5g}'


def _method(summary: Summary) -> str:
    words = (
        f'Steps are not independent: a policy that is wrong now is wrong a moment later. So intervals come from '
        f'resampling blocks of consecutive steps, not single ones: {RESAMPLES:,} resamples of {summary.blocks:,} '
        f'blocks of at most {summary.block_steps} steps ({clock(summary.block_s)}), which is twice the time after '
        'which the errors of every policy have forgotten themselves. All policies are resampled alike, so differences '
        'are paired.'
    )
    if summary.scored and not summary.long_enough:
        words += (
            ' This recording is too short for that: the errors stay correlated for longer than a tenth of it, '
            'and the intervals are narrower than they should be.'
        )
    words += (
        ' Every policy sees what the robot saw when it was recorded, not what would have come of its own actions. '
        'So this tells who follows the recording, and a policy that drove when it was made has a head start. '
        'Whether a policy solves the task, only the robot can tell.'
    )
    return _section('How to read this', words, ' ')


def _provenance(report: Report) -> str:
    items = [('command', report.command)]
    for found in report.recordings:
        items += [
            (found.about.name, f'{found.about.path}, SHA-256 {found.about.digest}'),
            *(('note', note) for note in found.about.notes),
        ]
    items.append(('frozen VLA', report.recordings[0].info.backbone_hash or 'not named in the recording'))
    items += [(f'weights of {row.name}', row.memory_hash) for row in report.pooled.policies if row.memory_hash]
    items += [('left out', why) for why in report.left_out.values()]
    items.append(('versions', ', '.join(f'{name} {version}' for name, version in report.versions.items())))
    rows = ''.join(f'<dt>{escape(name)}</dt><dd>{escape(words)}</dd>' for name, words in items)
    mappings = ''.join(
        f'<details><summary>mapping of {escape(found.about.name)}</summary>'
        f'<pre>{escape(found.about.mapping)}</pre></details>'
        for found in report.recordings
        if found.about.mapping
    )
    return _section(
        'Where this comes from',
        'The same recording, weights and versions give the same figures, but for the times.',
        f'<dl>{rows}</dl>{mappings}',
    )


def _with_ends(found: Interval) -> str:
    return '' if math.isnan(found.mean) else f'{found.mean:.4f} {_ends(found)}'


def _ends(found: Interval) -> str:
    return '' if math.isnan(found.low) else f'[{found.low:.4f}, {found.high:.4f}]'


def _signed(value: float) -> str:
    return '–' if math.isnan(value) else f'{value:+.4f}'  # noqa: RUF001 nothing to tell
