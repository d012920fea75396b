# SPDX-License-Identifier: Apache-2.0
"""Bridge between the ROS graph and the timer of the GUI.

Two threads use it. The *owner* takes messages and makes and destroys subscriptions. The GUI thread calls the other
public methods, which only exchange values with the owner. In rqt the owner is the thread that spins rqt's node. In a
window of its own it is a thread of the bridge. That thread takes messages 10 times a second, because an executor that
wakes up for every message costs several times as much.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence

import rclpy
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from aura_ros.rqt import robots
from aura_ros.rqt.points import Point
from aura_ros.rqt.requests import PolicyRequests
from aura_ros.rqt.source import OnAnswer
from aura_ros.rqt.subscriptions import RobotSubscriptions

CAMERA = 'camera/front/image_raw'
_PERIOD_S = 0.1
# Periods of the search for publishers and robots, which takes 5 ms: at first, and once all topics are found [s].
_SEEK_S, _MATCH_S = 0.5, 2.0
# Points that wait for the GUI: half a minute of them at 300 a second.
_MAX_POINTS = 10_000
_CLOSE_S = 2.0
# A node that is spun runs its timer several times within this time [s].
_SPUN_S = 1.0


class Bridge:
    """Receives points from one robot, and sends requests to it."""

    unlock = 'aura monitor --allow-control'
    """Command that starts the monitor with the permission to send requests."""

    def __init__(
        self, node: Node, namespace: str | None = None, camera: str = CAMERA, allow_control: bool = False
    ) -> None:
        """Prepare; the first `update` subscribes.

        Args:
            node: node that subscribes.
            namespace: namespace of the robot; None for the first robot that is found.
            camera: topic of the first camera, relative to the namespace or absolute; '' for none.
            allow_control: whether `select_policy` may send requests.
        """
        self._node, self._camera, self.allow_control = node, camera, allow_control
        self.domain_id = node.context.get_domain_id()
        self._lock = threading.Lock()
        self._points: deque[Point] = deque(maxlen=_MAX_POINTS)
        self._namespace = namespace
        self._subscriptions: RobotSubscriptions | None = None
        self._requests = PolicyRequests(node)
        self._matched_at = -math.inf
        self._robots: tuple[str, ...] = ()
        self.dropped = 0
        """Points that the GUI did not fetch in time [1]."""

    # GUI thread. ----------------------------------------------------------------------------------
    def drain(self) -> list[Point]:
        """Return the points received since the last call, oldest first; deliver answers of `select_policy`."""
        self._requests.deliver()
        with self._lock:
            points = list(self._points)
            self._points.clear()
        return points

    @property
    def namespace(self) -> str | None:
        """Namespace of the robot that is shown, '' or '/name'; None while there is no robot."""
        return self._namespace

    def robots(self) -> list[str]:
        """Return the namespaces of the robots on the graph, sorted."""
        return list(self._robots)

    def select_robot(self, namespace: str) -> None:
        """Follow another robot from the next update on. No point of the old one is returned after this call."""
        with self._lock:
            self._namespace = namespace
            self._points.clear()

    def select_policy(self, policy: int, done: OnAnswer) -> None:
        """Request another policy.

        Args:
            policy: number as in ActionChunk.msg.
            done: called by a later `drain`.
        """
        if not self.allow_control:
            self._requests.refuse('the monitor is read-only: start it with --allow-control', done)
        elif self._namespace is None:
            self._requests.refuse('no robot found yet', done)
        else:
            self._requests.add(f'{self._namespace}/select_policy', policy, done)

    # Owner thread. --------------------------------------------------------------------------------
    def update(self, take: bool = False) -> None:
        """Follow the selected robot, search for publishers from time to time, and handle requests.

        Args:
            take: whether to take messages too, which is necessary when nothing spins the node.
        """
        now = time.monotonic()
        changed = self._subscriptions is not None and self._subscriptions.namespace != self._namespace
        period_s = _SEEK_S if self._subscriptions is None or self._subscriptions.seeking else _MATCH_S
        if changed or now - self._matched_at >= period_s:
            self._matched_at = now
            self._match()
        if take and self._subscriptions is not None:
            self._subscriptions.take()
        self._requests.poll()

    @property
    def requesting(self) -> bool:
        """Whether a request waits for its answer, so that the node must be spun."""
        return self._requests.pending

    def _match(self) -> None:
        node = self._node
        self._robots = robots.find(node.get_topic_names_and_types(), node.count_publishers)
        with self._lock:
            if self._namespace is None and self._robots:
                self._namespace = self._robots[0]
            namespace = self._namespace
        if self._subscriptions is not None and self._subscriptions.namespace != namespace:
            self._subscriptions.close()
            self._subscriptions = None
        if self._subscriptions is None and namespace is not None:
            self._subscriptions = RobotSubscriptions(
                node, namespace, self._camera, lambda points: self._push(namespace, points)
            )
        if self._subscriptions is not None:
            self._subscriptions.match()

    def _push(self, namespace: str, points: Iterable[Point]) -> None:
        with self._lock:
            if namespace != self._namespace:
                return
            for point in points:
                self.dropped += len(self._points) == _MAX_POINTS
                self._points.append(point)

    def release(self) -> None:
        """Destroy all subscriptions and clients."""
        self._requests.close()
        if self._subscriptions is not None:
            self._subscriptions.close()
            self._subscriptions = None


class OwnBridge(Bridge):
    """A bridge with its own node and thread, for a window of its own."""

    def __init__(
        self,
        args: Sequence[str] | None = None,
        namespace: str | None = None,
        camera: str = CAMERA,
        allow_control: bool = False,
    ) -> None:
        """Join the ROS graph; rclpy installs no signal handlers.

        Args:
            args: command line with `--ros-args`.
            namespace, camera, allow_control: as of `Bridge`.

        Raises:
            RuntimeError: rclpy rejects `args`.
        """
        self._context = rclpy.Context()
        rclpy.init(context=self._context, args=list(args or ()), signal_handler_options=SignalHandlerOptions.NO)
        # The security policy contains this name.
        node = Node('monitor', context=self._context, start_parameter_services=False, enable_rosout=False)
        super().__init__(node, namespace, camera, allow_control)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='monitor bridge', daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self.update(take=True)
            if self.requesting:
                self._executor.spin_once(timeout_sec=_PERIOD_S)
            else:
                self._stop.wait(max(0.0, _PERIOD_S - (time.monotonic() - began)))
        self.release()
        self._executor.shutdown(timeout_sec=_CLOSE_S)
        self._node.destroy_node()
        self._context.try_shutdown()

    def close(self) -> bool:
        """Leave the ROS graph and return whether that is done; the middleware may never return from it.

        The thread of the bridge does the work, so this call returns after `_CLOSE_S` at the latest. An exception to
        that is a middleware that blocks while it holds Python's lock: no Python code runs then.
        """
        self._stop.set()
        self._thread.join(_CLOSE_S)
        return not self._thread.is_alive()


class SpunBridge(Bridge):
    """A bridge on a node that rqt spins: a timer and callbacks do all the work.

    Both are in the node's default callback group, so that no two of them run at once.
    """

    unlock = 'rqt --standalone aura_ros --args --allow-control'

    def __init__(
        self, node: Node, namespace: str | None = None, camera: str = CAMERA, allow_control: bool = False
    ) -> None:
        """Add a timer to `node`; the other arguments are as of `Bridge`."""
        super().__init__(node, namespace, camera, allow_control)
        self._closing, self._closed = threading.Event(), threading.Event()
        self._ending = threading.Lock()
        # On the steady clock, because simulated time may stop.
        self._timer = node.create_timer(_PERIOD_S, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _on_timer(self) -> None:
        if not self._closing.is_set():
            self.update()
        else:
            self._end()

    def close(self) -> None:
        """Destroy everything that was made on the node, in the thread that spins it. A second call does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        if not self._closed.wait(_SPUN_S):
            # Nothing spins the node any more, so this thread may do it.
            self._end()

    def _end(self) -> None:
        # The other thread may be inside, and the middleware may never return from there.
        if not self._ending.acquire(timeout=_CLOSE_S):
            return
        try:
            if not self._closed.is_set():
                self._node.destroy_timer(self._timer)
                self.release()
                self._closed.set()
        finally:
            self._ending.release()
