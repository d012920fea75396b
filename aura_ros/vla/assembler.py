# SPDX-License-Identifier: Apache-2.0
"""Assembly of observations from several streams by their stamps. No ROS.

Joint positions are merged by name: each joint has its own samples, because the messages of a robot may hold any subset
of its joints.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError

T = TypeVar('T')
S = TypeVar('S')
JOINTS = 'joint_states'
"""Name of the stream of joint positions in gaps and counters."""


@dataclass(frozen=True)
class AssemblerConfig:
    """Time limits for the parts of one observation.

    Raises:
        ConfigError: no stream, a name twice, or a time out of its range.
    """

    streams: tuple[str, ...]
    """Names; the first is the reference camera, whose stamp becomes that of the observation."""
    slop_ns: int = 60_000_000
    """Largest distance of another stream's stamp from the reference's [ns]."""
    max_age_ns: int = 300_000_000
    """Oldest usable reference stamp [ns]."""
    future_tolerance_ns: int = 20_000_000
    """How far a stamp may be ahead of now [ns]."""
    min_interval_ns: int = 0
    """Shortest time between the stamps of two observations [ns]."""
    depth: int = 16
    """Samples kept per stream, and per joint [1]."""
    joints: tuple[str, ...] = ()
    """Names of the joints, in the order of `Aligned.joints`."""
    joint_slop_ns: Mapping[str, int] = field(default_factory=dict)
    """Largest distance of a joint's stamp from the reference's, for joints that differ from `slop_ns` [ns]."""

    def __post_init__(self) -> None:
        if not self.streams or len(set(self.streams)) != len(self.streams):
            raise ConfigError(f'streams = {list(self.streams)}: must be one or more distinct names')
        if len(set(self.joints)) != len(self.joints):
            raise ConfigError(f'joints = {list(self.joints)}: must be distinct names')
        ranges = {
            'slop_ns': (0, 10_000_000_000),
            'max_age_ns': (1_000_000, 60_000_000_000),
            'future_tolerance_ns': (0, 10_000_000_000),
            'min_interval_ns': (0, 3_600_000_000_000),
            'depth': (1, 1024),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f'{name} = {value!r}: must be in {low}..{high}')


class Wait(Enum):
    """Why there is no observation now."""

    MISSING = 'missing'  # a stream has no sample
    USED = 'used'  # nothing newer than the last observation
    EARLY = 'early'  # min_interval has not passed
    STALE = 'stale'  # the newest reference image is too old
    FUTURE = 'future'  # a stamp is ahead of now by more than the tolerance
    UNALIGNED = 'unaligned'  # a stream has nothing near the reference's stamp


@dataclass(frozen=True)
class Aligned(Generic[T]):
    """Samples that belong together, by stream name."""

    stamp_ns: int
    """Stamp of the reference sample [ns, ROS clock]."""
    samples: dict[str, T]
    joints: NDArray[np.float32]
    """Joint positions in the order of the joints of the config, float32 [J] [rad, m]."""
    joint_skew_ns: int
    """Largest distance of a joint's stamp from the reference's [ns]."""
    skew_ns: int
    """Largest distance of a stamp from the reference's, joints included [ns]."""


@dataclass(frozen=True)
class Gap:
    """Why there is no observation, and which stream causes it."""

    wait: Wait
    stream: str
    age_ns: int | None
    """Age of the stream's newest sample, negative for a stamp ahead of now; None without a sample [ns]."""
    text: str

    @property
    def faulty(self) -> bool:
        """Whether it is a fault, not the normal wait for the next image."""
        return self.wait not in (Wait.USED, Wait.EARLY)


class _Buffer(Generic[S]):
    """The newest samples of one camera or joint, in the order of their stamps."""

    def __init__(self, stream: str, label: str, slop_ns: int, depth: int) -> None:
        self.stream, self.label, self.slop_ns = stream, label, slop_ns
        self.samples: deque[tuple[int, S]] = deque(maxlen=depth)

    def order(self, stamp_ns: int) -> int:
        """Return 1 for a stamp later than all others, 0 for that of the newest sample, -1 for an earlier one."""
        if not self.samples or stamp_ns > self.samples[-1][0]:
            return 1
        return 0 if stamp_ns == self.samples[-1][0] else -1

    def in_force(self, stamp_ns: int) -> tuple[int, S]:
        """Return the newest sample at or before `stamp_ns`, or the first after it if that one is too far away."""
        after = self.samples[-1]
        for item in reversed(self.samples):
            if item[0] <= stamp_ns:
                too_old = stamp_ns - item[0] > self.slop_ns and after[0] > stamp_ns
                return after if too_old else item
            after = item
        return after


