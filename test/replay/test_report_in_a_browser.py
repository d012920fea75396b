# SPDX-License-Identifier: Apache-2.0
"""The report in a real browser: zoom, linked cursor, tables, files to save, keyboard, accessibility and paper."""

import re
import shutil
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from replayed import OPTIONS, synthetic_steps

from aura_ros.replay.disk_arrays import DiskArrays
from aura_ros.replay.evaluate import run_policies
from aura_ros.replay.evaluated import About, Evaluated, StepTable
from aura_ros.replay.report.explorer import library
from aura_ros.replay.report.html import page
from aura_ros.replay.report.summary import Report

sync_api = pytest.importorskip('playwright.sync_api')
axe = pytest.importorskip('axe_playwright_python.sync_playwright')
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason='needs Chromium (Debian: apt-get install chromium)'),
    pytest.mark.skipif(library() is None, reason='needs uplot-python (the explore extra)'),
]
NAMES = ['base', 'aura', 'kv', 'kv-window', 'always', 'random', 'periodic']
DESKTOP, PHONE = {'width': 1280, 'height': 900}, {'width': 390, 'height': 844}


def evaluated(name, steps, **options):
    arrays = DiskArrays()
    runs = run_policies(NAMES, OPTIONS, steps, arrays)
    return Evaluated(
        About(name, inputs={'front': {'samples': 60.0}}), StepTable.collect(steps, runs, arrays, **options), runs
    )


@pytest.fixture(scope='module')
def found():
    return evaluated('monday', synthetic_steps(200, episodes=2))


@pytest.fixture(scope='module')
def report_file(found, tmp_path_factory):
    path = tmp_path_factory.mktemp('report') / 'report.html'
    second = evaluated('tuesday', synthetic_steps(40, seed=1), frames_bytes=0)
    path.write_text(page(Report((found, second), '2026-11-22', 'aura replay', {}, {}, {})), encoding='utf-8')
    return path


@pytest.fixture(scope='module')
def browser():
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield made
        made.close()


@pytest.fixture
def opened(browser, report_file):
    """Return a function that opens the report; no page of it may print an error."""
    contexts, problems = [], []

    def make(viewport=DESKTOP, **options):
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        shown = context.new_page()
        shown.on('console', lambda message: problems.append(message.text) if message.type == 'error' else None)
        shown.on('pageerror', lambda error: problems.append(str(error)))
        shown.on(
            'request',
            lambda request: None if re.match('file:|data:|blob:', request.url) else problems.append(request.url),
        )
        shown.goto(report_file.as_uri())
        return shown

    yield make
    for context in contexts:
        context.close()
    assert problems == []


def part(shown, selector):
    """Return an element of the first recording's part that can be explored."""
    return shown.locator('.explorer').first.locator(selector)


def over(shown, chart, share):
    """Return a position in a chart, a share of its width from its left side."""
    part(shown, '.uplot').nth(chart).scroll_into_view_if_needed()
    box = part(shown, '.u-over').nth(chart).bounding_box()
    return box['x'] + share * box['width'], box['y'] + box['height'] / 2


def cursors(shown):
    """Return the positions of the cursors of all charts [px]."""
    return part(shown, '.u-cursor-x').evaluate_all(
        'all => all.map(each => new DOMMatrix(getComputedStyle(each).transform).e)'
    )


def test_the_cursor_is_linked_and_shows_frame_and_values(opened, found):
    shown = opened()
    x, y = over(shown, 3, 0.503)
    shown.mouse.move(x, y)
    caption = part(shown, 'figcaption').inner_text()
    place = round(0.503 * (len(found.steps) - 1))
    assert caption.startswith(f'{found.steps.times_s[place]:.3g} s, episode 2, step {found.steps.seqs[place]}')
    grey = part(shown, '.frame img').evaluate(
        """image => { const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
                      pen.drawImage(image, 0, 0); return pen.getImageData(2, 2, 1, 1).data[0]; }"""
    )
    assert abs(grey - place) <= 2  # synthetic_steps uses the number of the step as grey level
    assert max(cursors(shown)) - min(cursors(shown)) <= 1.0 and min(cursors(shown)) > 100
    row = part(shown, 'tr[data-policy="kv"] td').all_inner_texts()
    assert row[1] == 'yes' and row[5] == f'{found.runs["kv"].actions[place, 0]:.4f}'


def test_dragging_zooms_all_charts_and_a_double_click_shows_all(opened):
    shown = opened()
    whole = part(shown, '.range').inner_text()
    x, y = over(shown, 0, 0.25)
    shown.mouse.move(x, y)
    shown.mouse.down()
    shown.mouse.move(over(shown, 0, 0.5)[0], y, steps=5)
    shown.mouse.up()
    begin, end = (float(time.split()[0]) for time in part(shown, '.range').inner_text().split(' to '))
    length = 199 * 0.2
    assert begin == pytest.approx(0.25 * length, abs=0.3) and end == pytest.approx(0.5 * length, abs=0.3)
    shown.mouse.move(*over(shown, 2, 0.5))  # another chart has the same range
    assert float(part(shown, 'figcaption').inner_text().split()[0]) == pytest.approx((begin + end) / 2, abs=0.3)
    shown.keyboard.down('Shift')
    shown.mouse.down()
    shown.mouse.move(over(shown, 2, 0.9)[0], y, steps=5)
    shown.mouse.up()
    shown.keyboard.up('Shift')
    moved = [float(time.split()[0]) for time in part(shown, '.range').inner_text().split(' to ')]
    assert moved[0] < begin - 1 and moved[1] - moved[0] == pytest.approx(end - begin, abs=0.2)
    shown.mouse.dblclick(*over(shown, 0, 0.5))
    assert part(shown, '.range').inner_text() == whole


