# SPDX-License-Identifier: Apache-2.0
"""Status reports on /diagnostics, for the standard monitors.

`diagnostic_updater` is not used because no Python package index has it.
"""

import math
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

from aura_ros.ros import qos

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
_CHECK_PERIOD_S = 0.2
_REPORT_EVERY = 5  # checks, that is once a second


@dataclass(frozen=True)
class Status:
    """Result of one check."""

    level: bytes = OK
    """OK, WARN or ERROR."""
    message: str = 'ok'
    """The finding, one sentence."""
    values: Mapping[str, object] = field(default_factory=dict)
    """Values to show beside it."""
    news: Hashable = None
    """Not shown; a change of it is published at once, as a change of the level is."""


class Diagnostics:
    """Publishes the checks of a node once a second, and at once when a level or news change.

    It exists as long as its node and reports in every lifecycle state. Executor thread only. The timer is on the steady
    clock, so that it also reports while a simulation is stopped. Stamps are on the node's clock.
    """

    def __init__(self, node: Node, hardware_id: str) -> None:
        """Create publisher and timer; `hardware_id` names the part of the robot."""
        self._node = node
        self._hardware_id = hardware_id
        self._checks: dict[str, Callable[[], Status]] = {}
        self._shown: dict[str, tuple[bytes, Hashable]] = {}
        self._ticks = 0
        # Absolute by convention, as the monitors expect.
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(_CHECK_PERIOD_S, self._tick, clock=self._steady)

    def add(self, name: str, check: Callable[[], Status]) -> None:
        """Add a check under `name`, or replace it."""
        self._checks[name] = check

    def remove(self, *names: str) -> None:
        """Remove checks; unknown names are ignored."""
        for name in names:
            self._checks.pop(name, None)
            self._shown.pop(name, None)

    def refresh(self) -> None:
        """Publish now if the level or the news of any check changed since the last report."""
        results = {name: check() for name, check in self._checks.items()}
        if _urgent(results) != self._shown:
            self._publish(results)

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks % _REPORT_EVERY == 0:
            self._publish({name: check() for name, check in self._checks.items()})
        else:
            self.refresh()

    def _publish(self, results: Mapping[str, Status]) -> None:
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        prefix = self._node.get_fully_qualified_name().lstrip('/')
        array.status = [
            DiagnosticStatus(
                level=status.level,
                name=f'{prefix}: {name}',
                message=status.message,
                hardware_id=self._hardware_id,
                values=[KeyValue(key=key, value=str(of)) for key, of in status.values.items()],
            )
            for name, status in results.items()
        ]
        self._shown = _urgent(results)
        self._publisher.publish(array)


def _urgent(results: Mapping[str, Status]) -> dict[str, tuple[bytes, Hashable]]:
    """Return the parts of each check whose change is published at once."""
    return {name: (status.level, status.news) for name, status in results.items()}


class Faults:
    """Counts faults by kind and reports WARN while one of them is recent. Executor thread only."""

    def __init__(self, ok_message: str, hold_s: float = 5.0) -> None:
        """Report `ok_message` without a recent fault; report a fault for `hold_s` [s, steady clock]."""
        self._ok_message = ok_message
        self._hold_s = hold_s
        self.counts: dict[str, int] = {}
        # By kind, the newest kind last: the text and the time of its newest fault.
        self._newest: dict[str, tuple[str, float]] = {}

    def add(self, kind: str, text: str, times: int = 1) -> bool:
        """Count a fault; return whether to log it.

        A fault whose kind was added recently is not logged again, so that a lasting fault is logged once.
        """
        self.counts[kind] = self.counts.get(kind, 0) + times
        now = time.monotonic()
        _, before = self._newest.pop(kind, ('', -math.inf))
        self._newest[kind] = text, now
        return now - before > self._hold_s

    def status(self) -> Status:
        """Return the newest fault of each kind that is recent, the newest kind first, and all counts."""
        now = time.monotonic()
        recent = [f'{kind}: {text}' for kind, (text, at) in self._newest.items() if now - at < self._hold_s]
        if recent:
            return Status(WARN, '; '.join(reversed(recent)), self.counts)
        return Status(OK, self._ok_message, self.counts)
