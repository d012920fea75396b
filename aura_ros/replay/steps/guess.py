# SPDX-License-Identifier: Apache-2.0
"""Proposes a mapping for a recording, by types and names of topics and by joints in the first messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from aura_ros.common.errors import BagError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import CAMERA_TYPES, JOINT_STATE, STRING, VLA_STEP
from aura_ros.recordings.types import Topic
from aura_ros.replay.steps.mapping import ActionStream, Instruction, JointStream, Mapping
from aura_ros.replay.steps.message_values import ACTION_TYPES
from aura_ros.vla.instruction import IN_FORCE
from aura_ros.vla.protocol import BackboneSpec

_COMMANDS = ('command', 'cmd', 'target', 'action', 'goal', 'desired', 'leader', 'trajectory', 'servo')
_INSTRUCTIONS = ('instruction', 'task', 'prompt', 'language', 'goal')
_DEPTH = ('depth', 'disparity', 'mask', 'label')


@dataclass(frozen=True)
class Guess:
    """A proposed mapping."""

    mapping: Mapping
    """The proposal."""
    notes: tuple[str, ...]
    """Choices that were made and what the user has to fill in, in sentences."""


def guess(bag: Bag, spec: BackboneSpec) -> Guess:
    """Propose a mapping of a recording for a backbone.

    Raises:
        BagError: the recording has no camera or no JointState, and no VlaStep.
    """
    notes: list[str] = []
    steps = bag.of_type(VLA_STEP)
    whole = bag.of_type(*CAMERA_TYPES) and bag.of_type(JOINT_STATE)
    if steps and not whole:
        notes.append('there are no cameras or no joints: only the recorded steps can be replayed')
        actions = _actions(bag, spec, '', notes)
        return Guess(Mapping({}, JointStream(''), actions, steps=steps[0].name), tuple(notes))
    cameras, joints = _cameras(bag, spec, notes), _joints(bag, spec, notes)
    actions = _actions(bag, spec, joints.topic, notes)
    mapping = Mapping(cameras, joints, actions, _instruction(bag, notes), steps[0].name if steps else '')
    return Guess(mapping, tuple(notes))


def _need(bag: Bag, types: Sequence[str], what: str) -> list[Topic]:
    found = bag.of_type(*types)
    if not found:
        has = ', '.join(f'{topic.name} ({topic.type})' for topic in bag.topics if topic.count)
        raise BagError(f'{bag.path} has no {what} ({" or ".join(types)}); it has {has}')
    return found


def _cameras(bag: Bag, spec: BackboneSpec, notes: list[str]) -> dict[str, str]:
    found = _need(bag, CAMERA_TYPES, 'camera')
    colour = [topic for topic in found if not any(word in topic.name.lower() for word in _DEPTH)] or found
    chosen: dict[str, str] = {}
    for camera in spec.cameras:
        # By name first, then unused topics, raw before compressed, and the most messages.
        best = max(
            colour,
            key=lambda topic: (
                camera.lower() in topic.name.lower(),
                topic.name not in chosen.values(),
                SequenceMatcher(None, camera.lower(), topic.name.lower()).ratio()
                if len(colour) > len(spec.cameras)
                else 0,
                topic.type == CAMERA_TYPES[0],
                topic.count,
            ),
        )
        if best.name in chosen.values():
            notes.append(f'camera {camera}: there is no unused camera: it gets the same pictures as another camera')
        elif camera.lower() not in best.name.lower():
            notes.append(f'camera {camera}: no topic has that name; check that {best.name} is the right one')
        chosen[camera] = best.name
    if unused := [topic.name for topic in found if topic.name not in chosen.values()]:
        notes.append(f'cameras not used: {", ".join(unused)}')
    return chosen


def _joints(bag: Bag, spec: BackboneSpec, notes: list[str]) -> JointStream:
    found = _need(bag, (JOINT_STATE,), 'measured joints')
    measured = [topic for topic in found if not _is_command(topic)] or found
    recorded = {topic.name: _joint_names(bag, topic) for topic in measured}
    best = max(
        measured,
        key=lambda topic: (
            len(set(spec.joint_names) & set(recorded[topic.name])),
            topic.name.endswith(('joint_states', 'observation.state')),
            topic.count,
        ),
    )
    return JointStream(best.name, _renamed('joints', spec.joint_names, recorded[best.name], notes) or {})


def _actions(bag: Bag, spec: BackboneSpec, joints: str, notes: list[str]) -> ActionStream | None:
    found = [topic for topic in bag.of_type(*ACTION_TYPES.values()) if topic.name != joints]
    found = [topic for topic in found if topic.type != JOINT_STATE or _is_command(topic)]
    if not found:
        notes.append('actions: there is no topic of recorded commands: the report has no action errors')
        return None
    order = list(ACTION_TYPES.values())
    best = max(found, key=lambda topic: (_is_command(topic), -order.index(topic.type), topic.count))
    if others := [topic.name for topic in found if topic != best]:
        notes.append(f'actions: {best.name} was chosen; {", ".join(others)} can also be used')
    wanted = spec.joint_names[: spec.action_dim]
    names = _joint_names(bag, best)
    if not names and best.type != ACTION_TYPES['float64_multi_array']:
        notes.append(f'actions: {best.name} commands no joints: the report has no action errors')
        return None
    if not names:
        notes.append(f'actions: {best.name} has no joint names; the mapping assumes {", ".join(wanted)} in this order')
        return ActionStream(best.name, columns=wanted)
    columns = _renamed('actions', wanted, names, notes)
    return None if columns is None else ActionStream(best.name, columns=columns or ())


def _instruction(bag: Bag, notes: list[str]) -> Instruction:
    texts = [topic for topic in bag.of_type(STRING) if any(word in topic.name.lower() for word in _INSTRUCTIONS)]
    if texts:
        # vla_node's own report also has the instructions of goals.
        best = next((topic for topic in texts if topic.name.endswith(IN_FORCE)), texts[0])
        return Instruction(topic=best.name)
    notes.append('instruction: none was recorded; enter the instruction of the robot in the mapping')
    return Instruction(text='do the task')


def _is_command(topic: Topic) -> bool:
    return any(word in topic.name.lower() for word in _COMMANDS)


def _joint_names(bag: Bag, topic: Topic) -> tuple[str, ...]:
    """Joint names in the first message of a topic; () if the message has none."""
    for sample in bag.samples([topic.name]):
        names = getattr(sample.message, 'name', None) or getattr(sample.message, 'joint_names', None) or ()
        return tuple(names)
    return ()


def _renamed(what: str, wanted: Sequence[str], recorded: Sequence[str], notes: list[str]) -> dict[str, str] | None:
    """Recorded name of each joint that is not in the recording, paired in order; None if there are too few."""
    missing = [name for name in wanted if name not in recorded]
    free = [name for name in recorded if name not in wanted]
    if len(free) < len(missing):
        notes.append(
            f'{what}: no recorded names for {", ".join(missing)}; the recording has {", ".join(recorded) or "no names"}'
        )
        return None
    renamed = dict(zip(missing, free, strict=False))
    if renamed:
        notes.append(
            f'{what}: names differ and were paired in order: ' + ', '.join(f'{a} = {b}' for a, b in renamed.items())
        )
    return renamed
