# SPDX-License-Identifier: Apache-2.0
"""The camera subscriptions of vla_node, each with the type that its publisher has."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from aura_ros.common.limits import IMAGE_BYTES
from aura_ros.ros.entities import EntityOwner
from aura_ros.ros.topics import check_topic
from aura_ros.vla.cameras import COMPRESSED_SUFFIX, candidates
from aura_ros.vla.images import assumed

AnyImage: TypeAlias = Image | CompressedImage

_TYPES = {'sensor_msgs/msg/Image': Image, 'sensor_msgs/msg/CompressedImage': CompressedImage}
_LOOK_S = 0.25


class CameraSubscriptions:
    """Subscribes every camera, and again when its publisher has another type. Executor thread only.

    A topic is compressed if its name ends in /compressed or its publisher has that type. If nothing publishes TOPIC but
    something publishes TOPIC/compressed, that is subscribed, so a user can name the topic without its transport.
    """

    def __init__(
        self,
        node: Node,
        entities: EntityOwner,
        topics: Mapping[str, str],
        profile: QoSProfile,
        receive: Callable[[str, AnyImage], None],
        refuse: Callable[[str, str], None],
    ) -> None:
        """Subscribe.

        Args:
            node: the node that subscribes.
            entities: owner of the subscriptions.
            topics: topic of each camera.
            profile: quality of service.
            receive: called with the camera and its message.
            refuse: called with the camera and the reason for a message that is too large or cannot be converted.

        Raises:
            ConfigError: a name is not one of a topic.
        """
        self._node, self._entities, self._profile = node, entities, profile
        self._receive, self._refuse = receive, refuse
        self._topics = dict(topics)
        # Topic and type of each camera, and the subscription.
        self._current: dict[str, tuple[tuple[str, type[AnyImage]], Subscription[AnyImage]]] = {}
        self._assumed: set[tuple[str, str]] = set()
        for camera, topic in self._topics.items():
            check_topic('cameras', topic, camera)
        self.match()
        entities.timer(_LOOK_S, self.match)

    def match(self) -> None:
        """Subscribe again the cameras whose publisher has another topic or type."""
        for camera, topic in self._topics.items():
            expected = topic, CompressedImage if topic.endswith(COMPRESSED_SUFFIX) else Image
            current = self._current.get(camera)
            found = self._published(topic) or (current[0] if current else expected)
            if current is not None and current[0] != found:
                self._entities.destroy_subscription(self._current.pop(camera)[1])
            if camera not in self._current:
                self._subscribe(camera, *found)

    def _published(self, topic: str) -> tuple[str, type[AnyImage]] | None:
        """Return the first topic with a publisher of images, and the type; None before there is one."""
        for name in candidates(topic):
            types = {end.topic_type for end in self._node.get_publishers_info_by_topic(name)}
            kind = next((kind for known, kind in _TYPES.items() if known in types), None)
            if kind is not None:
                return name, kind
        return None

    def _subscribe(self, camera: str, topic: str, kind: type[AnyImage]) -> None:
        def receive(message: AnyImage, _: object) -> None:
            if (text := assumed(message)) and (camera, text) not in self._assumed:
                self._assumed.add((camera, text))
                self._node.get_logger().warning(f'camera {camera}: {text}')
            self._receive(camera, message)

        try:
            refuse = partial(self._refuse, camera)
            subscription = self._entities.limited_subscription(kind, topic, receive, self._profile, IMAGE_BYTES, refuse)
        except RuntimeError as error:  # the class of rclpy has no public name
            # A process cannot use a topic with two types. The old subscription exists until the executor releases it.
            self._node.get_logger().debug(f'camera {camera}: {error}')
            return
        self._current[camera] = (topic, kind), subscription
