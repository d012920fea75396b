# SPDX-License-Identifier: Apache-2.0
"""Checks that mapping, recording and backbone fit together, before the recording is read."""

from collections.abc import Collection
from collections.abc import Mapping as AnyMapping
from difflib import get_close_matches

from aura_ros.common.errors import BagError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import CAMERA_TYPES, JOINT_STATE, STRING
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.vla.protocol import BackboneSpec


def topic_types(bag: Bag, mapping: Mapping, topics: Collection[str] | None = None) -> dict[str, str]:
    """Return the type of each topic in a mapping, or of some of them.

    Raises:
        BagError: a topic was not recorded, or has no message.
    """
    filled = [topic.name for topic in bag.topics if topic.count]
    wanted = mapping.topics if topics is None else topics
    if twice := [name for name in wanted if filled.count(name) > 1]:
        raise BagError(f'{bag.path} has messages of several types on {", ".join(twice)}: must be of one type')
    recorded = {topic.name: topic for topic in sorted(bag.topics, key=lambda topic: topic.count)}
    for name in wanted:
        if name not in recorded or not recorded[name].count:
            what = 'has no message on' if name in recorded else 'has no topic'
            has = ', '.join(f'{topic.name} ({topic.type})' for topic in bag.topics if topic.count)
            alike = get_close_matches(name, filled, 1)
            meant = f'did you mean {alike[0]}? It' if alike else 'it'
            why = ''.join(f'; {note}' for note in bag.notes if name in note.split())
            raise BagError(f'{bag.path} {what} {name}, which the mapping names{why}; {meant} has {has}')
    return {name: recorded[name].type for name in wanted}


def check_streams(mapping: Mapping, spec: BackboneSpec) -> None:
    """Check that a mapping has every stream that a backbone needs.

    Raises:
        BagError: a stream is missing.
    """
    if missing := [camera for camera in spec.cameras if camera not in mapping.cameras]:
        raise BagError(
            f"the mapping has no camera {', '.join(missing)}, which backbone '{spec.name}' needs; it has "
            f'{", ".join(mapping.cameras)}'
        )
    if not mapping.joints.topic:
        raise BagError(f"the mapping has no joints, which backbone '{spec.name}' needs")


def check_types(mapping: Mapping, spec: BackboneSpec, types: AnyMapping[str, str]) -> None:
    """Check the message types of cameras, joints and instruction.

    Raises:
        BagError: a topic has another type.
    """
    expected: list[tuple[str, tuple[str, ...]]] = [(mapping.cameras[camera], CAMERA_TYPES) for camera in spec.cameras]
    expected.append((mapping.joints.topic, (JOINT_STATE,)))
    if mapping.instruction.topic:
        expected.append((mapping.instruction.topic, (STRING,)))
    for topic, allowed in expected:
        if types[topic] not in allowed:
            raise BagError(f'{topic} is of type {types[topic]}: must be {" or ".join(allowed)}')
