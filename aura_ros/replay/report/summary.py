# SPDX-License-Identifier: Apache-2.0
"""What the runs come to: a row per policy, and a sentence on who follows the recorded actions best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError
from aura_ros.replay.drivers import shares
from aura_ros.replay.evaluate import PolicyRun
from aura_ros.replay.evaluated import Evaluated
from aura_ros.replay.report.intervals import LEAST_BLOCKS, Blocks, Interval, block_length

Doubles = NDArray[np.float64]

_THE_SAME = 1e-5
"""Error below which actions are the recorded ones but for rounding [rad, m]."""


@dataclass(frozen=True)
class ReplayRow:
    """One policy over one or more recordings.

    name, title: of the policy.
    gated: whether a learned gate decides when it writes.
    memory_hash: SHA-256 of its weights, hex; empty where it has none.
    steps: that it applied.
    refused: that it did not.
    writes: of its memory.
    write_rate: writes per step.
    writes_per_minute: of recorded time.
    state_bytes: the most it carried [B].
    device_bytes: see `ReplayedPolicy.device_bytes`.
    error: mean over joints of the action error [rad, m].
    joint_errors: the same for each joint.
    difference: of the error to that of base, paired; below zero is better than base.
    joint_differences: the same for each joint.
    p50_us, p95_us: time of a memory step [us].
    seconds: for the whole run [s].
    """

    name: str
    title: str
    gated: bool
    memory_hash: str
    steps: int
    refused: int
    writes: int
    write_rate: float
    writes_per_minute: float
    state_bytes: int
    device_bytes: int
    error: Interval
    joint_errors: tuple[Interval, ...]
    difference: Interval
    joint_differences: tuple[Interval, ...]
    p50_us: float
    p95_us: float
    seconds: float


@dataclass(frozen=True)
class Summary:
    """All policies over one or more recordings.

    policies: in the order they are shown.
    joint_names: of the columns of an action.
    steps: in all.
    scored: steps with recorded actions.
    duration_s: of the steps [s].
    block_steps: steps of a block of the bootstrap.
    block_s: how long such a block is [s].
    blocks: how many of them.
    long_enough: whether blocks could be as long as the errors stay correlated.
    best: the policy with the least error; empty where nothing is recorded.
    not_apart: policies whose error cannot be told from that of the best, by the paired interval.
    drivers: share of the steps that each policy drove when they were recorded [1]; empty where that is not known.
    """

    policies: tuple[ReplayRow, ...]
    joint_names: tuple[str, ...]
    steps: int
    scored: int
    duration_s: float
    block_steps: int
    block_s: float
    blocks: int
    long_enough: bool
    best: str
    not_apart: tuple[str, ...]
    drivers: Mapping[str, float]

    def policy(self, name: str) -> ReplayRow:
        """The row of a policy."""
        return next(row for row in self.policies if row.name == name)

    @property
    def drove(self) -> str:
        """Who drove, for people, where that makes the errors worthless as a comparison; empty where they are one."""
        if self.drivers:
            return shares(self.drivers)
        same = [row.name for row in self.policies if row.error.mean < _THE_SAME]
        return _list(same) if self.scored and same else ''

    @property
    def gated(self) -> ReplayRow | None:
        """The policy that the report is about: the first with a learned gate."""
        return next((row for row in self.policies if row.gated), None)


@dataclass(frozen=True, eq=False)
class Report:
    """All that a report says.

    recordings: evaluated, at least one.
    pooled: all of them together.
    single: each by itself, in the same order.
    made: when, ISO 8601.
    command: that made it.
    versions: of what took part.
    left_out: why, by policies that are.
    refused: why, by recordings that could not be evaluated.
    """

    recordings: tuple[Evaluated, ...]
    pooled: Summary
    single: tuple[Summary, ...]
    made: str
    command: str
    versions: Mapping[str, str]
    left_out: Mapping[str, str]
    refused: Mapping[str, str]


def summarise(recordings: Sequence[Evaluated]) -> Summary:
    """Pool recordings: every step counts the same, blocks end where a recording or an episode does.

    Raises:
        ConfigError: the recordings are of different robots or policies.

    """
    first = recordings[0]
    names = list(first.runs)
    for other in recordings[1:]:
        if list(other.runs) != names or other.info.joint_names != first.info.joint_names:
            raise ConfigError(
                f'{other.about.name} has other policies or joints than {first.about.name}: evaluate them one by one'
            )
    segments = _segments(recordings)
    means = {name: _errors(name, recordings).mean(axis=1) for name in names}
    differences = (values - means['base'] for name, values in means.items() if name != 'base')
    length, enough = block_length(chain(means.values(), differences), segments)
    blocks = Blocks(segments, length)
    duration_s = sum(float(found.times_s[-1]) for found in recordings)
    rows = tuple(_policy(name, recordings, blocks, duration_s) for name in names)
    scored = int((~np.isnan(means['base'])).sum())
    best = min(rows, key=lambda row: row.error.mean).name if scored else ''
    tied = tuple(
        name
        for name in names
        if best and name != best and not blocks.interval(means[name] - means[best]).apart_from_zero
    )
    steps = len(segments)
    return Summary(
        rows,
        first.info.joint_names,
        steps,
        scored,
        duration_s,
        length,
        _period_s(recordings) * length,
        blocks.count,
        enough and blocks.count >= LEAST_BLOCKS,
        best,
        tied,
        _drivers(recordings),
    )


def _drivers(recordings: Sequence[Evaluated]) -> dict[str, float]:
    """Shares of all steps together."""
    names = dict.fromkeys(name for found in recordings for name in found.about.drivers)
    steps = sum(len(found.stamps_ns) for found in recordings)
    return {
        name: sum(found.about.drivers.get(name, 0.0) * len(found.stamps_ns) for found in recordings) / steps
        for name in names
    }


def _errors(name: str, recordings: Sequence[Evaluated]) -> Doubles:
    """The action errors of a policy on all steps of all recordings, float64 [N, A]."""
    errors = np.concatenate([found.runs[name].errors for found in recordings], dtype=np.float64)
    for found in recordings:
        found.columns.rest()
    return errors


def _policy(name: str, recordings: Sequence[Evaluated], blocks: Blocks, duration_s: float) -> ReplayRow:
    runs = [found.runs[name] for found in recordings]
    policy = runs[0].policy
    own = _errors(name, recordings)
    error, joints = blocks.intervals(own)
    own -= _errors('base', recordings)
    difference, joint_differences = blocks.intervals(own)
    applied, writes = sum(run.applied for run in runs), sum(int(run.written.sum()) for run in runs)
    return ReplayRow(
        name,
        policy.title,
        policy.gated,
        policy.memory.memory_hash,
        applied,
        sum(run.refused for run in runs),
        writes,
        writes / max(1, applied),
        writes * 60.0 / duration_s if duration_s else 0.0,
        max(int(run.state_bytes.max()) for run in runs),
        sum(run.device_bytes for run in runs),
        error,
        tuple(joints),
        difference,
        tuple(joint_differences),
        *_percentiles(runs),
        sum(run.seconds for run in runs),
    )


def _percentiles(runs: Sequence[PolicyRun]) -> tuple[float, float]:
    """Median and 95th percentile of the step time [us]; NaN when no step was applied."""
    times = np.concatenate([run.step_us for run in runs])
    times = times[~np.isnan(times)]
    if not len(times):
        return math.nan, math.nan
    p50, p95 = np.percentile(times, (50, 95))
    return float(p50), float(p95)


def _segments(recordings: Sequence[Evaluated]) -> NDArray[np.int64]:
    parts, offset = [], 0
    for found in recordings:
        parts.append(found.segments + offset)
        offset = int(parts[-1][-1]) + 1
    return np.concatenate(parts)


def _period_s(recordings: Sequence[Evaluated]) -> float:
    """The usual time between two steps [s]."""
    gaps = np.concatenate([np.diff(found.stamps_ns) for found in recordings])
    return float(np.median(gaps)) * 1e-9 if len(gaps) else 0.0


def verdict(summary: Summary) -> str:
    """Who follows the recorded actions best, in a sentence or two."""
    if not summary.best:
        return (
            'There are no recorded actions to compare with, so this says when each memory wrote and what it '
            'costs, not how well it acts.'
        )
    if len(summary.policies) == 1:
        return f'Only base took part; its action error is {error_text(summary.policies[0].error)}.'
    if summary.drove:
        return (
            f'{summary.drove} drove when this was recorded: a policy that drove is near to its own actions, which '
            'proves nothing, and the others are only as far from it as they differ. What can be compared here is '
            'when each memory wrote and what it costs.'
        )
    best, base = summary.policy(summary.best), summary.policy('base')
    tied = [name for name in summary.not_apart if name != 'base']
    also = f' Not to be told apart from it: {_list(tied)}.' if tied else ''
    if best.name == 'base':
        return (
            f'No memory follows the recorded actions better than base, the frozen VLA alone, whose error is '
            f'{error_text(best.error)}.{also}'
        )
    percent = 100.0 * (1.0 - best.error.mean / base.error.mean) if base.error.mean else 0.0
    sentence = (
        f'Nearest to the recorded actions is {best.name}: its error is {error_text(best.error)}, {percent:.0f} '
        '% below base.'
    )
    if not best.difference.apart_from_zero:
        sentence += ' That is within chance: on this recording it cannot be told from base.'
    return sentence + also + _for_its_writes(summary, best)


def _for_its_writes(summary: Summary, best: ReplayRow) -> str:
    """Where the gated policy stands and what it wrote for that, if it is not the best itself."""
    gated = summary.gated
    if gated is None or gated is best:
        return ''
    percent = 100.0 * (gated.error.mean / best.error.mean - 1.0) if best.error.mean else 0.0
    return (
        f' The gated memory, {gated.name}, is {percent:.0f} % above it, at {error_text(gated.error)}, with '
        f'{gated.writes:,} writes in place of {best.writes:,}.'
    )


def error_text(found: Interval) -> str:
    """An error with its interval, '0.0123 rad [0.0101, 0.0150]'."""
    if math.isnan(found.mean):
        return '-'
    if math.isnan(found.low):
        return f'{found.mean:.4f} rad'
    return f'{found.mean:.4f} rad [{found.low:.4f}, {found.high:.4f}]'


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ', '.join(names[:-1]) + ' and ' + names[-1]
