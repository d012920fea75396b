# SPDX-License-Identifier: Apache-2.0
"""A recording's streams as observations of a backbone, by the rule of the live graph.

Samples go into the same `vla.assembler` as in vla_node. The first camera is the reference: its stamp is the
observation's, of the other streams the sample in force at that stamp is taken, and no observation is made sooner than
`n_action_steps` ticks after the one before, half a tick of jitter allowed. Where a part is missing there is no
observation; nothing is filled in. Where the recording has steps of our own graph, an episode begins where theirs did.

What differs from the graph: samples are taken in the order of their stamps (`by_stamp.py`), as a recorder may write the
joints down after the picture they belong to; age is counted on the stamps, not from a sample's arrival, since a
recorder's clock may be another; and a sample stamped zero, which vla_node refuses, takes the time of its arrival. The
last two are reported.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.source import Episode, Sample
from aura_ros.recordings.type_names import VLA_STEP
from aura_ros.replay.steps.actions import JUMP_NS, ActionTrack, action_kind
from aura_ros.replay.steps.alignment import AlignmentReport, Tally
from aura_ros.replay.steps.by_stamp import ByStamp
from aura_ros.replay.steps.checks import check_streams, check_types, topic_types
from aura_ros.replay.steps.mapping import UNITS, Mapping
from aura_ros.replay.steps.message_values import joint_positions, picture
from aura_ros.vla.assembler import Aligned, Assembler, AssemblerConfig, Gap
from aura_ros.vla.protocol import BackboneSpec, Observation

JOINTS = 'joint_states'
# How much longer than a chunk is waited for late actions [ns, log time].
_PATIENCE_NS = 1_000_000_000
# How long a sample waits at least for those of the other streams that were recorded after it [ns, log time].
_LOOK_AHEAD_NS = 1_000_000_000


@dataclass(frozen=True)
class Recorded:
    """One observation of a recording.

    episode: name of the run it belongs to.
    stamp_ns: of the first camera's picture [ns].
    observation: what the backbone is given.
    action: float32 [C, A], recorded joint targets at stamp_ns + i x seconds_per_action [rad, m]; None where the
        recording does not say.
    skew_ns: largest distance of a part's stamp from stamp_ns [ns].
    """

    episode: str
    stamp_ns: int
    observation: Observation
    action: NDArray[np.float32] | None
    skew_ns: int


class Observations:
    """The observations of a recording, once, in order; `report` is whole when they have all been taken."""

    def __init__(
        self, bag: Bag, mapping: Mapping, spec: BackboneSpec, begin_ns: int | None = None, end_ns: int | None = None
    ) -> None:
        """Check that the recording has what the mapping names, and the mapping what the backbone needs.

        Raises:
            BagError: a topic is missing, of a type that will not do, or a camera of the backbone has none.
        """
        self._bag, self._mapping, self._spec = bag, mapping, spec
        self._begin_ns = bag.begin_ns if begin_ns is None else begin_ns
        self._end_ns = bag.end_ns if end_ns is None else end_ns
        check_streams(mapping, spec)
        self._tick_ns = round(spec.seconds_per_action * 1e9)
        self._streams = {camera: mapping.cameras[camera] for camera in spec.cameras} | {JOINTS: mapping.joints.topic}
        types = topic_types(bag, mapping, self._topics())
        check_types(mapping, spec, types)
        self._tally = Tally(self._streams)
        self._starts = episode_starts(bag)
        self._look_ahead_ns = max(round(mapping.slop_s * 1e9), _LOOK_AHEAD_NS)
        # Of the last observation of the episode that is being read [ns].
        self._last_ns: int | None = None
        self._track = None
        if mapping.actions is not None:
            kind = action_kind(mapping.actions, types[mapping.actions.topic])
            self._track = ActionTrack(mapping.actions, kind, spec.joint_names[: spec.action_dim])

    @property
    def report(self) -> AlignmentReport:
        """What was used of each stream so far, and what was not."""
        return self._tally.report(self._mapping, self._track, self._bag.partial)

    @property
    def one_episode(self) -> bool:
        """Whether nothing in the recording says where an episode begins."""
        return not self._starts and len(self._bag.episodes) == 1

    def __iter__(self) -> Iterator[Recorded]:
        """Give the observations; memory holds those of one chunk's time."""
        for episode in self._bag.episodes:
            if episode.begin_ns < self._end_ns and episode.end_ns > self._begin_ns:
                yield from self._episode(episode)

    def _episode(self, episode: Episode) -> Iterator[Recorded]:
        begin_ns, end_ns = max(episode.begin_ns, self._begin_ns), min(episode.end_ns, self._end_ns)
        assembler, track = self._assembler(), self._track
        held = ByStamp(self._streams, self._look_ahead_ns)
        self._tally.begin()
        self._last_ns = None
        if track is not None:
            track.clear()
        instruction = self._instruction_before(episode.begin_ns, begin_ns)
        waiting: deque[tuple[int, Recorded]] = deque()
        chunk_ns = (self._spec.chunk_size - 1) * self._tick_ns
        by_topic: dict[str, list[str]] = {}
        for stream, topic in self._streams.items():
            by_topic.setdefault(topic, []).append(stream)
        for sample in self._bag.samples(self._topics(), begin_ns, end_ns):
            if sample.topic == self._mapping.instruction.topic:
                instruction = sample.message.data
            if track is not None and self._mapping.actions is not None and sample.topic == self._mapping.actions.topic:
                track.add(sample)
            for stream in by_topic.get(sample.topic, ()):
                ready = self._add(held, assembler, stream, sample)
                waiting.extend((sample.log_ns, found) for found in self._taken(ready, assembler, episode, instruction))
            ready = held.ready(sample.log_ns)
            waiting.extend((sample.log_ns, found) for found in self._taken(ready, assembler, episode, instruction))
            while waiting and (
                track is None
                or track.covers(waiting[0][1].stamp_ns + chunk_ns)
                or sample.log_ns > waiting[0][0] + chunk_ns + _PATIENCE_NS
            ):
                yield self._with_action(waiting.popleft()[1])
        waiting.extend((end_ns, found) for found in self._taken(held.rest(), assembler, episode, instruction))
        for _, found in waiting:
            yield self._with_action(found)

    def _assembler(self) -> Assembler[Sample]:
        return Assembler(
            AssemblerConfig(
                streams=tuple(self._streams),
                slop_ns=round(self._mapping.slop_s * 1e9),
                min_interval_ns=self._spec.n_action_steps * self._tick_ns - self._tick_ns // 2,
            )
        )

    def _topics(self) -> list[str]:
        """What to read; the reference last, so that of one moment in a dataset it finds the others already there."""
        named = [self._mapping.instruction.topic]
        named += [self._mapping.actions.topic] if self._mapping.actions is not None else []
        named += reversed(self._streams.values())
        return list(dict.fromkeys(filter(None, named)))

    def _instruction_before(self, begin_ns: int, until_ns: int) -> str | None:
        """The instruction in force where reading begins; None: none yet."""
        topic = self._mapping.instruction.topic
        if not topic:
            return self._mapping.instruction.text
        found = None
        if until_ns > begin_ns:
            for sample in self._bag.samples([topic], begin_ns, until_ns):
                found = sample.message.data
        return found

    def _add(self, held: ByStamp, assembler: Assembler[Sample], stream: str, sample: Sample) -> Released:
        """Hold a sample back until its turn; gives what its turn comes with it, where its clock was set back."""
        tally = self._tally
        tally.arrived(stream, sample)
        if stream == JOINTS:
            names = [self._mapping.joints.names.get(name, name) for name in self._spec.joint_names]
            try:
                positions = joint_positions(sample.message, names, UNITS[self._mapping.joints.unit])
            except InputError as error:
                tally.unusable(stream, str(error))
                return
            sample = replace(sample, message=positions)
        ahead_ns = held.newest_ns(stream) - sample.stamp_ns
        if ahead_ns > JUMP_NS:
            yield from held.rest()
            assembler.clear()
            self._last_ns = None
            tally.jumped()
        elif ahead_ns >= 0:
            tally.out_of_order(stream)
            return
        held.add(stream, sample)

    def _taken(
        self, released: Released, assembler: Assembler[Sample], episode: Episode, instruction: str | None
    ) -> Iterator[Recorded]:
        """Observations that samples make, one after the other."""
        for stream, sample in released:
            self._tally.offered(stream)
            assembler.add(stream, sample.stamp_ns, sample)
            begins = self._last_ns is not None and self._name(episode, sample.stamp_ns) != self._name(
                episode, self._last_ns
            )
            if begins and stream == self._spec.cameras[0]:
                # The first step of an episode keeps no distance from the last one of the episode before.
                assembler.rewind(None)
                self._last_ns = None
            found = self._take(assembler, episode, sample.stamp_ns, instruction)
            if found is not None:
                yield found

    def _take(
        self, assembler: Assembler[Sample], episode: Episode, now_ns: int, instruction: str | None
    ) -> Recorded | None:
        found = assembler.take(now_ns)
        if isinstance(found, Gap):
            self._tally.gap(found)
            return None
        if instruction is None:
            self._tally.uninstructed()
            return None
        try:
            observation = self._decoded(found, instruction)
        except InputError as error:
            self._tally.undecodable(error)
            # As in the graph: what was seen cannot be used, and the pace is kept from the last that was.
            assembler.clear()
            assembler.rewind(self._last_ns)
            return None
        self._tally.used(found)
        self._last_ns = found.stamp_ns
        return Recorded(self._name(episode, found.stamp_ns), found.stamp_ns, observation, None, found.skew_ns)

    def _name(self, episode: Episode, stamp_ns: int) -> str:
        """The episode of a stamp: by the recorded steps where there are some, else that of the recording."""
        number = bisect_right(self._starts, stamp_ns, key=lambda start: start[0])
        return self._starts[number - 1][1] if number else episode.name

    def _decoded(self, found: Aligned[Sample], instruction: str) -> Observation:
        images: dict[str, Any] = {}
        for camera in self._spec.cameras:
            try:
                images[camera] = picture(found.samples[camera].message)
            except InputError as error:
                raise InputError(f'camera {camera}: {error}') from error
        return Observation(images, found.samples[JOINTS].message, instruction)

    def _with_action(self, found: Recorded) -> Recorded:
        if self._track is None:
            return found
        action = self._track.chunk(found.stamp_ns, self._spec.chunk_size, self._tick_ns)
        self._track.forget_before(found.stamp_ns)
        self._tally.action(action is not None)
        return replace(found, action=action)


Released = Iterator[tuple[str, Sample]]
"""Samples whose turn has come, each with the name of its stream."""


def episode_starts(bag: Bag) -> list[tuple[int, str]]:
    """Stamp of the first step of each episode of our own graph [ns], with the episode's name, in order of the stamps.

    Empty where the recording has no steps, or names its episodes itself.
    """
    topics = [topic.name for topic in bag.topics if topic.type == VLA_STEP and topic.count]
    found: dict[str, int] = {}
    for sample in bag.samples(topics) if topics and len(bag.episodes) == 1 else ():
        found.setdefault(str(sample.message.episode_id), sample.stamp_ns)
    return sorted((stamp_ns, name) for name, stamp_ns in found.items())


def observations(
    bag: Bag, mapping: Mapping, spec: BackboneSpec, begin_ns: int | None = None, end_ns: int | None = None
) -> Observations:
    """The observations between two log times [ns], the whole recording by default; see `Observations`."""
    return Observations(bag, mapping, spec, begin_ns, end_ns)
