# SPDX-License-Identifier: Apache-2.0
"""Converts recorded messages (rosbags) to messages of the graph (rclpy) and its topic names.

Messages that need no change are serialised again, field by field and without loss.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from sensor_msgs.msg import CompressedImage, Image, JointState

from aura_ros.recordings.bags import Bag
from aura_ros.recordings.message_types import standard_types
from aura_ros.recordings.type_names import COMPRESSED_IMAGE
from aura_ros.recordings.types import Sample
from aura_ros.replay.steps.align import RecordedObservation
from aura_ros.replay.steps.checks import check_streams, check_types, topic_types
from aura_ros.replay.steps.joint_streams import JointReader
from aura_ros.replay.steps.mapping import UNITS
from aura_ros.replay.steps.mapping import Mapping as BagMapping
from aura_ros.ros.conversions import float64s, to_stamp
from aura_ros.ros.sensor_messages import image_to_msg, joints_to_msg
from aura_ros.vla.assembler import JOINTS
from aura_ros.vla.cameras import COMPRESSED_SUFFIX
from aura_ros.vla.instruction import usable_instruction
from aura_ros.vla.protocol import BackboneSpec

_NS = 1_000_000_000
Messages = Mapping[str, Any]
ImageType: TypeAlias = type[Image] | type[CompressedImage]


def image_topic(camera: str, compressed: bool = False) -> str:
    """Return the graph's topic of a camera."""
    return f'camera/{camera}/image_raw{COMPRESSED_SUFFIX if compressed else ""}'


def serialised(message: Any) -> bytes:
    """Return a message of rosbags as CDR bytes, which a publisher of rclpy accepts."""
    return bytes(standard_types('kilted').serialize_cdr(message, message.__msgtype__))


def observation_messages(recorded: RecordedObservation, spec: BackboneSpec) -> Messages:
    """Return one observation as messages for vla_node, with one stamp and the backbone's names and units."""
    seen, stamp_ns = recorded.observation, recorded.stamp_ns
    names = spec.joint_names
    joints = JointState(name=list(names), position=float64s(seen.joint_positions))
    joints.header.stamp = to_stamp(stamp_ns)
    images = {
        image_topic(camera): image_to_msg(seen.images[camera], stamp_ns, f'{camera}_camera') for camera in spec.cameras
    }
    return {**images, 'joint_states': joints}


class Streams:
    """Converts the mapped topics of a bag, message by message, to those of cameras and joints."""

    def __init__(self, bag: Bag, mapping: BagMapping, spec: BackboneSpec) -> None:
        """Convert by `mapping` for the cameras and joints of `spec`; compressed images stay compressed.

        Raises:
            BagError: a camera of the backbone has no topic, or a topic that was not recorded or has no images.
        """
        self._spec, self._mapping = spec, mapping
        check_streams(mapping, spec)
        types = topic_types(bag, mapping, self.topics)
        check_types(mapping, spec, types)
        self._compressed = {camera: types[mapping.cameras[camera]] == COMPRESSED_IMAGE for camera in spec.cameras}
        self._joints = JointReader(mapping, spec)
        self._joint_topics = {stream.topic for stream in mapping.joints}

    @property
    def images(self) -> dict[str, ImageType]:
        """The graph's topic of each camera, and its type."""
        return {
            image_topic(camera, packed): CompressedImage if packed else Image
            for camera, packed in self._compressed.items()
        }

    @property
    def topics(self) -> list[str]:
        """The topics of the bag that are played."""
        cameras = [self._mapping.cameras[camera] for camera in self._spec.cameras]
        named = [self._mapping.instruction.topic, *cameras, *(stream.topic for stream in self._mapping.joints)]
        return list(dict.fromkeys(filter(None, named)))

    def unchanged(self) -> dict[str, str] | None:
        """Return the graph's name of each topic of the bag, or None if messages have to be changed."""
        mapping = self._mapping
        found: dict[str, str] = {}
        for camera in self._spec.cameras:
            topic = mapping.cameras[camera]
            if topic in found:
                return None
            found[topic] = image_topic(camera, self._compressed[camera])
        (joints, *others) = mapping.joints
        if others or joints.names or UNITS[joints.unit] != 1.0 or mapping.by_arrival or mapping.sources.maps:
            return None
        found[joints.topic] = JOINTS
        if mapping.instruction.topic:
            found[mapping.instruction.topic] = 'instruction'
        return found

    def messages(self, sample: Sample) -> Iterator[tuple[str, Any]]:
        """Yield the messages of a sample, each with its topic.

        Raises:
            InputError: the sample cannot be used.
        """
        for camera in self._spec.cameras:
            if self._mapping.cameras[camera] == sample.topic:
                yield self._image(camera, sample)
        if sample.topic in self._joint_topics:
            found = self._joints.read(sample.topic, sample.message)
            if found:
                positions = np.array(list(found.values()))
                yield JOINTS, joints_to_msg(tuple(found), positions, positions * 0.0, sample.stamp_ns)

    def _image(self, camera: str, sample: Sample) -> tuple[str, Any]:
        return image_topic(camera, self._compressed[camera]), serialised(stamped(sample))


def stamped(sample: Sample) -> Any:
    """Return the message of a sample with the stamp of the sample in its header."""
    message = sample.message
    stamp = message.header.stamp
    if stamp.sec * _NS + stamp.nanosec == sample.stamp_ns:
        return message
    sec, nanosec = divmod(sample.stamp_ns, _NS)
    return replace(message, header=replace(message.header, stamp=replace(stamp, sec=sec, nanosec=nanosec)))


def instruction_at_start(bag: Bag, mapping: BagMapping, begin_ns: int = 0) -> str:
    """Return the instruction in force at a log time, or else the first one after it; '' without one."""
    if not mapping.instruction.topic:
        return mapping.instruction.text
    found = ''
    for sample in bag.samples([mapping.instruction.topic]):
        if found and sample.log_ns > begin_ns:
            break
        found = usable_instruction(sample.message.data) or found
    return found