def test_everything_can_be_done_with_the_keyboard(opened, found):
    shown = opened()
    slider = part(shown, '.cursor')
    writes = [write.row for write in found.runs['aura'].writes]
    assert slider.input_value() == str(writes[0])
    part(shown, '[data-do=after]').press('Enter')
    assert slider.input_value() == str(writes[1]) and 'aura writes' in slider.get_attribute('aria-valuetext')
    slider.press('ArrowRight')
    assert slider.input_value() == str(writes[1] + 1)
    shown.set_viewport_size(PHONE)  # the cursor stays where it is
    shown.wait_for_function('document.querySelector("canvas").clientWidth < 360')
    shown.set_viewport_size(DESKTOP)
    shown.wait_for_function('document.querySelector("canvas").clientWidth > 360')
    assert slider.input_value() == str(writes[1] + 1)
    slider.press('End')
    part(shown, '[data-do=in]').press('Enter')
    assert part(shown, '.range').inner_text().startswith('19.9 s to')
    part(shown, '[data-do=left]').press('Enter')
    assert part(shown, '.range').inner_text().startswith('9.95 s to')
    slider.press('Home')  # the range follows the cursor
    assert part(shown, '.range').inner_text().startswith('0 s to')
    part(shown, 'select').select_option(label='joint3')
    value = part(shown, 'tr[data-policy=""] td').last.inner_text()
    assert value == f'{found.steps.recorded[0, 3]:.4f}'
    before = part(shown, 'canvas').last.evaluate('canvas => canvas.toDataURL()')
    part(shown, 'tr[data-policy="periodic"] input').press('Space')
    shown.wait_for_timeout(100)
    assert part(shown, 'canvas').last.evaluate('canvas => canvas.toDataURL()') != before
    for box in part(shown, 'tr[data-policy] input').all():
        box.set_checked(False)  # charts without a line are no error
    shown.wait_for_timeout(100)


def test_a_frame_that_is_not_there_is_named_by_its_step(opened):
    shown = opened()
    second = shown.locator('.explorer').last
    second.locator('.cursor').press('End')
    assert re.search(r'step 39; picture of step \d+$', second.locator('figcaption').inner_text())


def test_tables_are_sorted_by_their_values(opened, found):
    shown = opened()
    table = shown.locator('table.sortable').nth(1)
    heading = table.get_by_role('button', name='sort by to storage')
    names = table.locator('tbody b')
    for order in ('ascending', 'descending'):
        heading.press('Enter')
        assert table.locator('th[aria-sort]').get_attribute('aria-sort') == order
        sizes = [found.runs[name].device_bytes for name in names.all_inner_texts()]
        assert sorted(sizes, reverse=order == 'descending') == sizes and len(sizes) == len(NAMES)


def test_figures_are_saved_with_their_colours(opened, tmp_path):
    shown = opened()
    for name in ('save the chart errors as SVG', 'save the chart errors as PNG', 'save the chart state size as PNG'):
        with shown.expect_download() as saved:
            shown.get_by_role('button', name=name, exact=True).first.click()
        path = tmp_path / saved.value.suggested_filename
        saved.value.save_as(path)
        if path.suffix == '.svg':
            root = ElementTree.parse(path).getroot()
            assert root.tag == '{http://www.w3.org/2000/svg}svg' and '--c: #006ba6' in root[0].text
            continue
        picture = cv2.imread(str(path)).reshape(-1, 3)[:, ::-1].astype(int)
        blue = np.abs(picture - (0x00, 0x6B, 0xA6)).max(axis=1) < 12
        assert blue.sum() > 100 and (picture == 255).all(axis=1).mean() > 0.5


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('viewport', [DESKTOP, PHONE], ids=['desktop', 'phone'])
def test_there_is_no_barrier(opened, viewport, scheme):
    shown = opened(viewport, color_scheme=scheme)
    result = axe.Axe().run(shown)
    found = [f'{each["id"]}: {each["nodes"][0]["html"][:200]}' for each in result.response['violations']]
    assert found == []
    assert shown.evaluate('document.documentElement.scrollWidth') == viewport['width'], 'the page scrolls sideways'


def test_without_a_script_the_still_charts_are_shown(opened):
    shown = opened(java_script_enabled=False)
    assert shown.get_by_text('Errors over time').first.is_visible()
    assert not shown.locator('.explorer:visible, button:visible').count()
    scripted = opened()
    assert not scripted.get_by_text('Errors over time').first.is_visible()


def test_a_sheet_of_paper_has_all_columns(opened):
    shown = opened(viewport={'width': 703, 'height': 1000})  # A4 less its margins, at 96 px per inch
    shown.emulate_media(media='print')
    widths = shown.locator('table:visible').evaluate_all('all => all.map(each => each.getBoundingClientRect().right)')
    assert len(widths) >= 4 and max(widths) <= 703
    assert shown.get_by_text('Errors over time').first.is_visible(), 'the still charts are printed'
    assert len(shown.pdf(prefer_css_page_size=True)) > 10_000
