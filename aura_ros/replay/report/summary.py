# SPDX-License-Identifier: Apache-2.0
"""The figures of a report: one row for each policy over one or more recordings."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError
from aura_ros.replay.evaluate import PolicyRun
from aura_ros.replay.evaluated import Evaluated
from aura_ros.replay.policies import CONTROL, TITLES
from aura_ros.replay.report.intervals import LEAST_BLOCKS, Blocks, Doubles, Interval, block_length

# Known policies with weights of their own; the others run those of aura or kv.
_WITH_GAIN = ('aura', 'kv', 'elmur')


@dataclass(frozen=True)
class ReplayRow:
    """One policy over one or more recordings."""

    name: str
    title: str
    gated: bool
    """Whether a learned gate decides when its memory writes."""
    memory_hash: str
    """SHA-256 of its weights, hex; empty if it has none."""
    steps: int
    """Steps that it applied."""
    refused: int
    """Steps that it refused."""
    writes: int
    write_rate: float
    """Writes per step."""
    writes_per_minute: float
    """Writes per minute of recorded time."""
    state_bytes: int
    """Largest state [B]."""
    device_bytes: int
    """See `ReplayedPolicy.device_bytes` [B]."""
    error: Interval
    """Action error, mean over joints [rad, m]."""
    joint_errors: tuple[Interval, ...]
    """Action error of each joint [rad, m]."""
    difference: Interval
    """Error minus the error of base, paired; negative is better than base [rad, m]."""
    joint_differences: tuple[Interval, ...]
    """The same difference for each joint [rad, m]."""
    p50_us: float
    """Median time of a memory step [us]."""
    p95_us: float
    """95th percentile of that time [us]."""
    seconds: float
    """Time of the whole run [s]."""


@dataclass(frozen=True)
class Gain:
    """What a policy with a memory gains over base, and how much of it its action head gains without the memory."""

    name: str
    writes: int
    total: Interval
    """Error of base minus that of the policy, paired; positive is better than base."""
    head: Interval
    """Error of base minus that of the head without a state."""
    memory: Interval
    """Error of the head without a state minus that of the policy."""


@dataclass(frozen=True)
class Summary:
    """All policies over one or more recordings."""

    policies: tuple[ReplayRow, ...]
    """Rows in the order of the report."""
    joint_names: tuple[str, ...]
    """Joints in the order of the columns of an action."""
    steps: int
    scored: int
    """Steps with recorded actions."""
    duration_s: float
    """Recorded time [s]."""
    block_steps: int
    """Most steps of a block of the bootstrap."""
    block_s: float
    """Length of such a block [s]."""
    blocks: int
    """Number of blocks."""
    long_enough: bool
    """Whether the blocks are as long as the errors stay correlated."""
    best: str
    """Policy with the lowest error; empty if no actions were recorded."""
    not_apart: tuple[str, ...]
    """Policies whose error does not differ significantly from the lowest, by the paired interval."""
    drivers: Mapping[str, float]
    """Share of the steps that each policy drove during the recording [1]; empty if that was not recorded."""

    gains: tuple[Gain, ...]
    """Gains of the memories whose head without a state takes part and was trained on the same data [rad, m]."""

    def policy(self, name: str) -> ReplayRow:
        """Return the row of a policy."""
        return next(row for row in self.policies if row.name == name)

    @property
    def gated(self) -> ReplayRow | None:
        """The policy that the report is about: the first with a learned gate."""
        return next((row for row in self.policies if row.gated), None)


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that the files of a report contain."""

    recordings: tuple[Evaluated, ...]
    """At least one."""
    made: str
    """Date and time, UTC."""
    command: str
    """Command line that made it."""
    versions: Mapping[str, str]
    """Versions of the packages that took part."""
    left_out: Mapping[str, str]
    """Reason, by the policy that is left out."""
    refused: Mapping[str, str]
    """Reason, by the recording that could not be evaluated."""
    single: tuple[Summary, ...] = field(init=False)
    """Figures of each recording, in the same order."""
    pooled: Summary = field(init=False)
    """Figures of all recordings together."""

    def __post_init__(self) -> None:
        """Compute the figures.

        Raises:
            ConfigError: the recordings have different joints or policies.
        """
        single = tuple(summarise([found]) for found in self.recordings)
        object.__setattr__(self, 'single', single)
        object.__setattr__(self, 'pooled', single[0] if len(single) == 1 else summarise(self.recordings))


