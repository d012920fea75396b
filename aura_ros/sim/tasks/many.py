# SPDX-License-Identifier: Apache-2.0
"""The task many: three lamps, each with a colour of its own to remember, also over rounds."""

from dataclasses import dataclass

import numpy as np

from aura_ros.common.names import EventKind
from aura_ros.sim.tasks.moves import CUE_S, ask_touch, draw_delay, lay_out_blocks
from aura_ros.sim.tasks.stage import Script, Stage, wait
from aura_ros.sim.world import BLOCKS, COLOURS, DARK, SIDES

WATCH_TEXT = 'watch the three lamps'
TEXT = 'touch the block that has the colour the {} lamp last showed'
FLASHES = (1, 3)
"""Least and largest number of colours that the lamps show in a round, all together."""
GAP_S = (0.5, 4.0)
"""Time before each of them [s]."""


@dataclass(frozen=True)
class Shown:
    """One lamp shows a colour for half a second."""

    lamp: str
    """One of SIDES."""
    colour: str
    """One of BLOCKS."""
    gap_s: float
    """Time before it [s]."""


def many(stage: Stage, rng: np.random.Generator) -> Script:
    """Touch the block of the colour that one of three lamps showed last, in this round or in an earlier one.

    A memory that can hold only one thing fails. The go sign never asks for the lamp that showed last, unless it is the
    only one that has shown anything, so the newest colour is no better than a guess. A memory of one chosen lamp has to
    guess when another is asked for. The lamps are dark at the go sign, and only then the instruction names the lamp.
    """
    stage.instruction = WATCH_TEXT
    plan = draw_plan(rng)
    lay_out_blocks(stage, rng)
    stage.world.show_lamps(True)
    for each in plan:
        yield from wait(each.gap_s)
        yield from _show(stage, each)
    known = [lamp for lamp in SIDES if lamp in stage.shown]
    asked = str(rng.choice([lamp for lamp in known if lamp != plan[-1].lamp] or known))
    yield from wait(draw_delay(rng))
    stage.instruction = TEXT.format(asked)
    stage.finish(*(yield from ask_touch(stage, stage.shown[asked], asked)))


def draw_plan(rng: np.random.Generator) -> list[Shown]:
    """Draw what the lamps show in a round, in the order of time."""
    return [
        Shown(str(rng.choice(SIDES)), str(rng.choice(BLOCKS)), rng.uniform(*GAP_S))
        for _ in range(int(rng.integers(FLASHES[0], FLASHES[1] + 1)))
    ]


def shown_in(rng: np.random.Generator) -> dict[str, str]:
    """Return the colour that each lamp shows last in the round of a generator, by lamp."""
    return {each.lamp: each.colour for each in draw_plan(rng)}


def _show(stage: Stage, each: Shown) -> Script:
    again = stage.shown.get(each.lamp) == each.colour
    stage.shown[each.lamp] = each.colour
    stage.world.set_light(f'lamp_{each.lamp}', COLOURS[each.colour])
    stage.emit(EventKind.CUE_REPEAT if again else EventKind.CUE, f'{each.lamp} {each.colour}')
    yield from wait(CUE_S)
    stage.world.set_light(f'lamp_{each.lamp}', DARK)
