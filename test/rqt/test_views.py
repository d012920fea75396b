# SPDX-License-Identifier: Apache-2.0
"""Colours, texts and pictures of the views."""

import math
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('pyqtgraph')
pytest.importorskip('pytestqt')
from aura_ros.memory.content_addressed import LEAST_KEY, WHOLE_KEY
from aura_ros.rqt.items import Item, LastWrite
from aura_ros.rqt.memory_log import MemoryStatus
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.points import RAM, DiagnosticPoint, PolicyPoint, StatePoint, Thumbnail, WritePoint
from aura_ros.rqt.qt import Qt, QtCore
from aura_ros.rqt.reasons import Reason
from aura_ros.rqt.style import DARK, LIGHT, diverging, rgb, sequential
from aura_ros.rqt.view_data import Cost, GateSeries, Latency, Raster, Spans, Stage
from aura_ros.rqt.views import item_text, units, words
from aura_ros.rqt.views.cost import CostPanel
from aura_ros.rqt.views.gate import GateTimeline
from aura_ros.rqt.views.header import HeaderStrip
from aura_ros.rqt.views.items import LINE_PX, STRENGTH_X, VALUE_X, ItemPanel
from aura_ros.rqt.views.latency import LatencyTable
from aura_ros.rqt.views.panel import Window, hover, label
from aura_ros.rqt.views.raster import WriteRaster
from aura_ros.rqt.views.state import LIMIT, StateMap, StatePanel
from aura_ros.rqt.views.writes import WriteStrip, describe

