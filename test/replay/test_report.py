# SPDX-License-Identifier: Apache-2.0
"""The files of a report: a self-contained page with correct text, and JSON and a table with the same figures."""

import base64
import csv
import html
import json
import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib.metadata import PackageNotFoundError

import cv2
import numpy as np
import pytest
from replayed import INFO, OPTIONS, synthetic_steps

from aura_ros.common.errors import ConfigError
from aura_ros.common.policy_styles import OWN_STYLES, STYLES, styles_of
from aura_ros.replay.choice import MOST_OWN
from aura_ros.replay.disk_arrays import DiskArrays
from aura_ros.replay.evaluate import run_policies
from aura_ros.replay.evaluated import About, Evaluated, StepTable
from aura_ros.replay.policies import TITLES
from aura_ros.replay.report import svg
from aura_ros.replay.report.explorer import library, shown_steps, values
from aura_ros.replay.report.files import write_report
from aura_ros.replay.report.html import page
from aura_ros.replay.report.intervals import Interval
from aura_ros.replay.report.styles import SHAPES, classes_of
from aura_ros.replay.report.summary import Gain, Report, summarise
from aura_ros.replay.report.verdict import gain_text, gain_texts, verdict

ALL = ['base', 'aura', 'kv', 'kv-window', 'always', 'random', 'periodic']
INPUTS = {'front (/camera)': {'samples': 300.0, 'used': 120.0}}


def evaluated(steps, names=ALL, **about):
    arrays = DiskArrays()
    runs = run_policies(names, OPTIONS, steps, arrays)
    about = About(**{'name': 'bag', 'path': '/data/bag', 'digest': 'ab' * 32, 'inputs': INPUTS} | about)
    return Evaluated(about, StepTable.collect(steps, runs, arrays), runs)


def report_of(*found, **more):
    words = {'made': '2026-11-22 08:00 UTC', 'command': 'aura replay bag', 'versions': {'aura_ros': '0.1.0'}}
    return Report(found, **words | {'left_out': {}, 'refused': {}} | more)


@pytest.fixture(scope='module')
def found():
    return evaluated(synthetic_steps(120))


@pytest.fixture(scope='module')
def text(found):
    return page(report_of(found))


@pytest.fixture
def still(monkeypatch):
    """Leave out uPlot, as where its package is not installed."""
    monkeypatch.setattr('aura_ros.replay.report.html.library', lambda: None)


