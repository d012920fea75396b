# SPDX-License-Identifier: Apache-2.0
"""The simulated tasks: physics, pictures, order of events, splits, and an expert that solves them."""

import gc
import weakref

import numpy as np
import pytest

pytest.importorskip('mujoco')

from aura_ros.common.errors import ConfigError, InputError
from aura_ros.sim import TASKS, EventKind, Simulation
from aura_ros.sim.expert import Expert
from aura_ros.sim.tasks import Goal, ticks
from aura_ros.sim.tasks.moves import DELAY_S
from aura_ros.sim.tasks.simulation import RETREAT_S
from aura_ros.sim.world import COLOURS, FINGER_OPEN, HOME_TIP, World

ENDS = (EventKind.ROUND_SUCCESS, EventKind.ROUND_FAILURE)


@pytest.fixture(scope='module')
def world():
    with World() as shared:
        yield shared


def play(simulation, policy=None):
    """Run an episode to its end; returns all events."""
    act = policy or Expert(simulation).act
    events = list(simulation.initial_events)
    while not simulation.done:
        events += simulation.step(act())
    return events


@pytest.mark.parametrize('task', TASKS)
def test_expert_solves_at_least_95_of_100(task, world):
    events = play(Simulation(task, 'validation', 5, 20, world))
    ends = [event.kind for event in events if event.kind in ENDS]
    assert len(ends) == 20
    assert ends.count(EventKind.ROUND_SUCCESS) >= 19


def test_holding_still_solves_nothing(world):
    simulation = Simulation('recall', 'validation', 1, 3, world)
    home = simulation.joint_positions
    ends = [event.kind for event in play(simulation, lambda: home) if event.kind in ENDS]
    assert ends == [EventKind.ROUND_FAILURE] * 3


def test_recall_shows_the_cue_before_a_delay_of_2_to_20_s(world):
    events = play(Simulation('recall', 'validation', 2, 12, world))
    for number in range(12):
        times = {event.kind: event.time for event in events if event.round == number}
        delay = times[EventKind.GO] - times[EventKind.CUE] - 0.5
        assert DELAY_S[0] - 0.1 <= delay <= DELAY_S[1] + 0.6  # a repeated cue adds its half second
    colours = [event.colour for event in events if event.kind == EventKind.CUE]
    assert set(colours) == set(COLOURS), 'cues change, so that old memories must be overwritten'
    assert any(event.kind == EventKind.DISTRACTOR for event in events)
    assert [event.last for event in events if event.kind in ENDS] == [False] * 11 + [True]


def test_touching_a_wrong_block_fails_the_round(world):
    simulation = Simulation('recall', 'validation', 3, 4, world)
    expert, events = Expert(simulation), []
    while not simulation.done:
        asked = simulation.goal
        if asked is not None:
            wrong = next(name for name in COLOURS if name != asked.touch)
            simulation.goal = Goal(touch=wrong)  # only for the expert: the round keeps its colour
        target = expert.act()
        simulation.goal = asked
        events += simulation.step(target)
    ends = [event for event in events if event.kind in ENDS]
    assert {event.kind for event in ends} == {EventKind.ROUND_FAILURE}
    assert any(event.colour for event in ends)


def test_a_full_hand_is_opened_after_the_round(world):
    simulation = Simulation('put_back', 'validation', 3, 2, world)
    shut = np.append(simulation.joint_positions[:7], 0.0)
    fingers, kinds = [], []
    while simulation.round == 0 and not simulation.done:
        kinds += [event.kind for event in simulation.step(shut)]
        fingers.append(simulation.joint_positions[-1])
    retreat = fingers[-ticks(RETREAT_S) :]
    assert kinds.count(EventKind.ROUND_FAILURE) == 1
    assert max(fingers[20 : -len(retreat) - 1]) < 0.01, 'the hand follows commands during the round'
    assert min(retreat[:-1]) == pytest.approx(FINGER_OPEN)
    for _ in range(20):
        simulation.step(shut)
    assert simulation.joint_positions[-1] < 0.01, 'and in the next round'


def test_a_seed_repeats_and_splits_share_no_episode(world):
    def story(split, seed):
        simulation = Simulation('recall', split, seed, 4, world)
        still = simulation.joint_positions
        return [(event.kind, event.time, event.colour) for event in play(simulation, lambda: still)]

    assert story('evaluation', 0) == story('evaluation', 0)
    stories = [story(split, seed) for split in ('train', 'validation', 'evaluation') for seed in (0, 1)]
    assert len({tuple(story) for story in stories}) == len(stories)


def test_pictures_show_the_beacon_and_differ_between_cameras(world):
    simulation = Simulation('recall', 'validation', 0, 1, world)
    lit = simulation.render('front')
    assert lit.shape == (128, 128, 3)
    assert lit.dtype == np.uint8
    world.set_light('beacon', (0.12, 0.12, 0.12))
    assert (lit != simulation.render('front')).any(axis=-1).sum() > 20
    assert np.abs(lit.astype(int) - simulation.render('wrist')).mean() > 10


def test_the_tip_waits_at_home(world):
    world.reset()
    np.testing.assert_allclose(world.tip, HOME_TIP, atol=2e-3)


@pytest.mark.parametrize('target', [np.zeros(7), np.full(8, np.nan), np.full(8, np.inf)])
def test_a_bad_target_is_refused(target, world):
    with pytest.raises(InputError):
        world.step(target)


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (('fetch', 'train', 0, 1), 'task'),
        (('recall', 'test', 0, 1), 'split'),
        (('recall', 'train', -1, 1), 'seed'),
        (('recall', 'train', 0, 0), 'rounds'),
    ],
)
def test_a_bad_argument_is_named_with_its_range(arguments, named):
    with pytest.raises(ConfigError, match=named):
        Simulation(*arguments)


def test_a_closed_simulation_is_freed_at_once():
    gc.disable()  # it would free the simulation late
    try:
        simulation = Simulation('recall', 'train', 0, 2)
        world = weakref.ref(simulation.world)
        simulation.step(simulation.joint_positions)
        simulation.close()
        del simulation
        assert world() is None
    finally:
        gc.enable()
