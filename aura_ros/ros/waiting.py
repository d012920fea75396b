# SPDX-License-Identifier: Apache-2.0
"""Wait for a condition while messages are taken."""

import time
from collections.abc import Callable

from rclpy.executors import SingleThreadedExecutor

from aura_ros.common.program import HIDES_INTERRUPT, stop_requested

# Period at which `done` is checked, and the longest delay of Ctrl-C [s].
TURN_S = 0.1


def spin_until(executor: SingleThreadedExecutor, done: Callable[[], bool], timeout_s: float) -> bool:
    """Take messages until `done` or a time-out [s, steady clock]; return whether it is done.

    Raises:
        KeyboardInterrupt: a stop signal arrived, see `end_on_signals`.
    """
    end = time.monotonic() + timeout_s
    while not done():
        left = end - time.monotonic()
        if left <= 0.0:
            return False
        try:
            executor.spin_once(timeout_sec=min(left, TURN_S))
        except HIDES_INTERRUPT as error:
            if stop_requested():
                raise KeyboardInterrupt from error
            raise
    return True
