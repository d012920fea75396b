# SPDX-License-Identifier: Apache-2.0
"""Rivals with as many parameters as AURA-Mem."""

import pytest

torch = pytest.importorskip('torch')

from aura_ros.common.errors import ConfigError  # noqa: E402
from aura_ros.train.matching import RIVALS, build_module, match_width  # noqa: E402
from aura_ros.train.modules import AuraModule, GruModule, Sizes  # noqa: E402

pytestmark = pytest.mark.torch

SYNTHETIC = Sizes(64, 1, 8, 64, 32, 32, 32, 64)
OPTIONS = {'random': {'budget': 0.2}, 'periodic': {'budget': 0.2}, 'kv': {'window': 32}}


def gru(width):
    return GruModule(SYNTHETIC, width)


@pytest.mark.parametrize('width', [1, 2, 3, 37, 64])
def test_the_width_of_a_module_is_found_from_its_own_count(width):
    assert match_width(gru, gru(width).parameter_count) == width


def test_the_nearer_of_two_widths_is_taken():
    below, above = gru(20).parameter_count, gru(21).parameter_count
    assert match_width(gru, below + (above - below) // 3) == 20
    assert match_width(gru, above - (above - below) // 3) == 21
    assert match_width(gru, 1) == 1


def test_searching_draws_no_random_numbers():
    state = torch.random.get_rng_state()
    match_width(gru, 30_000)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize('sizes', [SYNTHETIC, Sizes()], ids=['synthetic', 'robot'])
@pytest.mark.parametrize('kind', ['aura', 'reconstruction', *RIVALS])
def test_every_rival_has_the_parameters_of_aura(kind, sizes):
    module = build_module(kind, sizes, **OPTIONS.get(kind, {}))
    assert module.kind == kind
    assert module.parameter_count == pytest.approx(AuraModule(sizes).parameter_count, rel=0.03)
    assert all(tensor.device.type == 'cpu' for tensor in module.state_dict().values())


def test_a_target_of_ones_own():
    assert build_module('ssm', SYNTHETIC, 60_000).parameter_count == pytest.approx(60_000, rel=0.03)


def test_options_reach_the_module():
    assert float(build_module('periodic', SYNTHETIC, budget=0.125).budget) == 0.125
    assert build_module('kv', SYNTHETIC, window=32).window == 32


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('ntm', SYNTHETIC), 'kind must be one of aura'),
        (('gru', SYNTHETIC, 100), 'target must be within 3%'),
        (('aura', SYNTHETIC, 60_000), 'target must be within 3%'),
        (('always', SYNTHETIC, 10**9), 'no width <= 65536 reaches it'),
    ],
)
def test_what_cannot_be_matched_is_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        build_module(*arguments)
