# SPDX-License-Identifier: Apache-2.0
"""Proposes the topics of measured joints and of recorded commands, by types, names and joints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from aura_ros.common.errors import InputError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import JOINT_STATE
from aura_ros.recordings.types import Sample, Topic
from aura_ros.replay.steps.candidates import Notes, is_command, is_measured, likeness, paired, twin_namespace
from aura_ros.replay.steps.mapping import ActionStream, JointStream, Mapping
from aura_ros.replay.steps.message_values import ACTION_TYPES, target
from aura_ros.replay.steps.recorded_names import recorded_names

# Log time in which the messages of a topic are expected to name all their joints [ns].
_LOOK_NS = 10_000_000_000
# Least number of messages from which the periods of joints are known [1].
_PERIODS = 500
# Largest age that a mapping can have [s].
_OLDEST_S = 60.0
_ORDER = list(ACTION_TYPES.values())
_KINDS = {name: kind for kind, name in ACTION_TYPES.items()}


@dataclass(frozen=True)
class Candidate:
    """A topic with joints."""

    topic: Topic
    """The topic."""
    names: tuple[str, ...]
    """Joints that its messages name; () without names."""
    size: int = 0
    """Number of values of a message without names [1]."""

    def count(self, wanted: Sequence[str]) -> int:
        """Return the number of wanted joints that the topic has by name."""
        return len(set(wanted) & set(self.names))


def joint_candidates(bag: Bag, topics: Sequence[Topic], wanted: Sequence[str]) -> list[Candidate]:
    """Return the topics with the joints that their first messages name."""
    return [Candidate(one, recorded_names(bag, one.name, one.type, wanted, _LOOK_NS)) for one in topics]


def other_robots(chosen: Sequence[JointStream], candidates: Sequence[Candidate]) -> list[str]:
    """Return the namespaces of robots with the joints and topics of the chosen one."""
    topics = [stream.topic for stream in chosen]
    names = {name for one in candidates for name in one.names if one.topic.name in topics}
    found = {
        twin_namespace(topic, one.topic.name)
        for one in candidates
        for topic in topics
        if names & set(one.names) and one.topic.name not in topics and not is_command(one.topic)
    }
    return sorted(found - {''})


def guess_joints(candidates: Sequence[Candidate], wanted: Sequence[str], notes: Notes) -> tuple[JointStream, ...]:
    """Propose the measured joints: the best topic, and those that have the joints which it lacks."""
    measured = [one for one in candidates if not is_command(one.topic)] or list(candidates)
    notes.reject('joints', [one.topic for one in candidates if one not in measured], 'its name is that of commands')
    ranked = sorted(
        measured,
        key=lambda one: (
            one.count(wanted),
            is_measured(one.topic),
            bool(one.names),
            one.topic.name.endswith(('joint_states', 'observation.state')),
            one.topic.count,
        ),
        reverse=True,
    )
    first = ranked[0]
    chosen, names = [first], list(first.names)
    for one in ranked[1:]:
        # By the same names, or by other names as long as there are too few.
        adds = [name for name in one.names if name not in names]
        if paired(wanted, names).missing and adds and (one.count(wanted) > 0 or first.count(wanted) == 0):
            chosen.append(one)
            names += adds
    pairing = paired(wanted, names)
    if pairing.missing:
        notes.add(
            f'joints: no recorded names for {", ".join(pairing.missing)}; the recording has '
            f'{", ".join(names) or "no names"}'
        )
        chosen = chosen[:1]
    elif pairing.note:
        notes.add(f'joints: {pairing.note}')
    for one in ranked:
        if one not in chosen:
            notes.reject('joints', [one.topic], _why_not(one, first, wanted))
    return tuple(JointStream(one.topic.name, pairing.among(one.names)) for one in chosen)


def with_joint_ages(bag: Bag, mapping: Mapping, wanted: Sequence[str], notes: Notes) -> Mapping:
    """Return the mapping with an age for each joint that is too slow for `slop_s`, if others are fast enough.

    The age is twice the period of the joint. A mapping that has ages, or those of a robot file, keeps them.
    """
    if mapping.max_joint_age_s or mapping.sources.max_age_s:
        return mapping
    times: dict[str, list[int]] = {}
    for stream in mapping.joints:
        for sample in _first(bag, stream.topic):
            recorded = set(getattr(sample.message, 'name', ()))  # a pose has no names
            for joint in wanted:
                if stream.names.get(joint, joint) in recorded:
                    times.setdefault(joint, []).append(sample.log_ns)
    periods = {joint: median(np.diff(found).tolist()) * 1e-9 for joint, found in times.items() if len(found) > 1}
    slow = {joint: period_s for joint, period_s in periods.items() if period_s > mapping.slop_s}
    if not slow or len(slow) == len(periods):
        return mapping
    ages_s = {joint: min(round(2.0 * period_s, 2), _OLDEST_S) for joint, period_s in slow.items()}
    text = ', '.join(f'{joint} {age_s:g}' for joint, age_s in ages_s.items())
    notes.add(f'joints: some come more rarely than the others: joint_max_age_s is {text}')
    return replace(mapping, sources=replace(mapping.sources, max_age_s=ages_s))


def _first(bag: Bag, topic: str) -> Iterator[Sample]:
    """Yield the first messages of a topic: the joints of one topic can have very different periods."""
    begin_ns = None
    for number, sample in enumerate(bag.samples([topic])):
        begin_ns = sample.log_ns if begin_ns is None else begin_ns
        if number >= _PERIODS and sample.log_ns - begin_ns > _LOOK_NS:
            return
        yield sample


def _why_not(one: Candidate, best: Candidate, wanted: Sequence[str]) -> str:
    if not one.names:
        return 'its messages name no joints'
    if one.count(wanted) < best.count(wanted):
        return f'it has {one.count(wanted)} of the joints, {best.topic.name} has {best.count(wanted)}'
    return f'{best.topic.name} has the same joints, and fits better by its name or has more messages'


def guess_actions(
    bag: Bag, topics: Sequence[Topic], wanted: Sequence[str], joints: Sequence[str], notes: Notes
) -> tuple[ActionStream, ...]:
    """Propose the recorded commands: the best topic, and those that command the joints which it lacks.

    Args:
        bag: open recording.
        topics: topics of the types of commands.
        wanted: joints of the backbone's actions.
        joints: topics of the measured joints.
        notes: gets the choices.
    """
    found = [topic for topic in topics if topic.name not in joints]
    measured = [topic for topic in found if topic.type == JOINT_STATE and not is_command(topic)]
    notes.reject('actions', measured, 'its name is not that of commands')
    candidates = [_candidate(bag, topic, wanted) for topic in found if topic not in measured]
    if not candidates:
        notes.add('actions: there is no topic of recorded commands: the report has no action errors')
        return ()
    near = joints[0] if joints else ''
    ranked = sorted(
        candidates,
        key=lambda one: (
            is_command(one.topic),
            one.count(wanted) == len(wanted) or one.size == len(wanted),
            one.count(wanted),
            -_ORDER.index(one.topic.type),
            likeness(one.topic.name, near),
            one.topic.count,
        ),
        reverse=True,
    )
    chosen, missing = _combined(ranked, wanted, notes)
    for one in ranked:
        if one.topic.name not in {stream.topic for stream in chosen}:
            notes.reject('actions', [one.topic], _why_no_action(one, chosen, wanted))
    if missing:
        notes.add(f'actions: no topic commands {", ".join(missing)}: the report has no action errors')
        return ()
    return tuple(chosen)


def _candidate(bag: Bag, topic: Topic, wanted: Sequence[str]) -> Candidate:
    names = recorded_names(bag, topic.name, topic.type, wanted, _LOOK_NS)
    if names:
        return Candidate(topic, names)
    for sample in bag.samples([topic.name]):
        try:
            return Candidate(topic, (), int(target(_KINDS[topic.type], sample.message).values.shape[1]))
        except InputError:
            continue
    return Candidate(topic, ())


def _combined(
    ranked: Sequence[Candidate], wanted: Sequence[str], notes: Notes
) -> tuple[list[ActionStream], tuple[str, ...]]:
    """Streams that together command the wanted joints, and the joints that none commands."""
    chosen: list[ActionStream] = []
    missing = tuple(wanted)
    for one in ranked:
        if not missing:
            break
        if one.count(missing):
            chosen.append(ActionStream(one.topic.name))
            missing = tuple(name for name in missing if name not in one.names)
    for one in ranked:
        name = one.topic.name
        if not missing or name in {stream.topic for stream in chosen}:
            continue
        pairing = paired(missing, [other for other in one.names if other not in wanted])
        if one.names and not pairing.missing and _nameable(one):
            notes.add(f'actions: {pairing.note}')
            chosen.append(ActionStream(name, columns=pairing.names))
            missing = ()
        elif 0 < one.size <= len(missing) and (one.size == len(missing) or is_command(one.topic)):
            columns, missing = missing[: one.size], missing[one.size :]
            notes.add(f'actions: {name} has no joint names; the mapping assumes {", ".join(columns)} in this order')
            chosen.append(ActionStream(name, columns=columns))
    return ([], missing) if missing else (chosen, ())


def _nameable(one: Candidate) -> bool:
    """Whether the names are those of joints, which differ between robots."""
    return one.topic.type in (ACTION_TYPES['joint_trajectory'], ACTION_TYPES['joint_state'])


def _why_no_action(one: Candidate, chosen: Sequence[ActionStream], wanted: Sequence[str]) -> str:
    if not one.names and not one.size:
        return 'its messages are empty'
    if not one.names:
        return f'its messages have {one.size} values without names, the actions {len(wanted)}'
    if not one.count(wanted) and not _nameable(one):
        return (
            f'it commands no joints but {", ".join(one.names)}; a robot file (--robot) names the columns of the action'
        )
    if chosen:
        return f'{", ".join(stream.topic for stream in chosen)} was chosen'
    return f'it commands {", ".join(one.names)}'
