# SPDX-License-Identifier: Apache-2.0
"""Notices that time stands still: a simulation that is paused, a /clock whose publisher died.

Ages are measured on the ROS clock, so while it stands nothing ever gets old; only the steady clock can tell.
"""

from __future__ import annotations


class ClockWatch:
    """Compares the ROS clock with the steady one. One thread."""

    def __init__(self, timeout_ns: int) -> None:
        """Take a clock that has not moved for longer than `timeout_ns` as standing [ns, steady clock]."""
        self._timeout_ns = timeout_ns
        self._now_ns: int | None = None
        self._moved_ns = 0

    def stands(self, now_ns: int, steady_ns: int) -> bool:
        """Whether the ROS clock, at `now_ns`, has shown the same for too long."""
        if now_ns != self._now_ns:
            self._now_ns, self._moved_ns = now_ns, steady_ns
        return steady_ns - self._moved_ns > self._timeout_ns
