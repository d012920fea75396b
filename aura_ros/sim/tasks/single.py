# SPDX-License-Identifier: Apache-2.0
"""Rounds with one thing to remember, or none: recall, put_back, visible and place."""

from collections.abc import Callable

import numpy as np

from aura_ros.common.names import EventKind
from aura_ros.sim.tasks.moves import (
    PADS,
    REPEAT_PROBABILITY,
    RESHUFFLE_PROBABILITY,
    ask_place,
    ask_touch,
    draw_delay,
    lay_out_blocks,
    move_parcel_away,
    reshuffle,
    show_cue,
    show_parcel,
    wait_with,
)
from aura_ros.sim.tasks.stage import Script, Stage, ticks, wait
from aura_ros.sim.world import BLOCKS, COLOURS

RECALL_TEXT = 'touch the block that has the colour of the beacon'
PUT_BACK_TEXT = 'put the block back where it stood'
TOUCH_TEXTS = ('touch the {} block', 'press the {} block', 'reach for the {} block')
PLACE_TEXTS = ('put the block on the {} pad', 'place the block on the {} pad')


def recall(stage: Stage, rng: np.random.Generator) -> Script:
    """Touch the block of the colour that the beacon showed."""
    stage.instruction = RECALL_TEXT
    colour = str(rng.choice(BLOCKS))
    lay_out_blocks(stage, rng)
    yield from show_cue(stage, EventKind.CUE, colour)
    delay = draw_delay(rng)
    planned: dict[int, Callable[[], Script]] = {}
    if rng.random() < REPEAT_PROBABILITY:
        planned[ticks(rng.uniform(0.3, 0.5) * delay)] = lambda: show_cue(stage, EventKind.CUE_REPEAT, colour)
    if rng.random() < RESHUFFLE_PROBABILITY:
        planned[ticks(rng.uniform(0.1, 0.9) * delay)] = lambda: reshuffle(stage, rng)
    yield from wait_with(ticks(delay), planned)
    stage.finish(*(yield from ask_touch(stage, colour)))


def visible(stage: Stage, rng: np.random.Generator) -> Script:
    """Touch the block of the colour that the beacon shows or the instruction names."""
    colour = str(rng.choice(BLOCKS))
    lay_out_blocks(stage, rng)
    if rng.random() < 0.5:
        stage.instruction = RECALL_TEXT
        stage.world.set_light('beacon', COLOURS[colour])
        stage.emit(EventKind.CUE, colour)
    else:
        stage.instruction = str(rng.choice(TOUCH_TEXTS)).format(colour)
    yield from wait(rng.uniform(1.0, 2.0))
    stage.finish(*(yield from ask_touch(stage, colour)))


def put_back(stage: Stage, rng: np.random.Generator) -> Script:
    """Put the parcel back on the pad where it stood."""
    stage.instruction = PUT_BACK_TEXT
    pad = str(rng.choice(list(PADS)))
    stage.world.show_pads(True)
    yield from show_parcel(stage, rng, pad)
    move_parcel_away(stage, rng)
    stage.emit(EventKind.RESHUFFLE)
    yield from wait(draw_delay(rng))
    stage.finish(*(yield from ask_place(stage, pad)))


def place(stage: Stage, rng: np.random.Generator) -> Script:
    """Put the parcel on the pad that the instruction names."""
    pad = str(rng.choice(list(PADS)))
    stage.instruction = str(rng.choice(PLACE_TEXTS)).format(pad)
    stage.world.show_pads(True)
    move_parcel_away(stage, rng)
    yield from wait(rng.uniform(1.0, 2.0))
    stage.finish(*(yield from ask_place(stage, pad)))
