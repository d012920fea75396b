# SPDX-License-Identifier: Apache-2.0
"""One time reference: a page that does not show the present never refers to it, and all views agree on the moment."""

import re

import pytest

pytest.importorskip('pyqtgraph')
pytest.importorskip('pytestqt')
from monitor_stage import Stage
from monitor_story import BEGIN_S, EPISODE, Story

from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.moment import Mode
from aura_ros.rqt.points import AURA, KV, DiagnosticPoint, GatePoint, PolicyPoint, StatePoint, WritePoint
from aura_ros.rqt.qt import QtWidgets
from aura_ros.rqt.view_data import Spans
from aura_ros.rqt.views import units
from aura_ros.rqt.views.axis import time_ticks
from aura_ros.rqt.views.panel import Window

RELATIVE = re.compile(rf'\bnow\b|\bago\b|\blive\b|{units.MINUS}\d+ (s|min)|drives|commands are sent', re.IGNORECASE)


@pytest.fixture
def stage(qtbot, monkeypatch):
    return Stage(qtbot, monkeypatch)


def texts(monitor) -> list[str]:
    """All texts that the page shows, with the labels of the time axes."""
    labels = [shown.text() for shown in monitor.findChildren(QtWidgets.QLabel) if shown.isVisible()]
    axes = (view.plot.getAxis('bottom') for view in (monitor.raster, monitor.cost))
    return [*labels, *(text for axis in axes for _, text in axis._tickLevels[0])]


def relative(monitor) -> list[str]:
    return [text for text in texts(monitor) if RELATIVE.search(text)]


def written() -> list[WritePoint]:
    return [timed.point for timed in Story() if isinstance(timed.point, WritePoint)]


def diagnostics() -> list[DiagnosticPoint]:
    return [DiagnosticPoint('vla_node: lifecycle', 0, 'active', {'state': 'active'})]


def test_a_live_page_refers_to_the_present(stage):
    stage.receive_story()
    found = ' '.join(relative(stage.monitor))
    assert 'AURA drives' in found and f'{units.MINUS}20 s' in found and 'now' in found and 'live' in found


def test_a_paused_page_stays_at_its_moment_for_ten_minutes(stage):
    stage.receive_story()
    stage.monitor.pause(True)
    stage.receive((timed.point for timed in Story(770.0) if timed.after_s > 170.0), after_s=600.0)
    stage.settle()
    monitor = stage.monitor
    assert relative(monitor) == []
    assert monitor.header.policy.text() == '14:16:10.0 UTC: AURA drove'
    assert monitor.scrubber.moment.text() == 'paused at 14:16:10.0 UTC'
    assert monitor.header.property('dimmed') and 'nodes at present' in monitor.header.nodes.text()
    monitor.pause(False)
    stage.settle()
    assert not monitor.header.property('dimmed') and 'AURA drives' in monitor.header.policy.text()


def test_all_views_agree_on_a_selected_moment(stage):
    stage.receive_story()
    monitor, wanted = stage.monitor, written()[-4]
    monitor.look_at(wanted.stamp_s)
    stage.settle()
    at, clock = units.moment(wanted.stamp_s), units.clock(wanted.stamp_s)
    assert relative(monitor) == []
    assert monitor.header.policy.text() == f'{at}: AURA drove'
    assert f'Last write at {at} at step {wanted.seq}' in monitor.header.summary.text()
    assert monitor.scrubber.moment.text() == f'shows {at}'
    last = [card for card in monitor.writes.cards if not card.isHidden()][-1]
    assert (last.when.text(), last.property('chosen')) == (clock, True)
    begin, end = monitor.model.span
    assert monitor.scrubber.slider.value() == pytest.approx((wanted.stamp_s - begin) / (end - begin) * 1000, abs=1)
    window = monitor.painting._window
    assert monitor.gate._cursor.value() == monitor.raster._cursor.value() == wanted.stamp_s - window.end_s
    assert monitor.cost.plot.getPlotItem().viewRange()[0][1] == 0.0
    assert f'step {wanted.seq} ' in monitor.state.map.caption.text()
    size = units.size(256 * (wanted.seq + 1))
    assert monitor.cost._cells[0][1].text() == size and f'KV-cache: {size}.' in monitor.header.summary.text()
    assert monitor.cost._cells[2][0].text() == units.NOTHING, 'the rate to the storage is that of the present'
    assert [button.isChecked() for button in monitor.policies.buttons] == [False] * 3


def test_without_any_node_no_policy_drives(stage):
    stage.receive_story()
    stage.receive(after_s=12.0)
    stage.settle()
    monitor = stage.monitor
    assert relative(monitor) == []
    assert (monitor.header.policy.text(), monitor.header.control.text()) == ('○ policy unknown', 'AURA until 14:16:10')
    assert monitor.scrubber.moment.text() == 'last step 14:16:10.0 UTC'
    assert [button.isChecked() for button in monitor.policies.buttons] == [False] * 3
    assert monitor.gate.property('dimmed') and monitor.cost.property('dimmed')
    assert 'no message for 12 s' in monitor.header.banner.text()


