# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/ build as a site without a warning, all links inside it work, and it has every page and program."""

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

pytest.importorskip('sphinx', reason='needs the extra docs')
pytest.importorskip('rclpy')
from sphinx.application import Sphinx

from aura_ros.bench.cli import COMMANDS
from aura_ros.cli import VERBS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == 'id' and value:
                self.anchors.add(value)
            if name in ('href', 'src') and value:
                self.links.append(value)


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ./run docs builds it."""
    folder = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-d', str(folder / 'cache'), str(DOCS)]
    done = subprocess.run([*command, str(folder / 'html')], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr  # -W: a warning is an error
    return folder / 'html'


def sources() -> list[Path]:
    """Return the files of all pages, below docs/ and without their endings."""
    return [path.relative_to(DOCS).with_suffix('') for path in DOCS.rglob('*') if path.suffix in ('.md', '.rst')]


def text_of(page: Path) -> str:
    """Return the text of a page without its marks."""
    return re.sub(r'<[^>]+>', '', page.read_text(encoding='utf-8'))


def test_every_link_inside_the_site_leads_somewhere(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob('*.html')}
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            missing = target in pages and parts.fragment and unquote(parts.fragment) not in pages[target].anchors
            if missing or not target.is_file():
                dead.append(f'{path.relative_to(site)}: {link}')
    assert len(pages) > 40
    assert dead == []


def test_the_site_has_every_page_of_the_repository(site: Path) -> None:
    pages = [f'{path}.html' for path in sources()]
    assert [page for page in pages if not (site / page).is_file()] == []
    front = Page(site / 'index.html').links
    assert [page for page in pages if page not in front and page != 'index.html'] == [], 'add it to docs/index.md'


def test_front_page_is_the_readme_with_the_links_of_the_site(site: Path) -> None:
    text = text_of(site / 'index.html')
    assert './run demo' in text.split('Who it is for')[0]
    assert not [link for link in Page(site / 'index.html').links if link.endswith('.md')]


def test_reference_has_every_command(site: Path) -> None:
    text = text_of(site / 'reference' / 'commands.html')
    calls = [f'aura {verb}' for verb in VERBS] + [f'aura bench {command}' for command in COMMANDS]
    calls += ['aura state verify', 'aura topics call', './run COMMAND']
    assert [call for call in calls if f'usage: {call}' not in text] == []


def test_reference_has_the_parameters_of_every_node(site: Path) -> None:
    text = text_of(site / 'reference' / 'parameters.html')
    nodes = {path.stem for path in (DOCS / 'nodes').glob('*.md')} - {'README'}
    assert nodes <= set(re.findall(r'the page of (\w+)\.', text))
    assert 'robot.OUTPUT.workspace_lower' in text and 'Configure and activate at start' in text


def test_reference_has_every_message(site: Path) -> None:
    text = text_of(site / 'reference' / 'messages.html')
    files = [path for kind in ('msg', 'srv', 'action') for path in (ROOT / kind).iterdir()]
    last = {path: path.read_text(encoding='utf-8').strip().splitlines()[-1].split()[1] for path in files}
    assert [path.name for path, field in last.items() if path.stem not in text or field not in text] == []


def test_reference_describes_what_is_public(site: Path) -> None:
    text = (site / 'reference' / 'api.html').read_text(encoding='utf-8')
    for name in ('client.AuraClient.run_episode', 'vla.Backbone.infer', 'memory.MemorySession', 'control.PolicySwitch'):
        assert f'id="aura_ros.{name}"' in text, name


def test_rosdoc2_finds_the_site_and_builds_a_copy_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ElementTree.parse(ROOT / 'package.xml').findtext('export/rosdoc2') or ''
    (builder,) = list(yaml.safe_load_all((ROOT / name).read_text(encoding='utf-8')))[1]['builders']
    assert builder['sphinx']['sphinx_sourcedir'] == 'docs'
    # As rosdoc2 does: a copy of the folder, an index of its own, and a conf.py that runs ours.
    copy = tmp_path / 'build' / 'wrapped'
    shutil.copytree(DOCS, copy)
    (copy / 'index.rst').write_text('rosdoc2\n=======\n')
    (copy / 'aura_ros.memory.rst').write_text('aura_ros.memory\n===============\n')
    (copy / 'conf.py').write_text(f'exec(open("{DOCS}/conf.py").read())\n')
    monkeypatch.setattr(sys, 'path', [*sys.path])  # conf.py adds to it
    app = Sphinx(copy, copy, tmp_path / 'html', tmp_path / 'cache', 'dummy', status=None)
    app.project.discover(app.config.exclude_patterns)
    assert set(app.project.docnames) == {str(path) for path in sources()}
    assert (copy / '..' / 'config' / 'sros2' / 'aura.policy.xml').is_file(), 'linked in security.md'


def test_readme_is_short_and_begins_with_the_two_commands() -> None:
    lines = (ROOT / 'README.md').read_text(encoding='utf-8').splitlines()
    assert len(lines) < 120
    assert [line.split('#')[0].strip() for line in lines[3:5]] == ['./run demo', './run test']
    assert len([line for line in lines if re.match(r'\|[-|]+\|$', line)]) == 1, 'one table'
