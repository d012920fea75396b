# SPDX-License-Identifier: Apache-2.0
"""Steps as they were recorded: the messages of `vla_step`, where a recording of our own graph has them.

They are what the memories got when the robot moved, bit for bit, and the backbone need not run again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from aura_ros.common.errors import BagError, InputError
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.source import Sample
from aura_ros.recordings.type_names import CAMERA_TYPES, VLA_STEP
from aura_ros.replay.steps.actions import ActionTrack, action_kind
from aura_ros.replay.steps.arrays import StepsInfo
from aura_ros.replay.steps.checks import topic_types
from aura_ros.replay.steps.features import Row, thumbnail
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.replay.steps.message_values import picture
from aura_ros.vla.protocol import BackboneSpec

# Pictures that are kept until the step comes that was made of one of them: a slow backbone's.
_PICTURES = 64
# How much longer than a chunk is waited for late actions [ns, log time].
_PATIENCE_NS = 1_000_000_000


def recorded_backbone(bag: Bag, mapping: Mapping) -> str | None:
    """SHA-256 of the backbone's weights, hex, by the first recorded step; None where none was recorded.

    Raises:
        BagError: the topic that the mapping names holds no steps.

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
    """The steps of a recording as they were published; see `StepStream`."""

    def __init__(
        self, bag: Bag, mapping: Mapping, spec: BackboneSpec, begin_ns: int | None = None, end_ns: int | None = None
    ) -> None:
        """Check the topics; arguments as of `BackboneSteps`, with the spec of the backbone that was recorded.

        Raises:
            BagError: a topic is missing or of a type that will not do.

        """
        types = topic_types(bag, mapping)
        self._bag, self._mapping, self._spec = bag, mapping, spec
        self._span = (begin_ns, end_ns)
        camera = mapping.cameras.get(spec.cameras[0], '')
        self._camera = camera if types.get(camera) in CAMERA_TYPES else ''
        names = spec.joint_names[: spec.action_dim]
        self._track = (
            None
            if mapping.actions is None
            else ActionTrack(mapping.actions, action_kind(mapping.actions, types[mapping.actions.topic]), names)
        )
        self._tick_ns = round(spec.seconds_per_action * 1e9)
        self._pictures: deque[tuple[int, Any]] = deque(maxlen=_PICTURES)
        self._counts, self._problem = Counter[str](), ''
        self.info = StepsInfo(names, spec.seconds_per_action, spec.n_action_steps, spec.backbone_hash)

    def rows(self, known: Sequence[int]) -> Iterator[Row]:
        """Give the steps that are not known yet; see `StepStream`."""
        actions = self._mapping.actions.topic if self._mapping.actions else ''
        topics = dict.fromkeys(filter(None, (self._mapping.steps, actions, self._camera)))
        chunk_ns = (self._spec.chunk_size - 1) * self._tick_ns
        waiting: deque[tuple[int, Row]] = deque()
        for sample in self._bag.samples(topics, *self._span):
            if sample.topic == self._camera:
                self._pictures.append((sample.stamp_ns, sample.message))
            if sample.topic == actions and self._track is not None:
                self._track.add(sample)
            if sample.topic == self._mapping.steps:
                row = self._row(sample, len(known))
                if row is not None:
                    waiting.append((sample.log_ns, row))
            while waiting and (
                self._track is None
                or self._track.covers(waiting[0][1].stamp_ns + chunk_ns)
                or sample.log_ns > waiting[0][0] + chunk_ns + _PATIENCE_NS
            ):
                yield self._with_action(waiting.popleft()[1])
        for _, row in waiting:
            yield self._with_action(row)

    def _row(self, sample: Sample, known: int) -> Row | None:
        self._counts['samples'] += 1
        try:
            features, base = _checked(sample.message, self._spec)
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
            base,
            None,
            0,
            self._thumbnail(sample.stamp_ns),
        )

    def _thumbnail(self, stamp_ns: int) -> bytes:
        """The picture of that stamp, which is what the step was made of; empty where it was not recorded."""
        found = next((message for at_ns, message in reversed(self._pictures) if at_ns == stamp_ns), None)
        try:
            return b'' if found is None else thumbnail(picture(found))
        except InputError:
            return b''  # the backbone could use it: only the report lacks a picture

    def _with_action(self, row: Row) -> Row:
        if self._track is None:
            return row
        action = self._track.chunk(row.stamp_ns, self._spec.chunk_size, self._tick_ns)
        self._track.forget_before(row.stamp_ns)
        self._counts['with recorded actions'] += action is not None
        return Row(row.stamp_ns, row.episode_id, row.seq, row.features, row.base, action, row.skew_ns, row.thumbnail)

    def inputs(self) -> dict[str, dict[str, float]]:
        """Counts of the steps; see `StepStream`."""
        names = ('samples', 'used', 'unusable', 'with recorded actions')
        return {f'steps ({self._mapping.steps})': {name: float(self._counts[name]) for name in names}}

    def notes(self) -> tuple[str, ...]:
        """That the backbone was not run, and what could not be used; see `StepStream`."""
        found = [f'the steps were recorded ({self._mapping.steps}): the backbone was not run again']
        if self._counts['unusable']:
            found.append(f'{self._counts["unusable"]} recorded steps cannot be used; the last: {self._problem}')
        if self._track is not None and self._track.dropped:
            dropped = ', '.join(f'{count} {reason}' for reason, count in self._track.dropped.items())
            found.append(f'{self._track.used} recorded actions used, {dropped}')
        return tuple(found)


def _checked(message: Any, spec: BackboneSpec) -> tuple[Any, Any]:
    """Features and base action of a VlaStep.

    Raises:
        InputError: it is of other weights or another shape, or not finite.

    """
    if message.backbone_hash and message.backbone_hash != spec.backbone_hash:
        raise InputError(f'step {message.seq} is of a VLA with weights {message.backbone_hash[:12]}')
    features, base = (np.asarray(values, np.float32) for values in (message.features, message.base_action))
    shape = (spec.chunk_size, spec.action_dim)
    if (
        features.shape != (spec.feature_dim,)
        or (message.chunk_size, message.action_dim) != shape
        or base.size != shape[0] * shape[1]
    ):
        raise InputError(
            f'step {message.seq} has {features.size} features and {base.size} actions: must be '
            f'{spec.feature_dim} and {shape[0]} x {shape[1]}'
        )
    if not (np.isfinite(features).all() and np.isfinite(base).all()):
        raise InputError(f'step {message.seq} is not finite')
    return features, base.reshape(shape)
