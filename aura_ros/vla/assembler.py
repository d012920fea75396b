# SPDX-License-Identifier: Apache-2.0
"""One observation out of several streams, by their stamps. Never a guess, never a zero (no ROS)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from aura_ros.common.errors import ConfigError

T = TypeVar('T')


@dataclass(frozen=True)
class AssemblerConfig:
    """How far apart in time the parts of one observation may be.

    Raises:
        ConfigError: no stream, a name twice, or a time out of its range.
    """

    # Names; the first is the reference camera, whose stamp is the observation's.
    streams: tuple[str, ...]
    # Largest distance of another stream's stamp from the reference's [ns].
    slop_ns: int = 60_000_000
    # Oldest reference stamp that is still used [ns].
    max_age_ns: int = 300_000_000
    # How far a stamp may be ahead of now [ns].
    future_tolerance_ns: int = 20_000_000
    # Least time between the stamps of two observations [ns].
    min_interval_ns: int = 0
    # Samples kept per stream.
    depth: int = 16

    def __post_init__(self) -> None:
        if not self.streams or len(set(self.streams)) != len(self.streams):
            raise ConfigError(f'streams = {list(self.streams)}: must be one or more different names')
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

    MISSING = 'missing'  # a stream has delivered nothing
    USED = 'used'  # nothing newer than the last observation
    EARLY = 'early'  # min_interval has not passed
    STALE = 'stale'  # the newest reference image is too old
    FUTURE = 'future'  # a stamp is ahead of now by more than the tolerance
    UNALIGNED = 'unaligned'  # a stream has nothing near the reference's stamp


@dataclass(frozen=True)
class Aligned(Generic[T]):
    """Samples that belong together, by stream name."""

    # Of the reference sample [ns, ROS clock].
    stamp_ns: int
    samples: dict[str, T]
    # Largest distance of a stamp from the reference's [ns].
    skew_ns: int


@dataclass(frozen=True)
class Gap:
    """Why there is no observation, and which stream is to blame."""

    wait: Wait
    stream: str
    # Age of its newest sample at `now`, negative when stamped ahead; None without one [ns].
    age_ns: int | None
    text: str

    @property
    def faulty(self) -> bool:
        """False for the normal wait for the next image."""
        return self.wait not in (Wait.USED, Wait.EARLY)


class Assembler(Generic[T]):
    """Bounded buffers per stream; gives each reference stamp out at most once. One thread."""

    def __init__(self, config: AssemblerConfig) -> None:
        self._config = config
        self._buffers: dict[str, deque[tuple[int, T]]] = {name: deque(maxlen=config.depth) for name in config.streams}
        self._last_ns: int | None = None
        # Samples refused because the newest has the same stamp, or a later one, per stream [1].
        self.duplicates = dict.fromkeys(config.streams, 0)
        self.out_of_order = dict.fromkeys(config.streams, 0)

    @property
    def last_stamp_ns(self) -> int | None:
        """Stamp of the last observation given out [ns]; None before the first."""
        return self._last_ns

    def add(self, stream: str, stamp_ns: int, sample: T) -> bool:
        """Buffer a sample; False when its stamp is not newer than the stream's newest.

        Raises:
            KeyError: no such stream.
        """
        buffer = self._buffers[stream]
        if buffer and stamp_ns <= buffer[-1][0]:
            counts = self.duplicates if stamp_ns == buffer[-1][0] else self.out_of_order
            counts[stream] += 1
            return False
        buffer.append((stamp_ns, sample))
        return True

    def clear(self) -> None:
        """Forget all samples and which stamps were used: a new episode, or a clock that jumped."""
        for buffer in self._buffers.values():
            buffer.clear()
        self._last_ns = None

    def rewind(self, stamp_ns: int | None) -> None:
        """Offer again what was observed after `stamp_ns`: nothing was made of it."""
        self._last_ns = stamp_ns

    def take(self, now_ns: int) -> Aligned[T] | Gap:
        """Give the newest observation that is complete, aligned, fresh and not yet used.

        Args:
            now_ns: present time on the stamps' clock [ns].

        The reference is the newest reference sample. Of every other stream the sample in force at
        its stamp is taken (the newest not after it), where that is further away than slop the
        first one after it.
        """
        config = self._config
        reference = config.streams[0]
        for name in config.streams:
            if not self._buffers[name]:
                return self._gap(Wait.MISSING, name, now_ns, 'has delivered nothing')
        stamp_ns, _ = self._buffers[reference][-1]
        gap = self._reference_gap(reference, stamp_ns, now_ns)
        if gap is not None:
            return gap
        samples: dict[str, T] = {}
        skew_ns = 0
        for name in config.streams:
            at_ns, sample = _in_force(self._buffers[name], stamp_ns, config.slop_ns)
            distance_ns = abs(at_ns - stamp_ns)
            if distance_ns > config.slop_ns:
                return self._gap(
                    Wait.UNALIGNED,
                    name,
                    now_ns,
                    f'is {distance_ns * 1e-9:.3f} s from {reference}: allowed {config.slop_ns * 1e-9:g} s',
                )
            if at_ns - now_ns > config.future_tolerance_ns:
                return self._gap(Wait.FUTURE, name, now_ns, 'is stamped ahead of now')
            samples[name] = sample
            skew_ns = max(skew_ns, distance_ns)
        self._last_ns = stamp_ns
        return Aligned(stamp_ns, samples, skew_ns)

    def _reference_gap(self, name: str, stamp_ns: int, now_ns: int) -> Gap | None:
        config = self._config
        if stamp_ns - now_ns > config.future_tolerance_ns:
            return self._gap(Wait.FUTURE, name, now_ns, 'is stamped ahead of now')
        if now_ns - stamp_ns > config.max_age_ns:
            limit = f'is older than max_age = {config.max_age_ns * 1e-9:g} s'
            return self._gap(Wait.STALE, name, now_ns, limit)
        if self._last_ns is not None:
            if stamp_ns <= self._last_ns:
                return self._gap(Wait.USED, name, now_ns, 'has nothing new')
            if stamp_ns - self._last_ns < config.min_interval_ns:
                return self._gap(Wait.EARLY, name, now_ns, 'is early')
        return None

    def _gap(self, wait: Wait, name: str, now_ns: int, what: str) -> Gap:
        buffer = self._buffers[name]
        age_ns = now_ns - buffer[-1][0] if buffer else None
        age = '' if age_ns is None else f' (newest is {age_ns * 1e-9:.3f} s old)'
        return Gap(wait, name, age_ns, f'{name} {what}{age}')


def _in_force(buffer: Sequence[tuple[int, T]], stamp_ns: int, slop_ns: int) -> tuple[int, T]:
    """The sample in force at `stamp_ns`, else the first after it; `buffer` is short and sorted."""
    after = buffer[-1]
    for item in reversed(buffer):
        if item[0] <= stamp_ns:
            too_old = stamp_ns - item[0] > slop_ns and after[0] > stamp_ns
            return after if too_old else item
        after = item
    return after
