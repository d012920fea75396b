# SPDX-License-Identifier: Apache-2.0
"""The comparison: one episode for each task and policy, on the same rounds."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from builtin_interfaces.msg import Time

from aura_ros.bench.robot.collector import EpisodeCollector
from aura_ros.bench.robot.endurance import HUNDRED
from aura_ros.bench.robot.records import EpisodeRecord
from aura_ros.client import AuraClient, Episode, GraphError
from aura_ros.common.names import POLICIES
from aura_ros.common.progress import Bar
from aura_ros.tools.panel.observer import GraphObserver

_PEER_CHECK_S = 1.0
_SETTLE_S = 3.0
"""Longest wait for messages that are still under way when an episode has ended [s]."""
_NODES = {'base': 'vla_node', 'aura': 'memory_node', 'kv': 'kv_baseline_node'}


@dataclass(frozen=True)
class Leg:
    """One task with one policy."""

    task: str
    policy: str

    def __str__(self) -> str:
        return f'{self.task} · {self.policy}'


@dataclass(frozen=True)
class EpisodeSettings:
    """Settings that all episodes share."""

    split: str
    seed: int
    rounds: int
    lockstep: bool
    start_timeout_s: float
    """How long a refused request is repeated [s]."""
    stall_timeout_s: float
    """Longest time without any progress [s]."""


class Comparison:
    """Runs the episodes one after another."""

    def __init__(
        self,
        client: AuraClient,
        settings: EpisodeSettings,
        make_bar: Callable[[Leg], Bar],
        keep: Callable[[EpisodeRecord], None] | None = None,
    ) -> None:
        """Compare with these settings; `keep` receives each episode after every hundred rounds, and at its end."""
        self._client, self._settings, self._make_bar, self._keep = client, settings, make_bar, keep
        self._observer = GraphObserver(client.node)
        self.episodes: list[EpisodeRecord] = []
        """Records of the episodes that have ended."""

    def run(self, legs: Sequence[Leg]) -> None:
        """Run all legs; `episodes` grows with each.

        Raises:
            GraphError: a node is missing, ended or refuses, or nothing makes progress.
        """
        for leg in legs:
            with self._make_bar(leg) as bar:
                self.episodes.append(self._run_leg(leg, bar))
            if self._keep is not None:
                self._keep(self.episodes[-1])

    def _run_leg(self, leg: Leg, bar: Bar) -> EpisodeRecord:
        client, settings = self._client, self._settings
        began = time.monotonic()
        # The policy is selected first: between two episodes no chunk plays, so the policy drives from step 0.
        client.select_policy(leg.policy, retry_s=settings.start_timeout_s)
        collector = EpisodeCollector([episode.episode_id for episode in self.episodes])
        self._observer.collector = collector
        instruction = client.start_task(
            leg.task, split=settings.split, seed=settings.seed, rounds=settings.rounds, lockstep=settings.lockstep
        )
        episode = client.start_episode(instruction, retry_s=settings.start_timeout_s)
        self._watch(leg, episode, bar, began)
        result = episode.cancel()
        client.spin_until(lambda: collector.complete(result.episode_id, result.steps), _SETTLE_S)
        return self._record(leg, result.episode_id, result.steps, began)

    def _record(self, leg: Leg, episode_id: str, steps: int, began: float) -> EpisodeRecord:
        settings = self._settings
        return self._observer.collector.record(
            EpisodeRecord(
                task=leg.task,
                policy=leg.policy,
                split=settings.split,
                seed=settings.seed,
                rounds=settings.rounds,
                episode_id=episode_id,
                steps=steps,
                sim_s=0.0,
                wall_s=time.monotonic() - began,
                events=(),
                gates={},
            )
        )

    def _watch(self, leg: Leg, episode: Episode, bar: Bar, began: float) -> None:
        """Wait until the last round has ended."""
        collector = self._observer.collector
        moved_at = checked_at = time.monotonic()
        moved, done = (0, -1), 0
        while not collector.finished:
            self._client.spin_until(lambda: collector.finished, 0.2)
            now = time.monotonic()
            if (seen := (collector.progress, _step(episode))) != moved:
                moved, moved_at = seen, now
            if now - checked_at > _PEER_CHECK_S:
                checked_at = now
                self._check_peers(leg, episode, now - moved_at)
            if collector.rounds_done > done:
                text = f'{collector.rounds_solved} solved'
                if leg.policy != 'base':
                    text += f', {collector.writes(leg.policy)} writes'
                before, done = done, collector.rounds_done
                bar.advance(done - before, text)
                if self._keep is not None and done // HUNDRED > before // HUNDRED:
                    steps = collector.newest_seq('aura') + 1
                    self._keep(self._record(leg, collector.newest_episode, steps, began))

    def _check_peers(self, leg: Leg, episode: Episode, still_s: float) -> None:
        if missing := self._client.missing():
            raise GraphError(f'{", ".join(missing)} ended during {leg}; see its log')
        if episode.done and not self._observer.collector.finished:
            raise GraphError(f'vla_node ended {leg}: {episode.wait().reason}')
        if still_s > self._settings.stall_timeout_s:
            step = _step(episode)
            cause, newest = self._stalled(step), self._newest(step)
            raise GraphError(f'no progress for {still_s:.0f} s during {leg}: {cause} ({newest})')

    def _stalled(self, step: int) -> str:
        """Name the node that the others wait for."""
        status = self._observer.policy_status
        if step < 0:
            return 'vla_node made no step; see its /diagnostics'
        if silent := self._observer.collector.missing(step):
            return f'{_NODES[silent[0]]} did not process step {step}; see its log'
        if status is None:
            return 'policy_switch_node publishes no policy_status'
        if not status.control_enabled:
            return 'parameter enable_control of policy_switch_node is false; set it to true'
        for index, policy in enumerate(POLICIES):
            if status.newest_stamp[index] == Time() or status.newest_seq[index] < step:
                return f'policy_switch_node did not accept step {step} of {_NODES[policy]}'
        return 'sim_node, vla_node or policy_switch_node hangs; see their /diagnostics'

    def _newest(self, step: int) -> str:
        collector, status = self._observer.collector, self._observer.policy_status
        parts = [
            f'vla_node made step {step}',
            f'memory_node {collector.newest_seq("aura")}',
            f'kv_baseline_node {collector.newest_seq("kv")}',
            f'sim_node published {len(collector.events)} events',
        ]
        if status is not None:
            parts.append(f'policy_switch_node {"holds" if status.holding else "moves"}: {status.reason}')
        return ', '.join(parts)


def _step(episode: Episode) -> int:
    return episode.progress.step if episode.progress else -1
