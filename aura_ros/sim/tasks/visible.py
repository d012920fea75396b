# SPDX-License-Identifier: Apache-2.0
"""The tasks sequence, both and many without anything to remember, for training the VLA.

A VLA has to act in the scenes of the memory tasks, but it must not learn from their demonstrations: it cannot know the
answer. In these tasks a light or the instruction shows the answer until it has been used.
"""

from collections.abc import Callable

import numpy as np

from aura_ros.common.names import EventKind
from aura_ros.sim.tasks.both import lay_out_row
from aura_ros.sim.tasks.many import TEXT as LAMP_TEXT
from aura_ros.sim.tasks.moves import Answer, ask_place, ask_touch, lay_out_blocks
from aura_ros.sim.tasks.sequence import TEXT as SEQUENCE_TEXT
from aura_ros.sim.tasks.sequence import ask_touches, draw_colours
from aura_ros.sim.tasks.single import RECALL_TEXT, TOUCH_TEXTS
from aura_ros.sim.tasks.stage import Script, Stage, wait
from aura_ros.sim.world import BLOCKS, COLOURS, DARK, PARCEL, SIDES

PARCEL_TEXTS = ('put the parcel on the {} pad', 'place the parcel on the {} pad')
WAIT_S = (1.0, 2.0)
"""Time before a go sign [s]."""
BETWEEN_S = (1.0, 4.0)
"""Time between the two questions of `visible_both` [s]."""


def visible_sequence(stage: Stage, rng: np.random.Generator) -> Script:
    """Touch two to four blocks in order. The beacon shows the next colour, or the instruction names it."""
    colours = draw_colours(rng)
    lay_out_blocks(stage, rng)
    show = _beacon_or_words(stage, rng, SEQUENCE_TEXT)
    show(colours[0])
    yield from wait(rng.uniform(*WAIT_S))
    stage.finish(*(yield from ask_touches(stage, colours, show)))


def visible_both(stage: Stage, rng: np.random.Generator) -> Script:
    """Touch a block and put the parcel on a pad, in a random order. The beacon or the instruction says which."""
    colour, pad = str(rng.choice(BLOCKS)), str(rng.choice(SIDES))
    stage.world.show_pads(True)
    lay_out_row(stage, rng, (*BLOCKS, PARCEL))
    touch_first, between = bool(rng.random() < 0.5), rng.uniform(*BETWEEN_S)
    solved, used = yield from _ask(stage, rng, colour, pad, touch_first, rng.uniform(*WAIT_S))
    if solved:
        stage.emit(EventKind.PART, used)
        stage.goal = None
        stage.world.set_light('go_sign', DARK)
        solved, used = yield from _ask(stage, rng, colour, pad, not touch_first, between)
    stage.finish(solved, used)


def visible_many(stage: Stage, rng: np.random.Generator) -> Script:
    """Touch the block that has the colour of a lit lamp that the instruction names, or a colour that it names."""
    colours = draw_lamps(rng)
    stage.shown |= colours
    asked = str(rng.choice(list(colours)))
    by_lamp = rng.random() < 0.7
    stage.instruction = LAMP_TEXT.format(asked) if by_lamp else str(rng.choice(TOUCH_TEXTS)).format(colours[asked])
    lay_out_blocks(stage, rng)
    stage.world.show_lamps(True)
    for lamp, colour in colours.items():
        stage.world.set_light(f'lamp_{lamp}', COLOURS[colour])
        stage.emit(EventKind.CUE, f'{lamp} {colour}')
    yield from wait(rng.uniform(*WAIT_S))
    solved, used = yield from ask_touch(stage, colours[asked], asked)
    for lamp in SIDES:
        stage.world.set_light(f'lamp_{lamp}', DARK)
    stage.finish(solved, used)


def draw_lamps(rng: np.random.Generator) -> dict[str, str]:
    """Draw which of the three lamps are lit in a round of `visible_many`, and their colours."""
    lit = rng.choice(SIDES, size=int(rng.integers(1, len(SIDES) + 1)), replace=False)
    return {str(lamp): str(rng.choice(BLOCKS)) for lamp in lit}


def _ask(stage: Stage, rng: np.random.Generator, colour: str, pad: str, touch: bool, seconds: float) -> Answer:
    """Show one of the answers, wait, and ask for it."""
    if touch:
        _beacon_or_words(stage, rng, RECALL_TEXT)(colour)
    else:
        stage.instruction = str(rng.choice(PARCEL_TEXTS)).format(pad)
    yield from wait(seconds)
    solved, used = yield from ask_touch(stage, colour) if touch else ask_place(stage, pad)
    stage.world.set_light('beacon', DARK)
    return solved, used


def _beacon_or_words(stage: Stage, rng: np.random.Generator, text: str) -> Callable[[str], None]:
    """Draw whether the beacon, with an instruction that names no colour, or the instruction shows the colours."""
    words = str(rng.choice(TOUCH_TEXTS))
    by_beacon = rng.random() < 0.5

    def show(colour: str) -> None:
        if not by_beacon:
            stage.instruction = words.format(colour)
            return
        stage.instruction = text
        stage.world.set_light('beacon', COLOURS[colour])
        stage.emit(EventKind.CUE, colour)

    return show
