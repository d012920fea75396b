# SPDX-License-Identifier: Apache-2.0
"""Every test has a DDS domain of its own."""

from ros_graph import domain, graph  # noqa: F401  fixtures
