# SPDX-License-Identifier: Apache-2.0
"""Two T-Mazes: the passive one of the ELMUR line, and a selective one in which many bits are overwritten.

A walk goes right along a corridor of c steps, then turns up or down at the junction. Four actions: 0 right, 1 up,
2 left, 3 down. Anything but right in the corridor ends the episode in failure; reward 1 for the right turn.

Passive (Bakker 2001; arXiv 2306.09459): an observation is [y, clue, flag, noise]. The clue, -1 or +1, is seen at the
first step only and tells the turn; noise is -1, 0 or 1; y is 0 until the turn. The flag is 1 at the junction, as in
the released code of RATE and ELMUR (their text says one step before it). An episode has c + 1 actions and
T = c + 2 observations, the last after the turn.

Selective (ours): lamps light up along the corridor. A lamp has a colour and a side, -1 or +1. The junction shows one
of four colours, and the right turn is the side that this colour was last seen with. So a later lamp overwrites an
earlier one of its colour, half of them repeat what is known already, and far more lamps have one of twelve other
colours that no junction asks about. An observation is [y, side, flag, noise, colour (16 numbers)].

The first step is a lamp that counts. Step t is one with probability min(lamp_rate, lamp_span / (t + 1)), else a
distractor with probability distractor_rate, else dark. Lamps that count thin out as 1/t while the distractors stay as
dense: whatever the length of the corridor, its second half holds about lamp_span * ln 2 = 5.5 lamps that count. So the
age of what is asked grows with the corridor, and so does the number of distractors since.

No observation depends on where the corridor ends before its junction, so one walk serves all lengths: at each, the
junction is shown to the state as it is then, and the walk goes on from there as if it had not been.
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
"""Whole numbers >= 0 that say what is drawn; other numbers, other corridors."""

ACTIONS = 4
RIGHT, UP, DOWN = 0, 1, 3
CLUE, FLAG, NOISE = 1, 2, 3
"""Where an observation holds them; [0] is y."""


@dataclass(frozen=True)
class Stretch:
    """A piece of corridor, of B corridors in step."""

    z: Floats
    """Observations, float32 [B, n, D]."""
    news: Bools
    """Where something is seen that the walk needs and has not seen yet, bool [B, n]: a policy that knows the task
    writes there and nowhere else.
    """


class Walk(Protocol):
    """B corridors, walked in step."""

    def go_on(self, steps: int) -> Stretch:
        """The next `steps` steps of the corridor."""
        ...

    def junction(self) -> tuple[Floats, Ints]:
        """The corridor ends here: the observation [B, 1, D] and the right turn, UP or DOWN, [B]; see above."""
        ...


class Maze(Protocol):
    """A family of corridors."""

    @property
    def feature_dim(self) -> int:
        """Length D of an observation."""
        ...

    def start(self, corridors: int, seed: Seed) -> Walk:
        """Begin `corridors` new corridors; the same seed and the same calls give the same ones."""
        ...


def _blank(corridors: int, steps: int, feature_dim: int, rng: np.random.Generator) -> Floats:
    z = np.zeros((corridors, steps, feature_dim), np.float32)
    z[..., NOISE] = rng.integers(-1, 2, (corridors, steps))
    return z


def _streams(seed: Seed) -> tuple[np.random.Generator, np.random.Generator]:
    """One generator for the corridor and one for its junctions, so that looking at a junction changes no corridor."""
    corridor, junction = np.random.SeedSequence(seed).spawn(2)
    return np.random.default_rng(corridor), np.random.default_rng(junction)


def _turns(sides: NDArray[np.integer[Any]]) -> Ints:
    return np.where(sides > 0, UP, DOWN)


class PassiveMaze:
    """One clue at the first step; see above."""

    feature_dim = 4

    def start(self, corridors: int, seed: Seed) -> PassiveWalk:
        """Begin; half of the corridors (rounded up) have each clue."""
        return PassiveWalk(corridors, seed)


class PassiveWalk:
    """See `PassiveMaze`."""

    def __init__(self, corridors: int, seed: Seed) -> None:
        self._corridor, self._junction = _streams(seed)
        self._clue = self._corridor.permutation(np.resize([-1, 1], corridors))
        self._begun = False

    def go_on(self, steps: int) -> Stretch:
        """See `Walk.go_on`."""
        z = _blank(len(self._clue), steps, PassiveMaze.feature_dim, self._corridor)
        news = np.zeros(z.shape[:2], bool)
        if not self._begun and steps:
            z[:, 0, CLUE], news[:, 0], self._begun = self._clue, True, True
        return Stretch(z, news)

    def junction(self) -> tuple[Floats, Ints]:
        """See `Walk.junction`."""
        z = _blank(len(self._clue), 1, PassiveMaze.feature_dim, self._junction)
        z[..., FLAG] = 1
        return z, _turns(self._clue)


@dataclass(frozen=True)
class SelectiveMaze:
    """Lamps of many colours, a few of which are ever asked about; see above."""

    asked: int = 4
    """Colours that junctions ask about."""
    distractors: int = 12
    """Other colours."""
    colour_dim: int = 16
    """Numbers that make up a colour, a unit vector."""
    lamp_rate: float = 0.25
    """Highest probability per step of a lamp that counts, 0..1."""
    lamp_span: float = 8.0
    """How many such lamps there are to each e-fold of the corridor, > 0."""
    distractor_rate: float = 0.3
    """Probability per step of a lamp of another colour, in all of the corridor, 0..1."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: naming what is out of range.
        """
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
        """Length of an observation."""
        return 4 + self.colour_dim

    def colours(self) -> Floats:
        """The same colours for every seed, float32 [asked + distractors, colour_dim], those asked about first."""
        drawn = np.random.default_rng(0).normal(size=(self.asked + self.distractors, self.colour_dim))
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)

    def start(self, corridors: int, seed: Seed) -> SelectiveWalk:
        """Begin."""
        return SelectiveWalk(self, corridors, seed)


class SelectiveWalk:
    """See `SelectiveMaze`."""

    def __init__(self, maze: SelectiveMaze, corridors: int, seed: Seed) -> None:
        self._maze, self._colours = maze, maze.colours()
        self._corridor, self._junction = _streams(seed)
        self._held = np.zeros((corridors, maze.asked), np.int8)
        self._steps = 0

    def go_on(self, steps: int) -> Stretch:
        """See `Walk.go_on`."""
        maze, rng, shape = self._maze, self._corridor, (len(self._held), steps)
        age = np.arange(self._steps, self._steps + steps) + 1
        drawn = rng.random(shape)
        rate = np.where(age == 1, 1.0, np.minimum(maze.lamp_rate, maze.lamp_span / age))
        counts = drawn < rate
        lit = drawn < rate + maze.distractor_rate
        colour = np.where(
            counts, rng.integers(maze.asked, size=shape), maze.asked + rng.integers(maze.distractors, size=shape)
        )
        side = np.where(lit, rng.choice(np.array([-1, 1], np.int8), shape), 0)
        z = _blank(*shape, maze.feature_dim, rng)
        z[..., CLUE] = side
        z[..., 4:][lit] = self._colours[colour[lit]]
        self._steps += steps
        return Stretch(z, self._see(np.where(counts, colour, -1), side))

    def _see(self, colour: Ints, side: NDArray[np.int8]) -> Bools:
        """Keep the last side of each colour that counts; where it was not the one held, bool [B, n]."""
        news = np.zeros(colour.shape, bool)
        for i, (colours, sides) in enumerate(zip(colour, side, strict=True)):
            for k in range(self._maze.asked):
                at = np.flatnonzero(colours == k)
                seen = np.concatenate([self._held[i, k : k + 1], sides[at]])
                news[i, at] = seen[1:] != seen[:-1]
                self._held[i, k] = seen[-1]
        return news

    def junction(self) -> tuple[Floats, Ints]:
        """See `Walk.junction`; one of the colours seen so far is asked about."""
        z = _blank(len(self._held), 1, self._maze.feature_dim, self._junction)
        asked = np.array([self._junction.choice(np.flatnonzero(held)) for held in self._held])
        z[..., FLAG] = 1
        z[:, 0, 4:] = self._colours[asked]
        return z, _turns(self._held[np.arange(len(asked)), asked])