class Strict(HTMLParser):
    """Checks that every element is closed by its own end."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ('href', 'src')]
        if tag not in ('meta', 'input', 'img', 'br'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ('href', 'src')]


def test_the_page_is_well_formed_and_self_contained(found, still):
    text = page(report_of(found))
    parser = Strict()
    parser.feed(text)
    assert parser.open == []
    assert parser.addresses and all(re.match('data:image/jpeg;base64,|#', address) for address in parser.addresses)
    links = {address[1:] for address in parser.addresses if address.startswith('#')}
    assert len(links) > 5 and all(f'id="{link}"' in text for link in links)
    outside = text.replace("'http://www.w3.org/2000/svg'", '')  # a name, not an address
    assert not re.search(r'https?://|@import|<script [^>]*src|<link|url\(', outside)
    assert (
        '{{' not in text
        and '{%' not in text
        and 'nan' not in re.sub(r'(?s)base64,[^"]*|<script>.*?</script>', '', text).lower().replace('provenance', '')
    )


def test_the_page_has_a_light_and_a_dark_form(text):
    assert 'prefers-color-scheme: dark' in text
    for name, style in styles_of(ALL).items():
        class_ = classes_of(ALL)[name]
        assert re.findall(rf'\.{class_} {{ --c: (.+); }}', text) == [style.light, style.dark]


def test_the_styles_of_a_report_are_enough_for_all_policies():
    own = [f'mine {number}' for number in range(MOST_OWN)]
    styles = styles_of([*TITLES, *own])
    assert len({(style.light, style.dash, style.marker) for style in styles.values()}) == len(TITLES) + MOST_OWN
    assert {style.marker for style in (*STYLES.values(), *OWN_STYLES)} == set(SHAPES)


def test_without_uplot_a_line_names_the_package(found, text, still):
    plain = page(report_of(found))
    assert 'pip install &#34;aura_ros[explore]&#34;' in plain or 'pip install "aura_ros[explore]"' in plain
    assert 'uPlot' not in plain and 'class="explorer"' not in plain and 'Errors over time' in plain


def test_uplot_is_of_its_own_distribution_and_brings_its_licence(text, monkeypatch, tmp_path):
    found = library()
    if found is None:
        pytest.skip('needs uplot-python (the explore extra)')
    assert 'Leon Sorokin' in found.script and 'Copyright (c) 2021 Leon Sorokin' in text
    assert 'Permission is hereby granted' in text and '</script' not in found.script
    # another distribution with a module `uplot` is no source of it
    (tmp_path / 'uplot').mkdir()
    (tmp_path / 'uplot' / '__init__.py').write_text('raise ImportError')
    monkeypatch.syspath_prepend(tmp_path)
    assert library() == found

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr('aura_ros.replay.report.explorer.distribution', missing)
    assert library() is None


def test_each_write_has_the_picture_of_its_step(found, text):
    cards = re.findall(r'alt="camera at step (\d+)" src="data:image/jpeg;base64,([^"]+)"', text)
    assert [int(seq) for seq, _ in cards] == [write.seq for write in found.runs['aura'].writes][:96]
    for seq, data in cards:
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert abs(int(picture.mean()) - int(seq)) <= 1  # synthetic_steps uses the number of the step as grey level


def test_the_page_has_the_figures_of_the_summary(found, text):
    words = html.unescape(text)
    summary = summarise([found])
    assert verdict(summary) in words
    for row in summary.policies:
        assert row.title in words and f'{row.writes:,}' in words
    assert f'{summary.block_steps} steps' in words and 'front (/camera)' in words and 'ab' * 32 in words
    assert 'is incomplete' not in words


def test_untrusted_text_is_escaped():
    bad = '<script>alert("{}")</script>&'.format
    about = {name: bad(name) for name in ('name', 'path', 'digest', 'mapping', 'partial', 'live')}
    about |= {'notes': (bad('note'),), 'inputs': {bad('stream'): {bad('figure'): 1.0}}, 'drivers': {bad('driver'): 1.0}}
    steps = synthetic_steps(20)
    steps = replace(steps, info=replace(steps.info, joint_names=tuple(bad(name) for name in steps.info.joint_names)))
    options = {'left_out': {'kv': bad('left out')}, 'refused': {bad('other'): bad('why')}, 'command': bad('command')}
    text = page(
        report_of(evaluated(steps, **about), made=bad('made'), versions={bad('package'): bad('version')}, **options)
    )
    visible = re.sub(r'(?s)<script[^>]*>.*?</script>|<style>.*?</style>', '', text)
    assert '<script' not in visible and 'alert("' not in visible
    for data in re.findall(r'(?s)<script type="application/json">(.*?)</script>', text):
        assert json.loads(data)['joints'] == [bad(name) for name in INFO.joint_names]
    escaped = re.findall(r'&lt;script&gt;alert\(&#34;([^&]+)&#34;\)&lt;/script&gt;&amp;', text)
    assert set(escaped) == {
        *('name', 'path', 'digest', 'mapping', 'partial', 'live', 'note', 'stream', 'figure', 'driver'),
        *('left out', 'other', 'why', 'command', 'made', 'package', 'version', *INFO.joint_names),
    }
    parser = Strict()
    parser.feed(text)
    assert parser.open == []


def test_without_recorded_actions_no_error_is_claimed():
    without = evaluated(synthetic_steps(40, recorded=False))
    summary = summarise([without])
    assert summary.best == '' and summary.scored == 0
    assert 'no recorded actions' in verdict(summary)
    text = page(report_of(without))
    assert 'Which policy follows the recorded actions best' not in text and 'When aura wrote' in text


@pytest.mark.parametrize(
    'steps', [synthetic_steps(1), synthetic_steps(3, recorded=False, pictures=False), synthetic_steps(40, episodes=3)]
)
def test_small_and_odd_recordings_have_a_page(steps, tmp_path):
    Strict().feed(page(report_of(evaluated(steps))))
    assert all(path.stat().st_size for path in write_report(report_of(evaluated(steps)), tmp_path))


def test_several_recordings_are_pooled_and_shown_one_by_one(found):
    other = evaluated(synthetic_steps(50, seed=1), name='second')
    report = report_of(found, other)
    assert report.pooled.steps == 170
    mean = np.nanmean(np.concatenate([found.runs['kv'].errors, other.runs['kv'].errors]).astype(np.float64))
    assert report.pooled.policy('kv').error.mean == pytest.approx(mean)
    text = page(report)
    assert 'Replay of 2 recordings' in text and text.count('When aura wrote') == 2
    with pytest.raises(ConfigError, match='has other policies or joints'):
        summarise([found, evaluated(synthetic_steps(20), ['base'])])


def test_the_table_of_recordings_leads_to_each(found):
    driven = replace(found, about=replace(found.about, name='second', drivers={'kv': 1.0}))
    text = page(report_of(found, driven))
    rows = re.search(r'(?s)aria-label="table: recordings".*?</table>', text)[0].split('<tr>')[2:]
    assert '<a href="#recording-1">bag</a>' in rows[0] and '<a href="#recording-2">second</a>' in rows[1]
    assert text.count('id="recording-1"') == text.count('id="recording-2"') == 1
    assert 'driven by kv (100 % of the steps)' in rows[1] and len(re.findall('<td>.</td>', rows[1])) == 4, (
        'nothing is compared'
    )
    assert '[0.0100, 0.0100]' in rows[0]
    assert 'table: recordings' not in page(report_of(found))


def test_only_a_difference_that_proves_something_is_bold(found):
    sure = replace(found, runs=dict(found.runs))
    bold = 'class="significant"'
    assert bold in page(report_of(sure))
    assert bold not in page(report_of(replace(sure, about=replace(sure.about, drivers={'aura': 1.0}))))
    short = evaluated(synthetic_steps(6))
    assert not summarise([short]).long_enough and bold not in page(report_of(short))
    assert 'because the recording is too short' in page(report_of(short))


def test_frames_fit_into_the_limit():
    steps, runs = synthetic_steps(40), run_policies(['base', 'aura'], OPTIONS, synthetic_steps(40), DiskArrays())
    writes = {write.row for write in runs['aura'].writes}
    whole = StepTable.collect(steps, runs, DiskArrays())
    assert set(whole.thumbnails) == set(range(40)) > writes
    size = sum(map(len, whole.thumbnails.values()))
    assert set(StepTable.collect(steps, runs, DiskArrays(), size).thumbnails) == set(range(40))
    assert set(StepTable.collect(steps, runs, DiskArrays(), size - 1).thumbnails) == writes


def test_a_long_recording_is_thinned_and_keeps_its_writes(found):
    count = len(found.steps)
    assert shown_steps(found, 10**9).tolist() == list(range(count))
    rows = shown_steps(found, 20_000)
    writes = {write.row for write in found.runs['aura'].writes}
    assert len(rows) < 0.6 * count and {0, count - 1} | writes <= set(rows.tolist())
    data = values(found, 1, ['base'], 20_000)
    aura = next(policy for policy in data['policies'] if policy['name'] == 'aura')
    places = np.frombuffer(base64.b64decode(aura['writes']), '<i4')
    assert {int(rows[place]) for place in places} == writes
    gate = np.frombuffer(base64.b64decode(aura['gate']), '<f4')
    np.testing.assert_array_equal(gate, found.runs['aura'].gate[rows])
    frame = base64.b64decode(data['frames'][int(places[0])])
    assert frame == found.steps.thumbnails[int(rows[places[0]])]


def test_lines_end_with_their_episode():
    x, y = svg.broken(np.arange(4.0), np.arange(4.0), np.array([0, 0, 1, 1]))
    assert x.tolist() == [0.0, 1.0, 2.0, 2.0, 3.0] and np.isnan(y).tolist() == [False, False, True, False, False]


def test_differences_are_paired_and_base_equals_itself(found):
    summary = summarise([found])
    base, aura = summary.policy('base'), summary.policy('aura')
    assert (base.difference.mean, base.difference.low, base.difference.high) == (0.0, 0.0, 0.0)
    assert aura.difference.mean == pytest.approx(aura.error.mean - base.error.mean)
    means = np.nanmean(found.runs['aura'].errors.astype(np.float64), axis=0)
    assert [one.mean for one in aura.joint_errors] == pytest.approx(means)
    # The error of base is 0.01 at every step, so its interval is a point.
    assert base.error.high - base.error.low < 1e-6
    assert summary.best == 'base' and 'No memory follows' in verdict(summary)


def of(summary, name, **change):
    return replace(
        summary, policies=tuple(replace(row, **change) if row.name == name else row for row in summary.policies)
    )


def test_the_verdict_names_only_significant_differences(found):
    summary = replace(summarise([found]), best='aura', not_apart=())
    sure = of(summary, 'aura', error=Interval(0.005, 0.004, 0.006), difference=Interval(-0.005, -0.006, -0.004))
    assert verdict(sure) == (
        'aura follows the recorded actions best: its error is 0.0050 rad [0.0040, 0.0060], 50 % below base.'
    )
    drove = of(sure, 'aura', error=Interval(1e-9, 0.0, 2e-9))
    assert verdict(drove).startswith('aura drove during the recording. ') and 'is no evidence' in verdict(drove)
    unsure = replace(of(sure, 'aura', difference=Interval(-0.005, -0.011, 0.001)), not_apart=('base', 'kv'))
    assert 'the difference to base is not significant' in verdict(unsure)
    assert 'Not significantly different from it: kv.' in verdict(unsure)


def test_a_memory_that_never_wrote_is_not_praised(found):
    summary = replace(summarise([found]), best='aura', not_apart=())
    better = {'error': Interval(0.005, 0.004, 0.006), 'difference': Interval(-0.005, -0.006, -0.004)}
    silent = of(summary, 'aura', writes=0, **better)
    assert verdict(silent).startswith('aura is nearest to the recorded actions, but its memory never wrote: ')
    assert gain_texts(silent) == ['aura never wrote on these steps: its memory has no part in its error.']
    assert gain_texts(of(summary, 'aura', **better)) == []
    head = of(summary, 'aura', writes=0, state_bytes=0, **better)
    assert 'No memory follows the recorded actions better than aura, an action head without one' in verdict(head)
    total, part = Interval(0.005, 0.004, 0.006), Interval(0.001, -0.001, 0.003)
    gain = Gain('aura', 7, total, total, part)
    assert gain_texts(replace(silent, gains=(gain,))) == [
        'aura gains +0.0050 rad [0.0040, 0.0060] over base: +0.0050 rad [0.0040, 0.0060] is its action head without a '
        'memory (memoryless), and +0.0010 rad [-0.0010, 0.0030] is its memory, which is not significant.'
    ]
    assert gain_text(replace(gain, writes=0)).endswith('It never wrote, so none of this gain is memory.')
    assert 'which is not significant' not in gain_text(replace(gain, memory=total))
    drove = replace(silent, gains=(gain,), drivers={'aura': 1.0})
    assert gain_texts(drove) == [], 'no error of a policy that drove is compared'
    text = page(report_of(found))
    assert 'gains +' not in text


def test_the_gain_is_split_with_the_same_resamples_for_all_parts(tmp_path):
    steps = synthetic_steps(60, episodes=3)
    runs = run_policies(['base', 'aura', 'kv'], OPTIONS, steps, DiskArrays())
    runs['memoryless'] = replace(runs['kv'], errors=np.full_like(runs['kv'].errors, 0.004), writes=[])
    found = Evaluated(About('bag'), StepTable.collect(steps, runs, DiskArrays()), runs)
    aura, kv = summarise([found]).gains
    assert (aura.name, kv.name, kv.writes) == ('aura', 'kv', 60)
    assert aura.head.mean == pytest.approx(0.01 - 0.004, rel=1e-3) and aura.head == kv.head
    assert kv.total.mean == pytest.approx(kv.head.mean + kv.memory.mean)
    assert kv.memory.low < kv.memory.mean < kv.memory.high
    assert all(text in html.unescape(page(report_of(found))) for text in gain_texts(summarise([found])))


def test_policies_that_drove_get_no_error_comparison(found):
    driven = replace(found, about=replace(found.about, drivers={'base': 0.25, 'aura': 0.75}))
    report = report_of(driven, replace(found, about=replace(found.about, drivers={'aura': 1.0})))
    assert verdict(report.single[0]).startswith('base (25 % of the steps) and aura (75 %')
    assert verdict(report.pooled).startswith('base (12 % of the steps) and aura (88 %')
    text = html.unescape(page(report_of(driven)))
    assert 'rad: error of aura' not in text and 'no difference of errors is claimed: base (25 %' in text
    assert 'rad: error of aura minus error of base' in html.unescape(page(report_of(found)))


def test_json_and_table_have_the_same_figures(found, tmp_path):
    pytest.importorskip('pyarrow')
    from pyarrow import parquet

    report = report_of(found)
    page_path, json_path, table_path = write_report(report, tmp_path / 'deep' / 'folder')
    data = json.loads(json_path.read_text())
    assert page_path.read_text() == page(report)
    assert data['verdict'] == verdict(report.pooled)
    assert [row['name'] for row in data['summary']['policies']] == ALL
    writes = data['recordings'][0]['policies']['aura']['writes']
    assert [write['state_crc32'] for write in writes] == [one.state_crc32 for one in found.runs['aura'].writes]
    table = parquet.read_table(table_path).to_pydict()
    assert len(table['policy']) == 120 * len(ALL)
    aura = [row for row, name in enumerate(table['policy']) if name == 'aura']
    assert [table['written'][row] for row in aura] == found.runs['aura'].written.tolist()
    assert [table['error.joint3'][row] for row in aura] == pytest.approx(found.runs['aura'].errors[:, 3].tolist())


def test_without_pyarrow_there_is_a_csv(found, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    path = write_report(report_of(found), tmp_path)[2]
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert path.name == 'steps.csv' and len(rows) == 120 * len(ALL)
    base = [row for row in rows if row['policy'] == 'base']
    assert float(base[5]['error']) == pytest.approx(0.01, rel=1e-3) and base[5]['written'] == 'False'


def test_an_unusable_folder_is_reported_with_its_option(found, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='--output'):
        write_report(report_of(found), tmp_path / 'file')


def test_ticks_are_round_and_within():
    assert svg.Scale(0.0, 1.0, 0, 1).ticks(4) == pytest.approx([0, 0.5, 1.0])
    assert svg.Scale(100.0, 1e6, 0, 1, True).ticks() == [100.0, 1e3, 1e4, 1e5, 1e6]
    assert svg.Scale(3.0, 3.0, 0, 1).ticks() == [3.0]
    assert [svg.clock(time) for time in (0, 7.5, 125, 3725)] == ['0 s', '7.5 s', '2:05', '1:02:05']
    assert [svg.size(count) for count in (4224, 126_464, 4_055_040)] == ['4,224 B', '126 kB', '4.06 MB']


def test_a_thinned_line_keeps_every_peak():
    y = np.zeros(50_000)
    y[31_234] = 1.0
    y[40_000:41_000] = np.nan
    x, thin = svg.thinned(np.arange(50_000.0), y, 500)
    assert len(x) <= 1000 and np.nanmax(thin) == 1.0 and (np.diff(x) > 0).all()
    assert svg.polyline(np.array([0.0, 1.0, 2.0]), np.array([0.0, math.nan, 1.0]), 'c').count('M') == 2
