# SPDX-License-Identifier: Apache-2.0
"""The record of a soak test and its checks: memory of each process, rates, lost steps (no ROS)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.bench.robot.records import Check
from aura_ros.common.errors import ConfigError
from aura_ros.common.files import replace_text
from aura_ros.common.provenance import versions, weight_hashes

FORMAT = 1
# Largest number of points of a slope, which is computed from all their pairs.
_SLOPE_POINTS = 500
# Fraction of each series to skip: libraries load and buffers fill at the start.
_WARM_UP = 0.2


@dataclass(frozen=True)
class SoakLimits:
    """Limits of the checks. The command line can change them.

    Raises:
        ConfigError: a value is out of range.
    """

    growth_mb: float = 10.0
    """Largest growth of the resident memory of a node after the warm-up [MB]."""
    rate_tolerance: float = 0.05
    """Largest relative deviation of the mean command and step rates from the configured ones."""
    held_share: float = 0.05
    """Largest share of commands that hold the robot during episodes."""

    def __post_init__(self) -> None:
        ranges = {'growth_mb': (0.1, 1e5), 'rate_tolerance': (0.001, 1.0), 'held_share': (0.0, 1.0)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f'{name} = {value!r}: must be in {low:g}..{high:g}')


@dataclass(frozen=True)
class Trend:
    """Trend of the resident memory of one process after the warm-up."""

    first_mb: float
    """Median over the first tenth of the time [MB]."""
    last_mb: float
    """Median over the last tenth of the time [MB]."""
    slope_mb_per_h: float
    """Theil-Sen slope [MB/h]: the median over all pairs of samples, robust against outliers."""
    samples: int
    """Number of samples."""
    hours: float
    """Time between the first and the last sample [h]."""

    @property
    def growth_mb(self) -> float:
        """The larger of the difference of the medians and slope times duration [MB]."""
        return max(self.last_mb - self.first_mb, self.slope_mb_per_h * self.hours)


def trend(times_s: Sequence[float], resident_mb: Sequence[float]) -> Trend:
    """Estimate the trend of at least two samples, with ascending times.

    Raises:
        ConfigError: fewer than two samples, or different numbers of times and values.
    """
    times, values = np.asarray(times_s, np.float64), np.asarray(resident_mb, np.float64)
    if len(times) < 2 or len(times) != len(values):
        raise ConfigError(f'{len(times)} times and {len(values)} values: must be equal numbers, at least 2')
    keep = times >= times[0] + _WARM_UP * (times[-1] - times[0])
    times, values = times[keep], values[keep]
    tenth = max(1, len(times) // 10)
    return Trend(
        first_mb=float(np.median(values[:tenth])),
        last_mb=float(np.median(values[-tenth:])),
        slope_mb_per_h=_theil_sen(times, values) * 3600.0,
        samples=len(times),
        hours=float(times[-1] - times[0]) / 3600.0,
    )


def _theil_sen(times: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    if len(times) > _SLOPE_POINTS:
        chosen = np.linspace(0, len(times) - 1, _SLOPE_POINTS).astype(np.int64)
        times, values = times[chosen], values[chosen]
    first, second = np.triu_indices(len(times), 1)
    if not len(first):
        return 0.0
    return float(np.median((values[second] - values[first]) / (times[second] - times[first])))


@dataclass
class Counters:
    """Counts of a soak test from its first episode on."""

    commands: int = 0
    """Commands to the robot."""
    commands_in_episodes: int = 0
    """Commands during episodes."""
    held: int = 0
    """Commands during episodes that hold the robot."""
    steps: int = 0
    """Steps of the VLA."""
    steps_in_episodes: int = 0
    """Steps of the VLA during episodes."""
    lost_steps: dict[str, int] = field(default_factory=lambda: {'aura': 0, 'kv': 0})
    """Steps without a result of the memory, by memory."""
    writes: int = 0
    """Writes of the AURA memory."""
    device_bytes: int = 0
    """Bytes that these writes cost on the storage device [B]."""
    episodes: int = 0
    """Episodes that ended normally."""
    switches: int = 0
    """Changes of the driving policy."""
    reported: dict[str, int] = field(default_factory=dict)
    """Newest value of each count in the diagnostics, by 'node: check: name'."""
    errors: dict[str, int] = field(default_factory=dict)
    """Number of ERROR messages in /diagnostics during episodes, by text."""


@dataclass(frozen=True)
class SoakRecord:
    """The record of one soak test."""

    started: str
    """Start time, ISO 8601, UTC."""
    wall_s: float
    """Time from the first episode to the end [s, wall clock]."""
    episode_s: float
    """Total time within episodes [s, wall clock]."""
    wanted_command_hz: float
    """Configured command rate [Hz]."""
    wanted_step_hz: float
    """Configured step rate [Hz]."""
    limits: SoakLimits
    counters: Counters
    trends: Mapping[str, Trend]
    """Memory trend by process."""
    cpu: Mapping[str, float]
    """Mean share of one core by process."""
    problem: str = ''
    """Reason for an early end, or ''."""

    @property
    def command_hz(self) -> float:
        """Mean command rate [Hz]."""
        return self.counters.commands / self.wall_s if self.wall_s > 0.0 else 0.0

    @property
    def step_hz(self) -> float:
        """Mean step rate within episodes [Hz]."""
        return self.counters.steps_in_episodes / self.episode_s if self.episode_s > 0.0 else 0.0

    @property
    def held_share(self) -> float:
        """Share of the commands within episodes that hold the robot."""
        return self.counters.held / max(1, self.counters.commands_in_episodes)


def verdict(record: SoakRecord) -> list[Check]:
    """Return the checks of a soak test."""
    limits, counters = record.limits, record.counters
    checks = [Check(record.problem or f'ran to the end: {counters.episodes} episodes', not record.problem)]
    if record.trends:
        name, worst = max(record.trends.items(), key=lambda item: item[1].growth_mb)
        text = f'memory growth of each node < {limits.growth_mb:g} MB: largest {worst.growth_mb:.1f} MB, {name}'
        checks.append(Check(text, worst.growth_mb < limits.growth_mb))
    for what, found, wanted in (
        ('commands', record.command_hz, record.wanted_command_hz),
        ('steps', record.step_hz, record.wanted_step_hz),
    ):
        text = f'{what} at {wanted:g} Hz within {limits.rate_tolerance:.0%}: {found:.2f} Hz'
        checks.append(Check(text, abs(found - wanted) <= limits.rate_tolerance * wanted))
    lost = sum(counters.lost_steps.values())
    checks.append(Check(f'steps without a result of a memory = 0: {lost} of {counters.steps}', lost == 0))
    text = f'commands that hold the robot <= {limits.held_share:.0%}: {record.held_share:.2%}'
    checks.append(Check(text, record.held_share <= limits.held_share))
    return checks


def write_json(record: SoakRecord, path: Path) -> None:
    """Write the record, its checks and all versions to `path`; its folder is created if missing.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps(to_json(record), indent=1, allow_nan=False) + '\n')
    except OSError as error:
        raise ConfigError(
            f'the report {path} cannot be written ({error.strerror}): choose another file with --report'
        ) from error


def to_json(record: SoakRecord) -> dict[str, Any]:
    """Return the record as JSON types."""
    rates = {name: round(getattr(record, name), 4) for name in ('command_hz', 'step_hz', 'held_share')}
    trends = {name: asdict(each) | {'growth_mb': each.growth_mb} for name, each in record.trends.items()}
    return {
        'format': FORMAT,
        **asdict(record),
        **rates,
        'trends': trends,
        'verdict': [asdict(check) for check in verdict(record)],
        'versions': versions('psutil'),
        'weight_hashes': weight_hashes(),
    }
