# SPDX-License-Identifier: Apache-2.0
"""Detects a ROS clock that does not advance: a paused simulation, or a /clock publisher that died.

Ages are measured on the ROS clock and stop growing when it stops. Only the steady clock can detect this.
"""


class ClockWatch:
    """Compares the ROS clock with the steady clock. Not thread-safe."""

    def __init__(self, timeout_ns: int) -> None:
        """Set the longest time that the ROS clock may stay the same [ns, steady clock]."""
        self._timeout_ns = timeout_ns
        self._now_ns: int | None = None
        self._advanced_ns = 0

    def stopped(self, now_ns: int, steady_ns: int) -> bool:
        """Return whether the ROS clock has shown `now_ns` for longer than the time-out."""
        if now_ns != self._now_ns:
            self._now_ns, self._advanced_ns = now_ns, steady_ns
        return steady_ns - self._advanced_ns > self._timeout_ns