class Assembler(Generic[T]):
    """Bounded buffers per stream and per joint; returns each reference stamp at most once. Not thread-safe."""

    def __init__(self, config: AssemblerConfig) -> None:
        self._config = config
        slop_ns, depth = config.slop_ns, config.depth
        self._buffers: dict[str, _Buffer[T]] = {name: _Buffer(name, name, slop_ns, depth) for name in config.streams}
        self._joints: dict[str, _Buffer[float]] = {
            name: _Buffer(JOINTS, f'{JOINTS}: {name}', config.joint_slop_ns.get(name, slop_ns), depth)
            for name in config.joints
        }
        self._last_ns: int | None = None
        # Samples refused by stream, because the newest sample has the same stamp or a later one [1].
        counted = (*config.streams, JOINTS) if config.joints else config.streams
        self.duplicates = dict.fromkeys(counted, 0)
        self.out_of_order = dict.fromkeys(counted, 0)

    @property
    def last_stamp_ns(self) -> int | None:
        """Stamp of the last returned observation [ns]; None before the first."""
        return self._last_ns

    def add(self, stream: str, stamp_ns: int, sample: T) -> bool:
        """Buffer a sample; return False if its stamp is not later than that of the stream's newest sample.

        Raises:
            KeyError: unknown stream.
        """
        buffer = self._buffers[stream]
        order = buffer.order(stamp_ns)
        if order > 0:
            buffer.samples.append((stamp_ns, sample))
        else:
            self._refuse(stream, order)
        return order > 0

    def add_joints(self, stamp_ns: int, positions: Mapping[str, float]) -> bool:
        """Buffer the positions of any subset of the joints, by name [rad, m].

        Each joint takes its position if the stamp is later than that of its newest one. Return False if no joint did.

        Raises:
            KeyError: unknown joint.
        """
        orders = {name: self._joints[name].order(stamp_ns) for name in positions}
        for name, order in orders.items():
            if order > 0:
                self._joints[name].samples.append((stamp_ns, positions[name]))
        newest = max(orders.values(), default=1)
        if newest <= 0:
            self._refuse(JOINTS, newest)
        return newest > 0

    def _refuse(self, stream: str, order: int) -> None:
        counts = self.duplicates if order == 0 else self.out_of_order
        counts[stream] += 1

    def newest_joint_ns(self, names: Iterable[str]) -> int:
        """Return the latest stamp among the newest samples of joints [ns]; 0 without samples."""
        return max((self._joints[name].samples[-1][0] for name in names if self._joints[name].samples), default=0)

    def clear(self) -> None:
        """Remove all samples and forget which stamps were used, as after a clock jump."""
        for buffer in self._all():
            buffer.samples.clear()
        self._last_ns = None

    def _all(self) -> list[_Buffer[T] | _Buffer[float]]:
        return [*self._buffers.values(), *self._joints.values()]

    def rewind(self, stamp_ns: int | None) -> None:
        """Make observations after `stamp_ns` available again, because they led to no step."""
        self._last_ns = stamp_ns

    def take(self, now_ns: int) -> Aligned[T] | Gap:
        """Return the newest observation that is complete, aligned, fresh and not yet used.

        The reference is the newest sample of the reference camera. Every other stream, and every joint, contributes its
        newest sample that is not later. If that one is further away than the slop, the first later sample is used.

        Args:
            now_ns: current time on the clock of the stamps [ns].
        """
        for buffer in self._all():
            if not buffer.samples:
                return _gap(Wait.MISSING, buffer, now_ns, 'has no sample')
        reference = self._buffers[self._config.streams[0]]
        stamp_ns, _ = reference.samples[-1]
        gap = self._reference_gap(reference, stamp_ns, now_ns)
        if gap is not None:
            return gap
        for buffer in self._all():
            gap = self._alignment_gap(buffer, reference.label, stamp_ns, now_ns)
            if gap is not None:
                return gap
        samples = {name: buffer.in_force(stamp_ns) for name, buffer in self._buffers.items()}
        joints = [buffer.in_force(stamp_ns) for buffer in self._joints.values()]
        joint_skew_ns = max((abs(at_ns - stamp_ns) for at_ns, _ in joints), default=0)
        skew_ns = max(joint_skew_ns, *(abs(at_ns - stamp_ns) for at_ns, _ in samples.values()))
        positions = np.array([position for _, position in joints], np.float32)
        self._last_ns = stamp_ns
        found = {name: sample for name, (_, sample) in samples.items()}
        return Aligned(stamp_ns, found, positions, joint_skew_ns, skew_ns)

    def _reference_gap(self, buffer: _Buffer[T], stamp_ns: int, now_ns: int) -> Gap | None:
        config = self._config
        if stamp_ns - now_ns > config.future_tolerance_ns:
            return _gap(Wait.FUTURE, buffer, now_ns, 'has a stamp ahead of now')
        if now_ns - stamp_ns > config.max_age_ns:
            limit = f'is older than max_age = {config.max_age_ns * 1e-9:g} s'
            return _gap(Wait.STALE, buffer, now_ns, limit)
        if self._last_ns is not None:
            if stamp_ns <= self._last_ns:
                return _gap(Wait.USED, buffer, now_ns, 'has no new sample')
            if stamp_ns - self._last_ns < config.min_interval_ns:
                return _gap(Wait.EARLY, buffer, now_ns, 'is early')
        return None

    def _alignment_gap(
        self, buffer: _Buffer[T] | _Buffer[float], reference: str, stamp_ns: int, now_ns: int
    ) -> Gap | None:
        at_ns, _ = buffer.in_force(stamp_ns)
        distance_ns = abs(at_ns - stamp_ns)
        if distance_ns > buffer.slop_ns:
            far = f'is {distance_ns * 1e-9:.3f} s from {reference}: allowed {buffer.slop_ns * 1e-9:g} s'
            return _gap(Wait.UNALIGNED, buffer, now_ns, far)
        if at_ns - now_ns > self._config.future_tolerance_ns:
            return _gap(Wait.FUTURE, buffer, now_ns, 'has a stamp ahead of now')
        return None


def _gap(wait: Wait, buffer: _Buffer[T] | _Buffer[float], now_ns: int, what: str) -> Gap:
    age_ns = now_ns - buffer.samples[-1][0] if buffer.samples else None
    age = '' if age_ns is None else f' (newest is {age_ns * 1e-9:.3f} s old)'
    return Gap(wait, buffer.stream, age_ns, f'{buffer.label} {what}{age}')
