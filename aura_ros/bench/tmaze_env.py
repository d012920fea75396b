# SPDX-License-Identifier: Apache-2.0
"""Two T-Mazes: the passive one of the ELMUR papers, and a selective one in which cues are overwritten.

The agent walks right along a corridor of c steps, then turns up or down at the junction. The four actions are 0 right,
1 up, 2 left, 3 down. Any action but right in the corridor ends the episode in failure. The correct turn has reward 1.

Passive (Bakker 2001; arXiv 2306.09459): an observation is [y, clue, flag, noise]. The clue, -1 or +1, is shown at the
first step only and determines the turn. The noise is -1, 0 or 1. y is 0 until the turn. The flag is 1 at the junction,
as in the released code of RATE and ELMUR; their text says one step earlier. An episode has c + 1 actions and T = c + 2
observations, the last after the turn.

Selective (ours): lamps light up along the corridor. A lamp has a colour and a side, -1 or +1. The junction shows one
of four colours; the correct turn is the side of the last lamp of this colour. A later lamp overwrites an earlier one
of its colour. Half of the later lamps repeat the side that is already known. Most lamps have one of twelve other
colours that no junction shows. An observation is [y, side, flag, noise, colour (16 numbers)].

The first step has a relevant lamp. Step t has one with probability min(lamp_rate, lamp_span / (t + 1)), else a
distractor with probability distractor_rate, else none. Relevant lamps become rarer as 1/t; distractors do not. The
second half of any corridor has about lamp_span * ln 2 = 5.5 relevant lamps. The age of the cue and the number of
distractors since then therefore grow with the corridor.

No observation depends on the position of the junction, so one walk tests all lengths: at each length, the memory sees
the junction, and the walk continues from the state before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Seed = tuple[int, ...]
"""Integers >= 0 that seed the corridors."""

ACTIONS = 4
RIGHT, UP, DOWN = 0, 1, 3
CLUE, FLAG, NOISE = 1, 2, 3
"""Indices in an observation; index 0 is y."""


@dataclass(frozen=True)
class Segment:
    """n consecutive steps of B corridors."""

    z: Floats
    """Observations, float32 [B, n, D]."""
    oracle_writes: Bools
    """Where a relevant cue is new, bool [B, n]: the oracle writes at these steps and at no other."""


class Walk(Protocol):
    """B corridors that are walked in parallel."""

    def advance(self, steps: int) -> Segment:
        """Return the next `steps` steps of the corridors."""

    def junction(self) -> tuple[Floats, Ints]:
        """Return the junction at the current position: observations [B, 1, D] and correct turns, UP or DOWN, [B]."""


class Maze(Protocol):
    """A family of corridors."""

    @property
    def feature_dim(self) -> int:
        """Length D of an observation."""

    def start(self, corridors: int, seed: Seed) -> Walk:
        """Start `corridors` new corridors; the same seed and the same calls give the same corridors."""


def _blank(corridors: int, steps: int, feature_dim: int, rng: np.random.Generator) -> Floats:
    z = np.zeros((corridors, steps, feature_dim), np.float32)
    z[..., NOISE] = rng.integers(-1, 2, (corridors, steps))
    return z


def _streams(seed: Seed) -> tuple[np.random.Generator, np.random.Generator]:
    """Return generators for the corridor and for its junctions; drawing a junction leaves the corridor unchanged."""
    corridor, junction = np.random.SeedSequence(seed).spawn(2)
    return np.random.default_rng(corridor), np.random.default_rng(junction)


def _turns(sides: NDArray[np.integer[Any]]) -> Ints:
    return np.where(sides > 0, UP, DOWN)


class PassiveMaze:
    """One clue at the first step; see the module."""

    feature_dim = 4

    def start(self, corridors: int, seed: Seed) -> PassiveWalk:
        """Start new corridors; half of them have each clue."""
        return PassiveWalk(corridors, seed)


class PassiveWalk:
    """See `PassiveMaze`."""

    def __init__(self, corridors: int, seed: Seed) -> None:
        self._corridor, self._junction = _streams(seed)
        self._clue = self._corridor.permutation(np.resize([-1, 1], corridors))
        self._started = False

    def advance(self, steps: int) -> Segment:
        """See `Walk.advance`."""
        z = _blank(len(self._clue), steps, PassiveMaze.feature_dim, self._corridor)
        oracle_writes = np.zeros(z.shape[:2], bool)
        if not self._started and steps:
            z[:, 0, CLUE], oracle_writes[:, 0], self._started = self._clue, True, True
        return Segment(z, oracle_writes)

    def junction(self) -> tuple[Floats, Ints]:
        """See `Walk.junction`."""
        z = _blank(len(self._clue), 1, PassiveMaze.feature_dim, self._junction)
        z[..., FLAG] = 1
        return z, _turns(self._clue)


@dataclass(frozen=True)
class SelectiveMaze:
    """Lamps of many colours, few of which are relevant; see the module."""

    asked: int = 4
    """Number of relevant colours: those that a junction can show."""
    distractors: int = 12
    """Number of other colours."""
    colour_dim: int = 16
    """Length of the code of a colour, a unit vector."""
    lamp_rate: float = 0.25
    """Largest probability per step of a relevant lamp, 0..1."""
    lamp_span: float = 8.0
    """Number of relevant lamps for each factor of e in corridor length, > 0."""
    distractor_rate: float = 0.3
    """Probability per step of a distractor, 0..1, the same along the whole corridor."""

    def __post_init__(self) -> None:
        for name in ('asked', 'distractors', 'colour_dim'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} must be >= 1, got {getattr(self, name)}')
        if min(self.lamp_rate, self.distractor_rate) < 0 or self.lamp_rate + self.distractor_rate > 1:
            raise ConfigError(
                f'lamp_rate and distractor_rate must be >= 0 with a sum of at most 1 lamp per step, '
                f'got {self.lamp_rate} and {self.distractor_rate}'
            )

    @property
    def feature_dim(self) -> int:
        """Length D of an observation."""
        return 4 + self.colour_dim

    def colours(self) -> Floats:
        """Return the colours, relevant ones first, float32 [asked + distractors, colour_dim]."""
        drawn = np.random.default_rng(0).normal(size=(self.asked + self.distractors, self.colour_dim))
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)

    def start(self, corridors: int, seed: Seed) -> SelectiveWalk:
        """Start new corridors."""
        return SelectiveWalk(self, corridors, seed)


class SelectiveWalk:
    """See `SelectiveMaze`."""

    def __init__(self, maze: SelectiveMaze, corridors: int, seed: Seed) -> None:
        self._maze, self._colours = maze, maze.colours()
        self._corridor, self._junction = _streams(seed)
        self._sides = np.zeros((corridors, maze.asked), np.int8)
        self._steps = 0

    def advance(self, steps: int) -> Segment:
        """See `Walk.advance`."""
        maze, rng, shape = self._maze, self._corridor, (len(self._sides), steps)
        age = np.arange(self._steps, self._steps + steps) + 1
        drawn = rng.random(shape)
        rate = np.where(age == 1, 1.0, np.minimum(maze.lamp_rate, maze.lamp_span / age))
        relevant = drawn < rate
        lit = drawn < rate + maze.distractor_rate
        colour = np.where(
            relevant, rng.integers(maze.asked, size=shape), maze.asked + rng.integers(maze.distractors, size=shape)
        )
        side = np.where(lit, rng.choice(np.array([-1, 1], np.int8), shape), 0)
        z = _blank(*shape, maze.feature_dim, rng)
        z[..., CLUE] = side
        z[..., 4:][lit] = self._colours[colour[lit]]
        self._steps += steps
        return Segment(z, self._update(np.where(relevant, colour, -1), side))

    def _update(self, colour: Ints, side: NDArray[np.int8]) -> Bools:
        """Store the last side of each relevant colour; return where it differs from the stored one, bool [B, n]."""
        oracle_writes = np.zeros(colour.shape, bool)
        for i, (colours, sides) in enumerate(zip(colour, side, strict=True)):
            for k in range(self._maze.asked):
                at = np.flatnonzero(colours == k)
                seen = np.concatenate([self._sides[i, k : k + 1], sides[at]])
                oracle_writes[i, at] = seen[1:] != seen[:-1]
                self._sides[i, k] = seen[-1]
        return oracle_writes

    def junction(self) -> tuple[Floats, Ints]:
        """See `Walk.junction`; it shows one of the relevant colours of the walk so far."""
        z = _blank(len(self._sides), 1, self._maze.feature_dim, self._junction)
        asked = np.array([self._junction.choice(np.flatnonzero(sides)) for sides in self._sides])
        z[..., FLAG] = 1
        z[:, 0, 4:] = self._colours[asked]
        return z, _turns(self._sides[np.arange(len(asked)), asked])
