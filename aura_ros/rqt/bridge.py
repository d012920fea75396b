# SPDX-License-Identifier: Apache-2.0
"""Bridge: from the ROS graph to the monitor's timer, and the one request that goes the other way.

Two threads. The *owner* takes messages, makes and destroys subscriptions, and nobody else does; the GUI's thread calls
what is public here and only exchanges values with it. In a window of its own the owner is a thread of the bridge, which
takes what has come 10 times a second: an executor that wakes for each message costs several times as much. In rqt it is
the thread in which rqt spins its node.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import rclpy
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from aura_ros.rqt import robots
from aura_ros.rqt.links import Links
from aura_ros.rqt.points import Point
from aura_ros.rqt.requests import Answer, PolicyRequests

CAMERA = 'camera/front/image_raw'
_TURN_S = 0.1
# How often publishers and robots are looked for [s]: 5 ms of work each time; once a robot is heard, less often.
_SEEK_S, _MATCH_S = 0.5, 2.0
# Points that wait for the GUI; at 300 a second, half a minute of one that hangs.
_ROOM = 10_000
_CLOSE_S = 2.0
# Ten turns: whoever spins the node takes one by then [s].
_SPUN_S = 1.0


class Bridge:
    """What the monitor hears from one robot, and whom it may ask.

    Attributes:
        allow_control: whether `select_policy` may ask.
        dropped: points that nobody fetched in time [1].
    """

    def __init__(
        self, node: Node, namespace: str | None = None, *, camera: str = CAMERA, allow_control: bool = False
    ) -> None:
        """Wait for the first `turn`.

        Args:
            node: that subscribes.
            namespace: of the robot, None for the first that is found.
            camera: topic of the first camera, relative to the namespace or absolute; '' for none.
            allow_control: whether `select_policy` may ask.
        """
        self._node, self._camera, self.allow_control = node, camera, allow_control
        self._lock = threading.Lock()
        self._points: deque[Point] = deque(maxlen=_ROOM)
        self._wanted = namespace
        self._links: Links | None = None
        self._requests = PolicyRequests(node)
        self._answers: list[tuple[Answer, Callable[[bool, str], None]]] = []
        self._matched_at = -math.inf
        self._robots: tuple[str, ...] = ()
        self.dropped = 0

    # The GUI's thread. ----------------------------------------------------------------------------
    def drain(self) -> list[Point]:
        """Return what has come since the last call, oldest first; tells `select_policy` its answers."""
        for told in [told for told in self._answers if told[0].done]:
            self._answers.remove(told)
            answer, done = told
            done(answer.success, answer.text)
        with self._lock:
            points = list(self._points)
            self._points.clear()
        return points

    @property
    def namespace(self) -> str | None:
        """Namespace of the robot that is watched, None while there is none."""
        return self._wanted

    def robots(self) -> list[str]:
        """Return the namespaces of all robots that are there, sorted; '' or '/name'."""
        return list(self._robots)

    def select_robot(self, namespace: str) -> None:
        """Watch another robot from the next turn on; nothing of the old one is heard after this call."""
        with self._lock:
            self._wanted = namespace
            self._points.clear()

    def select_policy(self, policy: int, done: Callable[[bool, str], None]) -> None:
        """Ask who is to drive.

        Args:
            policy: number as in ActionChunk.msg.
            done: told by a later `drain` whether it was done, and why not or what was done.
        """
        if not self.allow_control:
            text = 'the monitor only looks: start it with allow_control to let it ask'
            answer = Answer.refused(text)
        elif self._wanted is None:
            answer = Answer.refused('there is no robot yet')
        else:
            answer = self._requests.ask(f'{self._wanted}/select_policy', policy)
        self._answers.append((answer, done))

    # The owner's thread. --------------------------------------------------------------------------
    def turn(self, take: bool = False) -> None:
        """Follow the robot that is wanted, now and then its publishers, and see to requests.

        Args:
            take: take messages too, where nobody spins the node.
        """
        now = time.monotonic()
        another = self._links is not None and self._links.namespace != self._wanted
        every_s = _SEEK_S if self._links is None or self._links.seeking else _MATCH_S
        if another or now - self._matched_at >= every_s:
            self._matched_at = now
            self._match()
        if take and self._links is not None:
            self._links.take()
        self._requests.turn()

    @property
    def asking(self) -> bool:
        """Whether a request waits for its answer, and the node has to be spun."""
        return self._requests.pending

    def _match(self) -> None:
        node = self._node
        self._robots = robots.find(node.get_topic_names_and_types(), node.count_publishers)
        with self._lock:
            if self._wanted is None and self._robots:
                self._wanted = self._robots[0]
            wanted = self._wanted
        if self._links is not None and self._links.namespace != wanted:
            self._links.close()
            self._links = None
        if self._links is None and wanted is not None:
            self._links = Links(node, wanted, self._camera, lambda points: self._push(wanted, points))
        if self._links is not None:
            self._links.match()

    def _push(self, namespace: str, points: Iterable[Point]) -> None:
        with self._lock:
            if namespace != self._wanted:
                return
            for point in points:
                self.dropped += len(self._points) == _ROOM
                self._points.append(point)

    def release(self) -> None:
        """Destroy all subscriptions and clients."""
        self._requests.close()
        if self._links is not None:
            self._links.close()
            self._links = None


class OwnBridge(Bridge):
    """A bridge with a node and a thread of its own, for a window of its own."""

    def __init__(self, args: Sequence[str] | None = None, namespace: str | None = None, **options: Any) -> None:
        """Join the ROS graph; signals stay Python's.

        Args:
            args: command line, for its `--ros-args`.
            namespace, options: as of `Bridge`.
        """
        self._context = rclpy.Context()
        rclpy.init(context=self._context, args=list(args or ()), signal_handler_options=SignalHandlerOptions.NO)
        # the name that the security policy knows; with as little of its own as can be
        node = Node('monitor', context=self._context, start_parameter_services=False, enable_rosout=False)
        super().__init__(node, namespace, **options)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='monitor bridge', daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self.turn(take=True)
            if self.asking:
                self._executor.spin_once(timeout_sec=_TURN_S)
            else:
                self._stop.wait(max(0.0, _TURN_S - (time.monotonic() - began)))

    def close(self) -> None:
        """Leave the ROS graph; nothing of it is left. Does nothing the second time."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join(_CLOSE_S)
        self.release()
        self._executor.shutdown(timeout_sec=_CLOSE_S)
        self._node.destroy_node()
        self._context.try_shutdown()


class SpunBridge(Bridge):
    """A bridge on a node that somebody else spins, for rqt: all its work is done in one timer and in callbacks.

    Both are in the node's own callback group, so that no two of them run at once.
    """

    def __init__(self, node: Node, namespace: str | None = None, **options: Any) -> None:
        """Begin with a timer on `node`; `namespace` and `options` as of `Bridge`."""
        super().__init__(node, namespace, **options)
        self._closing, self._closed = threading.Event(), threading.Event()
        self._ending = threading.Lock()
        # on the steady clock, which no jump of simulated time can stop
        self._timer = node.create_timer(_TURN_S, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _on_timer(self) -> None:
        if not self._closing.is_set():
            self.turn()
        else:
            self._end()

    def close(self) -> None:
        """Destroy all that was made on the node, in the thread that spins it. Does nothing the second time."""
        if self._closing.is_set():
            return
        self._closing.set()
        if not self._closed.wait(_SPUN_S):
            # nobody spins any more, so that nobody is in the way
            self._end()

    def _end(self) -> None:
        with self._ending:
            if not self._closed.is_set():
                self._node.destroy_timer(self._timer)
                self.release()
                self._closed.set()
