# SPDX-License-Identifier: Apache-2.0
"""The input streams of vla_node: assembly by stamp, and the report on their faults.

Executor thread only, except `decode`, which the worker calls on samples that no longer change. Stamps are compared with
the ROS clock. `input_timeout_s` is on the steady clock, so that it also detects a stopped simulation.
"""

import time
from collections import Counter
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, JointState

from aura_ros.common.errors import InputError
from aura_ros.control import JointSources
from aura_ros.control.outputs import POSE_AXES
from aura_ros.ros.commands import pose_from_msg
from aura_ros.ros.conversions import to_ns
from aura_ros.ros.diagnostics import ERROR, OK, WARN, Status
from aura_ros.vla.assembler import JOINTS, Aligned, Assembler, AssemblerConfig, Gap, Wait
from aura_ros.vla.images import picture
from aura_ros.vla.joints import MAX_JOINT_NAMES, joint_values
from aura_ros.vla.protocol import BackboneSpec, Observation

Sample: TypeAlias = Image | CompressedImage


@dataclass(frozen=True)
class Timing:
    """Time limits of the inputs, from the parameters of vla_node."""

    sync_slop_s: float
    """Largest distance of stamps in one observation [s]."""
    max_age_s: float
    """Oldest usable image [s]."""
    stamp_tolerance_s: float
    """How far a stamp may be ahead of the clock [s]."""
    input_timeout_s: float
    """Longest time without a message of a stream before it is reported [s, steady clock]."""


