# SPDX-License-Identifier: Apache-2.0
"""The styles of policies: legible on both backgrounds, and different for people with each kind of colour vision."""

from itertools import combinations

import numpy as np
import pytest

from aura_ros.bench.horizon_run import NAMES
from aura_ros.common.names import POLICIES, TRAINED_MEMORIES
from aura_ros.common.policy_styles import OWN_STYLES, STYLES, styles_of
from aura_ros.replay.choice import MOST_OWN
from aura_ros.replay.policies import TITLES
from aura_ros.rqt.style import DARK, LIGHT

# What an eye without one kind of cone sees, on linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
VISION = {
    'normal': np.eye(3),
    'protanopia': [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    'deuteranopia': [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    'tritanopia': [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])
APART = 12.0
"""Least distance of two colours in CIELAB. About 2 is just visible side by side; thin lines need more."""
BACKGROUNDS = {False: ('#ffffff', '#f6f7f9', LIGHT.window), True: ('#191d23', '#101317', DARK.panel, DARK.window)}
ALL = {**STYLES, **{f'own {index}': style for index, style in enumerate(OWN_STYLES)}}


def linear(colour):
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    low, high = sorted(float(XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(colour, vision):
    x, y, z = np.cbrt(XYZ @ np.clip(np.asarray(VISION[vision]) @ linear(colour), 0, 1) / XYZ.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one, other, dark):
    """Return the distance of two styles for the eye that sees it as smallest."""
    pair = one.colour(dark), other.colour(dark)
    return min(float(np.linalg.norm(lab(pair[0], vision) - lab(pair[1], vision))) for vision in VISION)


@pytest.mark.parametrize('dark', [False, True])
@pytest.mark.parametrize('name', ALL)
def test_a_colour_is_legible_as_text(name, dark):
    found = [contrast(ALL[name].colour(dark), background) for background in BACKGROUNDS[dark]]
    assert min(found) >= 4.5, found


# Bars have no dash and no marker: these are side by side in the figures of `aura bench synthetic`.
BARS = ('aura', 'oracle', 'reconstruction', 'random', 'periodic')


@pytest.mark.parametrize('dark', [False, True])
@pytest.mark.parametrize('names', [tuple(TITLES), BARS])
def test_the_colours_of_one_picture_differ_for_every_eye(names, dark):
    close = {pair: distance(STYLES[pair[0]], STYLES[pair[1]], dark) for pair in combinations(names, 2)}
    assert min(close.values()) >= APART, {pair: found for pair, found in close.items() if found < APART}


@pytest.mark.parametrize('dark', [False, True])
def test_names_with_a_similar_colour_differ_in_dash_and_marker(dark):
    for (name, one), (other, two) in combinations(ALL.items(), 2):
        if distance(one, two, dark) < APART:
            assert one.dash != two.dash and one.marker != two.marker, f'{name} and {other}'


def test_the_check_sees_what_a_colour_blind_person_sees():
    red, green = '#aa3311', '#557711'
    apart = {vision: float(np.linalg.norm(lab(red, vision) - lab(green, vision))) for vision in VISION}
    assert apart['normal'] > 50 and apart['deuteranopia'] < 25


def test_every_policy_and_memory_has_a_style():
    assert set(STYLES) >= {*POLICIES, *TRAINED_MEMORIES, *TITLES, *NAMES}
    assert len(OWN_STYLES) >= MOST_OWN
    kv, window = STYLES['kv'], STYLES['kv-window']
    assert kv.dash != window.dash and kv.marker != window.marker


def test_names_of_the_user_get_different_styles():
    styles = styles_of(['base', 'mine', 'aura', 'yours'])
    assert styles['aura'] is STYLES['aura'] and styles['mine'] == OWN_STYLES[0] and styles['yours'] == OWN_STYLES[1]


def test_the_monitor_has_the_colours_of_the_table():
    for theme in (LIGHT, DARK):
        assert [theme.policy(name) for name in POLICIES] == [STYLES[name].colour(theme.dark) for name in POLICIES]
