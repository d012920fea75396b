# SPDX-License-Identifier: Apache-2.0
"""What vla_node sees: its streams, put together by stamp, and what is wrong with them.

Executor thread only, but for `decode`, which the worker calls on samples that nobody changes any
more. Stamps are compared with the ROS clock; `input_timeout_s` is on the steady clock, so that it
also tells of a simulation that stands still.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, JointState

from aura_ros.common.errors import InputError
from aura_ros.ros.conversions import finite, joints_from_msg, to_ns
from aura_ros.ros.diagnostics import ERROR, OK, WARN, Status
from aura_ros.vla.assembler import Aligned, Assembler, AssemblerConfig, Gap, Wait
from aura_ros.vla.images import decode_compressed, decode_image, is_black
from aura_ros.vla.protocol import BackboneSpec, Observation

JOINTS = 'joint_states'


@dataclass(frozen=True)
class Timing:
    """How old and how far apart inputs may be, in seconds; see the parameters of vla_node."""

    sync_slop_s: float
    max_age_s: float
    stamp_tolerance_s: float
    input_timeout_s: float


class Inputs:
    """The newest samples of all streams of one backbone."""

    def __init__(self, spec: BackboneSpec, timing: Timing) -> None:
        """Wait for the cameras and joints that `spec` names; the first camera gives the stamps.

        Raises:
            ConfigError: a time is out of its range.
        """
        self._spec = spec
        self._timing = timing
        tick_ns = round(spec.seconds_per_action * 1e9)
        config = AssemblerConfig(
            streams=(*spec.cameras, JOINTS),
            slop_ns=round(timing.sync_slop_s * 1e9),
            max_age_ns=round(timing.max_age_s * 1e9),
            future_tolerance_ns=round(timing.stamp_tolerance_s * 1e9),
            # Half a tick of slack: stamps of a real camera jitter around the period.
            min_interval_ns=spec.n_action_steps * tick_ns - tick_ns // 2,
        )
        self._streams = config.streams
        self._assembler: Assembler[Any] = Assembler(config)
        self._arrived: dict[str, float] = {}
        self._newest_ns: dict[str, int] = {}
        self._gap: Gap | None = None
        # Of each gap counted: the stream to blame and what it showed, so that a gap counts once.
        self._counted: dict[Wait, tuple[str, int | None]] = {}
        # By stream and reason: samples and sets that could not be used [1].
        self._counts: Counter[str] = Counter()
        # By stream, why its newest sample was refused.
        self._rejections: dict[str, str] = {}

    def add_image(self, camera: str, message: Image | CompressedImage, now_ns: int) -> None:
        """Keep an image; it is decoded only when it is used."""
        self._add(camera, to_ns(message.header.stamp), message, now_ns)

    def add_joints(self, message: JointState, now_ns: int) -> None:
        """Keep joint positions, unless one is missing or not finite."""
        names = self._spec.joint_names
        try:
            with np.errstate(over='ignore'):  # float32 overflows where float64 did not
                positions = finite(JOINTS, joints_from_msg(message, names), (len(names),))
        except InputError as error:
            self._arrived[JOINTS] = time.monotonic()
            self._reject(JOINTS, 'rejected', str(error))
            return
        self._add(JOINTS, to_ns(message.header.stamp), positions, now_ns)

    def _add(self, stream: str, stamp_ns: int, sample: Any, now_ns: int) -> None:
        self._arrived[stream] = time.monotonic()
        if stamp_ns <= 0:
            self._reject(stream, 'unstamped', f'{stream} is stamped zero: its driver must stamp it')
            return
        self._rejections.pop(stream, None)
        if not self._assembler.add(stream, stamp_ns, sample):
            ahead_s = (self._newest_ns.get(stream, 0) - now_ns) * 1e-9
            if ahead_s <= self._timing.stamp_tolerance_s:
                return
            # A sender whose clock was wrong has been mended: what it sent from the future must not
            # keep out what it sends now.
            self._assembler.clear()
            self._assembler.add(stream, stamp_ns, sample)
        self._newest_ns[stream] = stamp_ns

    def _reject(self, stream: str, reason: str, text: str) -> None:
        self._counts[f'{stream} {reason}'] += 1
        self._rejections[stream] = text

    def take(self, now_ns: int) -> Aligned[Any] | None:
        """Return the newest complete set that was not used yet, None with the reason kept."""
        found = self._assembler.take(now_ns)
        if isinstance(found, Gap):
            self._gap = found
            self._count(found)
            return None
        self._gap = None
        return found

    def _count(self, gap: Gap) -> None:
        """Count a gap once, however often it is looked at."""
        about = gap.stream, self._newest_ns.get(self._streams[0])
        if gap.faulty and self._counted.get(gap.wait) != about:
            self._counted[gap.wait] = about
            self._counts[f'{gap.stream} {gap.wait.value}'] += 1

    @property
    def counts(self) -> dict[str, int]:
        """By stream and reason, samples and sets that could not be used [1]."""
        known = {'duplicate': self._assembler.duplicates, 'out of order': self._assembler.out_of_order}
        of_order = {
            f'{stream} {reason}': count for reason, counts in known.items() for stream, count in counts.items() if count
        }
        return {**of_order, **self._counts}

    def again(self, last_ns: int | None) -> None:
        """Offer again what was seen after the last step, stamped `last_ns`: nothing was made of it."""
        self._assembler.rewind(last_ns)

    def clear(self) -> None:
        """Forget everything: the clock jumped, or what was seen last cannot be used."""
        self._assembler.clear()

    def problem(self) -> str:
        """Say which stream is missing, silent or unusable, '' when all deliver."""
        now = time.monotonic()
        silent = []
        for stream in (*self._spec.cameras, JOINTS):
            if stream not in self._arrived:
                silent.append(f'{stream}: nothing received')
            elif now - self._arrived[stream] > self._timing.input_timeout_s:
                silent.append(f'{stream}: nothing for {now - self._arrived[stream]:.1f} s')
        return '; '.join(silent or self._rejections.values())

    def status(self, waiting_s: float) -> Status:
        """Report on the streams; `waiting_s` is how long an episode has waited for a step [s]."""
        values = self.counts
        problem = self.problem()
        waits = waiting_s > self._timing.input_timeout_s
        if waits and not problem and self._gap is not None:
            problem = self._gap.text
        if problem:
            return Status(ERROR if waits else WARN, problem, values)
        return Status(OK, 'all inputs arrive', values)


def decode(aligned: Aligned[Any], spec: BackboneSpec, instruction: str) -> Observation:
    """Decode one set of samples for the backbone.

    Raises:
        InputError: an image cannot be decoded, or a camera shows nothing but black.
    """
    images: Mapping[str, NDArray[np.uint8]] = {
        camera: _pixels(camera, aligned.samples[camera]) for camera in spec.cameras
    }
    return Observation(images, aligned.samples[JOINTS], instruction)


def _pixels(camera: str, message: Image | CompressedImage) -> NDArray[np.uint8]:
    try:
        if isinstance(message, CompressedImage):
            pixels = decode_compressed(message.data, message.format)
        else:
            pixels = decode_image(
                message.data, message.height, message.width, message.encoding, message.step, message.is_bigendian
            )
    except InputError as error:
        raise InputError(f'camera {camera}: {error}') from error
    if is_black(pixels):
        raise InputError(f'camera {camera}: the image is black; is the lens covered?')
    return pixels
