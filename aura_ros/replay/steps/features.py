# SPDX-License-Identifier: Apache-2.0
"""From a recording to the steps of a backbone: each observation goes through it once, and into the cache."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import BagError, InputError
from aura_ros.recordings.bags import Bag
from aura_ros.replay.evaluated import About
from aura_ros.replay.steps.align import observations
from aura_ros.replay.steps.arrays import StepsBuilder, StepsInfo
from aura_ros.replay.steps.cache import PART_STEPS, StepCache
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.vla.protocol import Backbone

Floats = NDArray[np.float32]

THUMBNAIL = 160
"""Longest side of a thumbnail [px]."""
_IMPLAUSIBLE = 4 * np.pi
"""Joint position beyond which another unit is likelier, even with a policy that turns on and on [rad]."""
_QUALITY = 82


@dataclass(frozen=True)
class Row:
    """One step as `StepsBuilder.add` takes it; the arrays are those of steps.py."""

    stamp_ns: int
    episode_id: str
    seq: int
    features: Floats
    base: Floats
    action: Floats | None
    skew_ns: int
    thumbnail: bytes


class StepStream(Protocol):
    """Steps of a recording, one after the other, once.

    info: what holds for all of them.
    """

    info: StepsInfo

    def rows(self, known: Sequence[int]) -> Iterator[Row]:
        """Give the steps that follow those with the stamps `known` [ns]."""
        ...

    def inputs(self) -> dict[str, dict[str, float]]:
        """How each stream was used so far: figures by their names, by name of the stream."""
        ...

    def notes(self) -> tuple[str, ...]:
        """What a reader should know, in sentences."""
        ...


class BackboneSteps:
    """The steps that a backbone makes of the observations of a recording."""

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
            bag: open.
            mapping: which topic is what.
            backbone: to run.
            digest: of the recording, for the names of its episodes.
            begin_ns: log time from which on it is read [ns].
            end_ns: log time up to which it is read [ns].

        Raises:
            BagError: it has not.

        """
        spec = backbone.spec
        self._found = observations(bag, mapping, spec, begin_ns, end_ns)
        self._backbone, self._digest = backbone, digest
        self._refused, self._problem = 0, ''
        self._furthest = 0.0
        self.info = StepsInfo(
            spec.joint_names[: spec.action_dim], spec.seconds_per_action, spec.n_action_steps, spec.backbone_hash
        )

    def rows(self, known: Sequence[int]) -> Iterator[Row]:
        """Run the backbone on what is not known yet; see `StepStream`."""
        spec, seqs, seen = self._backbone.spec, Counter[str](), 0
        for recorded in self._found:
            self._furthest = max(self._furthest, float(np.abs(recorded.observation.joint_positions).max()))
            if seen < len(known):
                if recorded.stamp_ns == known[seen]:  # else the backbone refused it
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
                recorded.action,
                recorded.skew_ns,
                thumbnail(recorded.observation.images[spec.cameras[0]]),
            )
            seqs[recorded.episode] += 1

    def inputs(self) -> dict[str, dict[str, float]]:
        """The figures of the alignment report; see `StepStream`."""
        return {
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
            for stream in self._found.report.streams
        }

    def notes(self) -> tuple[str, ...]:
        """The notes of the alignment report, and what became of the first camera's pictures; see `StepStream`."""
        report = self._found.report
        found = [*report.notes, f'{report.with_action} of {report.observations} steps have recorded actions']
        found += [
            f'{count} pictures of the first camera became no step: {why}' for why, count in report.refused.items()
        ]
        if self._found.one_episode:
            found.append(
                'the recording tells of no episodes: all of it is one, and memory is emptied only where it begins'
            )
        if self._furthest > _IMPLAUSIBLE:
            found.append(
                f'a joint stands at {self._furthest:.0f} rad: if these are degrees, the mapping needs '
                'joints: {unit: deg}'
            )
        if self._refused:
            found.append(f'the backbone refused {self._refused} observations; the last: {self._problem}')
        return tuple(found)


def fill(
    cache: StepCache,
    stream: StepStream,
    about: Callable[[], About],
    limit: int | None = None,
    advance: Callable[[Row], None] = lambda _: None,
) -> None:
    """Bring a cache up to date: all steps of a stream, or the first `limit`.

    Args:
        cache: goes on after the steps it has.
        stream: fresh.
        about: what is known of the recording by now.
        limit: steps that are enough.
        advance: called with every step that is new.

    Raises:
        BagError: there is no step in the recording.
        ConfigError: there is no room for the cache.

    """
    if cache.complete or (limit is not None and len(cache) >= limit):
        return
    known = [stamp for part in cache.parts() for stamp in part.stamps_ns.tolist()]
    builder = StepsBuilder(stream.info)
    finished = False
    try:
        for row in stream.rows(known):
            builder.add(
                row.stamp_ns,
                row.episode_id,
                row.seq,
                row.features,
                row.base,
                action=row.action,
                skew_ns=row.skew_ns,
                thumbnail=row.thumbnail,
            )
            advance(row)
            if len(builder) == PART_STEPS:
                cache.append(builder.take())
            if limit is not None and len(cache) + len(builder) >= limit:
                break
        else:
            finished = True
    finally:  # also what was done before Ctrl-C counts
        if len(builder):
            cache.append(builder.take())
        cache.note(about(), finished and len(cache) > 0)
    if not len(cache):
        raise BagError(f'no step can be made of it: {"; ".join(stream.notes()) or "it holds no observation"}')


def episode_id(digest: str, name: str) -> str:
    """The UUID of an episode of a recording that gave it none: the same recording gives the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f'{digest}/{name}'))


def thumbnail(image: NDArray[np.uint8]) -> bytes:
    """A small JPEG of a picture, RGB uint8 [H, W, 3]."""
    height, width = image.shape[:2]
    factor = min(1.0, THUMBNAIL / max(height, width))
    small = (
        image
        if factor == 1.0
        else cv2.resize(
            image, (max(1, round(width * factor)), max(1, round(height * factor))), interpolation=cv2.INTER_AREA
        )
    )
    _, data = cv2.imencode('.jpg', np.ascontiguousarray(small[:, :, ::-1]), (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return bytes(data.tobytes())
