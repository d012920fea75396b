# SPDX-License-Identifier: Apache-2.0
"""The task both: remember a colour and a place at once, and use one after the other."""

from collections.abc import Callable

import numpy as np

from aura_ros.common.names import EventKind
from aura_ros.sim.tasks.moves import (
    PADS,
    RESHUFFLE_PROBABILITY,
    Answer,
    ask_place,
    ask_touch,
    draw_delay,
    show_cue,
    show_parcel,
    wait_with,
)
from aura_ros.sim.tasks.single import RECALL_TEXT
from aura_ros.sim.tasks.stage import Script, Stage, ticks, wait
from aura_ros.sim.world import BLOCKS, DARK, PARCEL

WATCH_TEXT = 'watch the beacon and the parcel'
PARCEL_TEXT = 'put the parcel back where it stood'
GAP_S = (0.5, 2.0)
"""Time between the two cues [s]."""
BETWEEN_S = (2.0, 6.0)
"""Time between the two questions [s]."""
ROW_X = (0.36, 0.40)
"""Row of the blocks and the parcel, in front of the pads: least and largest x [m]."""
ROW_Y = (0.225, 0.075, -0.075, -0.225)
"""Places in the row, y [m]."""


def both(stage: Stage, rng: np.random.Generator) -> Script:
    """Touch the block of the beacon's colour, and put the parcel back, in a random order.

    A memory that can hold only one thing fails. Colour and place are shown before the first question, and the round
    asks for both, so the one that is not held is a guess among three. At the go sign, the parcel is off its pad, blocks
    and parcel stand in a random order, and the instruction names neither colour nor pad.
    """
    stage.instruction = WATCH_TEXT
    colour, pad = str(rng.choice(BLOCKS)), str(rng.choice(list(PADS)))
    stage.world.show_pads(True)
    lay_out_row(stage, rng, BLOCKS)
    colour_first, touch_first = rng.random(2) < 0.5
    yield from show_cue(stage, EventKind.CUE, colour) if colour_first else _show_place(stage, rng, pad)
    yield from wait(rng.uniform(*GAP_S))
    yield from _show_place(stage, rng, pad) if colour_first else show_cue(stage, EventKind.CUE, colour)
    delay, between = draw_delay(rng), rng.uniform(*BETWEEN_S)
    planned: dict[int, Callable[[], Script]] = {}
    if rng.random() < RESHUFFLE_PROBABILITY:
        planned[ticks(rng.uniform(0.1, 0.9) * delay)] = lambda: _move_row(stage, rng)
    yield from wait_with(ticks(delay), planned)
    solved, used = yield from _ask(stage, colour, pad, touch_first)
    if solved:
        stage.emit(EventKind.PART, used)
        stage.goal, stage.instruction = None, WATCH_TEXT
        stage.world.set_light('go_sign', DARK)
        yield from wait(between)
        solved, used = yield from _ask(stage, colour, pad, not touch_first)
    stage.finish(solved, used)


def _ask(stage: Stage, colour: str, pad: str, touch: bool) -> Answer:
    """Ask for the touch or for the parcel."""
    stage.instruction = RECALL_TEXT if touch else PARCEL_TEXT
    return (yield from ask_touch(stage, colour) if touch else ask_place(stage, pad))


def _show_place(stage: Stage, rng: np.random.Generator, pad: str) -> Script:
    """Show the parcel on its pad, and move it to the row."""
    yield from show_parcel(stage, rng, pad)
    yield from _move_row(stage, rng)


def _move_row(stage: Stage, rng: np.random.Generator) -> Script:
    """Let the blocks and the parcel change places in the row."""
    lay_out_row(stage, rng, (*BLOCKS, PARCEL))
    stage.emit(EventKind.RESHUFFLE)
    yield True


def lay_out_row(stage: Stage, rng: np.random.Generator, names: tuple[str, ...]) -> None:
    """Put blocks and parcel in the row, in a random order."""
    for name, y in zip(names, rng.permutation(ROW_Y), strict=False):
        stage.world.place(name, rng.uniform(*ROW_X), y + rng.uniform(-0.015, 0.015), rng.uniform(-0.15, 0.15))
