# SPDX-License-Identifier: Apache-2.0
"""The interface between the monitor and the bridge; tests implement it without ROS."""

from collections.abc import Callable
from typing import Protocol

from aura_ros.rqt.points import Point

OnAnswer = Callable[[bool, str], None]
"""Receives the answer to a request: whether it succeeded, and the result or the reason as text."""


class PointSource(Protocol):
    """Where the monitor gets its points from. No call blocks."""

    allow_control: bool
    """Whether `select_policy` may send requests."""

    domain_id: int
    """ROS domain in which robots are searched."""

    unlock: str
    """Command that starts the monitor with the permission to send requests."""

    @property
    def namespace(self) -> str | None:
        """Namespace of the robot that is shown, '' or '/name'; None while there is no robot."""

    def drain(self) -> list[Point]:
        """Return the points received since the last call, oldest first."""

    def robots(self) -> list[str]:
        """Return the namespaces of the robots on the graph."""

    def select_robot(self, namespace: str) -> None:
        """Show another robot."""

    def select_policy(self, policy: int, done: OnAnswer) -> None:
        """Request another policy; a later `drain` calls `done` in the GUI thread."""
