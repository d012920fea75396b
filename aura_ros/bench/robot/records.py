# SPDX-License-Identifier: Apache-2.0
"""What a run leaves behind: episodes with their events and steps, and the numbers in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aura_ros.common.names import POLICIES
from aura_ros.common.stats import percentile, wilson_interval


@dataclass(frozen=True)
class TaskMark:
    """One thing that happened in the task."""

    time_s: float
    """Since the start of the episode [s, ROS clock]."""
    kind: str
    """One of EVENT_KINDS."""
    round: int
    """Round of the episode, from 0."""
    colour: str = ''
    """Of the cue, the lamp or the block touched; empty when none."""


@dataclass(frozen=True)
class GateRecord:
    """One step of one memory."""

    time_s: float
    seq: int
    gate: float
    threshold: float
    written: bool
    step_us: float
    """Time of the memory step [us]."""
    state_bytes: int
    """Size of the state after the step [B]."""


@dataclass(frozen=True)
class EpisodeRecord:
    """One episode of many rounds that one policy drove; both memories saw every step of it."""

    task: str
    policy: str
    split: str
    seed: int
    rounds: int
    """Rounds asked for."""
    episode_id: str
    steps: int
    """VLA steps made [1]."""
    sim_s: float
    """Time it took [s], on the robot's clock and on the wall."""
    wall_s: float
    marks: tuple[TaskMark, ...]
    gates: Mapping[str, tuple[GateRecord, ...]]
    """Steps of the 'aura' and the 'kv' memory."""
    write_events: int = 0
    """Write events received from the AURA memory; other than its written steps when some were lost."""

    @property
    def outcomes(self) -> tuple[TaskMark, ...]:
        """The mark that ended each round."""
        return tuple(mark for mark in self.marks if mark.kind.startswith('round_'))

    @property
    def successes(self) -> int:
        """Rounds solved [1]."""
        return sum(mark.kind == 'round_success' for mark in self.outcomes)

    def missing_steps(self, policy: str) -> int:
        """Steps made of which `policy`'s memory told nothing [1]."""
        return self.steps - len(self.gates.get(policy, ()))


@dataclass(frozen=True)
class RunRecord:
    """A whole comparison."""

    started: str
    """UTC, ISO 8601."""
    wall_s: float
    lockstep: bool
    versions: Mapping[str, str]
    weight_hashes: Mapping[str, str]
    """SHA-256 by what was hashed: backbone, aura, kv."""
    episodes: tuple[EpisodeRecord, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class PanelRow:
    """A row of the final table; None where a policy has no memory."""

    task: str
    policy: str
    rounds: int
    successes: int
    interval: tuple[float, float]
    """95 % Wilson interval of the success rate."""
    writes: int | None
    writes_per_round: float | None
    state_bytes: int | None
    """At the last step [B]."""
    p50_us: float | None
    """Of the memory step [us]."""
    p95_us: float | None

    @property
    def rate(self) -> float:
        """Share of the rounds solved, 0 without rounds."""
        return self.successes / self.rounds if self.rounds else 0.0


@dataclass(frozen=True)
class Check:
    """One promise about a run; `passed` is None where the run is too short to tell."""

    text: str
    passed: bool | None


def summarise(episode: EpisodeRecord) -> PanelRow:
    """The row of one episode."""
    rounds = len(episode.outcomes)
    steps = episode.gates.get(episode.policy, ())
    writes = sum(point.written for point in steps) if steps else None
    times = [point.step_us for point in steps]
    return PanelRow(
        task=episode.task,
        policy=episode.policy,
        rounds=rounds,
        successes=episode.successes,
        interval=wilson_interval(episode.successes, rounds),
        writes=writes,
        writes_per_round=None if writes is None or not rounds else writes / rounds,
        state_bytes=steps[-1].state_bytes if steps else None,
        p50_us=percentile(times, 50),
        p95_us=percentile(times, 95),
    )


def acceptance(rows: Sequence[PanelRow], least_rounds: int = 60) -> tuple[Check, ...]:
    """Hold a run against the promises; fewer than `least_rounds` rounds a policy tell nothing."""
    found = {(row.task, row.policy): row for row in rows}
    checks: list[Check] = []

    def check(text: str, passed: bool, *used: PanelRow) -> None:
        enough = min(row.rounds for row in used) >= least_rounds
        checks.append(Check(text, passed if enough else None))

    base, aura, kv = (found.get(('recall', policy)) for policy in POLICIES)
    if base:
        check(f'recall: base {base.rate:.2f} <= 0.45', base.rate <= 0.45, base)
    if aura:
        check(f'recall: AURA {aura.rate:.2f} >= 0.90', aura.rate >= 0.90, aura)
        exact = f'AURA state {aura.state_bytes} B = 4,224 B'
        checks.append(Check(exact, aura.state_bytes == 4224))
    if aura and kv:
        behind = kv.rate - aura.rate
        check(f'recall: KV {kv.rate:.2f} - AURA {aura.rate:.2f} <= 0.05', behind <= 0.05, aura, kv)
        if aura.writes and kv.writes:
            ratio = kv.writes / aura.writes
            check(f'recall: writes KV / AURA = {ratio:.1f} >= 7', ratio >= 7.0, aura, kv)
    base, aura = found.get(('visible', 'base')), found.get(('visible', 'aura'))
    if base and aura:
        text = f'visible: base {base.rate:.2f} - AURA {aura.rate:.2f} <= 0.03'
        check(text, base.rate - aura.rate <= 0.03, base, aura)
    return tuple(checks)
