# SPDX-License-Identifier: Apache-2.0
"""Subscriptions to one robot that follow its publishers, and what they bring, as points.

A topic is subscribed once somebody publishes it, with the quality of service that all its publishers can serve, and
anew when that changes. Everything here runs in one thread, whoever takes the messages.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from aura_ros.msg import CacheStatus, GateSample, MemoryState, PolicyStatus, VlaStep, WriteEvent
from aura_ros.ros.graph import Watch
from aura_ros.rqt import translate
from aura_ros.rqt.frames import Frames
from aura_ros.rqt.points import Point

Heard = Callable[[Any, int], None]


@dataclass(frozen=True)
class _Topic:
    """One topic to follow.

    name: full name.
    kind: its message.
    heard: told each message and when it was sent [ns, system clock].
    depth: messages kept until they are taken; at 100 Hz and 10 takes a second, 10 are due.
    raw: messages stay serialised.
    """

    name: str
    kind: type
    heard: Heard
    depth: int = 100
    raw: bool = False


class Links:
    """All subscriptions to one robot.

    Attributes:
        namespace: of the robot, '' or '/name'.
        seeking: whether the last `match` found a topic, so that others may be about to come up.
    """

    def __init__(self, node: Node, namespace: str, camera: str, push: Callable[[Iterable[Point]], None]) -> None:
        """Follow a robot from `node`; `match` makes the subscriptions.

        Args:
            node: that subscribes.
            namespace: of the robot.
            camera: topic of the first camera, relative to the namespace or absolute; '' for none.
            push: told all points.
        """
        self.node, self.namespace = node, namespace
        self._push, self._frames = push, Frames()
        self._topics = self._cameras(camera) + self._streams()
        self._watches: dict[str, Watch] = {}
        self.seeking = True

    def publishers(self, topic: str) -> list[Any]:
        """Return the endpoint infos of a topic's publishers; `Watch` asks for them."""
        return list(self.node.get_publishers_info_by_topic(topic))

    def _streams(self) -> list[_Topic]:
        def points(make: Callable[[Any], Point]) -> Heard:
            return lambda message, _: self._push((make(message),))

        def sent(make: Callable[[Any, int], Point]) -> Heard:
            return lambda message, sent_ns: self._push((make(message, sent_ns),))

        def diagnostics(message: DiagnosticArray, _: int) -> None:
            self._push(translate.diagnostics(message, self.namespace))

        full = self._full
        return [
            _Topic(full('vla_step'), VlaStep, sent(translate.step)),
            _Topic(full('aura/gate'), GateSample, sent(translate.gate)),
            _Topic(full('kv/gate'), GateSample, sent(translate.gate)),
            _Topic(full('kv/cache_status'), CacheStatus, points(translate.cache)),
            _Topic(full('aura/memory_state'), MemoryState, points(translate.state), depth=10),
            _Topic(full('aura/write_event'), WriteEvent, self._on_write, depth=200),
            _Topic(full('policy_status'), PolicyStatus, points(translate.policy)),
            _Topic('/diagnostics', DiagnosticArray, diagnostics),
        ]

    def _cameras(self, camera: str) -> list[_Topic]:
        if not camera:
            return []
        # the smaller first: only one is watched
        kinds = {f'{self._full(camera)}/compressed': CompressedImage, self._full(camera): Image}
        return [_Topic(name, kind, partial(self._on_frame, kind), depth=10, raw=True) for name, kind in kinds.items()]

    def _full(self, name: str) -> str:
        return name if name.startswith('/') else f'{self.namespace}/{name}'

    def _on_frame(self, kind: type, data: bytes, _: int) -> None:
        self._frames.add(kind, data)
        self._push(self._frames.found())

    def _on_write(self, message: WriteEvent, _: int) -> None:
        point = translate.write(message)
        self._push((point,))
        self._frames.want(point.stamp_s)
        self._push(self._frames.found())

    def match(self) -> None:
        """Subscribe to what is published by now, and anew where the quality of service changed."""
        self.seeking = False
        for topic in self._topics:
            watch = self._watches.get(topic.name)
            if watch is not None:
                watch.match()
            elif self._needed(topic) and self.publishers(topic.name):
                self._watches[topic.name] = Watch(
                    self, topic.name, topic.kind, topic.heard, depth=topic.depth, raw=topic.raw
                )
                self.seeking = True

    def _needed(self, topic: _Topic) -> bool:
        return topic.kind not in (Image, CompressedImage) or not any(
            other.name in self._watches for other in self._topics if other.kind in (Image, CompressedImage)
        )

    def take(self) -> None:
        """Take what has come, cameras first: a write finds its picture then."""
        for topic in self._topics:
            watch = self._watches.get(topic.name)
            if watch is not None:
                watch.take()

    def close(self) -> None:
        """Subscribe to nothing any longer."""
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
        self._frames.clear()
