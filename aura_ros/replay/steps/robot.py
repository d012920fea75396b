# SPDX-License-Identifier: Apache-2.0
"""What a robot file says of a recording: the topics of joints and commands, and the units of the policy.

The file is given by the user, or its parameters were recorded: the recorder stores those of every node.
"""

import math
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aura_ros.common.errors import ConfigError
from aura_ros.control.outputs import BASE_UNITS, POSE_AXES, TWIST_AXES, OutputConfig
from aura_ros.control.robot import RobotConfig
from aura_ros.control.robot_file import NODE, CheckedFile, from_parameters
from aura_ros.control.sources import JointMap, JointSources
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import JOINT_STATE, POLICY_STATUS
from aura_ros.recordings.types import Topic
from aura_ros.replay.steps.candidates import Notes, paired
from aura_ros.replay.steps.guess_joints import Candidate, guess_actions, guess_joints, joint_candidates, with_joint_ages
from aura_ros.replay.steps.mapping import ActionStream, JointStream, Mapping
from aura_ros.replay.steps.measured_pose import measured_joints, measured_pose, pose_topic
from aura_ros.replay.steps.message_values import ACTION_TYPES, POSE_COLUMNS, ROTATION_COLUMNS, TWIST_COLUMNS
from aura_ros.replay.steps.motions import recorded_targets
from aura_ros.replay.steps.recorded_parameters import recorded_parameters
from aura_ros.vla.protocol import BackboneSpec

# A gripper can be commanded only when it moves. The largest output decides whether the robot is commanded at all.
_LONG_S = 3600.0
_COMMANDS = tuple(ACTION_TYPES.values())
_CARTESIAN = {
    'twist_stamped': (ACTION_TYPES['twist_stamped'], ACTION_TYPES['twist']),
    'base_twist': (ACTION_TYPES['twist_stamped'], ACTION_TYPES['twist']),
    'pose_stamped': (ACTION_TYPES['pose_stamped'],),
}
_POSE_NAMES = dict(zip(POSE_AXES, (*POSE_COLUMNS[:3], *ROTATION_COLUMNS), strict=True))
_TWIST_NAMES = dict(zip(TWIST_AXES, TWIST_COLUMNS, strict=True))
_TWIST_NAMES |= {f'base_{axis}': column for axis, column in _TWIST_NAMES.items() if f'base_{axis}' in BASE_UNITS}
_AXES = {
    ACTION_TYPES['twist']: _TWIST_NAMES,
    ACTION_TYPES['twist_stamped']: _TWIST_NAMES,
    ACTION_TYPES['pose_stamped']: _POSE_NAMES,
}


@dataclass(frozen=True)
class Robot:
    """A robot file and its place in a recording."""

    file: CheckedFile
    """Checked content."""
    namespace: str = ''
    """Namespace of relative topics, without a slash at its end."""
    given: bool = True
    """Whether the user gave the file; else its parameters were recorded."""

    @property
    def config(self) -> RobotConfig:
        """The robot."""
        return self.file.robot

    def topic(self, bag: Bag, name: str, types: Sequence[str], notes: Notes) -> Topic | None:
        """Return the recorded topic of a name in the file, or None and a note.

        A launch file can rename a relative topic, so a single recorded topic with that end is taken as well.
        """
        found = [topic for topic in bag.of_type(*types) if topic.count]
        full = name if name.startswith('/') else f'{self.namespace}/{name}'
        exact = [topic for topic in found if topic.name == full]
        ends = [] if name.startswith('/') else [topic for topic in found if topic.name.endswith(f'/{name}')]
        if exact or len(ends) == 1:
            return (exact or ends)[0]
        if self.given or name.startswith('/'):
            several = f'; the ends of {", ".join(topic.name for topic in ends)} are equal' if ends else ''
            notes.add(f'robot file: {name} has no recorded message{several}')
        return None


def robot_of(bag: Bag, given: CheckedFile | None, spec: BackboneSpec, notes: Notes) -> Robot | None:
    """Return the robot of a recording: the given one, or else the recorded one if it fits the backbone.

    Raises:
        ConfigError: the joints of the given robot do not fit the actions of the backbone.
    """
    if given is not None:
        targets_of(given.robot, spec)
        return Robot(given)
    found = _recorded(bag, notes)
    if found is not None:
        try:
            targets_of(found.config, spec)
        except ConfigError as error:
            notes.add(f'the recorded robot file is not used: {error}')
            return None
    return found


def targets_of(robot: RobotConfig, spec: BackboneSpec) -> tuple[str, ...]:
    """Return the names of the recorded values that the actions of a backbone follow from.

    Raises:
        ConfigError: the joints of the robot do not fit the actions.
    """
    if not spec.action_spec.is_absolute_joints:
        return recorded_targets(robot, spec.action_spec)
    if robot.size != spec.action_dim:
        raise ConfigError(
            f'the robot file has {robot.size} joint_names: must be {spec.action_dim}, one for each action of backbone '
            f"'{spec.name}'"
        )
    return robot.joint_names


