# SPDX-License-Identifier: Apache-2.0
"""The rounds of an episode: the same for every policy, each one reproducible alone, none shared by two splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip('mujoco')

from aura_ros.sim import TASKS, EventKind, Simulation
from aura_ros.sim.expert import Expert
from aura_ros.sim.world import BLOCKS, PARCEL, World

Act = Callable[[], NDArray[np.float64]]
Story = list[tuple[object, ...]]
ROUNDS = 3


@pytest.fixture(scope='module')
def world() -> Iterator[World]:
    with World() as shared:
        yield shared


def stories(simulation: Simulation, act: Act) -> tuple[dict[int, Story], dict[int, Story]]:
    """Play an episode; return what each round shows up to its first go sign, and its flashes.

    Times are ticks from the start of the round. Every layout of the table is part of what a round shows.
    """
    shown: dict[int, Story] = {}
    flashes: dict[int, Story] = {}
    begins: dict[int, float] = {}
    events = simulation.initial_events
    while True:
        begins.setdefault(simulation.round, simulation.time)
        for event in events:
            now = round((event.time - begins[event.round]) / simulation.dt)
            if event.kind == EventKind.DISTRACTOR:
                flashes.setdefault(event.round, []).append((now, event.colour))
            elif EventKind.GO not in (kind for _, kind, *_ in shown.get(event.round, [])):
                table = [round(float(value), 2) for name in (*BLOCKS, PARCEL) for value in place(simulation, name)]
                shown.setdefault(event.round, []).append(
                    (now, event.kind, event.colour, simulation.instruction, *table)
                )
        if simulation.done:
            return shown, flashes
        events = simulation.step(act())


def place(simulation: Simulation, name: str) -> NDArray[np.float64]:
    return simulation.world.block_position(name)[:2]


def still(simulation: Simulation) -> Act:
    home = simulation.joint_positions
    return lambda: home


@pytest.mark.parametrize('task', TASKS)
def test_every_policy_has_the_same_rounds_and_sees_the_flashes_in_the_same_order(task: str, world: World) -> None:
    quick = Simulation(task, 'validation', 7, ROUNDS, world)
    shown, flashes = stories(quick, Expert(quick).act)
    slow = Simulation(task, 'validation', 7, ROUNDS, world)
    shown_slow, flashes_slow = stories(slow, still(slow))
    assert shown == shown_slow
    for number, seen in flashes.items():
        common = min(len(seen), len(flashes_slow[number]))
        assert seen[:common] == flashes_slow[number][:common]


@pytest.mark.parametrize('task', TASKS)
def test_a_round_can_be_reproduced_without_those_before_it(task: str, world: World) -> None:
    whole = Simulation(task, 'validation', 8, ROUNDS, world)
    shown, flashes = stories(whole, still(whole))
    alone = Simulation(task, 'validation', 8, 1, world, first=ROUNDS - 1)
    shown_alone, flashes_alone = stories(alone, still(alone))
    assert shown_alone == {ROUNDS - 1: shown[ROUNDS - 1]}
    assert flashes_alone == {ROUNDS - 1: flashes[ROUNDS - 1]}


def test_no_two_splits_seeds_tasks_or_rounds_are_equal(world: World) -> None:
    seen = set()
    for task in ('recall', 'visible'):
        for split in ('train', 'validation', 'evaluation'):
            for seed in (0, 1):
                for first in (0, 1):
                    Simulation(task, split, seed, 1, world, first=first)
                    seen.add(tuple(float(value) for name in BLOCKS for value in world.block_position(name)))
    assert len(seen) == 24


def test_the_tasks_of_a_mixed_episode_are_drawn_and_each_round_is_that_of_its_task(world: World) -> None:
    tasks = ('recall', 'visible', 'put_back', 'many')
    mixed = Simulation(','.join(tasks), 'validation', 9, 8, world)
    home, drawn, texts, events = mixed.joint_positions, [], [], list(mixed.initial_events)
    while not mixed.done:
        if mixed.round == len(drawn):
            drawn.append(mixed.task)
            texts.append(mixed.instruction)
            parcel = world.block_position(PARCEL)[0] > 0
            assert parcel == (mixed.task == 'put_back'), 'the table has what the round needs'
            assert world.model.geom('pad_left').rgba[3] == (mixed.task == 'put_back')
            assert world.model.geom('lamp_left').rgba[3] == (mixed.task == 'many')
        events += mixed.step(home)
    assert all(event.task == drawn[event.round] for event in events)
    assert set(drawn) == set(tasks)
    for number, task in enumerate(drawn):
        assert Simulation(task, 'validation', 9, 1, world, first=number).instruction == texts[number]
        assert Simulation(','.join(tasks), 'validation', 9, 1, world, first=number).task == task


def test_a_lamp_keeps_its_colour_over_rounds_of_other_tasks(world: World) -> None:
    def asked(first: int, rounds: int) -> dict[int, tuple[str, str]]:
        simulation = Simulation('visible,many', 'validation', 10, rounds, world, first=first)
        home, found = simulation.joint_positions, {}
        while not simulation.done:
            simulation.step(home)
            if simulation.task == 'many' and simulation.goal is not None:
                found[simulation.round] = simulation.instruction, simulation.goal.touch or ''
        return found

    whole = asked(0, 6)
    last = max(whole)
    assert asked(last, 1) == {last: whole[last]}
