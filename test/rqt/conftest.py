# SPDX-License-Identifier: Apache-2.0
"""Tests of the monitor that talk over DDS have a domain of their own each; those that draw need no display."""

import os

import pytest
from ros_graph import domain, graph  # noqa: F401  fixtures

os.environ.setdefault('QT_QPA_PLATFORM', 'offscreen')


@pytest.fixture
def qtbot(qtbot):
    """Keep the widgets until their events are dealt with.

    pytest-qt has but weak references: what a test shows and leaves is garbage, and Python may collect it while it is
    being painted, which ends the process.
    """
    kept, add = [], qtbot.addWidget

    def keep(widget, **options):
        kept.append(widget)
        add(widget, **options)

    qtbot.addWidget = keep
    yield qtbot
    del qtbot.addWidget
