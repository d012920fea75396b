# SPDX-License-Identifier: Apache-2.0
"""What a soak measured and whether that is good: memory per process, rates, drops (no ROS)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.bench.robot.records import Check
from aura_ros.common.errors import ConfigError
from aura_ros.common.provenance import versions, weight_hashes

FORMAT = 1
# Points a slope is estimated from: all pairs of them are looked at.
_SLOPE_POINTS = 500
# Of each series, from the start: libraries are still being loaded and buffers filled.
_WARM_UP = 0.2


@dataclass(frozen=True)
class SoakLimits:
    """What is still good; the command line can change the first three.

    Raises:
        ConfigError: a value outside its range.
    """

    growth_mb: float = 10.0
    """Growth of any node's resident memory after the warm-up [MB]."""
    rate_tolerance: float = 0.05
    """Deviation of the mean command and step rates from those of the configuration [1]."""
    held_share: float = 0.05
    """Share of the commands that may hold the robot while an episode runs [1]."""

    def __post_init__(self) -> None:
        ranges = {'growth_mb': (0.1, 1e5), 'rate_tolerance': (0.001, 1.0), 'held_share': (0.0, 1.0)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f'{name} = {value!r}: must be in {low:g}..{high:g}')


@dataclass(frozen=True)
class Trend:
    """How the resident memory of one process went after the warm-up."""

    first_mb: float
    """At the start and the end of it, medians of a tenth of the time each [MB]."""
    last_mb: float
    slope_mb_per_h: float
    """Theil-Sen: the median of the slopes of all pairs of samples; a few odd ones do not move it [MB/h]."""
    samples: int
    """Samples it was estimated from [1]."""
    hours: float

    @property
    def growth_mb(self) -> float:
        """The greater of the difference and of what the slope makes of the time [MB]."""
        return max(self.last_mb - self.first_mb, self.slope_mb_per_h * self.hours)


def trend(times_s: Sequence[float], resident_mb: Sequence[float]) -> Trend:
    """Estimate a trend from at least two samples, times ascending [s], memory [MB]."""
    times, values = np.asarray(times_s, np.float64), np.asarray(resident_mb, np.float64)
    if len(times) < 2 or len(times) != len(values):
        raise ConfigError(f'{len(times)} times and {len(values)} values: must be as many, and at least 2')
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
    """What a soak counts from its first episode on; grows while it runs."""

    commands: int = 0
    """Commands to the robot, and of those that fell into an episode the ones that held it [1]."""
    commands_in_episodes: int = 0
    held: int = 0
    steps: int = 0
    """Steps of the VLA, all and those within the time of episodes [1]."""
    steps_in_episodes: int = 0
    lost_steps: dict[str, int] = field(default_factory=lambda: {'aura': 0, 'kv': 0})
    """Steps that a memory never answered, by memory [1]."""
    writes: int = 0
    """Writes of AURA's memory [1] and what they cost the storage [B]."""
    device_bytes: int = 0
    episodes: int = 0
    """Episodes that ended as they should [1], and changes of the driving policy [1]."""
    switches: int = 0
    reported: dict[str, int] = field(default_factory=dict)
    """Counts that the nodes report, the newest value of each: 'node: check: what' -> times."""
    errors: dict[str, int] = field(default_factory=dict)
    """Sentences of /diagnostics at level ERROR while an episode ran, and how often each was received."""


@dataclass(frozen=True)
class SoakRecord:
    """One soak."""

    started: str
    """ISO 8601, UTC."""
    wall_s: float
    """From the first episode to the end [s], and the part of it within episodes [s]."""
    episode_s: float
    wanted_command_hz: float
    """Rates that the configuration asks for [Hz]."""
    wanted_step_hz: float
    limits: SoakLimits
    counters: Counters
    trends: Mapping[str, Trend]
    cpu: Mapping[str, float]
    """Mean share of one core, by process [1]."""
    problem: str = ''
    """Why it ended early, '' if it did not."""

    @property
    def command_hz(self) -> float:
        """Mean rate of commands [Hz]."""
        return self.counters.commands / self.wall_s if self.wall_s > 0.0 else 0.0

    @property
    def step_hz(self) -> float:
        """Mean rate of steps within episodes [Hz]."""
        return self.counters.steps_in_episodes / self.episode_s if self.episode_s > 0.0 else 0.0

    @property
    def held_share(self) -> float:
        """Share of the commands within episodes that held the robot [1]."""
        return self.counters.held / max(1, self.counters.commands_in_episodes)


def verdict(record: SoakRecord) -> list[Check]:
    """Judge a soak, one check per promise."""
    limits, counters = record.limits, record.counters
    checks = [Check(record.problem or f'ran to its end, {counters.episodes} episodes', not record.problem)]
    if record.trends:
        name, worst = max(record.trends.items(), key=lambda item: item[1].growth_mb)
        text = f'memory of no node grows by {limits.growth_mb:g} MB: at most {worst.growth_mb:.1f} MB, {name}'
        checks.append(Check(text, worst.growth_mb < limits.growth_mb))
    for what, found, wanted in (
        ('commands', record.command_hz, record.wanted_command_hz),
        ('steps', record.step_hz, record.wanted_step_hz),
    ):
        text = f'{what} at {wanted:g} Hz within {limits.rate_tolerance:.0%}: {found:.2f} Hz'
        checks.append(Check(text, abs(found - wanted) <= limits.rate_tolerance * wanted))
    lost = sum(counters.lost_steps.values())
    checks.append(Check(f'no step is lost to a memory: {lost} of {counters.steps}', lost == 0))
    text = f'the robot is held in less than {limits.held_share:.0%} of the commands: {record.held_share:.2%}'
    checks.append(Check(text, record.held_share <= limits.held_share))
    return checks


def write_json(record: SoakRecord, path: Path) -> None:
    """Write everything needed to judge and repeat a soak to `path`, whose folder is made.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(to_json(record), indent=1, allow_nan=False) + '\n')
    except OSError as error:
        raise ConfigError(
            f'the report {path} cannot be written ({error.strerror}): give another file with --report'
        ) from error


def to_json(record: SoakRecord) -> dict[str, Any]:
    """The soak as plain types."""
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
