# SPDX-License-Identifier: Apache-2.0
"""Proposes a mapping for a recording, by types and names of topics and by joints in the first messages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import islice
from statistics import median

from aura_ros.common.errors import BagError
from aura_ros.common.text import printable
from aura_ros.control import JointSources
from aura_ros.control.robot_file import CheckedFile
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import CAMERA_TYPES, JOINT_STATE, STRING, VLA_STEP
from aura_ros.recordings.types import Topic
from aura_ros.replay.steps.candidates import Notes, is_depth, is_instruction
from aura_ros.replay.steps.clocks import SAME_CLOCK_NS
from aura_ros.replay.steps.guess_joints import (
    guess_actions,
    guess_joints,
    joint_candidates,
    other_robots,
    with_joint_ages,
)
from aura_ros.replay.steps.mapping import ActionStream, Instruction, JointStream, Mapping
from aura_ros.replay.steps.measured_pose import measured_joints, measured_pose
from aura_ros.replay.steps.message_values import ACTION_TYPES
from aura_ros.replay.steps.recorded_parameters import recorded_cameras
from aura_ros.replay.steps.robot import Robot, robot_actions, robot_joints, robot_of, targets_of, with_units
from aura_ros.vla.instruction import IN_FORCE, usable_instruction
from aura_ros.vla.protocol import BackboneSpec

# Messages from which the clock of a stream is known [1].
_PROBE = 50
_TEXT = 80


@dataclass(frozen=True)
class Guess:
    """A proposed mapping."""

    mapping: Mapping
    """The proposal."""
    notes: tuple[str, ...]
    """Choices that were made, what the user has to fill in, and each candidate that was rejected, in sentences."""


def guess(bag: Bag, spec: BackboneSpec, robot_file: CheckedFile | None = None) -> Guess:
    """Propose a mapping of a recording for a backbone; a robot file, given or recorded, precedes names.

    Raises:
        ConfigError: the robot file does not fit the backbone.
        BagError: the recording has no camera or no JointState, and no VlaStep.
    """
    notes = Notes()
    robot = robot_of(bag, robot_file, spec, notes)
    steps = sorted(bag.of_type(VLA_STEP), key=lambda topic: -topic.count)
    commands = bag.of_type(*ACTION_TYPES.values())
    if steps and not (bag.of_type(*CAMERA_TYPES) and bag.of_type(JOINT_STATE)):
        notes.add('there are no cameras or no joints: only the recorded steps can be replayed')
        mapping = Mapping({}, (), _actions(bag, commands, (), spec, robot, notes), steps=_steps(steps, notes))
        return _finished(mapping if robot is None else with_units(mapping, robot, spec, notes), notes)
    _need(bag, CAMERA_TYPES, 'camera')
    pose = measured_pose(bag, spec.joint_names, notes)
    sources = robot.config.sources if robot is not None else JointSources()
    wanted = measured_joints(spec.joint_names, sources, bool(pose))
    candidates = joint_candidates(bag, _need(bag, (JOINT_STATE,), 'measured joints'), wanted)
    joints = robot_joints(bag, robot, candidates, wanted, notes) if robot is not None else ()
    joints = joints or guess_joints(candidates, wanted, notes)
    others = _Others(other_robots(joints, candidates), joints, notes)
    mapping = Mapping(
        _cameras(bag, others.cameras(bag.of_type(*CAMERA_TYPES)), spec, notes),
        (*joints, *pose),
        _actions(bag, others.without('actions', commands), joints, spec, robot, notes),
        _instruction(bag, others.without('instruction', bag.of_type(STRING)), notes),
        _steps(others.without('steps', steps), notes),
    )
    if robot is not None:
        mapping = with_units(mapping, robot, spec, notes)
    mapping = with_joint_ages(bag, mapping, spec.joint_names, notes)
    return _finished(_with_clocks(bag, mapping, notes), notes)


def _actions(
    bag: Bag,
    commands: Sequence[Topic],
    joints: Sequence[JointStream],
    spec: BackboneSpec,
    robot: Robot | None,
    notes: Notes,
) -> tuple[ActionStream, ...]:
    topics = [stream.topic for stream in joints]
    if robot is not None:
        return robot_actions(bag, robot, commands, topics, notes, targets_of(robot.config, spec))
    return guess_actions(bag, commands, spec.action_names, topics, notes)


def _finished(mapping: Mapping, notes: Notes) -> Guess:
    return Guess(mapping, (*notes.chosen, *notes.rejected))


class _Others:
    """The other robots of a recording; the mapping keeps to one."""

    def __init__(self, namespaces: Sequence[str], joints: Sequence[JointStream], notes: Notes) -> None:
        self._namespaces, self._notes = tuple(f'{one}/' for one in namespaces), notes
        if namespaces:
            topics = ', '.join(stream.topic for stream in joints)
            notes.add(
                f'there are several robots: the mapping keeps to that of {topics}; others are {", ".join(namespaces)}'
            )

    def without(self, role: str, topics: Sequence[Topic]) -> list[Topic]:
        """Return the topics that do not belong to another robot."""
        others = [topic for topic in topics if topic.name.startswith(self._namespaces)]
        self._notes.reject(role, others, 'it belongs to another robot')
        return [topic for topic in topics if topic not in others]

    def cameras(self, topics: list[Topic]) -> list[Topic]:
        """Return the cameras of this robot; all cameras if each of them is in the namespace of another robot."""
        if topics and all(topic.name.startswith(self._namespaces) for topic in topics):
            self._notes.add('cameras: all are in the namespaces of other robots; check that they show this robot')
            return topics
        return self.without('camera', topics)


def _need(bag: Bag, types: Sequence[str], what: str) -> list[Topic]:
    found = bag.of_type(*types)
    if not found:
        has = ', '.join(f'{topic.name} ({topic.type})' for topic in bag.topics if topic.count)
        raise BagError(f'{bag.path} has no {what} ({" or ".join(types)}); it has {has}')
    return found


def _cameras(bag: Bag, found: list[Topic], spec: BackboneSpec, notes: Notes) -> dict[str, str]:
    recorded = recorded_cameras(bag, found, spec)
    if recorded:
        notes.add('cameras: their topics are those of the recorded parameters of vla_node')
        return recorded
    colour = [topic for topic in found if not is_depth(topic)] or found
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
            notes.add(f'camera {camera}: there is no unused camera: it gets the same pictures as another camera')
        elif camera.lower() not in best.name.lower():
            notes.add(f'camera {camera}: no topic has that name; check that {best.name} is the right one')
        chosen[camera] = best.name
    unused = [topic for topic in found if topic.name not in chosen.values()]
    depth = [topic for topic in unused if is_depth(topic)]
    notes.reject('camera', depth, 'its name is that of depth or labels')
    rest = [topic for topic in unused if topic not in depth]
    notes.reject('camera', rest, f'the cameras {", ".join(spec.cameras)} fit other topics better')
    return chosen


def _instruction(bag: Bag, topics: Sequence[Topic], notes: Notes) -> Instruction:
    named = [topic for topic in topics if is_instruction(topic.name)]
    notes.reject('instruction', [one for one in topics if one not in named], 'its name is not that of an instruction')
    filled = [topic for topic in named if _has_text(bag, topic)]
    notes.reject('instruction', [topic for topic in named if topic not in filled], 'its texts are empty')
    found = prompts(bag)
    if filled:
        # vla_node's own report also has the instructions of goals.
        filled.sort(key=lambda topic: not topic.name.endswith(IN_FORCE))
        notes.reject('instruction', filled[1:], f'{filled[0].name} was chosen')
        notes.rejected += [f'instruction: the note {key} is not used: {filled[0].name} was chosen' for key in found]
        return Instruction(topic=filled[0].name)
    if found:
        key, text = next(iter(found.items()))
        notes.add(f'instruction: {printable(text, _TEXT)!r} is from the note {key} of the recording')
        notes.rejected += [f'instruction: the note {other} is not used: {key} was chosen' for other in found][1:]
        return Instruction(text=text)
    notes.add('instruction: none was recorded; enter the instruction of the robot in the mapping')
    return Instruction(text='do the task')


def prompts(bag: Bag) -> dict[str, str]:
    """Return the instructions in the notes of a recording, by their keys."""
    texts = {key: usable_instruction(text) for key, text in bag.metadata.items() if is_instruction(key)}
    # A number is no instruction: the notes of a dataset have total_tasks.
    return {key: text for key, text in texts.items() if any(map(str.isalpha, text))}


def _has_text(bag: Bag, topic: Topic) -> bool:
    return any(usable_instruction(sample.message.data) for sample in bag.samples([topic.name]))


def _steps(found: Sequence[Topic], notes: Notes) -> str:
    notes.reject('steps', found[1:], f'{found[0].name} has more messages' if found else '')
    return found[0].name if found else ''


def _with_clocks(bag: Bag, mapping: Mapping, notes: Notes) -> Mapping:
    """The mapping with `clock: arrival` for each stream whose stamps are of another clock than those of the others."""
    topics = [stream.topic for stream in mapping.joints] + [stream.topic for stream in mapping.actions]
    offsets = {topic: _offset_ns(bag, topic) for topic in (*topics, *mapping.cameras.values())}
    known = [offset for offset in offsets.values() if offset is not None]
    if not known:
        return mapping
    # The recorder's clock if a stream has it, else that of the joints.
    base = min(known, key=abs) if min(map(abs, known)) <= SAME_CLOCK_NS else known[0]
    odd = {topic: ns - base for topic, ns in offsets.items() if ns is not None and abs(ns - base) > SAME_CLOCK_NS}
    for topic, apart_ns in odd.items():
        notes.add(f'{topic}: its stamps differ from the clock of the others by {apart_ns * 1e-9:.6g} s: clock: arrival')
    return replace(
        mapping,
        joints=tuple(replace(one, clock='arrival') if one.topic in odd else one for one in mapping.joints),
        actions=tuple(replace(one, clock='arrival') if one.topic in odd else one for one in mapping.actions),
        arrival_cameras=frozenset(camera for camera, topic in mapping.cameras.items() if topic in odd),
    )


def _offset_ns(bag: Bag, topic: str) -> int | None:
    """Median time from log time to stamp of the first messages [ns]; None without stamps."""
    found = [one.stamp_ns - one.log_ns for one in islice(bag.samples([topic]), _PROBE) if one.stamped]
    return round(median(found)) if found else None
