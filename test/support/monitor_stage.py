# SPDX-License-Identifier: Apache-2.0
"""The monitor without ROS: the test provides the points and the steady clock."""

from collections.abc import Callable, Iterable
from typing import Any

from monitor_story import Story

from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.monitor import Monitor
from aura_ros.rqt.points import Point

SIZE = (1280, 720)


class FakeSource:
    """A PointSource that returns the points of the test."""

    def __init__(self, allow_control: bool = False) -> None:
        self.allow_control = allow_control
        self.domain_id, self.unlock = 51, 'aura monitor --allow-control'
        self.namespace: str | None = ''
        self.names = ['']
        self.points: list[Point] = []
        """Returned by the next `drain`."""
        self.requested: list[int] = []
        """Policies that were requested."""
        self.answer = (True, 'kv drives from step 9')

    def drain(self) -> list[Point]:
        points, self.points = self.points, []
        return points

    def robots(self) -> list[str]:
        return self.names

    def select_robot(self, namespace: str) -> None:
        self.namespace = namespace

    def select_policy(self, policy: int, done: Callable[[bool, str], None]) -> None:
        self.requested.append(policy)
        done(*self.answer)


class Stage:
    """A visible monitor whose timer is stopped; the test makes each tick."""

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

    def receive(self, points: Iterable[Point] = (), after_s: float = 0.0) -> None:
        """Advance the clock by `after_s`, then deliver points."""
        self.now_s += after_s
        self.source.points = list(points)
        self.monitor.tick()
        self._qtbot.wait(1)

    def receive_live(self, seconds: float = 170.0, **story: Any) -> None:
        """Deliver a story at its own pace, a tick a second."""
        begin_s, waiting = self.now_s, []
        for timed in Story(seconds, **story):
            if timed.after_s >= self.now_s - begin_s + 1.0:
                self.receive(waiting, after_s=1.0)
                waiting = []
            waiting.append(timed.point)
        self.receive(waiting)
        self.settle()

    def receive_story(self, seconds: float = 170.0, **story: Any) -> None:
        """Deliver a whole story at once and paint everything."""
        self.receive(timed.point for timed in Story(seconds, **story))
        self.settle()

    def settle(self) -> None:
        """Paint everything."""
        self.monitor.painting.schedule.repaint()
        self.receive()