class Inputs:
    """The newest samples of all streams of one backbone."""

    def __init__(self, spec: BackboneSpec, timing: Timing, sources: JointSources) -> None:
        """Set the streams from `spec`; its first camera is the reference. `sources` has the maps of joints.

        Raises:
            ConfigError: a time is out of its range.
        """
        self._spec = spec
        self._timing = timing
        self._sources = sources
        # The measured joint that gives each joint of the backbone.
        self._measured = {name: sources.source(name) for name in spec.joint_names}
        # In lock-step the stamps are equal, and an older position must not stand in for one that has not arrived yet.
        ages_s = sources.max_age_s if timing.sync_slop_s > 0.0 else {}
        tick_ns = round(spec.seconds_per_action * 1e9)
        config = AssemblerConfig(
            streams=spec.cameras,
            joints=spec.joint_names,
            joint_slop_ns={name: round(age_s * 1e9) for name, age_s in ages_s.items()},
            slop_ns=round(timing.sync_slop_s * 1e9),
            max_age_ns=round(timing.max_age_s * 1e9),
            future_tolerance_ns=round(timing.stamp_tolerance_s * 1e9),
            # Half an action of slack, because the stamps of a real camera jitter around the period.
            min_interval_ns=spec.n_action_steps * tick_ns - tick_ns // 2,
        )
        self._assembler: Assembler[Sample] = Assembler(config)
        # Arrival of the newest message of each stream, and of the newest one that names each joint [s, steady clock].
        self._arrived: dict[str, float] = {}
        self._newest_ns: dict[str, int] = {}
        self._gap: Gap | None = None
        # The stream and reference stamp of the last counted gap of each kind, so that a gap counts once.
        self._counted: dict[Wait, tuple[str, int | None]] = {}
        # Unusable samples and observations, by stream and reason [1].
        self._counts: Counter[str] = Counter()
        # Why the newest sample was rejected, by camera or by topic of joints.
        self._rejections: dict[str, str] = {}

    def add_image(self, camera: str, message: Image | CompressedImage, now_ns: int) -> None:
        """Add an image; it is decoded when it is used."""
        self._add(camera, to_ns(message.header.stamp), message, now_ns)

    def add_joints(self, message: JointState, now_ns: int, topic: str = JOINTS) -> None:
        """Add the positions of the joints that a message names, or reject it if one is not finite."""
        self._arrived[JOINTS] = now = time.monotonic()
        named = set(message.name[:MAX_JOINT_NAMES])
        self._arrived |= {f'{JOINTS}: {name}': now for name, source in self._measured.items() if source in named}
        try:
            found = joint_values(message.name, message.position, tuple(self._measured.values()))
        except InputError as error:
            self._reject(JOINTS, 'rejected', f'{topic} {error}', topic)
            return
        positions = self._sources.to_policy(found, self._spec.joint_names, self._spec.joints_in_degrees)
        if not positions:  # a message of other joints, or an empty one at the start of a driver
            return
        stamp_ns = to_ns(message.header.stamp)
        if self._stamped(JOINTS, stamp_ns, topic):
            if self._assembler.newest_joint_ns(positions) > max(stamp_ns, self._latest_ns(now_ns)):
                self._assembler.clear()
            self._assembler.add_joints(stamp_ns, positions)

    def add_pose(self, message: PoseStamped, now_ns: int, topic: str, frame: str) -> None:
        """Add a measured pose as the positions of POSE_AXES, or reject it if it is not in `frame` or not finite."""
        try:
            if message.header.frame_id != frame:
                raise InputError(f"has the frame '{message.header.frame_id}': must be base_frame = '{frame}'")
            pose = pose_from_msg(message)
        except InputError as error:
            self._arrived[JOINTS] = time.monotonic()
            self._reject(JOINTS, 'rejected', f'{topic} {error}', topic)
            return
        axes = JointState(header=message.header, name=list(POSE_AXES), position=pose.tolist())
        self.add_joints(axes, now_ns, topic)

    def refuse(self, stream: str, reason: str, topic: str = '') -> None:
        """Count a message that is too large or cannot be converted; joints need their `topic`."""
        self._arrived[stream] = time.monotonic()
        source = topic or stream
        self._reject(stream, 'rejected', f'{source}: {reason}', source)

    def _add(self, stream: str, stamp_ns: int, sample: Sample, now_ns: int) -> None:
        self._arrived[stream] = time.monotonic()
        if self._stamped(stream, stamp_ns, stream):
            if self._newest_ns.get(stream, 0) > max(stamp_ns, self._latest_ns(now_ns)):
                self._assembler.clear()
            if self._assembler.add(stream, stamp_ns, sample):
                self._newest_ns[stream] = stamp_ns

    def _stamped(self, stream: str, stamp_ns: int, source: str) -> bool:
        if stamp_ns <= 0:
            text = f'stamp of {source} is zero: its driver must stamp its messages'
            self._reject(stream, 'unstamped', text, source)
            return False
        self._rejections.pop(source, None)
        return True

    def _latest_ns(self, now_ns: int) -> int:
        """Return the latest credible stamp [ns].

        A newest sample beyond it shows that the sender's clock was ahead. It must not block new samples.
        """
        return now_ns + round(self._timing.stamp_tolerance_s * 1e9)

    def _reject(self, stream: str, reason: str, text: str, source: str) -> None:
        self._counts[f'{stream} {reason}'] += 1
        self._rejections[source] = text

    def take(self, now_ns: int) -> Aligned[Sample] | None:
        """Return the newest complete observation that was not used yet; None keeps the reason for `status`."""
        found = self._assembler.take(now_ns)
        if isinstance(found, Gap):
            self._gap = found
            self._count(found)
            return None
        self._gap = None
        return found

    def _count(self, gap: Gap) -> None:
        """Count a gap once, however often it is seen."""
        about = gap.stream, self._newest_ns.get(self._spec.cameras[0])
        if gap.faulty and self._counted.get(gap.wait) != about:
            self._counted[gap.wait] = about
            self._counts[f'{gap.stream} {gap.wait.value}'] += 1

    @property
    def counts(self) -> dict[str, int]:
        """Unusable samples and observations, by stream and reason [1]."""
        known = {'duplicate': self._assembler.duplicates, 'out of order': self._assembler.out_of_order}
        of_order = {
            f'{stream} {reason}': count for reason, counts in known.items() for stream, count in counts.items() if count
        }
        return {**of_order, **self._counts}

    def again(self, last_ns: int | None) -> None:
        """Make observations after the last step, stamped `last_ns`, available again."""
        self._assembler.rewind(last_ns)

    def clear(self) -> None:
        """Remove all samples: the clock jumped, or the last observation is unusable."""
        self._assembler.clear()

    def problem(self) -> str:
        """Return which streams and joints are missing, silent or unusable, '' if all deliver."""
        silent = [text for stream in (*self._spec.cameras, JOINTS) if (text := self._silence(stream))]
        if JOINTS in self._arrived:
            joints = [f'{JOINTS}: {name}' for name in self._spec.joint_names]
            silent += [text for joint in joints if (text := self._silence(joint))]
        return '; '.join(silent or self._rejections.values())

    def _silence(self, stream: str) -> str:
        """Return that a stream or joint is silent, '' if it delivers."""
        if stream not in self._arrived:
            return f'{stream}: nothing received'
        silent_s = time.monotonic() - self._arrived[stream]
        return f'{stream}: nothing for {silent_s:.1f} s' if silent_s > self._timing.input_timeout_s else ''

    def status(self, waiting_s: float) -> Status:
        """Return the status of the streams; `waiting_s` is how long an episode has waited for a step [s]."""
        values = self.counts
        problem = self.problem()
        waits = waiting_s > self._timing.input_timeout_s
        if waits and not problem and self._gap is not None:
            problem = self._gap.text
        if problem:
            return Status(ERROR if waits else WARN, problem, values)
        return Status(OK, 'all inputs arrive', values)


def decode(aligned: Aligned[Sample], spec: BackboneSpec, instruction: str) -> Observation:
    """Return the observation of one set of samples.

    Raises:
        InputError: an image cannot be decoded or is black.
    """
    images = {camera: _pixels(camera, aligned.samples[camera]) for camera in spec.cameras}
    return spec.observation(images, aligned.joints, instruction)


def _pixels(camera: str, message: Image | CompressedImage) -> NDArray[np.uint8]:
    try:
        return picture(message)
    except InputError as error:
        raise InputError(f'camera {camera}: {error}') from error
