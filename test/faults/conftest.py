# SPDX-License-Identifier: Apache-2.0
"""Faults of whole processes. Each test starts real nodes on its own DDS domain."""

from ros_graph import domain, graph  # noqa: F401  fixtures