def test_nodes_without_steps_do_not_make_the_last_step_the_present(stage):
    stage.receive_story()
    for _ in range(10):
        reports = [*diagnostics(), PolicyPoint(BEGIN_S + 170.0, AURA, AURA, 0, True, True, 'no chunk', 0, 0, 1, 'e')]
        stage.receive(reports, after_s=0.9)
    stage.settle()
    monitor = stage.monitor
    assert relative(monitor) == [] and monitor.header.policy.text() == '● AURA is held'
    assert monitor.scrubber.moment.text() == 'last step 14:16:10.0 UTC'


def test_a_dry_run_does_not_say_that_a_policy_drives(stage):
    stage.receive_story(5.0)
    stage.receive([PolicyPoint(BEGIN_S + 5.2, KV, KV, 0, False, False, '', 0, 0, 0, EPISODE)], after_s=0.6)
    header = stage.monitor.header
    assert (header.policy.text(), header.control.text()) == ('● KV-cache is selected', 'dry run')


@pytest.mark.parametrize('period_s', [0.2, 4.0])
def test_a_page_is_live_for_a_few_steps_without_one(period_s):
    model = MonitorModel()
    for seq in range(5):
        model.ingest(GatePoint(100.0 + seq * period_s, 'e', seq, 0.1, 0.5, False, 1.0, 40.0, 4224, AURA), 10.0)
    assert model.moment(12.9).mode is Mode.LIVE
    assert model.moment(10.0 + 3.5 * period_s).mode is Mode.LIVE
    assert model.moment(10.1 + max(3.0, 4 * period_s)).mode is Mode.QUIET


def test_a_selected_moment_that_left_the_history_becomes_its_begin():
    model = MonitorModel(history_s=60.0)
    for seq in range(500):
        model.ingest(GatePoint(100.0 + 0.2 * seq, 'e', seq, 0.1, 0.5, False, 1.0, 40.0, 4224, AURA), 0.2 * seq)
    model.cursor = 101.0
    assert model.moment(100.0).stamp_s == model.span[0]


def test_the_state_of_a_moment_contains_the_write_before_it():
    model = MonitorModel()
    stage_points = [timed.point for timed in Story(60.0)]
    for point in stage_points:
        if not isinstance(point, StatePoint) or point.seq % 5 == 4:  # no state at the step of a write
            model.ingest(point, 0.0)
    wanted = [point for point in stage_points if isinstance(point, WritePoint)][2]
    model.cursor = wanted.stamp_s
    assert wanted.seq <= model.state().seq < wanted.seq + 5


def test_the_policy_is_unknown_while_no_report_was_received():
    model = MonitorModel()
    for stamp_s in (1.0, 1.5, 2.0, 9.0, 9.5):
        model.ingest(PolicyPoint(stamp_s, AURA, AURA, 0, True, False, '', 0, 0, 0, 'e'), stamp_s)
    assert (model.policies().t, model.policies().labels) == ((1.0, 2.0, 9.0), ('aura', '', 'aura'))
    model.ingest(GatePoint(30.0, 'e', 0, 0.1, 0.5, False, 1.0, 40.0, 4224, AURA), 30.0)
    spans = model.policies()
    assert (spans.end_s, spans.at(9.2), spans.at(5.0), spans.at(12.0)) == (9.5, 'aura', '', '')
    assert Spans((), ()).at(3.0) == ''


@pytest.mark.parametrize(
    ('length_s', 'expected'),
    [
        (30.0, ['−25 s', '−20 s', '−15 s', '−10 s', '−5 s', 'now']),  # noqa: RUF001
        (120.0, ['−100 s', '−80 s', '−60 s', '−40 s', '−20 s', 'now']),  # noqa: RUF001
        (600.0, ['−8 min', '−6 min', '−4 min', '−2 min', 'now']),  # noqa: RUF001
    ],
)
def test_a_live_axis_has_round_numbers(length_s, expected):
    assert [text for _, text in time_ticks(Window(1_000.0, length_s))] == expected


def test_an_axis_of_the_past_has_round_times_of_the_clock():
    ticks = time_ticks(Window(1_790_000_011.7, 120.0, live=False))
    assert [text for _, text in ticks] == ['14:11:40', '14:12:00', '14:12:20', '14:12:40', '14:13:00', '14:13:20'][:6]
    assert ticks[0][0] == pytest.approx(-111.7, abs=1e-6) and ticks[-1][0] == pytest.approx(-11.7, abs=1e-6)
    assert [text for _, text in time_ticks(Window(95.0, 30.0, live=False))] == [f'{at} s' for at in range(65, 96, 5)]
