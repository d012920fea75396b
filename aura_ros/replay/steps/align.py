# SPDX-License-Identifier: Apache-2.0
"""Observations of a backbone from the streams of a recording, by the rule of the live graph.

The samples go into the same `vla.assembler` as in vla_node. The first camera is the reference: its stamp is the stamp
of the observation. The other streams contribute the sample in force at that stamp. Two observations are at least
`n_action_steps` ticks apart, less half a tick of jitter. If a part is missing, there is no observation. If the
recording has VlaSteps, episodes begin at the same stamps as theirs.

Four things differ from the graph:
    * Samples are taken in the order of their stamps (`by_stamp`), because a recorder can log joints after the picture
      that they belong to.
    * The age of a sample is not checked on arrival, because a recorder can have another clock.
    * A sample with stamp zero, which vla_node refuses, gets its time of arrival (`clocks`).
    * The mapping can date a stream by its arrival.
The report mentions the last three.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.types import Episode, Sample
from aura_ros.replay.steps.actions import JUMP_NS, PendingActions
from aura_ros.replay.steps.alignment import AlignmentReport
from aura_ros.replay.steps.by_stamp import ByStamp
from aura_ros.replay.steps.checks import action_track, check_streams, check_types, topic_types
from aura_ros.replay.steps.clocks import Clock
from aura_ros.replay.steps.episodes import EpisodeNames
from aura_ros.replay.steps.instructions import Instructions
from aura_ros.replay.steps.joint_streams import JointReader, stream_names
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.vla.assembler import JOINTS, Aligned, Assembler, AssemblerConfig, Gap
from aura_ros.vla.images import assumed, picture
from aura_ros.vla.protocol import BackboneSpec, Observation

# Length of a list of names in a note [characters].
_NAMES = 256
# Least time that a sample waits for samples of other streams that were recorded later [ns, log time].
_LOOK_AHEAD_NS = 1_000_000_000

Released = Iterator[tuple[str, Sample]]
"""Samples in the order of their stamps, each with the name of its stream."""


@dataclass(frozen=True)
class RecordedObservation:
    """One observation of a recording."""

    episode: str
    """Name of its episode."""
    stamp_ns: int
    """Stamp of the first camera's picture [ns]."""
    observation: Observation
    """Input of the backbone."""
    recorded_action: NDArray[np.float32] | None
    """Joint targets at stamp_ns + i x seconds_per_action, float32 [C, A] [rad, m]; None if one is missing."""
    skew_ns: int
    """Largest distance of a part's stamp from stamp_ns [ns]."""