def summarise(recordings: Sequence[Evaluated]) -> Summary:
    """Pool recordings. Every step has the same weight, and blocks end where a recording or an episode ends.

    Raises:
        ConfigError: the recordings have different joints or policies.
    """
    first = recordings[0]
    names = list(first.runs)
    for other in recordings[1:]:
        if list(other.runs) != names or other.steps.info.joint_names != first.steps.info.joint_names:
            raise ConfigError(
                f'{other.about.name} has other policies or joints than {first.about.name}: evaluate them one by one'
            )
    segments = _segments(recordings)
    means = {name: _errors(name, recordings).mean(axis=1) for name in names}
    differences = (values - means['base'] for name, values in means.items() if name != 'base')
    length, enough = block_length(chain(means.values(), differences), segments)
    blocks = Blocks(segments, length)
    duration_s = sum(float(found.steps.times_s[-1]) for found in recordings)
    rows = tuple(_row(name, recordings, blocks, duration_s) for name in names)
    scored = int((~np.isnan(means['base'])).sum())
    best = min(rows, key=lambda row: row.error.mean).name if scored else ''
    return Summary(
        policies=rows,
        joint_names=first.steps.info.joint_names,
        steps=len(segments),
        scored=scored,
        duration_s=duration_s,
        block_steps=length,
        block_s=_period_s(recordings) * length,
        blocks=blocks.count,
        long_enough=enough and blocks.count >= LEAST_BLOCKS,
        best=best,
        not_apart=tuple(
            name
            for name in names
            if best and name != best and not blocks.interval(means[name] - means[best]).apart_from_zero
        ),
        drivers=_drivers(recordings),
        gains=tuple(_gains(recordings, means, blocks)) if scored else (),
    )


def gain_of(name: str, writes: int, errors: tuple[Doubles, Doubles, Doubles], blocks: Blocks) -> Gain:
    """Split a gain over base; `errors` are those of base, of the head without a state and of the policy, [N] each."""
    base, head, policy = errors
    return Gain(
        name, writes, blocks.interval(base - policy), blocks.interval(base - head), blocks.interval(head - policy)
    )


def _gains(recordings: Sequence[Evaluated], means: Mapping[str, Doubles], blocks: Blocks) -> Iterator[Gain]:
    runs = recordings[0].runs
    for name in runs if CONTROL in runs else ():
        kept = name in (*_WITH_GAIN, *(own for own in runs if own not in TITLES))
        if kept and runs[name].policy.trained_on == runs[CONTROL].policy.trained_on:
            writes = sum(int(found.runs[name].written.sum()) for found in recordings)
            yield gain_of(name, writes, (means['base'], means[CONTROL], means[name]), blocks)


def _drivers(recordings: Sequence[Evaluated]) -> dict[str, float]:
    """Return the shares of all steps together."""
    names = dict.fromkeys(name for found in recordings for name in found.about.drivers)
    steps = sum(len(found.steps) for found in recordings)
    return {
        name: sum(found.about.drivers.get(name, 0.0) * len(found.steps) for found in recordings) / steps
        for name in names
    }


def _errors(name: str, recordings: Sequence[Evaluated]) -> Doubles:
    """Return the action errors of a policy on all steps of all recordings, float64 [N, A]."""
    errors = np.concatenate([found.runs[name].errors for found in recordings], dtype=np.float64)
    for found in recordings:
        found.steps.arrays.release()
    return errors


def _row(name: str, recordings: Sequence[Evaluated], blocks: Blocks, duration_s: float) -> ReplayRow:
    runs = [found.runs[name] for found in recordings]
    policy = runs[0].policy
    errors = _errors(name, recordings)
    error, joint_errors = blocks.intervals(errors)
    errors -= _errors('base', recordings)
    difference, joint_differences = blocks.intervals(errors)
    applied, writes = sum(run.applied for run in runs), sum(int(run.written.sum()) for run in runs)
    p50_us, p95_us = _percentiles(runs)
    return ReplayRow(
        name=name,
        title=policy.title,
        gated=policy.gated,
        memory_hash=policy.memory.memory_hash,
        steps=applied,
        refused=sum(run.refused for run in runs),
        writes=writes,
        write_rate=writes / max(1, applied),
        writes_per_minute=writes * 60.0 / duration_s if duration_s else 0.0,
        state_bytes=max(int(run.state_bytes.max()) for run in runs),
        device_bytes=sum(run.device_bytes for run in runs),
        error=error,
        joint_errors=tuple(joint_errors),
        difference=difference,
        joint_differences=tuple(joint_differences),
        p50_us=p50_us,
        p95_us=p95_us,
        seconds=sum(run.seconds for run in runs),
    )


def _percentiles(runs: Sequence[PolicyRun]) -> tuple[float, float]:
    """Return the median and the 95th percentile of the step time [us]; NaN if no step was applied."""
    times = np.concatenate([run.step_us for run in runs])
    times = times[~np.isnan(times)]
    if not len(times):
        return math.nan, math.nan
    p50, p95 = np.percentile(times, (50, 95))
    return float(p50), float(p95)


def _segments(recordings: Sequence[Evaluated]) -> NDArray[np.int64]:
    parts, offset = [], 0
    for found in recordings:
        parts.append(found.steps.segments + offset)
        offset = int(parts[-1][-1]) + 1
    return np.concatenate(parts)


def _period_s(recordings: Sequence[Evaluated]) -> float:
    """Return the median time between two steps [s]."""
    gaps = np.concatenate([np.diff(found.steps.stamps_ns) for found in recordings])
    return float(np.median(gaps)) * 1e-9 if len(gaps) else 0.0
