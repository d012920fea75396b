# SPDX-License-Identifier: Apache-2.0
"""The site of these pages: `./run docs` builds it with Sphinx and MyST, and rosdoc2 can build it too."""

import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from importlib import import_module
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

_HERE = Path(__file__).resolve().parent
# rosdoc2 copies this folder, and its own conf.py there names the original one.
_WRAPPED = re.search(r'open\("(.+)/conf\.py"\)', Path(__file__).read_text(encoding='utf-8'))
_DOCS = Path(_WRAPPED[1]) if _WRAPPED else _HERE
_ROOT = _DOCS.parent
if _WRAPPED:
    (_HERE / 'index.rst').unlink(missing_ok=True)  # the one of rosdoc2; ours is index.md
    shutil.copy(_ROOT / 'CHANGELOG.rst', _HERE.parent)
    shutil.copytree(_ROOT / 'config', _HERE.parent / 'config', dirs_exist_ok=True)
    # rosdoc2 also writes pages, one for each module among them. This site has its own.
    exclude_patterns = ['aura_ros*.rst', 'modules.rst', 'interfaces', 'standard*', '__readme_include.rst']
sys.path[:0] = [str(_DOCS), str(_ROOT)]

project = 'aura_ros'
author = 'The aura_ros maintainers'
copyright = 'the aura_ros maintainers, Apache-2.0'
release = version = ElementTree.parse(_ROOT / 'package.xml').findtext('version', '')

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
myst_enable_extensions = ['colon_fence']
myst_heading_anchors = 4
# A single backtick in a docstring marks a name.
default_role = 'code'
autodoc_default_options = {'members': True, 'member-order': 'bysource'}
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
napoleon_use_ivar = True

html_theme = 'furo'
html_title = f'aura_ros {release}'
html_static_path = ['_static']
html_css_files = ['site.css']
linkcheck_timeout = 20
linkcheck_workers = 2

_GENERATED = re.compile(r'^<!-- generated: (\w+) -->$', re.MULTILINE)


def _generate(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the generated text of a page in the place of its comment."""
    if not (wanted := _GENERATED.search(source[0])):
        return
    try:
        text: str = getattr(import_module('generated'), wanted[1])()
    except ImportError as error:
        text = f'This page was built without {error.name}, so this part is missing.'
        getLogger(__name__).warning('%s: %s', page, text)
    source[0] = _GENERATED.sub(lambda _: text, source[0])


def setup(app: Sphinx) -> None:
    """Connect the generated texts; Sphinx calls this function."""
    app.connect('source-read', _generate)
