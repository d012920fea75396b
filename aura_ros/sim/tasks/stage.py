# SPDX-License-Identifier: Apache-2.0
"""What a round works with: the world, the clock, the instruction, the goal and the events of its episode."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from aura_ros.common.names import EventKind
from aura_ros.sim.world import CONTROL_PERIOD, World

GRASP_TASKS = ('put_back', 'place', 'both', 'visible_both')
"""Tasks that begin with an open hand."""


@dataclass(frozen=True)
class Event:
    """One event of the task."""

    kind: EventKind
    time: float
    """Simulation time [s]."""
    task: str
    """Task of the round."""
    round: int
    """Round of the episode, from 0."""
    colour: str = ''
    """What was shown, touched or used: a colour, the name of a pad, or lamp and colour; empty if there is none."""
    last: bool = False
    """True for the event that ends the episode."""


@dataclass(frozen=True)
class Goal:
    """The goal of the present round, for the expert; one of the fields is set."""

    touch: str | None = None
    """Colour of the block to touch."""
    pad: tuple[float, float] | None = None
    """Position for the parcel [m]."""


class Stage:
    """The episode as its rounds see it."""

    def __init__(self, world: World) -> None:
        self.world = world
        """The physical world."""
        self.task = ''
        """Task of the present round."""
        self.round = 0
        """Number of the present round."""
        self.instruction = ''
        """Present instruction in words."""
        self.goal: Goal | None = None
        """What the robot has to do now, for the expert; None without the go sign."""
        self.hand_is_full = False
        """Whether a round ended while the hand may still hold the parcel."""
        self.shown: dict[str, str] = {}
        """Colour that each of the three lamps showed last in this episode, by lamp."""
        self._tick = 0
        self._events: list[Event] = []
        self._last_round = 0

    @property
    def time(self) -> float:
        """Simulation time [s]; 0 at the start, a multiple of dt."""
        return self._tick * CONTROL_PERIOD

    def emit(self, kind: EventKind, colour: str = '', last: bool = False) -> None:
        """Record an event of the present round."""
        self._events.append(Event(kind, self.time, self.task, self.round, colour, last))

    def finish(self, success: bool, colour: str) -> None:
        """Record the end of the round; `colour` names the block that was touched or the pad that was used."""
        kind = EventKind.ROUND_SUCCESS if success else EventKind.ROUND_FAILURE
        self.emit(kind, colour, last=self.round == self._last_round)


Script = Iterator[bool]
"""What happens in a round, one item for each control tick."""
Round = Callable[[Stage, np.random.Generator], Script]
"""A task: it makes the script of one round, whose random numbers all come from the given generator."""


def ticks(seconds: float) -> int:
    """Return the number of control ticks in a time [s]."""
    return max(1, round(seconds / CONTROL_PERIOD))


def wait(seconds: float) -> Script:
    """Wait a time [s]."""
    for _ in range(ticks(seconds)):
        yield True
