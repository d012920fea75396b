# SPDX-License-Identifier: Apache-2.0
"""Tests of nodes have a DDS domain of their own each."""

from ros_graph import domain, graph  # noqa: F401  fixtures
from ros_viewer import view  # noqa: F401  likewise
