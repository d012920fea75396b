# SPDX-License-Identifier: Apache-2.0
"""Faults at the level of processes: each test has a DDS domain of its own and real nodes on it."""

from ros_graph import domain, graph  # noqa: F401  fixtures
