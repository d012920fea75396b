# SPDX-License-Identifier: Apache-2.0
"""The subscriptions to one robot, which follow its publishers, and the points that they yield.

A topic is subscribed once it has a publisher, with a quality of service that all its publishers offer. It is subscribed
again when that changes. One thread makes all calls of this module.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from aura_ros.msg import CacheStatus, GateSample, MemoryState, PolicyStatus, TaskEvent, VlaStep, WriteEvent
from aura_ros.ros.graph import TopicView
from aura_ros.ros.watch import Watch
from aura_ros.rqt import translate
from aura_ros.rqt.frames import FrameBuffer, ImageType
from aura_ros.rqt.points import Point
from aura_ros.vla.instruction import IN_FORCE

# Receives a message, or its bytes, and when it was sent [ns, system clock].
OnMessage = Callable[[Any, int], None]


@dataclass(frozen=True)
class _TopicSpec:
    """One topic to subscribe."""

    name: str
    kind: type
    on_message: OnMessage
    depth: int = 100
    """Queue length; at 100 Hz, 10 messages arrive between two calls of `take`."""
    raw: bool = False
    """Whether messages stay serialised."""


class RobotSubscriptions:
    """All subscriptions to one robot."""

    def __init__(self, node: Node, namespace: str, camera: str, push: Callable[[Iterable[Point]], None]) -> None:
        """Prepare the subscriptions; `match` makes them.

        Args:
            node: node that subscribes.
            namespace: namespace of the robot, '' or '/name'.
            camera: topic of the first camera, relative to the namespace or absolute; '' for none.
            push: receives all points.
        """
        self.namespace = namespace
        self._view = TopicView(node)
        self._push, self._frames = push, FrameBuffer()
        self._topics = self._cameras(camera) + self._streams()
        self._watches: dict[str, Watch] = {}
        self.seeking = True
        """Whether the last `match` found a new topic, so that others may follow soon."""

    def _streams(self) -> list[_TopicSpec]:
        def points(make: Callable[[Any], Point]) -> OnMessage:
            return lambda message, _: self._push((make(message),))

        def timed(make: Callable[[Any, int], Point]) -> OnMessage:
            return lambda message, sent_ns: self._push((make(message, sent_ns),))

        def diagnostics(message: DiagnosticArray, _: int) -> None:
            self._push(translate.diagnostics(message, self.namespace))

        full = self._full
        return [
            _TopicSpec(full('vla_step'), VlaStep, timed(translate.step)),
            _TopicSpec(full('aura/gate'), GateSample, timed(translate.gate)),
            _TopicSpec(full('kv/gate'), GateSample, timed(translate.gate)),
            _TopicSpec(full('kv/cache_status'), CacheStatus, points(translate.cache)),
            # Writes come before the state with them, because their count shows whether the memory was emptied between.
            _TopicSpec(full('aura/write_event'), WriteEvent, self._on_write, depth=200),
            _TopicSpec(full('aura/memory_state'), MemoryState, points(translate.state), depth=10),
            _TopicSpec(full('policy_status'), PolicyStatus, points(translate.policy)),
            _TopicSpec(full(IN_FORCE), String, points(translate.instruction), depth=1),
            _TopicSpec(full('sim/event'), TaskEvent, points(translate.task), depth=500),
            _TopicSpec('/diagnostics', DiagnosticArray, diagnostics),
        ]

    def _cameras(self, camera: str) -> list[_TopicSpec]:
        if not camera:
            return []
        # Only one of the two is subscribed; the smaller stream comes first.
        kinds: dict[str, ImageType] = {f'{self._full(camera)}/compressed': CompressedImage, self._full(camera): Image}
        return [
            _TopicSpec(name, kind, partial(self._on_frame, kind), depth=10, raw=True) for name, kind in kinds.items()
        ]

    def _full(self, name: str) -> str:
        return name if name.startswith('/') else f'{self.namespace}/{name}'

    def _on_frame(self, kind: ImageType, data: bytes, _: int) -> None:
        self._frames.add(kind, data)
        self._push((*self._frames.thumbnails(), *self._frames.newest(time.monotonic())))

    def _on_write(self, message: WriteEvent, _: int) -> None:
        point = translate.write(message)
        self._push((point,))
        self._frames.request(point.stamp_s)
        self._push(self._frames.thumbnails())

    def match(self) -> None:
        """Subscribe to topics that have a publisher now, and again where the quality of service changed."""
        self.seeking = False
        for topic in self._topics:
            watch = self._watches.get(topic.name)
            if watch is not None:
                watch.match()
            elif self._needed(topic) and self._view.publishers(topic.name):
                self._watches[topic.name] = Watch(
                    self._view, topic.name, topic.kind, topic.on_message, depth=topic.depth, raw=topic.raw
                )
                self.seeking = True

    def _needed(self, topic: _TopicSpec) -> bool:
        return not topic.raw or not any(other.name in self._watches for other in self._topics if other.raw)

    def take(self) -> None:
        """Take all messages that arrived. Cameras come first, so that a write finds its frame."""
        for topic in self._topics:
            watch = self._watches.get(topic.name)
            if watch is not None:
                watch.take()

    def close(self) -> None:
        """Destroy all subscriptions."""
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
        self._frames.clear()
