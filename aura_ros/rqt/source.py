# SPDX-License-Identifier: Apache-2.0
"""What the monitor needs of whoever hears the robot: bridge.py, or a test."""

from collections.abc import Callable
from typing import Protocol

from aura_ros.rqt.points import Point


class Source(Protocol):
    """What the monitor needs of the bridge; all of it returns at once."""

    allow_control: bool
    namespace: str | None

    def drain(self) -> list[Point]:
        """Hand over what was heard since the last call."""
        ...

    def robots(self) -> list[str]:
        """Namespaces of the robots that are there."""
        ...

    def select_robot(self, namespace: str) -> None:
        """Listen to another robot."""
        ...

    def select_policy(self, policy: int, done: Callable[[bool, str], None]) -> None:
        """Ask for another policy; `done` is called in the GUI's thread, with what came of it."""
        ...