THEMES = pytest.mark.parametrize('theme', [LIGHT, DARK], ids=['light', 'dark'])
# How people without red or green cones see a colour (Machado et al. 2009), in linear RGB.
BLIND = {
    'protan': [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    'deutan': [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    'all': np.eye(3),
}
REASON = Reason(30.0, 2.0)
NO_SPANS = Spans((), ())
PRESENT = Window(20.0, 120.0)


def linear(colour: str) -> np.ndarray:
    part = rgb(colour) / 255.0
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2, from 1 to 21."""
    bright, dim = sorted((float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def lab(colour: str, eyes: str) -> np.ndarray:
    """CIELAB values of a colour as those eyes see it; a distance of 2.3 is just noticeable."""
    seen = np.clip(np.array(BLIND[eyes]) @ linear(colour), 0.0, 1.0)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ seen / [0.9505, 1.0, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@THEMES
def test_text_is_readable(theme):
    for ground in (theme.panel, theme.window):
        assert contrast(theme.text, ground) > 12
        assert contrast(theme.muted, ground) > 4.5
        for colour in (theme.aura, theme.kv, theme.good, theme.alarm, theme.base):
            assert contrast(colour, ground) >= 4.5, (colour, ground)
    for ground in (theme.alarm, theme.good, theme.text, theme.aura, theme.muted):
        assert contrast(theme.panel, ground) >= 4.5, 'text on a coloured ground'


@THEMES
@pytest.mark.parametrize('eyes', BLIND)
def test_colours_of_policies_and_faults_differ_for_all_eyes(theme, eyes):
    for one, other in combinations((theme.aura, theme.kv, theme.base), 2):
        assert np.linalg.norm(lab(one, eyes) - lab(other, eyes)) > 20, (one, other)
    assert np.linalg.norm(lab(theme.low, eyes) - lab(theme.high, eyes)) > 40
    assert np.linalg.norm(lab(theme.good, eyes) - lab(theme.alarm, eyes)) > 15


@THEMES
def test_colours_of_amounts_are_monotonic(theme):
    for table in (sequential(theme), diverging(theme)[127:], diverging(theme)[127::-1]):
        assert table[0].tolist() == rgb(theme.panel).tolist()
        light = table @ [0.2126, 0.7152, 0.0722]
        steps = np.diff(light) * (1 if theme.dark else -1)
        assert (steps > -0.6).all() and abs(light[-1] - light[0]) > 80


@pytest.mark.parametrize(
    ('count', 'text'),
    [
        (0, '0 B'),
        (4224, '4,224 B'),
        (99_999, '99,999 B'),
        (220_160, '220 KB'),
        (1.5e6, '1.50 MB'),
        (4e12, '4.00 TB'),
        (math.nan, units.NOTHING),
    ],
)
def test_sizes(count, text):
    assert units.size(count) == text


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (0.04, '0.0 s'),
        (9.96, '10.0 s'),
        (42.4, '42 s'),
        (120.0, '2 min'),
        (185.0, '3 min 05 s'),
        (7800.0, '2 h 10 min'),
        (math.inf, units.NOTHING),
    ],
)
def test_durations(seconds, text):
    assert units.duration(seconds) == text


def test_other_units():
    assert [units.ago(at) for at in (0.4, 11.0, 100.0, 3720.0)] == [
        f'{units.MINUS}{text}' for text in ('0 s', '11 s', '1:40', '1 h 02')
    ]
    assert [units.years(at) for at in (math.nan, 0.5, 114.0, 8e5)] == [
        units.NOTHING,
        '183 days',
        '114 years',
        '> 1,000 years',
    ]
    assert [units.milliseconds(at) for at in (0.046, 1.66, 21.1)] == ['46 µs', '1.66 ms', '21.1 ms']
    assert units.moment(329.45) == '329.45 s'
    assert units.moment(1_790_000_000.25) == '14:13:20.2 UTC'


def gate(count: int, written: tuple[int, ...] = ()) -> GateSeries:
    t = 100.0 + np.arange(count) * 0.2
    score = np.full(count, 0.1, np.float32)
    score[list(written)] = 0.9
    flags = np.zeros(count, bool)
    flags[list(written)] = True
    same = np.full(count, 0.5, np.float32)
    return GateSeries(t, score, same, flags, same, np.arange(count), same)


@pytest.fixture
def shown(qtbot):
    """Show a view."""

    def show(view, theme=LIGHT):
        qtbot.addWidget(view)
        view.apply_theme(theme)
        view.resize(600, 200)
        view.show()
        return view

    return show


def test_gate_is_filled_above_the_threshold_only(shown):
    view = shown(GateTimeline())
    view.show_gate(gate(500, (100, 101, 300)), NO_SPANS, NO_SPANS, Window(200.0, 120.0))
    x, y = view._excess.getData()
    assert y.max() == pytest.approx(0.9) and y.min() == 0.5
    assert sorted(set(np.round((x + 100.0) / 0.2).astype(int))) == [99, 100, 101, 102, 299, 300, 301]
    assert '3 writes in 1 min 40 s' in view.caption.text(), 'the monitor saw the first step 100 s before the end'
    assert len(view._threshold.getData()[0]) == 2, 'a straight line has two ends'


def test_gate_marks_stay_at_the_writes_while_time_passes(shown):
    view = shown(GateTimeline())
    for end in (200.0, 203.0):
        view.show_gate(gate(500, (100, 300)), NO_SPANS, NO_SPANS, Window(end, 120.0))
        x = view._marks.getData()[0] + view._moving.pos().x()
        assert np.unique(x.round(6)).tolist() == pytest.approx([120.0 - end, 160.0 - end])


def test_gate_shows_the_policy_over_time(shown):
    view = shown(GateTimeline())
    policies = Spans((100.0, 120.0, 130.0), ('aura', 'kv', 'aura (hold)'))
    view.show_gate(gate(500), policies, NO_SPANS, Window(200.0, 120.0))
    offset = 200.0 + view._moving.pos().x()
    assert (view._driven['kv'].getData()[0] + offset).tolist() == [120.0, 130.0]
    assert (view._driven['aura'].getData()[0] + offset).tolist() == [100.0, 120.0]
    assert view._driven['base'].getData()[0] is None or not len(view._driven['base'].getData()[0])


def test_gate_describes_the_step_at_the_mouse_pointer(shown):
    view = shown(GateTimeline())
    assert view._read(0.0, 0.0) == ''
    view.show_gate(gate(500, (100,)), NO_SPANS, NO_SPANS, Window(200.0, 120.0))
    assert view._read(-80.0, 0.5).startswith('step 100: wrote')
    assert 'did not write' in view._read(-79.8, 0.5)


@pytest.mark.parametrize('count', [0, 1, 2])
def test_gate_with_few_steps(shown, count):
    view = shown(GateTimeline())
    view.show_gate(gate(count), NO_SPANS, NO_SPANS, Window(200.0, 120.0))
    assert ('no step' in view.caption.text()) == (count == 0)


def test_raster_shows_place_and_size_of_a_change(shown):
    view = shown(WriteRaster())
    amount = np.zeros((32, 3), np.float32)
    amount[3, 0], amount[7, 1], amount[7, 2] = 4.0, 1.0, 9.0
    raster = Raster(np.array([140.0, 199.9, 300.0]), amount, np.arange(3))
    view.show_raster(raster, Window(200.0, 120.0))
    picture = view._picture.image
    assert picture.shape == (32, 160)
    assert np.argwhere(picture).tolist() == [[3, 80], [7, 159]], 'changes after the window are not shown'
    assert picture[3, 80] == 255 and picture[7, 159] == 127, 'by the root of the amount'
    assert view._read(-60.0, 3.5).startswith('step 0, 140.00 s\nrow 3 changed by 4')
    assert view._read(-30.0, 3.5) == ''


def state(weights: np.ndarray, age: int = 5) -> StatePoint:
    ages = np.full(32, age, np.uint64)
    return StatePoint(1.0, 'e', 7, weights.astype(np.float32), np.zeros(32, np.float32), ages, 0xABCD)


def test_state_has_a_fixed_symmetric_scale(shown):
    view = shown(StateMap())
    weights = np.zeros((32, 32))
    weights[0, :5] = (LIMIT, LIMIT / 4, -LIMIT / 4, -LIMIT, 9 * LIMIT)
    view.show_state(state(weights))
    assert view._weights.image[0, :6].tolist() == [254, 191, 63, 0, 254, 127]
    assert view._weights.image[1].tolist() == [127] * 32
    ticks = view.map.getAxis('bottom')._tickLevels[0]
    assert 'empty rows: 31 · values off the scale: 1' in [text for _, text in ticks]
    assert view.caption.text() == 'step 7 · last change 5 steps before'
    assert view._read(4.2, 0.1).startswith(f'W[0, 4] = +{9 * LIMIT:.4f}')
    view.show_state(None)
    assert view._read(4.2, 0.1) == '' and view.caption.text() == 'no state of this time received'


def cost(**changes) -> Cost:
    t = np.arange(10.0)
    common = Cost(
        t=t,
        aura_bytes=np.full(10, 4224),
        writes_per_min=t,
        kv_t=t,
        kv_bytes=256 * (1 + np.arange(10)) * 100,
        kv_entries=1000,
        kv_window=0,
        writes_per_min_now=2.5,
        gate_rate=0.0125,
        device_bytes_per_hour=math.nan,
        kv_device_bytes_per_hour=4.1e8,
        storage_life_years=math.nan,
        kv_storage_life_years=12.0,
    )
    return replace(common, **changes)


def texts(cells) -> list[list[str]]:
    return [[cell.text() for cell in row] for row in cells]


def test_cost_compares_the_two(shown):
    view = shown(CostPanel())
    view.show_cost(cost(), Window(9.0, 120.0))
    assert texts(view._cells) == [
        ['4,224 B', '256 KB'],
        ['1.2% · 2.5/min', '100 %'],
        ['RAM only', '410 MB/h'],
        [units.NOTHING, '12.0 years'],
    ]
    assert view.caption.text() == 'KV-cache: 61 times as large'
    assert view._aura.getData()[1] == pytest.approx(np.log10(4224))
    view.show_cost(cost(kv_bytes=np.full(10, 3 * 10**8)), Window(9.0, 120.0))
    assert view.plot.getPlotItem().viewRange()[1] == [2.0, 9.0], 'the axis grows with the cache'


def test_cost_without_data(shown):
    view = shown(CostPanel())
    nothing = np.zeros(0)
    view.show_cost(cost(t=nothing, aura_bytes=nothing, kv_t=nothing, kv_bytes=nothing), Window(0.0, 120.0))
    assert texts(view._cells)[0] == [units.NOTHING] * 2 and view.caption.text() == ''


def test_latency_names_what_was_late(shown):
    view = shown(LatencyTable())
    view.show_latency(Latency((Stage('backbone', 21.0, 30.0, 300, 'inference'),), {'holds': 0, 'policy 2 late': 3}))
    assert [cell.text() for cell in view._rows[0]] == ['backbone', '21.0 ms', '30.0 ms']
    assert not view._rows[1][0].isVisible()
    assert view._misses.text() == 'late: policy 2 late 3'
    view.show_latency(Latency((), {'holds': 0}))
    assert view._misses.text() == 'nothing was late'


def write(seq: int, durability: int = 2) -> WritePoint:
    return WritePoint(seq * 0.2, 'e', seq, 1, 0.93, 0.5, 30.0, 0.01, 11.8, 1, 4224, 8352, 0.0, 7, durability)


def test_writes_show_the_image_of_their_observation(shown):
    view = shown(WriteStrip())
    red = Thumbnail(10.0, np.full((60, 80, 3), (250, 0, 0), np.uint8))
    view.show_writes({write(10, RAM): REASON, write(50): REASON}, [red], Window(20.0, 120.0))
    first, second, third = view.cards[:3]
    assert (first.image.text(), second.image.pixmap().toImage().pixelColor(50, 40).red()) == ('no image', 250)
    assert (first.durability.text(), second.durability.text()) == ('RAM only', 'durable')
    assert (second.when.text(), second.step.text()) == (f'{units.MINUS}10 s', 'step 50')
    assert third.isHidden()
    view.show_writes({write(60): REASON}, [red], Window(20.0, 120.0))
    assert first.image.text() == 'no image', 'the image of the other write must go'


def test_a_click_on_a_write_emits_its_time(shown, qtbot):
    view = shown(WriteStrip())
    view.show_writes({write(10): REASON, write(50): REASON}, [], Window(20.0, 120.0))
    with qtbot.waitSignal(view.chosen) as signal:
        view.cards[1].mousePressEvent(None)
    assert signal.args == [10.0]


def test_gate_has_a_gap_where_no_step_was_received(shown):
    view = shown(GateTimeline())
    series = gate(20, (10,))
    later = np.where(series.seq >= 10, series.t + 30.0, series.t)
    view.show_gate(replace(series, t=later), NO_SPANS, NO_SPANS, Window(200.0, 120.0))
    x, _ = view._curve.getData()
    assert np.flatnonzero(np.isnan(x)).tolist() == [10]
    filled, _ = view._excess.getData()
    assert np.nanmax(filled) - np.nanmin(filled) < 0.5, 'only the steps beside the write'


def test_a_card_describes_a_write_of_unknown_durability(shown):
    view = shown(WriteStrip())
    view.show_writes({write(10, 9): REASON}, [], Window(20.0, 120.0))
    assert view.cards[0].durability.text() == '9' and 'durability: 9' in describe(view.cards[0].write)


GLOSSARY = Path(__file__).parents[2] / 'docs/glossary.md'


@pytest.mark.parametrize('term', words.DEFINITIONS)
def test_hover_texts_define_terms_as_the_glossary_does(term):
    plain = ' '.join(GLOSSARY.read_text(encoding='utf-8').replace('`', '').split())
    entries = dict(re.findall(r'\*\*([^*]+)\.\*\* (.*?)(?= \*\*| ## |$)', plain))
    entries = {name.lower(): text for name, text in entries.items()}
    assert words.DEFINITIONS[term] in entries[term.lower()]


def test_hover_texts_are_wrapped():
    lines = words.tip('Text. ' * 40, 'gate', 'W').splitlines()
    assert max(map(len, lines)) <= 88 and any(line.startswith('Gate: A small trained network') for line in lines)


# Text from the graph. ---------------------------------------------------------------------------------------------
EVIL = '</span><img src="/tmp/x.png"><h1>ROBOT IS SAFE</h1>\x1b[2J\u202e'


@pytest.mark.fault('F34')
def test_the_header_shows_text_from_the_graph_literally(qtbot, measured):
    model, header = MonitorModel(), HeaderStrip()
    qtbot.addWidget(header)
    header.apply_theme(LIGHT)
    for name in (f'{EVIL}: x', f'memory_node{"y" * 100_000}: lifecycle', f'memory_node: {EVIL}'):
        model.ingest(DiagnosticPoint(name, 255, EVIL * 1000, {'state': '<u>u</u>', 'restored': EVIL}), 1.0)
    model.ingest(PolicyPoint(1.0, 250, 251, 3, True, True, f'<b>{EVIL}</b>', 1, 2, 3, EVIL), 1.0)
    header.show_header(model.header(9.0), model.moment(9.0), model.memory())
    markup = header.nodes.text()
    assert re.findall(r'<(\w+)', markup) == ['span'] * markup.count('<span') and 'h1&gt;' in markup
    assert len(markup) < 1000
    labels = (header.policy, header.control, header.step, header.restored, header.banner)
    for text in (markup, *(shown.text() for shown in labels)):
        assert text.isprintable() and len(text) < 1000
    for tip in (header.nodes.toolTip(), header.control.toolTip(), header.restored.toolTip()):
        assert tip.replace('\n', '').isprintable() and not re.search(r'<(img|h1|b|u)\b', tip)
    measured('monitor header: markup and escape sequences in 3 node names, a reason and a state shown literally')


def test_hover_texts_without_markup_are_unchanged_and_others_keep_their_lines(qtbot):
    shown = label('<b>a</b>', tip='first\nsecond')
    qtbot.addWidget(shown)
    assert (shown.text(), shown.toolTip()) == ('<b>a</b>', 'first\nsecond')
    assert hover('a < b\n& c') == '<qt>a &lt; b<br>&amp; c</qt>'


# Items. -----------------------------------------------------------------------------------------------------------
def item(row: int, rank: int, share: float = 1.0, **changes) -> Item:
    """An item whose key is a unit vector times `share`, written at step 40 at 8 s and seen 10 steps later."""
    key, value = np.zeros(16, np.float32), np.zeros(16, np.float32)
    key[row % 16], value[:2] = share, (share, -share)
    return replace(Item(row, rank, key, value, LastWrite('e', 40, True, 8.0), 10, None), **changes)


def test_the_items_are_counted_and_each_has_a_line(shown):
    view = shown(ItemPanel())
    view.show_items([item(5, 1), item(0, 2, 0.6)], PRESENT)
    assert view.caption.text() == '2 of 32 places hold an item, 30 free, 1 fading'
    height = view.lines.height()
    view.show_items([], PRESENT)
    assert view.caption.text() == '0 of 32 places hold an item, 32 free'
    assert height == 2 * view.lines.height(), 'one line says that every place is free'


def colour_at(widget, x: int, y: int) -> str:
    return widget.grab().toImage().pixelColor(x, y).name()


@THEMES
def test_a_line_shows_image_strength_and_value(shown, theme):
    red = Thumbnail(8.0, np.full((24, 32, 3), (250, 0, 0), np.uint8))
    view = shown(ItemPanel(), theme)
    view.show_items([item(5, 1, image=red), item(0, 2, 0.6)], PRESENT)
    lines = view.lines
    bar, strip, middle = STRENGTH_X + 1, VALUE_X + 3, 9
    assert (colour_at(lines, 8, middle), colour_at(lines, 8, middle + LINE_PX)) == ('#fa0000', theme.window)
    assert (colour_at(lines, bar, middle), colour_at(lines, bar, middle + LINE_PX)) == (theme.aura, theme.muted)
    assert colour_at(lines, bar + 50, middle + LINE_PX) == theme.window, 'the bar of a fading item is short'
    assert [colour_at(lines, strip + 6 * place, middle) for place in (0, 1, 9)] == [theme.high, theme.low, theme.panel]


def test_a_place_is_full_pale_or_free(shown):
    view = shown(ItemPanel())
    view.show_items([item(5, 1), item(0, 2, 0.6)], PRESENT)
    side = view.places.width() // 32
    shades = [colour_at(view.places, row * side + side // 2, 6) for row in (5, 0, 1)]
    between = colour_at(view.places, side - 1, 6)
    assert shades[0] == LIGHT.aura and shades[2] == between
    assert rgb(LIGHT.aura)[0] < rgb(shades[1])[0] < rgb(between)[0], 'paler'
    assert view.places.read(QtCore.QPoint(side + 2, 6)) == 'row 1 is free'
    assert view.places.read(QtCore.QPoint(5 * side + 2, 6)).startswith('row 5, newest')


def test_an_item_is_described_with_units(shown):
    view = shown(ItemPanel())
    unseen = item(9, 3, write=LastWrite('e', 40, False))
    earlier = item(2, 4, write=LastWrite('d', 7, True), age_steps=-1)
    view.show_items([item(5, 1), item(0, 2, 0.6), unseen, earlier], PRESENT)
    whole, fading, late, other, nothing = (view.lines.read(QtCore.QPoint(100, 5 + LINE_PX * line)) for line in range(5))
    assert 'row 5, newest in the order of the last writes\nlast written at step 40, 10 steps ago' in whole
    assert 'observation at 8.00 s, 12 s ago\nstrength 1.000: whole\nkey +0.00' in whole
    assert 'row 0, 2nd' in fading and 'strength 0.600: fading' in fading
    assert 'last written at step 40 or before' in late and 'observation' not in late
    assert 'last written before this episode' in other and nothing == ''
    assert [item_text.when(one, PRESENT) for one in view.lines.items] == [
        f'{units.MINUS}12 s',
        f'{units.MINUS}12 s',
        f'{units.MINUS}10 steps',
        units.NOTHING,
    ]
    texts = [item_text.which_step(one) for one in view.lines.items]
    assert texts == ['step 40', 'step 40', f'{item_text.AT_MOST} step 40', 'other episode']


def test_places_in_the_order_of_writes_are_ordinals():
    ranks = (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 32)
    assert ' '.join(map(item_text.ordinal, ranks)) == 'newest 2nd 3rd 4th 11th 12th 13th 21st 22nd 23rd 32nd'


def test_each_column_of_the_items_is_explained(shown):
    view = shown(ItemPanel())
    texts = {view._head.read(QtCore.QPoint(x, 5)) for x in range(view.width())}
    assert texts == set(item_text.COLUMNS.values())
    strength = ' '.join(item_text.COLUMNS['strength'].split())
    assert f'Below {WHOLE_KEY} the item is fading' in strength and f'Below {LEAST_KEY} the place' in strength


def test_a_click_on_an_item_emits_the_time_of_its_write(shown, qtbot):
    view = shown(ItemPanel())
    view.show_items([item(9, 1, write=LastWrite('e', 40, False)), item(5, 2)], PRESENT)
    chosen = []
    view.chosen.connect(chosen.append)
    for line in (0, 1, 2):
        qtbot.mouseClick(view.lines, Qt.MouseButton.LeftButton, pos=QtCore.QPoint(100, 5 + LINE_PX * line))
    assert chosen == [8.0]


def test_the_state_panel_shows_a_map_or_items(qtbot):
    view = StatePanel()
    qtbot.addWidget(view)
    for made in (view.map, view.items):
        made.apply_theme(LIGHT)
    view.show_state(state(np.ones((32, 32))), None, PRESENT, MemoryStatus())
    assert view.currentWidget() is view.map and view.map.caption.text() == 'step 7 · last change 5 steps before'
    view.show_state(state(np.zeros((32, 32))), (item(5, 1),), PRESENT, MemoryStatus())
    assert view.currentWidget() is view.items and view.items.caption.text().startswith('1 of 32')
    view.show_state(state(np.zeros((32, 32))), None, PRESENT, MemoryStatus())
    assert view.currentWidget() is view.map and view.map.caption.text() == 'step 7 · empty: nothing is written yet'
