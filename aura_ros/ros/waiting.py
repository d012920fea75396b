# SPDX-License-Identifier: Apache-2.0
"""How a client of the graph waits: it takes messages until something is so, or its time is over."""

import time
from collections.abc import Callable

from rclpy.executors import SingleThreadedExecutor

# How often `done` is looked at; also the longest that Ctrl-C has to wait [s].
TURN_S = 0.1


def spin_until(executor: SingleThreadedExecutor, done: Callable[[], bool], timeout_s: float) -> bool:
    """Take messages until `done` or the time is over [s, steady clock]; returns whether it is done."""
    end = time.monotonic() + timeout_s
    while not done():
        left = end - time.monotonic()
        if left <= 0.0:
            return False
        executor.spin_once(timeout_sec=min(left, TURN_S))
    return True
