# SPDX-License-Identifier: Apache-2.0
"""The record of a run: episodes with their events and steps, and their statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aura_ros.common.names import PANEL_TASKS, POLICIES
from aura_ros.common.stats import percentile, wilson_interval


@dataclass(frozen=True)
class EventRecord:
    """One event of the task."""

    time_s: float
    """Time since the start of the episode [s, ROS clock]."""
    kind: str
    """One of EVENT_KINDS."""
    round: int
    """Round of the episode, from 0."""
    colour: str = ''
    """What was shown, touched or used: a colour, a pad, or lamp and colour; empty if there is none."""
    task: str = ''
    """Task of the round."""


@dataclass(frozen=True)
class GateRecord:
    """One step of one memory."""

    time_s: float
    """Time since the start of the episode [s, ROS clock]."""
    seq: int
    """Sequence number of the VLA step."""
    gate: float
    """Gate score, 0..1."""
    threshold: float
    """Gate score above which the memory writes."""
    written: bool
    """Whether the memory wrote."""
    step_us: float
    """Computation time of the memory step [µs]."""
    state_bytes: int
    """Size of the state after the step [B]."""


@dataclass(frozen=True)
class EpisodeRecord:
    """One episode of many rounds. One policy drove; both memories processed every step."""

    task: str
    policy: str
    """Policy that drove."""
    split: str
    """Split of the task seeds, for example 'evaluation'."""
    seed: int
    rounds: int
    """Requested rounds."""
    episode_id: str
    steps: int
    """VLA steps."""
    sim_s: float
    """Duration on the clock of the robot [s]."""
    wall_s: float
    """Duration on the wall clock [s]."""
    events: tuple[EventRecord, ...]
    """Events of the task, in order."""
    gates: Mapping[str, tuple[GateRecord, ...]]
    """Steps of the 'aura' and the 'kv' memory, by memory."""
    write_events: int = 0
    """Write events received from the AURA memory; differs from its written steps if messages were lost."""

    @property
    def outcomes(self) -> tuple[EventRecord, ...]:
        """The events that ended the rounds."""
        return tuple(event for event in self.events if event.kind.startswith('round_'))

    @property
    def solved(self) -> Mapping[int, bool]:
        """Whether each ended round was solved, by its number."""
        return {event.round: event.kind == 'round_success' for event in self.outcomes}

    @property
    def successes(self) -> int:
        """Number of solved rounds."""
        return sum(event.kind == 'round_success' for event in self.outcomes)

    def missing_steps(self, policy: str) -> int:
        """Return the number of VLA steps without a step of the memory of `policy`."""
        return self.steps - len(self.gates.get(policy, ()))


@dataclass(frozen=True)
class RunRecord:
    """A whole comparison of policies."""

    started: str
    """Start time, ISO 8601, UTC."""
    wall_s: float
    """Duration [s, wall clock]."""
    lockstep: bool
    """Whether the simulator waited for each command."""
    versions: Mapping[str, str]
    """Versions by package."""
    weight_hashes: Mapping[str, str]
    """SHA-256 of the weights by name: backbone, aura, kv."""
    episodes: tuple[EpisodeRecord, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class PanelRow:
    """A row of the final table; None for values that need a memory if the policy has none."""

    task: str
    policy: str
    rounds: int
    successes: int
    interval: tuple[float, float]
    """95 % Wilson interval of the success rate."""
    writes: int | None
    writes_per_round: float | None
    state_bytes: int | None
    """State size at the last step [B]."""
    p50_us: float | None
    """Median time of the memory step [µs]."""
    p95_us: float | None
    """95th percentile of the time of the memory step [µs]."""

    @property
    def rate(self) -> float:
        """Share of solved rounds; 0 without rounds."""
        return self.successes / self.rounds if self.rounds else 0.0


@dataclass(frozen=True)
class Check:
    """One acceptance check of a run."""

    text: str
    """Criterion and measured values."""
    passed: bool | None
    """Result; None if the run is too short to decide."""


def summarise(episode: EpisodeRecord) -> PanelRow:
    """Return the row of one episode."""
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
    """Check a run against the acceptance criteria; with fewer than `least_rounds` rounds most stay undecided."""
    found = {(row.task, row.policy): row for row in rows}
    checks: list[Check] = []

    def check(text: str, passed: bool, *used: PanelRow) -> None:
        enough = min(row.rounds for row in used) >= least_rounds
        checks.append(Check(text, passed if enough else None))

    for task in (task for task in PANEL_TASKS if task != 'visible'):
        base, aura, kv = (found.get((task, policy)) for policy in POLICIES)
        if base:
            check(f'{task}: base {base.rate:.2f} <= 0.45', base.rate <= 0.45, base)
        if aura:
            check(f'{task}: AURA {aura.rate:.2f} >= 0.90', aura.rate >= 0.90, aura)
            exact = f'{task}: AURA state {aura.state_bytes} B = 4,224 B'
            checks.append(Check(exact, aura.state_bytes == 4224))
        if aura and kv:
            behind = kv.rate - aura.rate
            check(f'{task}: KV {kv.rate:.2f} - AURA {aura.rate:.2f} <= 0.05', behind <= 0.05, aura, kv)
            if aura.writes and kv.writes:
                ratio = kv.writes / aura.writes
                check(f'{task}: writes KV / AURA = {ratio:.1f} >= 7', ratio >= 7.0, aura, kv)
    base, aura = found.get(('visible', 'base')), found.get(('visible', 'aura'))
    if base and aura:
        text = f'visible: base {base.rate:.2f} - AURA {aura.rate:.2f} <= 0.03'
        check(text, base.rate - aura.rate <= 0.03, base, aura)
    return tuple(checks)
