# SPDX-License-Identifier: Apache-2.0
"""The expert as a driver of demonstrations: disturbed at random times, and sometimes wrong.

A policy that has seen only good motion cannot recover from an error. In the tasks of AT_FRAMES, the expert learns its
goal at a frame, as a policy does: it stays at a block until the next image has shown that the touch counts. It also
makes mistakes there, which lose the round, because a memory has to be right after a lost round too.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aura_ros.sim.expert import Expert
from aura_ros.sim.tasks import Simulation
from aura_ros.sim.tasks.stage import Goal
from aura_ros.sim.world import BLOCKS

AT_FRAMES = ('sequence',)
"""Tasks in which the expert learns its goal at a frame, and makes mistakes."""


class Driver(Protocol):
    """What drives an episode."""

    def at_tick(self) -> object:
        """Look at the scene, at the start of each control tick."""

    def target(self) -> NDArray[np.float64]:
        """Return the joint targets of this control tick, float64 [8] [rad, m]."""


@dataclass(frozen=True)
class Faults:
    """What the expert does wrong."""

    disturbance: float = 0.06
    """Standard deviation of a disturbance of the joint targets [rad]. It lasts 3 to 8 ticks."""
    disturbance_rate: float = 0.06
    """Probability per tick that a disturbance starts [0..1]."""
    mistake_rate: float = 0.08
    """Probability of a mistake for each goal in the tasks of AT_FRAMES: another block, or no touch at all [0..1]."""


class _Disturbance:
    """Offsets of the joint targets that start and end at random times."""

    def __init__(self, faults: Faults, rng: np.random.Generator) -> None:
        self._faults, self._rng = faults, rng
        self._left, self._offset = 0, np.zeros(8)

    def __call__(self) -> NDArray[np.float64]:
        """Return the offset of this tick, float64 [8] [rad, m]."""
        if self._left == 0:
            self._offset = np.zeros(8)
            if self._rng.random() < self._faults.disturbance_rate:
                self._left = int(self._rng.integers(3, 9))
                self._offset[:7] = self._rng.normal(0, self._faults.disturbance, 7)
        else:
            self._left -= 1
        return self._offset


class _Aim:
    """What the expert moves to, `goal`: the goal of the task, known at frames only, and sometimes a mistake."""

    def __init__(self, faults: Faults, rng: np.random.Generator) -> None:
        self._rate, self._rng = faults.mistake_rate, rng
        self._asked: Goal | None = None
        self.goal: Goal | None = None

    def at_frame(self, goal: Goal | None) -> None:
        """Take over the goal of the task."""
        if goal is not self._asked:
            self._asked = self.goal = goal
            if goal is not None and goal.touch is not None and self._rng.random() < self._rate:
                others = [Goal(touch=name) for name in BLOCKS if name != goal.touch]
                self.goal = [*others, None][self._rng.integers(len(others) + 1)]


class Demonstrator:
    """The expert with its faults."""

    def __init__(self, simulation: Simulation, expert: Expert, every: int, faults: Faults, seed: int) -> None:
        """Begin an episode.

        Args:
            simulation: at its start.
            expert: of this simulation.
            every: control ticks between two frames.
            faults: what the expert does wrong.
            seed: of the faults.
        """
        self._simulation, self._expert, self._every = simulation, expert, every
        first, second = (np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,))) for key in (77, 78))
        self._disturb, self._aim = _Disturbance(faults, first), _Aim(faults, second)
        self._tick = 0

    def at_tick(self) -> None:
        """Take over the goal of the task if a frame is due."""
        if self._tick % self._every == 0:
            self._aim.at_frame(self._simulation.goal)
        self._tick += 1

    def target(self) -> NDArray[np.float64]:
        """Return the joint targets of this control tick, float64 [8] [rad, m]."""
        at_frames = self._simulation.task in AT_FRAMES
        target = self._expert.act_for(self._aim.goal) if at_frames else self._expert.act()
        return target + self._disturb()
