# SPDX-License-Identifier: Apache-2.0
"""The policy switch: decides which policy drives the robot, and guards every command that leaves.

Pure: no clock, no thread, no ROS. Times are integer ns that the caller passes in, `now_ns`
always on the clock of the observations' stamps.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError
from aura_ros.common.names import Policy
from aura_ros.control.chunk import Chunk, PlayedChunk, Refusal
from aura_ros.control.guard import CommandGuard
from aura_ros.control.limits import ActionLimiter
from aura_ros.control.robot import RobotConfig
from aura_ros.control.status import Command, Selection, SwitchStatus, Verdict
from aura_ros.control.steps import StepLedger


@dataclass(frozen=True)
class SwitchConfig:
    """How chunks are used.

    Raises:
        ConfigError: a value outside its range.
    """

    # Actions of a chunk that are commanded before the next chunk is due [1].
    n_action_steps: int = 4
    # Control periods a chunk may be used beyond that, before the robot is held [1].
    grace_ticks: int = 2
    # Oldest observation that may move the robot, when its chunk arrives and while it plays [ns].
    max_age_ns: int = 500_000_000
    # How far a stamp may be ahead of now [ns].
    future_tolerance_ns: int = 20_000_000
    # Who drives first.
    policy: Policy = Policy.BASE

    def __post_init__(self) -> None:
        ranges = {
            'n_action_steps': (1, 1000),
            'grace_ticks': (0, 100),
            'max_age_ns': (1_000_000, 60_000_000_000),
            'future_tolerance_ns': (0, 10_000_000_000),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f'{name} = {value!r}: must be a whole number in {low}..{high}')


class PolicySwitch:
    """Accepts chunks of all policies, plays those of one, switches between them, limits and holds."""

    def __init__(self, robot: RobotConfig, config: SwitchConfig | None = None) -> None:
        self._robot = robot
        self._config = config if config is not None else SwitchConfig()
        self._guard = CommandGuard(robot)
        self._ledger = StepLedger(robot.size, self._config.max_age_ns, self._config.future_tolerance_ns)
        self._newest: dict[Policy, PlayedChunk | None] = dict.fromkeys(Policy)
        self._lost: dict[Policy, str] = {}
        self._policy = self._pending = self._config.policy
        self._effective_seq = 0
        self._playing: PlayedChunk | None = None
        self._holding = True
        self._holds = 0
        self._reason = 'no chunk yet'
        # Why the joints keep the robot from being driven; goes before the reason.
        self._fault = ''
        self._last_tick_ns = 0

    @property
    def limiter(self) -> ActionLimiter:
        """The limits, with their counters per joint."""
        return self._guard.limiter

    def begin(self, episode_id: str) -> None:
        """Start an episode: older chunks are dropped, numbering begins anew, a pending policy drives.

        `accept` calls it by itself for the first chunk of an unknown episode.
        """
        self._ledger.begin(episode_id)
        self._newest = dict.fromkeys(Policy)
        self._drop(f'episode {episode_id} begins')

    def accept(self, chunk: Chunk, now_ns: int) -> Verdict:
        """Take a chunk of any policy, or refuse and count it."""
        found = self._ledger.problem(chunk, now_ns)
        if found is not None:
            return self.refuse(chunk.policy, *found)
        if chunk.episode_id != self._ledger.episode_id:
            self.begin(chunk.episode_id)
        missed = self._ledger.accept(chunk)
        policy = Policy(chunk.policy)
        played = PlayedChunk(chunk, self._usable_ns(chunk))
        gap = f'{missed} steps missing before step {chunk.seq}' if missed else ''
        if not played.usable(now_ns):
            age_s, usable_s = (now_ns - chunk.stamp_ns) * 1e-9, played.usable_ns * 1e-9
            late = f'arrived {age_s:.3f} s after its observation, usable for {usable_s:g} s'
            return self.refuse(policy, Refusal.LATE, f'{late}; {gap}' if gap else late, missed)
        self._newest[policy] = played
        self._lost.pop(policy, None)
        return Verdict(True, None, missed, gap)

    def refuse(self, policy: int, reason: Refusal, text: str, missed: int = 0) -> Verdict:
        """Count a chunk that must not be used; for what only the caller can see, too."""
        self._ledger.count(policy, reason)
        return Verdict(False, reason, missed, text)

    def request(self, policy: int, now_ns: int) -> Selection:
        """Ask for another policy: at once when nothing is playing, else at the next boundary.

        While it is pending no further chunk of the old policy is begun; the one playing is played to
        its end. Watch `status.policy`, or `Command.switched`, for the moment it takes effect.
        """
        if policy not in tuple(Policy):
            return self._selection(False, f'policy = {policy}: must be 0 (base), 1 (aura) or 2 (kv)')
        wanted = Policy(policy)
        if wanted in self._lost:
            return self._selection(False, f'{_name(wanted)} is not available: {self._lost[wanted]}')
        self._pending = wanted
        if self._pending == self._policy:
            return self._selection(True, f'{_name(wanted)} drives')
        if self._playing is None or not self._playable(self._playing, now_ns):
            self._drop(f'{_name(wanted)} was selected')
        return self._selection(True, self._reason)

    def due(self, now_ns: int) -> bool:
        """Whether the chunk in use has given its share and its successor is not there yet.

        In lock-step the tick waits then: for `accept`, `expire` or `peer_lost`.
        """
        playing = self._playing
        if playing is None or not self._playable(playing, now_ns):
            return False
        if playing.index(now_ns) < self._config.n_action_steps:
            return False
        return self._successor(now_ns) is None

    def expire(self, reason: str) -> None:
        """Stop using the current chunk; the next tick holds, and a pending policy drives at once.

        For what the caller notices: a wait that timed out, an episode that ended.
        """
        self._newest[self._policy] = None
        self._drop(reason)

    def peer_lost(self, policies: Collection[Policy], reason: str) -> None:
        """The nodes behind `policies` are gone: their chunks are dropped, a driven robot is held.

        The first accepted chunk of a policy ends its loss.
        """
        for policy in policies:
            self._lost[policy] = reason
            self._newest[policy] = None
        if self._policy in policies:
            self._drop(reason)
        if self._pending in policies:
            self._pending = self._policy

    def peer_found(self, policies: Collection[Policy]) -> None:
        """The nodes behind `policies` are back: they may be selected again."""
        for policy in policies:
            self._lost.pop(policy, None)

    def end(self, reason: str) -> None:
        """The episode is over: its chunks are dropped, late ones refused, the robot is held."""
        self._ledger.end()
        self._newest = dict.fromkeys(Policy)
        self._drop(reason)

    def control_changed(self) -> None:
        """Control was enabled or disabled: what was computed last is not where the robot is."""
        self._guard.forget()

    def tick(self, now_ns: int, measured: NDArray[np.float64] | None) -> Command:
        """Give the one command of this control period.

        Args:
            now_ns: this tick [ns, ROS clock].
            measured: fresh joint positions, float64 [J] [rad or m]; None or non-finite when there
                are none, which holds.

        The command's target is None only before the first command, or after a long pause: while
        the robot's position is not known, or is far outside its limits.
        """
        before = self._policy
        if now_ns < self._last_tick_ns - self._config.future_tolerance_ns:
            self._newest = dict.fromkeys(Policy)
            self._drop('the clock moved back')
        self._last_tick_ns = now_ns
        self._guard.resume(now_ns)
        joints = self._checked(measured)
        self._advance(now_ns)
        playing = self._playing
        self._fault = self._joint_fault(joints, playing is not None)
        if playing is None or joints is None or self._fault:
            return self._hold(now_ns, joints, before)
        index = playing.index(now_ns)
        limited = self._guard.drive(playing.actions[index], joints, now_ns)
        self._holding = False
        self._reason = f'{_name(self._policy)} drives'
        return Command(
            limited.target.copy(),
            False,
            self._reason,
            limited.clipped,
            self._policy,
            playing.seq,
            index,
            before != self._policy,
        )

    @property
    def status(self) -> SwitchStatus:
        """A snapshot for PolicyStatus and diagnostics."""
        ledger = self._ledger
        return SwitchStatus(
            episode_id=ledger.episode_id,
            policy=self._policy,
            pending_policy=self._pending,
            effective_seq=self._effective_seq,
            holding=self._holding,
            reason=self._fault or self._reason,
            newest_seq=tuple(max(0, ledger.steps(policy).newest_seq) for policy in Policy),
            newest_stamp_ns=tuple(ledger.steps(policy).newest_stamp_ns for policy in Policy),
            clipped=self._guard.limiter.clipped,
            rejected=ledger.total_refused,
            holds=self._holds,
            limited=self._guard.limiter.counts,
            refused={policy: dict(counts) for policy, counts in ledger.refused.items()},
            unknown_policy=ledger.unknown_policy,
            missed=dict(ledger.missed),
            lost=dict(self._lost),
        )

    def _usable_ns(self, chunk: Chunk) -> int:
        share = self._config.n_action_steps * round(chunk.seconds_per_action * 1e6) * 1000
        usable = share + self._config.grace_ticks * self._robot.period_ns
        return min(usable, self._config.max_age_ns)

    def _playable(self, chunk: PlayedChunk, now_ns: int) -> bool:
        # A clock that moved back leaves chunks of the future behind: they are not fresh either.
        ahead_ns = chunk.stamp_ns - now_ns
        return ahead_ns <= self._config.future_tolerance_ns and chunk.usable(now_ns)

    def _successor(self, now_ns: int) -> PlayedChunk | None:
        """The chunk to hand over to, of the pending policy when there is one."""
        chunk = self._newest[self._pending]
        if chunk is None or not self._playable(chunk, now_ns):
            return None
        newer = self._playing is None or chunk.seq > self._playing.seq
        return chunk if newer else None

    def _advance(self, now_ns: int) -> None:
        successor = self._successor(now_ns)
        if successor is not None:
            self._take_over(successor.seq)
            self._playing = successor
        elif self._playing is not None and not self._playable(self._playing, now_ns):
            self._drop(f'no chunk of {_name(self._pending)} after step {self._playing.seq}')

    def _take_over(self, seq: int) -> None:
        if self._pending != self._policy:
            self._policy = self._pending
            self._effective_seq = seq

    def _drop(self, reason: str) -> None:
        self._playing = None
        self._reason = reason
        self._take_over(self._ledger.steps(self._pending).newest_seq + 1)

    def _checked(self, measured: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        if measured is None or measured.shape != (self._robot.size,):
            return None
        return measured if np.isfinite(measured).all() else None

    def _joint_fault(self, joints: NDArray[np.float64] | None, playing: bool) -> str:
        if joints is not None:
            return self._guard.problem(joints)
        return 'joint positions are missing, stale or not finite' if playing else ''

    def _hold(self, now_ns: int, joints: NDArray[np.float64] | None, before: Policy) -> Command:
        if not self._holding:
            self._holding = True
            self._holds += 1
        target = self._guard.hold(joints, now_ns)
        reason, switched = self._fault or self._reason, before != self._policy
        copy = None if target is None else target.copy()
        return Command(copy, True, reason, False, self._policy, None, None, switched)

    def _selection(self, success: bool, reason: str) -> Selection:
        effective = self._pending == self._policy
        return Selection(success, self._policy, self._pending, effective, self._effective_seq, reason)


def _name(policy: Policy) -> str:
    return policy.name.lower()
