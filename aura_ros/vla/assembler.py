# SPDX-License-Identifier: Apache-2.0
"""Assembly of observations from several streams by their stamps. No ROS."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from aura_ros.common.errors import ConfigError

T = TypeVar('T')


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
    """Samples kept per stream [1]."""

    def __post_init__(self) -> None:
        if not self.streams or len(set(self.streams)) != len(self.streams):
            raise ConfigError(f'streams = {list(self.streams)}: must be one or more distinct names')
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
    skew_ns: int
    """Largest distance of a stamp from the reference's [ns]."""


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


class Assembler(Generic[T]):
    """Bounded buffers per stream; returns each reference stamp at most once. Not thread-safe."""

    def __init__(self, config: AssemblerConfig) -> None:
        self._config = config
        self._buffers: dict[str, deque[tuple[int, T]]] = {name: deque(maxlen=config.depth) for name in config.streams}
        self._last_ns: int | None = None
        # Samples refused by stream, because the newest sample has the same stamp or a later one [1].
        self.duplicates = dict.fromkeys(config.streams, 0)
        self.out_of_order = dict.fromkeys(config.streams, 0)

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
        if buffer and stamp_ns <= buffer[-1][0]:
            counts = self.duplicates if stamp_ns == buffer[-1][0] else self.out_of_order
            counts[stream] += 1
            return False
        buffer.append((stamp_ns, sample))
        return True

    def clear(self) -> None:
        """Remove all samples and forget which stamps were used, as after a clock jump."""
        for buffer in self._buffers.values():
            buffer.clear()
        self._last_ns = None

    def rewind(self, stamp_ns: int | None) -> None:
        """Make observations after `stamp_ns` available again, because they led to no step."""
        self._last_ns = stamp_ns

    def take(self, now_ns: int) -> Aligned[T] | Gap:
        """Return the newest observation that is complete, aligned, fresh and not yet used.

        The reference is the newest sample of the reference camera. Every other stream contributes its newest sample
        that is not later. If that one is further away than the slop, the first later sample is used.

        Args:
            now_ns: current time on the clock of the stamps [ns].
        """
        config = self._config
        reference = config.streams[0]
        for name in config.streams:
            if not self._buffers[name]:
                return self._gap(Wait.MISSING, name, now_ns, 'has no sample')
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
                return self._gap(Wait.FUTURE, name, now_ns, 'has a stamp ahead of now')
            samples[name] = sample
            skew_ns = max(skew_ns, distance_ns)
        self._last_ns = stamp_ns
        return Aligned(stamp_ns, samples, skew_ns)

    def _reference_gap(self, name: str, stamp_ns: int, now_ns: int) -> Gap | None:
        config = self._config
        if stamp_ns - now_ns > config.future_tolerance_ns:
            return self._gap(Wait.FUTURE, name, now_ns, 'has a stamp ahead of now')
        if now_ns - stamp_ns > config.max_age_ns:
            limit = f'is older than max_age = {config.max_age_ns * 1e-9:g} s'
            return self._gap(Wait.STALE, name, now_ns, limit)
        if self._last_ns is not None:
            if stamp_ns <= self._last_ns:
                return self._gap(Wait.USED, name, now_ns, 'has no new sample')
            if stamp_ns - self._last_ns < config.min_interval_ns:
                return self._gap(Wait.EARLY, name, now_ns, 'is early')
        return None

    def _gap(self, wait: Wait, name: str, now_ns: int, what: str) -> Gap:
        buffer = self._buffers[name]
        age_ns = now_ns - buffer[-1][0] if buffer else None
        age = '' if age_ns is None else f' (newest is {age_ns * 1e-9:.3f} s old)'
        return Gap(wait, name, age_ns, f'{name} {what}{age}')


def _in_force(buffer: Sequence[tuple[int, T]], stamp_ns: int, slop_ns: int) -> tuple[int, T]:
    """Return the newest sample at or before `stamp_ns`, or the first after it; `buffer` is short and sorted."""
    after = buffer[-1]
    for item in reversed(buffer):
        if item[0] <= stamp_ns:
            too_old = stamp_ns - item[0] > slop_ns and after[0] > stamp_ns
            return after if too_old else item
        after = item
    return after
