# SPDX-License-Identifier: Apache-2.0
"""Status reports on /diagnostics, for the standard monitors.

Our own small helper, because `diagnostic_updater` is in no Python package index.
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
    """What one check found: a level (OK, WARN, ERROR), a sentence, and values to show.

    `news` is not shown; a change of it is published at once, as one of the level is.
    """

    level: bytes = OK
    message: str = 'ok'
    values: Mapping[str, object] = field(default_factory=dict)
    news: Hashable = None


class Diagnostics:
    """Publishes what the checks of a node find: once a second, and when a level or its news change.

    Lives as long as its node and reports in every lifecycle state. Executor thread only. The timer
    runs on the steady clock, so that a simulation that stands still is still reported on; stamps
    are on the node's clock, so that a bag played back has them right.
    """

    def __init__(self, node: Node, hardware_id: str) -> None:
        """Create publisher and timer; `hardware_id` says which part of the robot this is."""
        self._node = node
        self._hardware_id = hardware_id
        self._checks: dict[str, Callable[[], Status]] = {}
        self._shown: dict[str, tuple[bytes, Hashable]] = {}
        self._ticks = 0
        # Absolute by convention: every monitor looks there.
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(_CHECK_PERIOD_S, self._tick, clock=self._steady)

    def add(self, name: str, check: Callable[[], Status]) -> None:
        """Ask `check` under `name` from now on; an existing one is replaced."""
        self._checks[name] = check

    def remove(self, *names: str) -> None:
        """Forget checks, as far as there are any of these names."""
        for name in names:
            self._checks.pop(name, None)
            self._shown.pop(name, None)

    def refresh(self) -> None:
        """Publish now if the level or the news of any check have changed since they were last published."""
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
    """Return, by check, what is published at once when it changes."""
    return {name: (status.level, status.news) for name, status in results.items()}


class Faults:
    """Counts what should not happen; a WARN while the last of it is recent. Executor thread."""

    def __init__(self, ok_message: str, hold_s: float = 5.0) -> None:
        """Say `ok_message` while all is well; show a fault for `hold_s` [s, steady clock]."""
        self._ok_message = ok_message
        self._hold_s = hold_s
        self.counts: dict[str, int] = {}
        self._text = ''
        self._since = -math.inf
        self._last: dict[str, float] = {}

    def add(self, kind: str, text: str, times: int = 1) -> bool:
        """Count a fault of a kind, told in `text`; returns whether it is news, to be logged.

        It is not while the last of its kind is recent: a fault that lasts is logged once.
        """
        self.counts[kind] = self.counts.get(kind, 0) + times
        self._text = f'{kind}: {text}'
        self._since = now = time.monotonic()
        before = self._last.get(kind, -math.inf)
        self._last[kind] = now
        return now - before > self._hold_s

    def status(self) -> Status:
        """Return the newest fault while it is recent, and all counts."""
        if time.monotonic() - self._since < self._hold_s:
            return Status(WARN, self._text, self.counts)
        return Status(OK, self._ok_message, self.counts)
