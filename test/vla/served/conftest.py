# SPDX-License-Identifier: Apache-2.0
"""Tests of a served VLA have a DDS domain of their own each."""

from ros_graph import domain, graph  # noqa: F401  fixtures
