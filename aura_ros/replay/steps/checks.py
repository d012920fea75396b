# SPDX-License-Identifier: Apache-2.0
"""Checks that mapping, recording and backbone fit together, before the recording is read."""

from collections.abc import Collection, Sequence
from collections.abc import Mapping as AnyMapping
from difflib import get_close_matches
from typing import Any

from aura_ros.common.errors import BagError, ConfigError, InputError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import CAMERA_TYPES, JOINT_STATE, POSE, STRING
from aura_ros.replay.steps.actions import ActionSource, ActionTrack, action_kind, column_names, recorded_columns
from aura_ros.replay.steps.mapping import ActionStream, Mapping
from aura_ros.replay.steps.message_values import ACTION_TYPES, target
from aura_ros.replay.steps.motions import Motions
from aura_ros.replay.steps.recorded_names import recorded_names
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
    if not mapping.joints:
        raise BagError(f"the mapping has no joints, which backbone '{spec.name}' needs")
    check_joint_keys(mapping, spec)


def check_joint_keys(mapping: Mapping, spec: BackboneSpec) -> None:
    """Check that the maps and the ages of joints are those of joints that the mapping or the backbone has.

    Raises:
        BagError: a name is unknown.
    """
    known = mapping.joint_names(spec)
    for key, names in (('maps', mapping.sources.maps), ('joint_max_age_s', mapping.sources.max_age_s)):
        if unknown := sorted(set(names) - known):
            raise BagError(f'{key} has {", ".join(unknown)}: must be one of {", ".join(sorted(known))}')


def check_types(mapping: Mapping, spec: BackboneSpec, types: AnyMapping[str, str]) -> None:
    """Check the message types of cameras, joints and instruction.

    Raises:
        BagError: a topic has another type.
    """
    expected: list[tuple[str, tuple[str, ...]]] = [(mapping.cameras[camera], CAMERA_TYPES) for camera in spec.cameras]
    expected += [(stream.topic, (JOINT_STATE, POSE)) for stream in mapping.joints]
    if mapping.instruction.topic:
        expected.append((mapping.instruction.topic, (STRING,)))
    for topic, allowed in expected:
        if types[topic] not in allowed:
            raise BagError(f'{topic} is of type {types[topic]}: must be {" or ".join(allowed)}')


def action_track(bag: Bag, mapping: Mapping, spec: BackboneSpec, types: AnyMapping[str, str]) -> ActionTrack | None:
    """Return an empty track for the actions of a mapping, or None without actions.

    Raises:
        BagError: a topic has another type, or no topic commands one of the backbone's joints.
    """
    if not mapping.actions:
        return None
    joints = mapping.targets(spec)
    kinds = {stream.topic: action_kind(stream, types[stream.topic]) for stream in mapping.actions}
    missing, has = set(joints), dict[str, str]()
    for stream in mapping.actions:
        wanted = recorded_columns(stream, joints)
        names = _columns(bag, stream, kinds[stream.topic], wanted)
        used = set(names) & set(stream.only or names)
        missing -= {joint for joint, name in zip(joints, wanted, strict=True) if name in used}
        has[stream.topic] = ', '.join(names) or 'no names'
    if missing:
        lacking = ', '.join(
            recorded_columns(mapping.actions[0], [joint])[0] if len(has) == 1 else joint
            for joint in joints
            if joint in missing
        )
        what = '; '.join(f'{topic} has {names}' for topic, names in has.items())
        if len(has) == 1:
            what = f'{mapping.actions[0].topic} has no {lacking}; it has {has[mapping.actions[0].topic]}'
        else:
            what = f'no topic has {lacking}; {what}'
        raise BagError(
            f"actions: {what}: map the backbone's joints to these names in columns, add the topic that commands "
            'the joints, or remove actions from the mapping'
        )
    motions = _motions(mapping, spec)
    # Poses and images have different times, and a motion is the difference of two poses.
    between = {topic for topic, kind in kinds.items() if motions is not None and kind == 'pose_stamped'}
    sources = [
        ActionSource(
            one, kinds[one.topic], joints, mapping.sources, mapping.rotation_middle, between=one.topic in between
        )
        for one in mapping.actions
    ]
    return ActionTrack(sources, len(joints), motions)


def _motions(mapping: Mapping, spec: BackboneSpec) -> Motions | None:
    """How actions follow from the recorded values; None if these are the actions."""
    if not mapping.action_names or spec.action_spec.is_absolute_joints:
        return None
    try:
        return Motions(spec.action_spec, mapping.action_names, mapping.per_unit, frozenset(mapping.sources.maps))
    except ConfigError as error:
        raise BagError(f'actions: {error}') from error


def _columns(bag: Bag, stream: ActionStream, kind: str, wanted: Sequence[str]) -> Collection[str]:
    """The names that the messages of a topic command; `wanted` if none of them has a value."""
    names = recorded_names(bag, stream.topic, ACTION_TYPES[kind], wanted)
    if names:
        return names
    size = next(filter(None, (_size(kind, sample.message) for sample in bag.samples([stream.topic]))), 0)
    return column_names(stream, (), size, wanted) if size else wanted


def _size(kind: str, message: Any) -> int:
    try:
        return int(target(kind, message).values.shape[1])
    except InputError:
        return 0
