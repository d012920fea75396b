# SPDX-License-Identifier: Apache-2.0
"""Steps that were recorded: the VlaStep messages in a recording of our own graph.

The memories received these steps on the robot, bit for bit. The backbone need not run again.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from aura_ros.common.action_codes import components_of
from aura_ros.common.action_spec import components_text, equal_meaning
from aura_ros.common.errors import BagError, InputError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import CAMERA_TYPES, VLA_STEP
from aura_ros.recordings.types import Sample
from aura_ros.replay.steps.actions import PendingActions
from aura_ros.replay.steps.arrays import Floats, Row, StepsInfo
from aura_ros.replay.steps.checks import action_track, check_joint_keys, topic_types
from aura_ros.replay.steps.clocks import Clock, clock_topics
from aura_ros.replay.steps.features import thumbnail
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.replay.steps.stream import StreamFacts
from aura_ros.vla.images import picture
from aura_ros.vla.protocol import BackboneSpec

# Pictures that wait for the step that was computed from them; a slow backbone needs many.
_PICTURES = 64


def recorded_backbone(bag: Bag, mapping: Mapping) -> str | None:
    """Return the backbone_hash of the first recorded step, or None if there are no recorded steps.

    Raises:
        BagError: the topic that the mapping names holds no VlaSteps.
    """
    if not mapping.steps:
        return None
    types = topic_types(bag, mapping)
    if types[mapping.steps] != VLA_STEP:
        raise BagError(f'steps: {mapping.steps} is of type {types[mapping.steps]}: must be {VLA_STEP}')
    for sample in bag.samples([mapping.steps]):
        return str(sample.message.backbone_hash)
    return None


class RecordedSteps:
    """The recorded steps of a recording; a `StepStream`."""

    def __init__(
        self, bag: Bag, mapping: Mapping, spec: BackboneSpec, begin_ns: int | None = None, end_ns: int | None = None
    ) -> None:
        """Check the topics; the arguments are those of `BackboneSteps`, with the spec of the recorded backbone.

        Raises:
            BagError: a topic is missing or of a wrong type, or a map is that of an unknown joint.
        """
        types = topic_types(bag, mapping)
        check_joint_keys(mapping, spec)
        self._bag, self._mapping, self._spec = bag, mapping, spec
        self._span = (begin_ns, end_ns)
        camera = mapping.cameras.get(spec.cameras[0], '')
        self._camera = camera if types.get(camera) in CAMERA_TYPES else ''
        names = mapping.columns(spec)
        self._track = action_track(bag, mapping, spec, types)
        self._clock = Clock(bag, mapping, clock_topics(mapping))
        self._pictures: deque[tuple[int, Any]] = deque(maxlen=_PICTURES)
        self._counts, self._problem = Counter[str](), ''
        self.info = StepsInfo.of(spec, names)

    def rows(self, known: Sequence[int]) -> Iterator[Row]:
        """Yield the steps that are not known yet; see `StepStream`."""
        actions = [stream.topic for stream in self._mapping.actions]
        topics = dict.fromkeys(filter(None, (self._mapping.steps, *actions, self._camera)))
        with_clock = dict.fromkeys([*topics, self._clock.reference] if actions and self._clock.reference else topics)
        pending = PendingActions[Row](self._track, self._spec)
        for sample in map(self._clock.dated, self._bag.samples(with_clock, *self._span)):
            if sample.topic not in topics:
                continue
            if sample.topic == self._camera:
                self._pictures.append((sample.stamp_ns, sample.message))
            if self._track is not None:
                self._track.add(sample)
            if sample.topic == self._mapping.steps:
                row = self._row(sample, len(known))
                if row is not None:
                    pending.add(row, row.stamp_ns, sample.log_ns)
            yield from map(self._with_action, pending.ready(sample.log_ns))
        yield from map(self._with_action, pending.rest())

    def _row(self, sample: Sample, known: int) -> Row | None:
        self._counts['samples'] += 1
        try:
            features, base_action = _checked(sample.message, self._spec)
        except InputError as error:
            self._counts['unusable'] += 1
            self._problem = str(error)
            return None
        self._counts['used'] += 1
        if self._counts['used'] <= known:
            return None
        message = sample.message
        return Row(
            sample.stamp_ns if sample.stamped else 0,
            str(message.episode_id),
            int(message.seq),
            features,
            base_action,
            thumbnail=self._thumbnail(sample.stamp_ns),
        )

    def _thumbnail(self, stamp_ns: int) -> bytes:
        """JPEG of the picture that the step was computed from; b'' if it was not recorded."""
        found = next((message for at_ns, message in reversed(self._pictures) if at_ns == stamp_ns), None)
        try:
            return b'' if found is None else thumbnail(picture(found))
        except InputError:
            return b''  # the step is good, only the report lacks a picture

    def _with_action(self, found: tuple[Row, Floats | None]) -> Row:
        row, action = found
        self._counts['with recorded actions'] += action is not None
        return replace(row, recorded_action=action)

    def facts(self) -> StreamFacts:
        """Return the counts of the steps and what could not be used; see `StepStream`."""
        names = ('samples', 'used', 'unusable', 'with recorded actions')
        inputs = {f'steps ({self._mapping.steps})': {name: float(self._counts[name]) for name in names}}
        notes = [f'the steps were recorded ({self._mapping.steps}): the backbone was not run again']
        if self._counts['unusable']:
            notes.append(f'{self._counts["unusable"]} recorded steps cannot be used; the last: {self._problem}')
        for topic, source in self._track.sources.items() if self._track is not None else ():
            if source.dropped:
                dropped = ', '.join(f'{count} {reason}' for reason, count in source.dropped.items())
                notes.append(f'{topic}: {source.used} recorded actions used, {dropped}')
        return StreamFacts(self._bag.damage, inputs, tuple(notes))


def _checked(message: Any, spec: BackboneSpec) -> tuple[Floats, Floats]:
    """Features and base action of a VlaStep.

    Raises:
        InputError: the step has another backbone_hash, shape or meaning of its actions, or values that are not finite.
    """
    if message.backbone_hash and message.backbone_hash != spec.backbone_hash:
        raise InputError(f'step {message.seq} has backbone_hash {message.backbone_hash[:12]}')
    features, base_action = (np.asarray(values, np.float32) for values in (message.features, message.base_action))
    shape = (spec.chunk_size, spec.action_dim)
    if (
        features.shape != (spec.feature_dim,)
        or (message.chunk_size, message.action_dim) != shape
        or base_action.size != shape[0] * shape[1]
    ):
        raise InputError(
            f'step {message.seq} has {features.size} features and {base_action.size} actions: must be '
            f'{spec.feature_dim} and {shape[0]} x {shape[1]}'
        )
    components = components_of(message, spec.action_dim)
    if not equal_meaning(components, spec.components):
        raise InputError(
            f'step {message.seq} has the actions {components_text(components)}: must be '
            f'{components_text(spec.components)}, those of the backbone'
        )
    if not (np.isfinite(features).all() and np.isfinite(base_action).all()):
        raise InputError(f'step {message.seq} is not finite')
    return features, base_action.reshape(shape)
