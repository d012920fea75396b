# SPDX-License-Identifier: Apache-2.0
"""The tasks with several things to remember: what they show and ask for, and that one of them is not enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip('mujoco')

from aura_ros.sim import Event, EventKind, Simulation
from aura_ros.sim.expert import Expert
from aura_ros.sim.tasks import Goal
from aura_ros.sim.tasks.moves import PADS
from aura_ros.sim.tasks.sequence import SEEN_S
from aura_ros.sim.tasks.stage import ticks
from aura_ros.sim.world import BLOCKS, COLOURS, DARK, GO, SIDES, World

CUES = (EventKind.CUE, EventKind.CUE_REPEAT)
ENDS = (EventKind.ROUND_SUCCESS, EventKind.ROUND_FAILURE)
Choose = Callable[[Simulation, list[Event]], Goal | None]


@pytest.fixture(scope='module')
def world() -> Iterator[World]:
    with World() as shared:
        yield shared


def play(simulation: Simulation, choose: Choose | None = None) -> list[Event]:
    """Let the expert play to the end; `choose` replaces its goal while there is one."""
    expert, events = Expert(simulation), list(simulation.initial_events)
    while not simulation.done:
        asked = simulation.goal
        if asked is not None and choose is not None:
            simulation.goal = choose(simulation, events)
        target = expert.act()
        simulation.goal = asked
        events += simulation.step(target)
    return events


def solved(events: Iterable[Event]) -> list[bool]:
    return [event.kind == EventKind.ROUND_SUCCESS for event in events if event.kind in ENDS]


def rounds(events: Iterable[Event], *kinds: EventKind) -> dict[int, list[str]]:
    """Return the colours of all events of these kinds, by round."""
    found: dict[int, list[str]] = {}
    for event in events:
        if event.kind in kinds:
            found.setdefault(event.round, []).append(event.colour)
    return found


def last_cue(simulation: Simulation, events: list[Event]) -> Goal:
    """Do what the last cue says, and guess where it says nothing."""
    shown = next(event.colour for event in reversed(events) if event.kind in CUES).split()[-1]
    wanted = simulation.goal
    assert wanted is not None
    if wanted.pad is not None:
        return Goal(pad=PADS[shown if shown in PADS else SIDES[simulation.round % 3]])
    return Goal(touch=shown if shown in BLOCKS else BLOCKS[simulation.round % 3])


@pytest.mark.parametrize('task', ['sequence', 'both', 'many'])
def test_one_remembered_cue_is_not_enough(task: str, world: World) -> None:
    won = solved(play(Simulation(task, 'validation', 20, 15, world), last_cue))
    assert len(won) == 15
    assert sum(won) <= 8, 'guessing reaches a third'


def test_a_sequence_shows_two_to_four_colours_and_none_twice_in_a_row(world: World) -> None:
    events = play(Simulation('sequence', 'validation', 21, 12, world))
    shown = rounds(events, EventKind.CUE)
    assert {len(colours) for colours in shown.values()} == {2, 3, 4}
    for colours in shown.values():
        assert all(a != b for a, b in pairwise(colours))
    assert any(len(set(colours)) < len(colours) for colours in shown.values()), 'colours may repeat'
    touched = rounds(events, EventKind.PART, EventKind.ROUND_SUCCESS)
    assert touched == {number: shown[number] for number in touched}


def test_a_wrong_block_ends_a_sequence(world: World) -> None:
    def wrong_second(simulation: Simulation, events: list[Event]) -> Goal:
        now = simulation.goal
        assert now is not None
        parts = sum(event.kind == EventKind.PART and event.round == simulation.round for event in events)
        return now if parts == 0 else Goal(touch=next(name for name in BLOCKS if name != now.touch))

    events = play(Simulation('sequence', 'validation', 22, 3, world), wrong_second)
    assert solved(events) == [False] * 3
    assert [len(parts) for parts in rounds(events, EventKind.PART).values()] == [1, 1, 1]


def test_the_go_sign_is_dark_after_a_right_touch_until_the_next_colour_counts(world: World) -> None:
    simulation = Simulation('sequence', 'validation', 24, 2, world)
    expert, dark, darks = Expert(simulation), 0, list[int]()
    while not simulation.done:
        parts = [event for event in simulation.step(expert.act()) if event.kind == EventKind.PART]
        lit = np.allclose(world.light('go_sign'), GO)
        assert lit == (simulation.goal is not None)
        if dark and lit:
            darks, dark = [*darks, dark], 0
        dark += bool(parts or dark)
    assert len(darks) >= 2 and set(darks) == {ticks(SEEN_S)}


def test_a_finger_that_stays_on_a_block_touches_it_once(world: World) -> None:
    def first(simulation: Simulation, events: list[Event]) -> Goal:
        return Goal(touch=rounds(events, EventKind.CUE)[simulation.round][0])

    events = play(Simulation('sequence', 'validation', 23, 1, world), first)
    assert [event.colour for event in events if event.kind == EventKind.PART] == [events[0].colour]
    assert solved(events) == [False]


def test_both_asks_for_colour_and_place_in_both_orders(world: World) -> None:
    simulation = Simulation('both', 'validation', 24, 10, world)
    asked: dict[int, list[str]] = {}

    def note(now: Simulation, events: list[Event]) -> Goal | None:
        texts = asked.setdefault(now.round, [])
        if now.instruction not in texts:
            texts.append(now.instruction)
        return now.goal

    events = play(simulation, note)
    shown = rounds(events, EventKind.CUE)
    assert {len(set(texts)) for texts in asked.values()} == {2}
    assert len({tuple(texts) for texts in asked.values()}) == 2, 'either may come first'
    assert {cues[0] in COLOURS for cues in shown.values()} == {True, False}, 'either may be shown first'
    done = rounds(events, EventKind.PART, EventKind.ROUND_SUCCESS)
    assert all(sorted(done[number]) == sorted(shown[number]) for number in range(10))
    times = [event.time for event in events if event.kind in (EventKind.PART, EventKind.GO)]
    assert all(second - part >= 2.0 for _, part, second in zip(times[::3], times[1::3], times[2::3], strict=True))


def test_the_table_of_both_does_not_show_the_answer(world: World) -> None:
    """At the go sign no light is lit, and the parcel is off the pads."""
    simulation = Simulation('both', 'validation', 25, 4, world)
    expert, went = Expert(simulation), 0
    while not simulation.done:
        if any(event.kind == EventKind.GO for event in simulation.step(expert.act())):
            went += 1
            assert world.light('beacon') == pytest.approx(DARK)
            if 'parcel' in simulation.instruction:
                x, y, _ = world.block_position('parcel')
                assert min(np.hypot(x - px, y - py) for px, py in PADS.values()) > 0.08
    assert went == 8


def test_many_asks_for_a_lamp_that_has_shown_a_colour_and_holds_it_over_rounds(world: World) -> None:
    events = play(Simulation('many', 'validation', 26, 20, world))
    shown: dict[str, tuple[str, int]] = {}
    newest, wanted, ages, asked = '', '', Counter[int](), Counter[str]()
    for event in events:
        if event.kind in CUES:
            newest, colour = event.colour.split()
            assert (event.kind == EventKind.CUE_REPEAT) == (shown.get(newest, ('',))[0] == colour)
            shown[newest] = colour, event.round
        elif event.kind == EventKind.GO:
            assert event.colour in shown, 'nothing was shown yet'
            assert event.colour != newest or len(shown) == 1
            wanted = event.colour
            asked[wanted] += 1
            ages[event.round - shown[event.colour][1]] += 1
        elif event.kind == EventKind.ROUND_SUCCESS:
            assert event.colour == shown[wanted][0]
    assert set(asked) == set(SIDES)
    assert sum(count for age, count in ages.items() if age > 0) > 5, 'many answers are from earlier rounds'
    assert sum(solved(events)) >= 19


def test_the_lamps_exist_only_in_many_and_are_dark_at_the_go_sign(world: World) -> None:
    def seen() -> NDArray[np.uint8]:
        return world.render('front')

    simulation = Simulation('many', 'validation', 27, 1, world)
    expert = Expert(simulation)
    while simulation.goal is None:
        simulation.step(expert.act())
    assert all(world.light(f'lamp_{side}') == pytest.approx(DARK) for side in SIDES)
    with_lamps = seen()
    world.show_lamps(False)
    assert (seen() != with_lamps).any(axis=-1).sum() > 60
    without = Simulation('recall', 'validation', 27, 1, world)
    world.show_lamps(False)
    hidden = seen()
    assert without.task == 'recall'
    world.show_lamps(True)
    assert (seen() != hidden).any()
