# SPDX-License-Identifier: Apache-2.0
"""Shifted cameras and another light: the images differ, the physics and the signals do not."""

import numpy as np
import pytest

pytest.importorskip('mujoco')

from aura_ros.common.errors import ConfigError
from aura_ros.sim import CAMERAS, Simulation
from aura_ros.sim.appearance import Appearance
from aura_ros.sim.expert import Expert
from aura_ros.sim.world import World


def play(appearance):
    """Return both images and the physical state after some ticks with a lit beacon."""
    with World(appearance) as world:
        simulation = Simulation('recall', 'validation', 40, 1, world)
        expert = Expert(simulation)
        for _ in range(5):
            simulation.step(expert.act())
        return {camera: world.render(camera).astype(int) for camera in CAMERAS}, world.save()


def test_a_shift_of_a_centimetre_moves_both_images_and_no_joint():
    plain, state = play(None)
    shifted, same_state = play(Appearance(camera_shift_m=(0.0, 0.01, 0.0)))
    np.testing.assert_array_equal(state, same_state)
    for camera in CAMERAS:
        changed = (np.abs(plain[camera] - shifted[camera]) > 10).any(-1).mean()
        assert 0.005 < changed < 0.5


def test_light_changes_surfaces_and_keeps_the_colour_of_a_lit_beacon():
    plain, _ = play(None)
    bright, _ = play(Appearance(light=1.3))
    dark, _ = play(Appearance(light=0.6))
    means = [images['front'].mean() for images in (dark, plain, bright)]
    assert means[1] - means[0] > 20 and means[2] - means[1] > 5
    lit = plain['front'].max(-1) - plain['front'].min(-1) > 180
    assert lit.sum() > 20
    for images in (dark, bright):
        assert (images['front'][lit].argmax(-1) == plain['front'][lit].argmax(-1)).mean() > 0.98


@pytest.mark.parametrize('wrong', [{'light': 0.0}, {'light': float('nan')}, {'camera_shift_m': (0.0, 0.2, 0.0)}])
def test_values_outside_their_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=f'{next(iter(wrong))} = .*allowed'):
        Appearance(**wrong)
