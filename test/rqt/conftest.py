# SPDX-License-Identifier: Apache-2.0
"""Tests of the monitor that talk over DDS have a domain of their own each."""

from ros_graph import domain, graph  # noqa: F401  fixtures
