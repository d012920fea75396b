# SPDX-License-Identifier: Apache-2.0
"""The monitor without ROS: a source that hands over what a test gives it, and a steady clock that a test turns."""

from collections.abc import Callable, Iterable

from monitor_story import Story

from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.monitor import Monitor
from aura_ros.rqt.points import Point

SIZE = (1280, 720)


class FakeSource:
    """What the bridge is to the monitor.

    points: handed over at the next drain.
    asked: policies that were asked for.
    """

    def __init__(self, allow_control: bool = False) -> None:
        self.allow_control = allow_control
        self.namespace: str | None = ''
        self.names = ['']
        self.points: list[Point] = []
        self.asked: list[int] = []
        self.answer = (True, 'kv drives from step 9')

    def drain(self) -> list[Point]:
        points, self.points = self.points, []
        return points

    def robots(self) -> list[str]:
        return self.names

    def select_robot(self, namespace: str) -> None:
        self.namespace = namespace

    def select_policy(self, policy: int, done: Callable[[bool, str], None]) -> None:
        self.asked.append(policy)
        done(*self.answer)


class Stage:
    """A monitor on the screen, its timer stopped: it moves when the test says so."""

    def __init__(self, qtbot, monkeypatch, allow_control: bool = False, dark: bool = False) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr('aura_ros.rqt.monitor.time.monotonic', lambda: self.now_s)
        self.source = FakeSource(allow_control)
        self.monitor = Monitor(MonitorModel(), self.source, dark=dark)
        self.monitor.stop()
        qtbot.addWidget(self.monitor)
        self.monitor.resize(*SIZE)
        self.monitor.show()
        qtbot.waitExposed(self.monitor)
        self._qtbot = qtbot

    def hear(self, points: Iterable[Point] = (), after_s: float = 0.0) -> None:
        """Let time go by, and points come then."""
        self.now_s += after_s
        self.source.points = list(points)
        self.monitor.tick()
        self._qtbot.wait(1)

    def hear_story(self, seconds: float = 170.0, **story: float) -> None:
        """Hear it all at once, and paint all of it."""
        self.hear(told.point for told in Story(seconds, **story))
        self.settle()

    def settle(self) -> None:
        """Paint all that waits."""
        self.monitor.schedule.hasten()
        self.hear()
