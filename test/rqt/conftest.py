# SPDX-License-Identifier: Apache-2.0
"""Tests of the monitor that talk over DDS have a domain of their own each; those that draw need no display."""

import os

from ros_graph import domain, graph  # noqa: F401  fixtures

os.environ.setdefault('QT_QPA_PLATFORM', 'offscreen')
