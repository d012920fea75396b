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
    """Play an episode; return what each round shows up to its (last) go sign, and its flashes.

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
            elif event.kind <= EventKind.GO:
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


@pytest.mark.parametrize('task', ['recall', 'put_back', 'visible', 'place'])
def test_every_policy_has_the_same_rounds_and_a_slower_one_sees_more_flashes(task: str, world: World) -> None:
    quick = Simulation(task, 'validation', 7, ROUNDS, world)
    shown, flashes = stories(quick, Expert(quick).act)
    slow = Simulation(task, 'validation', 7, ROUNDS, world)
    shown_slow, flashes_slow = stories(slow, still(slow))
    assert slow.time > quick.time
    assert shown == shown_slow
    for number, seen in flashes.items():
        assert flashes_slow[number][: len(seen)] == seen


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
