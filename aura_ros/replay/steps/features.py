# SPDX-License-Identifier: Apache-2.0
"""Steps from the observations of a recording: each observation goes through the backbone once."""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.align import Observations
from aura_ros.replay.steps.arrays import Row, StepsInfo
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.replay.steps.stream import StreamFacts
from aura_ros.vla.protocol import Backbone

THUMBNAIL = 160
"""Longest side of a thumbnail [px]."""
_IMPLAUSIBLE = 4 * np.pi
"""Joint position that suggests degrees, even for a joint that turns without limits [rad]."""
_QUALITY = 82


class BackboneSteps:
    """Steps that a backbone computes from the observations of a recording; a `StepStream`."""

    def __init__(
        self,
        bag: Bag,
        mapping: Mapping,
        backbone: Backbone,
        digest: str,
        begin_ns: int | None = None,
        end_ns: int | None = None,
    ) -> None:
        """Check that the recording has what the backbone needs.

        Args:
            bag: open recording.
            mapping: roles of the topics.
            backbone: backbone to run.
            digest: digest of the recording, part of the ids of its episodes.
            begin_ns: log time at which reading begins [ns]; None for the beginning.
            end_ns: log time at which reading ends [ns]; None for the end.

        Raises:
            BagError: the recording or the mapping lacks something.
        """
        spec = backbone.spec
        self._bag = bag
        self._observations = Observations(bag, mapping, spec, begin_ns, end_ns)
        self._backbone, self._digest = backbone, digest
        self._refused, self._problem = 0, ''
        self._furthest = 0.0
        self.info = StepsInfo.of(spec, mapping.columns(spec))

    def rows(self, known: Sequence[int]) -> Iterator[Row]:
        """Run the backbone on the observations that are not known yet; see `StepStream`."""
        spec, seqs, seen = self._backbone.spec, Counter[str](), 0
        for recorded in self._observations:
            self._furthest = max(self._furthest, float(np.abs(recorded.observation.joint_positions).max()))
            if seen < len(known):
                if recorded.stamp_ns == known[seen]:  # otherwise the backbone refused it
                    seqs[recorded.episode] += 1
                    seen += 1
                continue
            try:
                output = self._backbone.infer(recorded.observation)
            except InputError as error:
                self._refused, self._problem = self._refused + 1, str(error)
                continue
            yield Row(
                recorded.stamp_ns,
                episode_id(self._digest, recorded.episode),
                seqs[recorded.episode],
                output.features,
                output.actions,
                recorded.recorded_action,
                thumbnail(recorded.observation.images[spec.cameras[0]]),
            )
            seqs[recorded.episode] += 1

    def facts(self) -> StreamFacts:
        """Return the figures and notes of the alignment report; see `StepStream`."""
        inputs = {
            f'{stream.name} ({stream.topic})': {
                'samples': stream.samples,
                'used': stream.used,
                'out of order': stream.out_of_order,
                'unusable': stream.unusable,
                'without a stamp': stream.unstamped,
                'skew p50 [ms]': stream.skew.p50,
                'skew p95 [ms]': stream.skew.p95,
                'skew most [ms]': stream.skew.largest,
            }
            for stream in self._observations.report.streams
        }
        return StreamFacts(self._bag.damage, inputs, tuple(self._notes()), self._bag.notes)

    def _notes(self) -> Iterator[str]:
        report = self._observations.report
        yield from report.notes
        yield f'{report.with_action} of {report.observations} steps have recorded actions'
        for why, count in report.refused.items():
            yield f'{count} pictures of the first camera gave no step: {why}'
        if self._observations.episodes.one:
            yield 'the recording names no episodes: it is one episode, and memory is empty only at its beginning'
        if self._furthest > _IMPLAUSIBLE:
            yield (
                f'a joint position is {self._furthest:.0f} rad: if the unit is degrees, add joints: {{unit: deg}} to '
                'the mapping'
            )
        if self._refused:
            yield f'the backbone refused {self._refused} observations; the last: {self._problem}'


def episode_id(digest: str, name: str) -> str:
    """Return the UUID of an episode without one: the same recording always gives the same UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f'{digest}/{name}'))


def thumbnail(image: NDArray[np.uint8]) -> bytes:
    """Return a small JPEG of a picture, RGB uint8 [H, W, 3]."""
    height, width = image.shape[:2]
    factor = min(1.0, THUMBNAIL / max(height, width))
    if factor < 1.0:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode('.jpg', np.ascontiguousarray(image[:, :, ::-1]), (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return bytes(data.tobytes())
