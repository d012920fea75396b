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

import cv2
import numpy as np
import pytest
from replayed import INFO, OPTIONS, synthetic_steps

from aura_ros.common.errors import ConfigError
from aura_ros.replay.choice import MOST_OWN
from aura_ros.replay.disk_arrays import DiskArrays
from aura_ros.replay.evaluate import run_policies
from aura_ros.replay.evaluated import About, Evaluated, StepTable
from aura_ros.replay.policies import TITLES
from aura_ros.replay.report import svg
from aura_ros.replay.report.files import write_report
from aura_ros.replay.report.html import page
from aura_ros.replay.report.intervals import Interval
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


def test_the_page_is_well_formed_and_self_contained(text):
    parser = Strict()
    parser.feed(text)
    assert parser.open == []
    assert parser.addresses and all(address.startswith('data:image/jpeg;base64,') for address in parser.addresses)
    assert not re.search(r'https?://|@import|<script|<link|url\(', text)
    assert (
        '{{' not in text
        and '{%' not in text
        and 'nan' not in re.sub(r'base64,[^"]*', '', text).lower().replace('provenance', '')
    )


def test_the_page_has_a_light_and_a_dark_form(text):
    assert 'prefers-color-scheme: dark' in text
    light, dark = (set(re.findall(r'(--a\d+):', part)) for part in text.split('prefers-color-scheme: dark')[:2])
    assert light == dark and len(light) == len(TITLES) + MOST_OWN


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
    assert '<script' not in text and '")' not in text
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
