# SPDX-License-Identifier: Apache-2.0
"""The policy switch: selects the policy that drives the robot, and guards every command.

No clock, no thread, no ROS. Times are integer ns that the caller passes in. `now_ns` is always on the clock of the
observations' stamps. `steady_ns` is on a clock that never jumps and limits how far a command may move.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.common.names import Policy
from aura_ros.control.acceptance import StepLedger
from aura_ros.control.actions import ActionMapper
from aura_ros.control.chunk import Chunk, Refusal
from aura_ros.control.config import SwitchConfig
from aura_ros.control.end_effector import Kinematics
from aura_ros.control.guard import CommandGuard
from aura_ros.control.limits import ActionLimiter
from aura_ros.control.motion import Moment
from aura_ros.control.owners import EpisodeOwners
from aura_ros.control.robot import RobotConfig
from aura_ros.control.status import ChunkVerdict, Command, Selection, SwitchStatus


class PolicySwitch:
    """Accepts the chunks of all policies, plays those of one, switches between policies, and limits commands."""

    def __init__(
        self, robot: RobotConfig, config: SwitchConfig | None = None, kinematics: Kinematics | None = None
    ) -> None:
        """Hold until a chunk arrives; `kinematics` are those of the robot's end effector, if it has one."""
        self._robot = robot
        self._mapper = ActionMapper(robot, kinematics)
        self._config = config if config is not None else SwitchConfig()
        self._guard = CommandGuard(robot)
        self._ledger = StepLedger(self._mapper, self._config.max_age_ns, self._config.future_tolerance_ns)
        self.owners = EpisodeOwners()
        # The newest chunk of a policy whose episode has not begun; its step may still arrive.
        self._early: dict[Policy, tuple[Chunk, bytes]] = {}
        self._newest: dict[Policy, Chunk | None] = dict.fromkeys(Policy)
        self._lost: dict[Policy, str] = {}
        self._policy = self._pending = self._config.policy
        self._effective_seq = 0
        self._playing: Chunk | None = None
        self._holding = True
        self._holds = 0
        self._reason = 'no chunk yet'
        # Why the newest chunk of each policy was refused; empty after an accepted one.
        self._refusals: dict[Policy, str] = {}
        # Why the measured joints prevent driving; shown in place of the reason.
        self._fault = ''
        self._blocked = ''
        self._last_tick_ns = 0
        # The measured joints of the last tick, for a hold between ticks.
        self._joints: NDArray[np.float64] | None = None

    @property
    def limiter(self) -> ActionLimiter:
        """The limits and their counters by joint."""
        return self._guard.limiter

    def begin(self, episode_id: str) -> None:
        """Start an episode: drop all chunks, restart the numbering, let a pending policy drive.

        `accept` calls this for the first chunk of an unknown episode.
        """
        self._ledger.begin(episode_id)
        self._newest = dict.fromkeys(Policy)
        self._refusals = {}
        self._drop(f'episode {episode_id} started')

    def accept(self, chunk: Chunk, now_ns: int, publisher: bytes = b'') -> ChunkVerdict:
        """Accept a chunk of any policy, or refuse and count it; `publisher` is the global id of its sender."""
        begins = chunk.episode_id != self._ledger.episode_id
        found = self._foreign(chunk, publisher, begins) or self._ledger.problem(chunk, now_ns)
        if found is not None:
            return self.refuse(chunk.policy, *found)
        self.owners.accept(Policy(chunk.policy), publisher, begins)
        if not begins:
            return self._take(chunk, now_ns)
        self.begin(chunk.episode_id)
        verdict = self._take(chunk, now_ns)
        early, self._early = self._early, {}
        for other, sender in early.values():
            if other.episode_id == chunk.episode_id:
                self.accept(other, now_ns, sender)
        return verdict

    def _foreign(self, chunk: Chunk, publisher: bytes, begins: bool) -> tuple[Refusal, str] | None:
        if chunk.policy not in tuple(Policy):
            return None
        policy = Policy(chunk.policy)
        text = self.owners.problem(policy, publisher, begins)
        if text and not self.owners.foreign(policy, publisher):
            self._early[policy] = chunk, publisher
        return (Refusal.FOREIGN, text) if text else None

    def _take(self, chunk: Chunk, now_ns: int) -> ChunkVerdict:
        missed = self._ledger.accept(chunk)
        policy = Policy(chunk.policy)
        gap = f'{missed} steps missing before step {chunk.seq}' if missed else ''
        usable_ns = self._usable_ns(chunk)
        if chunk.elapsed_ns(now_ns) >= usable_ns:
            age_s = (now_ns - chunk.stamp_ns) * 1e-9
            late = f'arrived {age_s:.3f} s after its observation, usable for {usable_ns * 1e-9:g} s'
            return self.refuse(policy, Refusal.LATE, f'{late}; {gap}' if gap else late, missed)
        self._newest[policy] = chunk.owned()
        self._lost.pop(policy, None)
        self._refusals.pop(policy, None)
        return ChunkVerdict(True, None, missed, gap)

    def refuse(self, policy: int, reason: Refusal, text: str, missed: int = 0) -> ChunkVerdict:
        """Count a chunk as refused; the caller may use it for faults that only the caller can see."""
        self._ledger.count(policy, reason)
        if policy in tuple(Policy) and reason is not Refusal.FOREIGN:
            self._refusals[Policy(policy)] = f'{reason}: {text}'
        return ChunkVerdict(False, reason, missed, text)

    def request(self, policy: int, now_ns: int) -> Selection:
        """Request another policy. It drives at once if no chunk is playing, else from the next chunk boundary.

        While the request is pending, the chunk that plays is finished and no other chunk of the old policy starts.
        `status.policy` and `Command.switched` show when the request takes effect.
        """
        if policy not in tuple(Policy):
            return self._selection(False, f'policy = {policy}: must be 0 (base), 1 (aura) or 2 (kv)')
        wanted = Policy(policy)
        if wanted in self._lost:
            return self._selection(False, f'{_name(wanted)} is not available: {self._lost[wanted]}')
        self._pending = wanted
        if self._pending == self._policy:
            return self._selection(True, f'{_name(wanted)} drives')
        if self._playing is None:
            self._drop(f'{_name(wanted)} was selected')
        return self._selection(True, self._reason)

    def due(self, now_ns: int) -> bool:
        """Return whether the next chunk is due and missing.

        In lock-step the tick then waits for `accept`, `expire` or `peer_lost`.
        """
        playing = self._playing
        # A chunk whose actions are all used is no longer playable: the next one is due at its end.
        if playing is None or playing.stamp_ns - now_ns > self._config.future_tolerance_ns:
            return False
        if playing.index(now_ns) < self._config.n_action_steps:
            return False
        return self._successor(now_ns) is None

    def expire(self, reason: str) -> None:
        """Stop using the current chunk; the next tick holds, and a pending policy drives at once.

        The caller uses this when a wait timed out or the clock stopped.
        """
        self._newest[self._policy] = None
        self._drop(reason)

    def peer_lost(self, policies: Collection[Policy], reason: str) -> None:
        """Drop the chunks of `policies`, whose nodes are gone, and hold the robot if one of them drives.

        A policy is available again after `peer_found` or its next accepted chunk.
        """
        for policy in policies:
            self._lost[policy] = reason
            self._newest[policy] = None
        if self._policy in policies:
            self._drop(reason)
        if self._pending in policies:
            self._pending = self._policy

    def peer_found(self, policies: Collection[Policy], reason: str = '') -> None:
        """Make `policies` available again; `reason` replaces that of their loss while no chunk of them plays."""
        for policy in policies:
            lost = self._lost.pop(policy, '')
            if reason and lost == self._reason:
                self._reason = reason

    def end(self, reason: str) -> None:
        """End the episode: drop its chunks, refuse late ones, hold the robot."""
        self._ledger.end()
        self._newest = dict.fromkeys(Policy)
        self._drop(reason)

    def block(self, reason: str) -> None:
        """Hold the robot from the next tick on, whatever arrives, until this is called with ''."""
        self._blocked = reason

    def control_changed(self) -> None:
        """Forget the last command because control was enabled or disabled: the robot may not have followed it."""
        self._guard.forget()

    def hold_between_ticks(self, steady_ns: int) -> NDArray[np.float64] | None:
        """Return the command that holds the robot while no tick comes; None before the first command.

        The watchdog calls it from a thread of its own; the caller excludes `tick` and `control_changed` meanwhile.
        """
        if not self._guard.commanded:
            return None
        self._start_hold()
        return self._guard.hold(self._joints, steady_ns)

    def tick(
        self,
        now_ns: int,
        measured: NDArray[np.float64] | None,
        steady_ns: int | None = None,
        unknown: Sequence[str] = (),
    ) -> Command:
        """Return the command of this control period.

        Its target is None only before the first command, or after a long pause, while the robot's position is unknown
        or far outside its limits.

        Args:
            now_ns: time of this tick [ns, ROS clock].
            measured: fresh joint positions in the units of the robot, float64 [J]. With None or non-finite positions
                the robot is held.
            steady_ns: the same time on the steady clock [ns]; by default `now_ns`, as in lock-step.
            unknown: names of the joints whose position is not known, for the reason.
        """
        steady_ns = now_ns if steady_ns is None else steady_ns
        before = self._policy
        if now_ns < self._last_tick_ns - self._config.future_tolerance_ns:
            self._newest = dict.fromkeys(Policy)
            self._drop('the clock moved back')
        self._last_tick_ns = now_ns
        self._guard.resume(steady_ns)
        joints = self._joints = self._checked(measured)
        self._advance(now_ns)
        playing = self._playing
        self._fault = self._blocked or self._joint_fault(joints, playing is not None, steady_ns, unknown)
        if playing is None or joints is None or self._fault:
            return self._hold(steady_ns, joints, before)
        index = playing.index(now_ns)
        at = Moment(self._guard.start(joints), self._guard.elapsed_s(steady_ns), playing.dt_ns * 1e-9, joints)
        try:
            action = self._mapper.target(playing, index, at)
        except InputError as error:
            self._fault = str(error)
            return self._hold(steady_ns, joints, before)
        self._guard.keep_in_hold(self._mapper.keeps(playing))
        target = self._guard.drive(action, joints, steady_ns)
        self._holding = False
        self._reason = f'{_name(self._policy)} drives'
        by_joints = bool((target != action).any())
        self._guard.limiter.clipped += int(self._mapper.limited and not by_joints)
        clipped, switched = by_joints or self._mapper.limited, before != self._policy
        return Command(target, False, self._reason, clipped, self._policy, playing.seq, index, switched)

    @property
    def status(self) -> SwitchStatus:
        """Status for PolicyStatus and diagnostics."""
        ledger = self._ledger
        return SwitchStatus(
            episode_id=ledger.episode_id,
            policy=self._policy,
            pending_policy=self._pending,
            effective_seq=self._effective_seq,
            holding=self._holding,
            reason=self._cause() if self._holding else self._reason,
            newest_seq=tuple(max(0, ledger.steps(policy).newest_seq) for policy in Policy),
            newest_stamp_ns=tuple(ledger.steps(policy).newest_stamp_ns for policy in Policy),
            clipped=self._guard.limiter.clipped,
            rejected=ledger.total_refused,
            holds=self._holds,
            limited=self._limited(),
            refused={policy: dict(counts) for policy, counts in ledger.refused.items()},
            unknown_policy=ledger.unknown_policy,
            missed=dict(ledger.missed),
            lost=dict(self._lost),
            blocked=self._blocked,
        )

    def _limited(self) -> dict[str, dict[str, int]]:
        counts = self._mapper.counts
        return self._guard.limiter.counts | {name: {'end_effector': n} for name, n in counts.items() if n}

    def _usable_ns(self, chunk: Chunk) -> int:
        """Return how long after its stamp the chunk may be used [ns]."""
        share_ns = self._config.n_action_steps * chunk.dt_ns + self._config.grace_ticks * self._robot.period_ns
        return min(share_ns, self._config.max_age_ns, chunk.chunk_size * chunk.dt_ns)

    def _playable(self, chunk: Chunk, now_ns: int) -> bool:
        # After the clock moved back, chunks may lie in the future.
        ahead_ns = chunk.stamp_ns - now_ns
        return ahead_ns <= self._config.future_tolerance_ns and chunk.elapsed_ns(now_ns) < self._usable_ns(chunk)

    def _successor(self, now_ns: int) -> Chunk | None:
        """Return the next chunk of the pending policy, or of the driving one if no other is pending."""
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

    def _joint_fault(
        self, joints: NDArray[np.float64] | None, playing: bool, steady_ns: int, unknown: Sequence[str]
    ) -> str:
        if joints is not None:
            return self._guard.problem(joints, steady_ns)
        names = f': {", ".join(unknown)}' if unknown else ''
        return f'joint positions are missing, stale or not finite{names}' if playing else ''

    def _cause(self) -> str:
        """Return why the robot is held now, which the last event may not explain."""
        policy = self._pending
        found = self._fault or self._lost.get(policy, '')
        if found:
            return found
        if self._playing is None and policy in self._refusals:
            return f'no usable chunk of {_name(policy)}: {self._refusals[policy]}'
        behind = self._ledger.steps(Policy.BASE).newest_seq - self._ledger.steps(policy).newest_seq
        if self._playing is None and behind > 1:
            newest = self._ledger.steps(policy).newest_seq
            after = f'after step {newest}' if newest >= 0 else 'in this episode'
            return f'no chunk of {_name(policy)} {after}: {behind} steps arrived without one'
        return self._reason

    def _start_hold(self) -> None:
        if not self._holding:
            self._holding = True
            self._holds += 1

    def _hold(self, steady_ns: int, joints: NDArray[np.float64] | None, before: Policy) -> Command:
        self._start_hold()
        target = self._guard.hold(joints, steady_ns)
        reason, switched = self._cause(), before != self._policy
        return Command(target, True, reason, False, self._policy, None, None, switched)

    def _selection(self, success: bool, reason: str) -> Selection:
        effective = self._pending == self._policy
        return Selection(success, self._policy, self._pending, effective, self._effective_seq, reason)


def _name(policy: Policy) -> str:
    return policy.name.lower()