class Observations:
    """The observations of a recording in order. They can be read once; then `report` is complete."""

    def __init__(
        self, bag: Bag, mapping: Mapping, spec: BackboneSpec, begin_ns: int | None = None, end_ns: int | None = None
    ) -> None:
        """Check the mapping against the recording and the backbone; the log times default to the whole recording [ns].

        Raises:
            BagError: a topic is missing or has a wrong type, or a camera of the backbone has no topic.
        """
        self._bag, self._mapping, self._spec = bag, mapping, spec
        self._begin_ns = bag.begin_ns if begin_ns is None else begin_ns
        self._end_ns = bag.end_ns if end_ns is None else end_ns
        check_streams(mapping, spec)
        self._joints = JointReader(mapping, spec)
        self._tick_ns = round(spec.seconds_per_action * 1e9)
        joints = stream_names(mapping.joints)
        self._streams = {camera: mapping.cameras[camera] for camera in spec.cameras} | joints
        types = topic_types(bag, mapping, self._topics())
        check_types(mapping, spec, types)
        self.episodes = EpisodeNames(bag, mapping)
        self._clock = Clock(bag, mapping, [*joints.values(), *mapping.cameras.values()])
        self._instructions = Instructions(bag, mapping)
        self._look_ahead_ns = max(round(mapping.slop_s * 1e9), _LOOK_AHEAD_NS)
        # Stamp of the last observation of the episode that is being read [ns].
        self._last_ns: int | None = None
        self._track = action_track(bag, mapping, spec, types)
        self.report = AlignmentReport(mapping, self._streams, self._track)
        """What has been used of each stream so far."""

    def __iter__(self) -> Iterator[RecordedObservation]:
        """Yield the observations. At most those of one chunk's time are in memory."""
        for episode in self._bag.episodes:
            if episode.begin_ns < self._end_ns and episode.end_ns > self._begin_ns:
                yield from self._episode(episode)

    def _episode(self, episode: Episode) -> Iterator[RecordedObservation]:
        begin_ns, end_ns = max(episode.begin_ns, self._begin_ns), min(episode.end_ns, self._end_ns)
        assembler, track = self._assembler(), self._track
        joints = [f'{JOINTS}: {name}' for name in self._spec.joint_names]
        by_stamp = ByStamp((*self._spec.cameras, *joints), self._look_ahead_ns)
        self.report.begin()
        self._last_ns = None
        if track is not None:
            track.clear()
        self._instructions.begin(episode.begin_ns, begin_ns)
        pending = PendingActions[RecordedObservation](track, self._spec)
        by_topic: dict[str, list[str]] = {}
        for stream, topic in self._streams.items():
            by_topic.setdefault(topic, []).append(stream)
        for sample in map(self._clock.dated, self._bag.samples(self._topics(), begin_ns, end_ns)):
            self._instructions.add(sample)
            if track is not None:
                track.add(sample)
            added = (self._add(by_stamp, assembler, stream, sample) for stream in by_topic.get(sample.topic, ()))
            released = chain(chain.from_iterable(added), by_stamp.ready(sample.log_ns))
            for found in self._assembled(released, assembler, episode):
                pending.add(found, found.stamp_ns, sample.log_ns)
            yield from map(self._with_action, pending.ready(sample.log_ns))
        for found in self._assembled(by_stamp.rest(), assembler, episode):
            pending.add(found, found.stamp_ns, end_ns)
        yield from map(self._with_action, pending.rest())

    def _assembler(self) -> Assembler[Sample]:
        age_s, ages_s = self._mapping.max_joint_age_s, self._mapping.sources.max_age_s
        ages_s = {name: found for name in self._spec.joint_names if (found := ages_s.get(name, age_s))}
        return Assembler(
            AssemblerConfig(
                streams=self._spec.cameras,
                joints=self._spec.joint_names,
                slop_ns=round(self._mapping.slop_s * 1e9),
                min_interval_ns=self._spec.n_action_steps * self._tick_ns - self._tick_ns // 2,
                joint_slop_ns={name: round(found * 1e9) for name, found in ages_s.items()},
            )
        )

    def _topics(self) -> list[str]:
        """Topics to read. The reference is last, so that in a dataset the other parts of a frame precede it."""
        named = [self._mapping.instruction.topic, *(stream.topic for stream in self._mapping.actions)]
        named += reversed(self._streams.values())
        return list(dict.fromkeys(filter(None, named)))

    def _add(self, by_stamp: ByStamp, assembler: Assembler[Sample], stream: str, sample: Sample) -> Released:
        """Hold a sample until its turn; yield the samples that were held before the clock was set back."""
        report = self.report.arrived(stream, sample)
        if stream not in self._spec.cameras:
            try:
                positions = self._joints.read(sample.topic, sample.message)
            except InputError as error:
                report.unusable += 1
                report.problem = str(error)
                return
            if not positions:  # a message of other joints, or an empty one
                report.others = ', '.join(sample.message.name)[:_NAMES] or report.others
                return
            sample = replace(sample, message=positions)
        newest_ns = {part: by_stamp.newest_ns(part) for part in self._parts(stream, sample)}
        if min(newest_ns.values()) - sample.stamp_ns > JUMP_NS:
            yield from by_stamp.rest()
            assembler.clear()
            self._last_ns = None
            self.report.jumps += 1
            newest_ns = dict.fromkeys(newest_ns, -1)
        newer = [part for part, stamp_ns in newest_ns.items() if stamp_ns < sample.stamp_ns]
        if newer:
            by_stamp.add(stream, sample, newer)
        else:
            report.out_of_order += 1

    def _parts(self, stream: str, sample: Sample) -> list[str]:
        """Return the parts of a stream whose stamps have an order: each joint, because messages may hold some only."""
        return [stream] if stream in self._spec.cameras else [f'{JOINTS}: {name}' for name in sample.message]

    def _assembled(
        self, released: Released, assembler: Assembler[Sample], episode: Episode
    ) -> Iterator[RecordedObservation]:
        """Yield the observations that samples complete."""
        for stream, sample in released:
            self.report.offered(stream)
            if stream in self._spec.cameras:
                assembler.add(stream, sample.stamp_ns, sample)
            else:
                assembler.add_joints(sample.stamp_ns, sample.message)
            name = self.episodes.at(sample.stamp_ns, episode.begin_ns)
            begins = self._last_ns is not None and name != self.episodes.at(self._last_ns, episode.begin_ns)
            if begins and stream == self._spec.cameras[0]:
                # The first step of an episode can follow the last one of the episode before at any distance.
                assembler.rewind(None)
                self._last_ns = None
            found = self._assemble(assembler, episode, sample.stamp_ns)
            if found is not None:
                yield found

    def _assemble(self, assembler: Assembler[Sample], episode: Episode, now_ns: int) -> RecordedObservation | None:
        found = assembler.take(now_ns)
        if isinstance(found, Gap):
            self.report.gap(found)
            return None
        instruction = self._instructions.at(found.stamp_ns)
        if instruction is None:
            self.report.refuse('before the first instruction')
            return None
        try:
            observation = self._decoded(found, instruction)
        except InputError as error:
            self.report.refuse(str(error))
            # As in the graph: unusable samples are dropped, and the pace continues from the last observation.
            assembler.clear()
            assembler.rewind(self._last_ns)
            return None
        self.report.used(found)
        self._last_ns = found.stamp_ns
        name = self.episodes.at(found.stamp_ns, episode.begin_ns)
        return RecordedObservation(name, found.stamp_ns, observation, None, found.skew_ns)

    def _decoded(self, found: Aligned[Sample], instruction: str) -> Observation:
        images: dict[str, Any] = {}
        for camera in self._spec.cameras:
            try:
                message = found.samples[camera].message
                images[camera] = picture(message)
                self.report.assume(camera, assumed(message))
            except InputError as error:
                raise InputError(f'camera {camera}: {error}') from error
        return self._spec.observation(images, found.joints, instruction)

    def _with_action(self, found: tuple[RecordedObservation, NDArray[np.float32] | None]) -> RecordedObservation:
        recorded, action = found
        self.report.with_action += action is not None
        return replace(recorded, recorded_action=action)
