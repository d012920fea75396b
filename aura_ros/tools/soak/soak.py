# SPDX-License-Identifier: Apache-2.0
"""The soak itself: episode after episode, with another policy and another task each time."""

import time

from aura_ros.bench.robot.soak import SoakLimits, SoakRecord, trend
from aura_ros.client import AuraClient, Episode, GraphError
from aura_ros.common.names import PANEL_TASKS, POLICIES
from aura_ros.common.progress import Bar
from aura_ros.tools.soak.meters import SoakMeters
from aura_ros.tools.soak.processes import SoakProcesses

COMMAND_HZ, STEP_HZ = 20.0, 5.0
"""Rates that config/sim_arm.yaml and the embedded backbone ask for."""
START_S = 60.0
"""Longest time for nodes to appear and to accept requests [s]."""
_ROUNDS = 10_000
_SAMPLE_S = 1
_STALL_S = 10.0


class Soak:
    """One soak on a running graph. All times are on the steady clock."""

    def __init__(self, client: AuraClient, meters: SoakMeters, processes: SoakProcesses, bar: Bar) -> None:
        self._client, self._meters, self._processes, self._bar = client, meters, processes, bar
        self._began = self._ended = time.monotonic()
        self._sampled_at = self._began
        self._episode_s = 0.0
        self._problem = ''

    def run(self, total_s: float, episode_s: float) -> None:
        """Run episodes of `episode_s` for `total_s` [s]. Ctrl-C or an error ends it; the record has the reason."""
        meters, number = self._meters, 0
        self._began = self._sampled_at = time.monotonic()
        meters.counting = True
        try:
            self._processes.begin()
            with self._bar:
                while (left_s := total_s - (time.monotonic() - self._began)) > 0.5:
                    self._episode(number, min(episode_s, left_s))
                    number += 1
        except GraphError as error:
            self._problem = str(error)
        except KeyboardInterrupt:
            self._problem = f'interrupted after {time.monotonic() - self._began:.0f} s'
        meters.counting = meters.in_episode = False
        self._ended = time.monotonic()

    def record(self, limits: SoakLimits, started: str) -> SoakRecord:
        """Return all measurements."""
        times_s, found = self._processes.times_s, self._processes.resident_mb
        return SoakRecord(
            started=started,
            wall_s=self._ended - self._began,
            episode_s=self._episode_s,
            wanted_command_hz=COMMAND_HZ,
            wanted_step_hz=STEP_HZ,
            limits=limits,
            counters=self._meters.counters,
            trends={name: trend(times_s, values) for name, values in found.items() if len(values) > 1},
            cpu=self._processes.cpu(),
            problem=self._problem,
        )

    def _episode(self, number: int, seconds: float) -> None:
        """Run one episode; the driving policy changes before it and in its middle."""
        client = self._client
        self._select(2 * number)
        task = PANEL_TASKS[number % len(PANEL_TASKS)]
        instruction = client.start_task(task, split='train', seed=number, rounds=_ROUNDS)
        episode = client.start_episode(instruction, retry_s=START_S)
        self._next_step(episode)
        began = time.monotonic()
        self._meters.in_episode = True
        self._steps_until(began + seconds / 2, episode)
        self._select(2 * number + 1)
        self._steps_until(began + seconds, episode)
        self._meters.in_episode = False
        self._episode_s += time.monotonic() - began
        episode.cancel()
        self._meters.counters.episodes += 1

    def _select(self, number: int) -> None:
        self._client.select_policy(POLICIES[number % len(POLICIES)], retry_s=START_S)
        self._meters.counters.switches += 1

    def _steps_until(self, end: float, episode: Episode) -> None:
        while time.monotonic() < end:
            self._next_step(episode)

    def _next_step(self, episode: Episode) -> None:
        """Wait for one more step of the VLA, and take samples meanwhile."""
        before = episode.progress
        end = time.monotonic() + _STALL_S
        while not self._client.spin_until(lambda: episode.progress != before or episode.done, 0.2):
            self._sample()
            if time.monotonic() > end:
                raise GraphError(f'vla_node has made no step for {_STALL_S:g} s')
        if episode.done:
            raise GraphError(f'vla_node ended its episode: {episode.wait().reason}')
        self._sample()

    def _sample(self) -> None:
        passed = int(time.monotonic() - self._sampled_at)
        if passed < _SAMPLE_S:
            return
        self._sampled_at += passed
        self._processes.sample()
        elapsed, counters = time.monotonic() - self._began, self._meters.counters
        self._bar.advance(passed, f'{counters.commands / elapsed:.1f} commands/s, {counters.episodes} episodes')
