# SPDX-License-Identifier: Apache-2.0
"""Each test that uses DDS has its own domain; tests that draw need no display."""

import os

import pytest
from ros_graph import domain, graph  # noqa: F401  fixtures

os.environ.setdefault('QT_QPA_PLATFORM', 'offscreen')


@pytest.fixture
def qtbot(qtbot):
    """Keep references to the widgets until their events are processed.

    pytest-qt keeps weak references only. Python could collect a widget while Qt paints it, which crashes the process.
    """
    kept, add = [], qtbot.addWidget

    def keep(widget, **options):
        kept.append(widget)
        add(widget, **options)

    qtbot.addWidget = keep
    yield qtbot
    del qtbot.addWidget
