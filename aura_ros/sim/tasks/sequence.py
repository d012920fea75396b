# SPDX-License-Identifier: Apache-2.0
"""The task sequence: touch the blocks in the order of the colours that the beacon showed."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from aura_ros.common.names import EventKind
from aura_ros.sim.tasks.moves import (
    RESHUFFLE_PROBABILITY,
    TOUCH_LIMIT_S,
    Answer,
    ask_touch,
    await_touch,
    draw_delay,
    lay_out_blocks,
    reshuffle,
    show_cue,
    wait_with,
)
from aura_ros.sim.tasks.stage import Goal, Script, Stage, ticks, wait
from aura_ros.sim.world import BLOCKS, DARK, GO

TEXT = 'touch the blocks in the order of the colours that the beacon showed'
LENGTHS = (2, 4)
"""Least and largest number of colours."""
GAP_S = 0.5
"""Time without a colour between two colours [s]."""
APART_S = 0.2
"""Time without contact after which the next touch counts [s]; a finger that slips leaves a block for a moment only."""
SEEN_S = 0.2
"""Time for which the go sign is dark after a right touch, except the last [s]. A policy of 5 Hz has one image of it. It
shows that the touch counts; the pose of the hand alone does not.
"""


def sequence(stage: Stage, rng: np.random.Generator) -> Script:
    """Touch two to four blocks in order.

    A memory that can hold only one thing fails. If it holds the last colour, its first touch is wrong or its second one
    is a guess, because no colour follows itself. If it holds the first colour, its second touch is a guess. At
    the go sign, neither the table nor the instruction shows a colour, and the number of colours is not shown either.
    """
    stage.instruction = TEXT
    colours = draw_colours(rng)
    lay_out_blocks(stage, rng)
    for number, colour in enumerate(colours):
        if number:
            yield from wait(GAP_S)
        yield from show_cue(stage, EventKind.CUE, colour)
    delay = draw_delay(rng)
    planned: dict[int, Callable[[], Script]] = {}
    if rng.random() < RESHUFFLE_PROBABILITY:
        planned[ticks(rng.uniform(0.1, 0.9) * delay)] = lambda: reshuffle(stage, rng)
    yield from wait_with(ticks(delay), planned)
    stage.finish(*(yield from ask_touches(stage, colours, seen_s=SEEN_S)))


def draw_colours(rng: np.random.Generator) -> list[str]:
    """Draw the colours of a round; none follows itself."""
    colours: list[str] = []
    for _ in range(int(rng.integers(LENGTHS[0], LENGTHS[1] + 1))):
        colours.append(str(rng.choice([name for name in BLOCKS if name not in colours[-1:]])))
    return colours


def ask_touches(
    stage: Stage, colours: list[str], show: Callable[[str], None] = lambda _: None, seen_s: float = 0.0
) -> Answer:
    """Ask for all blocks in order. Each touch has the time limit of one, and a wrong one ends the round.

    Args:
        stage: the episode.
        colours: the blocks in order.
        show: called with each colour after the first, when it is its turn.
        seen_s: time for which the go sign is dark before it is the turn of the next colour [s]; 0 keeps it lit.
    """
    solved, touched = yield from ask_touch(stage, colours[0])
    for before, colour in pairwise(colours):
        if not solved:
            break
        stage.emit(EventKind.PART, before)
        if seen_s:
            yield from _acknowledge(stage, seen_s)
        stage.goal = Goal(touch=colour)
        show(colour)
        yield from _leave(stage, before)
        solved, touched = yield from await_touch(stage, colour)
    return solved, touched


def _acknowledge(stage: Stage, seconds: float) -> Script:
    """Make the go sign dark for a time [s]; meanwhile, touches do not count."""
    stage.goal = None
    stage.world.set_light('go_sign', DARK)
    yield from wait(seconds)
    stage.world.set_light('go_sign', GO)


def _leave(stage: Stage, colour: str) -> Script:
    """Wait until the fingers have left the block or touch another one, at most for the time limit of a touch."""
    apart = 0
    for _ in wait(TOUCH_LIMIT_S):
        yield True
        touched = stage.world.touched()
        apart = 0 if touched else apart + 1
        if apart == ticks(APART_S) or set(touched) - {colour}:
            return
