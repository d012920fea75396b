# SPDX-License-Identifier: Apache-2.0
"""Tests that compare a replay with the live graph have a DDS domain of their own each; the others need no ROS."""

from contextlib import suppress

with suppress(ImportError):
    from ros_graph import domain, graph  # noqa: F401  fixtures