def _recorded(bag: Bag, notes: Notes) -> Robot | None:
    """Return the robot in the recorded parameters of nodes, if there is one only."""
    found = recorded_parameters(bag, NODE)
    if not found and any(topic.count for topic in bag.of_type(POLICY_STATUS)):
        notes.add('the parameters of the policy switch were not recorded, so units are guessed: add --robot FILE')
    if len(found) > 1:
        notes.add(f'several robots were recorded ({", ".join(found)}): select one with --robot FILE')
    if len(found) != 1:
        return None
    ((name, values),) = found.items()
    # A node declares what a file leaves out: NaN is no threshold.
    given = {
        str(key): value
        for key, value in values.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
    try:
        return Robot(from_parameters(given, name), name.rpartition('/')[0], given=False)
    except ConfigError as error:
        notes.add(f'the recorded robot file is not used: {error}')
        return None


def completed(bag: Bag, mapping: Mapping, spec: BackboneSpec, given: CheckedFile | None, notes: Notes) -> Mapping:
    """Return the mapping with what a robot file adds to it.

    Args:
        bag: open recording.
        mapping: mapping of the user; what it has stays.
        spec: spec of the backbone.
        given: robot file in place of that of the mapping.
        notes: gets what was added.

    Raises:
        ConfigError: the robot file does not fit the backbone.
        BagError: the recording has no joints.
    """
    robot = robot_of(bag, given or mapping.robot, spec, notes)
    mapping = replace(mapping, robot=None)
    if robot is None:
        return replace(mapping, sources=replace(mapping.sources, maps=_by_joint(mapping, mapping.sources.maps)))
    # Columns of the user are by the names of the backbone.
    named = any(stream.columns for stream in mapping.actions) if robot.given else bool(mapping.actions)
    guesses = robot.given and not mapping.joints and bool(bag.of_type(JOINT_STATE))
    if guesses:
        pose = measured_pose(bag, spec.joint_names, notes)
        wanted = measured_joints(spec.joint_names, robot.config.sources, bool(pose))
        candidates = joint_candidates(bag, bag.of_type(JOINT_STATE), wanted)
        joints = robot_joints(bag, robot, candidates, wanted, notes) or guess_joints(candidates, wanted, notes)
        mapping = replace(mapping, joints=(*joints, *pose))
    if robot.given and not mapping.actions:
        topics, names = [stream.topic for stream in mapping.joints], targets_of(robot.config, spec)
        mapping = replace(mapping, actions=robot_actions(bag, robot, bag.of_type(*_COMMANDS), topics, notes, names))
    mapping = with_units(mapping, robot, spec, notes, named)
    return with_joint_ages(bag, mapping, spec.joint_names, notes) if guesses else mapping


def with_units(mapping: Mapping, robot: Robot, spec: BackboneSpec, notes: Notes, named: bool = False) -> Mapping:
    """Return the mapping with the unit maps, ages and limits, and, unless it is `named`, the names of the columns."""
    source = 'the robot file' if robot.given else 'the recorded parameters of the robot'
    names, found = targets_of(robot.config, spec), robot.config.sources
    if not named and not mapping.action_names and names != spec.action_names:
        mapping = replace(mapping, action_names=names)
        notes.add(f'actions: {", ".join(names)} are the columns of the action, as in {source}')
    maps = mapping.sources.maps
    if found.maps and not maps:
        known = mapping.joint_names(spec)
        if other := [name for name in found.maps if name not in known]:
            notes.add(f'the maps of {", ".join(other)} in {source} are not used: the mapping has no such joints')
        maps = {name: one for name, one in found.maps.items() if name in known}
        texts = (f'{name} {list(one.robot)} = {list(one.policy)}' for name, one in maps.items())
        if maps:
            notes.add(f'joints and actions are in the unit of the policy, as in {source}: {", ".join(texts)}')
    ages_s = mapping.sources.max_age_s
    if found.max_age_s and not ages_s and not mapping.max_joint_age_s:
        renamed = _renamed(mapping)
        ages_s = {renamed.get(name, name): age_s for name, age_s in found.max_age_s.items()}
        ages_s = {name: age_s for name, age_s in ages_s.items() if name in spec.joint_names}
    sources = JointSources(max_age_s=ages_s, maps=_by_joint(mapping, maps))
    middle = mapping.rotation_middle or robot.config.rotation_middle
    per_unit = mapping.per_unit
    if not any(per_unit):
        per_unit = robot.config.translation_per_unit, robot.config.rotation_per_unit
    return replace(mapping, sources=sources, rotation_middle=middle, per_unit=per_unit)


def _renamed(mapping: Mapping) -> dict[str, str]:
    """Return the name in the backbone of each recorded name that differs."""
    pairs = [stream.names for stream in mapping.joints]
    pairs += [stream.columns for stream in mapping.actions if isinstance(stream.columns, AnyMapping)]
    return {other: name for names in pairs for name, other in names.items()}


def _by_joint(mapping: Mapping, maps: AnyMapping[str, JointMap]) -> dict[str, JointMap]:
    """Return the maps by the names that they have, and by those of the backbone where they differ."""
    renamed = _renamed(mapping)
    # A recorded command is at an end of the map already, so there is nothing to round.
    linear = {name: replace(one, threshold=None) for name, one in maps.items()}
    by_name = {renamed[name]: replace(one, joint=renamed[name]) for name, one in linear.items() if name in renamed}
    return by_name | linear


def robot_joints(
    bag: Bag, robot: Robot, candidates: Sequence[Candidate], joints: Sequence[str], notes: Notes
) -> tuple[JointStream, ...]:
    """Return the topics of the robot's measured joints, () if they do not have all of `joints`."""
    topics = [robot.topic(bag, name, (JOINT_STATE,), notes) for name in robot.config.sources.topics]
    recorded = {topic.name for topic in topics if topic is not None}
    chosen = [one for one in candidates if one.topic.name in recorded]
    pairing = paired(joints, list(dict.fromkeys(name for one in chosen for name in one.names)))
    if pairing.missing:
        notes.add(f'joints: the topics of the robot file have no {", ".join(pairing.missing)}: they are guessed')
        return ()
    if pairing.note:
        notes.add(f'joints: {pairing.note}')
    wanted = {pairing.names.get(name, name) for name in joints}
    return tuple(JointStream(one.topic.name, pairing.among(one.names)) for one in chosen if wanted & set(one.names))


def robot_actions(
    bag: Bag, robot: Robot, topics: Sequence[Topic], joints: Sequence[str], notes: Notes, names: Sequence[str]
) -> tuple[ActionStream, ...]:
    """Return the topics of the robot's commands; joints whose commands were not recorded are guessed or measured.

    Args:
        bag: open recording.
        robot: the robot.
        topics: recorded topics of the types of commands.
        joints: topics of the measured joints.
        notes: gets the choices.
        names: recorded names that the actions follow from.
    """
    found: list[ActionStream] = []
    missing: list[str] = []
    grippers: list[str] = []
    largest = max(len(output.joint_names) for output in robot.config.outputs)
    if set(POSE_AXES).intersection(names).difference(robot.config.joint_names):
        pose = pose_topic(bag)
        if not pose:
            notes.add('actions: no measured pose of the end effector was recorded: the report has no action errors')
            return ()
        notes.add(f'actions: the motions of {pose}, the measured pose, are those of the end effector')
        found.append(ActionStream(pose, columns=_POSE_NAMES))
    for output in robot.config.outputs:
        if not set(output.joint_names) & set(names):
            continue
        is_action = output.command_type == 'gripper_command'
        name = output.command_topic or robot.file.command_topic
        # policy_switch_node publishes the goals of an action, because a recording has none.
        topic = robot.topic(bag, f'{name}/commanded' if is_action else name, _COMMANDS, notes)
        topic = topic or _only_one(output, topics, notes)
        if topic is None:
            (grippers if is_action else missing).extend(output.joint_names)
            continue
        rare = len(output.joint_names) < largest and not output.holds_with_zero
        found.append(_stream(topic, output, _LONG_S if rare else ActionStream.tolerance_s))
    if missing:
        taken = {stream.topic for stream in found}
        guessed = guess_actions(bag, [one for one in topics if one.name not in taken], missing, joints, notes)
        if not guessed:
            return ()
        found += guessed
    measured = _measured(bag, grippers, joints, notes)
    return () if measured is None else (*found, *measured)


def _only_one(output: OutputConfig, topics: Sequence[Topic], notes: Notes) -> Topic | None:
    """Return the only topic of twists or poses for an output of these; other commands are found by their joints."""
    wanted = _CARTESIAN.get(output.command_type, ())
    found = [topic for topic in topics if topic.type in wanted]
    if len(found) != 1:
        return None
    notes.add(f'actions: {found[0].name} is taken as the commands, because no other topic has such messages')
    return found[0]


def _stream(topic: Topic, output: OutputConfig, tolerance_s: float) -> ActionStream:
    columns: AnyMapping[str, str] | tuple[str, ...] = ()
    if topic.type == ACTION_TYPES['float64_multi_array']:
        columns = output.joint_names
    elif topic.type in _AXES:
        columns = {name: _AXES[topic.type][name] for name in output.joint_names if name in _AXES[topic.type]}
    return ActionStream(topic.name, columns=columns, tolerance_s=tolerance_s)


def _measured(bag: Bag, grippers: Sequence[str], joints: Sequence[str], notes: Notes) -> list[ActionStream] | None:
    """Return the measured positions as the actions of grippers behind an action server, whose goals no bag has.

    None if a gripper has no measured position.
    """
    found = []
    left = list(grippers)
    for one in joint_candidates(bag, [topic for topic in bag.of_type(JOINT_STATE) if topic.name in joints], left):
        if only := tuple(name for name in left if name in one.names):
            found.append(ActionStream(one.topic.name, tolerance_s=_LONG_S, only=only))
            left = [name for name in left if name not in only]
    if left:
        notes.add(
            f'actions: {", ".join(left)} has neither recorded commands nor a measured position: the report has '
            'no action errors'
        )
        return None
    if grippers:
        notes.add(
            f'actions: {", ".join(grippers)} has no recorded commands, because the goals of an action are not '
            'recorded: its measured position is the recorded action'
        )
    return found
