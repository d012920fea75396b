# SPDX-License-Identifier: Apache-2.0
"""What rounds are made of: cues, waits, layouts of the table, and the wait for what the robot does."""

from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType

import numpy as np

from aura_ros.common.names import EventKind
from aura_ros.sim.tasks.stage import Goal, Script, Stage, wait
from aura_ros.sim.world import BLOCKS, COLOURS, DARK, GO, PARCEL, SIDES

CUE_S = 0.5
DELAY_S = (2.0, 20.0)
TOUCH_LIMIT_S = 6.0
PLACE_LIMIT_S = 10.0
REPEAT_PROBABILITY = 0.3
RESHUFFLE_PROBABILITY = 0.5

PADS: Mapping[str, tuple[float, float]] = MappingProxyType(
    dict(zip(SIDES, ((0.52, 0.19), (0.52, 0.0), (0.52, -0.19)), strict=True))
)


def draw_delay(rng: np.random.Generator) -> float:
    """Draw the time between a cue and the go sign [s]."""
    low, high = np.log(DELAY_S)
    return float(np.exp(rng.uniform(low, high)))


def lay_out_blocks(stage: Stage, rng: np.random.Generator) -> None:
    """Put the three blocks on the table, in a random order from left to right."""
    for name, slot in zip(BLOCKS, rng.permutation(3), strict=True):
        y = 0.19 * (int(slot) - 1) + rng.uniform(-0.04, 0.04)
        stage.world.place(name, rng.uniform(0.42, 0.54), y, rng.uniform(-0.3, 0.3))


def reshuffle(stage: Stage, rng: np.random.Generator) -> Script:
    """Let the blocks change places."""
    lay_out_blocks(stage, rng)
    stage.emit(EventKind.RESHUFFLE)
    yield True


def show_parcel(stage: Stage, rng: np.random.Generator, pad: str) -> Script:
    """Show the parcel on its pad for a second."""
    stage.world.place(PARCEL, *PADS[pad], yaw=rng.uniform(-0.15, 0.15))
    stage.emit(EventKind.CUE, pad)
    yield from wait(1.0)


def move_parcel_away(stage: Stage, rng: np.random.Generator) -> None:
    """Put the parcel on the table, in front of the pads."""
    stage.world.place(PARCEL, rng.uniform(0.36, 0.42), rng.uniform(-0.06, 0.06), rng.uniform(-0.15, 0.15))


def show_cue(stage: Stage, kind: EventKind, colour: str) -> Script:
    """Let the beacon show a colour for half a second."""
    stage.world.set_light('beacon', COLOURS[colour])
    stage.emit(kind, colour)
    yield from wait(CUE_S)
    stage.world.set_light('beacon', DARK)


def wait_with(count: int, planned: Mapping[int, Callable[[], Script]]) -> Script:
    """Wait `count` ticks, and run each planned script at its tick."""
    for tick in range(count):
        if tick in planned:
            yield from planned[tick]()
        yield True


Answer = Generator[bool, None, tuple[bool, str]]
"""The script of a question: it returns whether the robot did what was asked, and the block or pad that it used."""


def ask_touch(stage: Stage, colour: str, asked: str = '') -> Answer:
    """Light the go sign and wait for the touch of one block. `asked` is the colour of the event GO."""
    stage.goal = Goal(touch=colour)
    stage.world.set_light('go_sign', GO)
    stage.emit(EventKind.GO, asked)
    return (yield from await_touch(stage, colour))


def await_touch(stage: Stage, colour: str) -> Answer:
    """Wait until a finger touches a block; '' is returned at the time limit."""
    for _ in wait(TOUCH_LIMIT_S):
        yield True
        touched = stage.world.touched()
        if touched:
            return touched == (colour,), touched[0]
    return False, ''


def ask_place(stage: Stage, pad: str) -> Answer:
    """Light the go sign and wait until the parcel is released on a pad; '' is returned at the time limit."""
    stage.goal = Goal(pad=PADS[pad])
    stage.world.set_light('go_sign', GO)
    stage.emit(EventKind.GO)
    for _ in wait(PLACE_LIMIT_S):
        yield True
        x, y, z = stage.world.block_position(PARCEL)
        near = [name for name, (px, py) in PADS.items() if np.hypot(x - px, y - py) < 0.035]
        if near and z < 0.03 and PARCEL not in stage.world.touched():
            return near[0] == pad, near[0]
    stage.hand_is_full = True
    return False, ''
