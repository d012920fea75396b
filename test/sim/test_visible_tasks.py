# SPDX-License-Identifier: Apache-2.0
"""The tasks for training the VLA: lights and instruction show every answer, and in the memory tasks they show none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip('mujoco')

from aura_ros.common.names import VLA_TASKS
from aura_ros.sim import EventKind, Simulation
from aura_ros.sim.expert import Expert
from aura_ros.sim.tasks import Goal
from aura_ros.sim.tasks.moves import PADS
from aura_ros.sim.world import BLOCKS, COLOURS, SIDES, World

MEMORY_TASKS = ('recall', 'put_back', 'sequence', 'both', 'many')


@pytest.fixture(scope='module')
def world() -> Iterator[World]:
    with World() as shared:
        yield shared


def colour_of(world: World, light: str) -> Goal | None:
    """Return the goal that a light shows, or None if it is dark."""
    shown = [name for name in BLOCKS if world.light(light) == pytest.approx(COLOURS[name])]
    return Goal(touch=shown[0]) if shown else None


def read(simulation: Simulation) -> Goal | None:
    """Return the goal that the present lights and the present instruction show, or None if they show none."""
    words = simulation.instruction.split()
    for colour in BLOCKS:
        if colour in words:
            return Goal(touch=colour)
    side = next((side for side in SIDES if side in words), None)
    if side and 'pad' in words:
        return Goal(pad=PADS[side])
    return colour_of(simulation.world, f'lamp_{side}' if side else 'beacon')


@pytest.mark.parametrize('task', VLA_TASKS)
def test_who_sees_only_the_present_solves_the_task(task: str, world: World) -> None:
    simulation = Simulation(task, 'validation', 30, 8, world)
    expert, ends = Expert(simulation), []
    while not simulation.done:
        goal = simulation.goal
        if goal is not None:
            simulation.goal = read(simulation)
            assert simulation.goal is not None, simulation.instruction
        target = expert.act()
        simulation.goal = goal
        ends += [event.kind for event in simulation.step(target) if event.kind >= EventKind.ROUND_SUCCESS]
    assert [kind for kind in ends if kind != EventKind.PART] == [EventKind.ROUND_SUCCESS] * 8


@pytest.mark.parametrize('task', MEMORY_TASKS)
def test_the_present_of_a_memory_task_shows_no_answer(task: str, world: World) -> None:
    simulation = Simulation(task, 'validation', 31, 4, world)
    expert, asked = Expert(simulation), 0
    while not simulation.done:
        if simulation.goal is not None:
            asked += 1
            assert read(simulation) is None
        simulation.step(expert.act())
    assert asked > 40


def test_the_answers_of_the_visible_tasks_vary(world: World) -> None:
    texts, lamps = set(), set()
    for task in VLA_TASKS[2:]:
        simulation = Simulation(task, 'validation', 32, 10, world)
        expert = Expert(simulation)
        while not simulation.done:
            if simulation.goal is not None:
                texts.add(simulation.instruction)
                lamps |= {side for side in SIDES if colour_of(world, f'lamp_{side}')}
            simulation.step(expert.act())
    assert lamps == set(SIDES)
    assert len(texts) > 15, 'colours, pads and lamps are named in several ways'
