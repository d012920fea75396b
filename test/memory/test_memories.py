# SPDX-License-Identifier: Apache-2.0
"""What all memories have in common, and the state of each."""

from itertools import pairwise

import numpy as np
import pytest
from close import assert_close

from aura_ros.common.errors import ConfigError
from aura_ros.memory import load_memory, state_crc
from aura_ros.memory.fast_weights import STATE_BYTES, FastWeights

KINDS = ['aura', 'kv', 'none']


def steps(memory, count, seed=0):
    """Random steps of the right shape, as (features, base chunk)."""
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=memory.feature_dim).astype(np.float32), rng.normal(scale=0.1, size=(8, 8)).astype(np.float32))
        for _ in range(count)
    ]


@pytest.fixture(params=KINDS)
def memory(request):
    return load_memory(request.param)


def test_state_is_4224_bytes_from_the_first_to_the_last_step():
    aura = load_memory('aura')
    sizes = {aura.state_bytes}
    for z, base in steps(aura, 300):
        aura.step(z, base)
        sizes.add(len(aura.export()))
    assert sizes == {4224} == {STATE_BYTES}


def test_cache_holds_256_bytes_a_step_and_at_most_its_window():
    unbounded, windowed = load_memory('kv'), load_memory('kv', window=10)
    for z, base in steps(unbounded, 70):
        unbounded.step(z, base)
        windowed.step(z, base)
    assert unbounded.state_bytes == len(unbounded.export()) == 70 * 256
    assert windowed.state_bytes == len(windowed.export()) == 10 * 256
    assert windowed.export() == unbounded.export()[-10 * 256 :]


def test_same_steps_give_the_same_state_and_actions(memory):
    first = [memory.step(z, base).action.tobytes() for z, base in steps(memory, 40)]
    crc = state_crc(memory)
    memory.reset()
    assert [memory.step(z, base).action.tobytes() for z, base in steps(memory, 40)] == first
    assert state_crc(memory) == crc


def test_an_exported_state_continues(memory):
    history, future = steps(memory, 30), steps(memory, 10, seed=1)
    for z, base in history:
        memory.step(z, base)
    state = memory.export()
    expected = [memory.step(z, base).action.tobytes() for z, base in future]
    other = load_memory(memory.name)
    other.restore(state)
    assert [other.step(z, base).action.tobytes() for z, base in future] == expected


def test_a_write_makes_the_key_map_to_the_value():
    rng = np.random.default_rng(0)
    state = FastWeights()
    for _ in range(20):
        key, value = rng.normal(size=32).astype(np.float32), rng.normal(size=32).astype(np.float32)
        state.write(key, value - state.read(key), rate=1.0)
        assert_close(state.read(key), value)
    before = state.read(key)
    state.write(key, value - before, rate=1.0)
    assert_close(state.read(key), before)


def test_half_a_rate_goes_half_the_way():
    state, key, value = FastWeights(2, 2), np.array([1, 0], np.float32), np.array([4, -2], np.float32)
    state.write(key, value - state.read(key), rate=0.5)
    assert_close(state.read(key), [2, -1])
    assert_close(state.W, [[1, 0], [-0.5, 0]])
    assert_close(state.b, [1, -0.5])


def test_row_age_counts_the_steps_since_a_write():
    aura = load_memory('aura')
    ages = []
    for z, base in steps(aura, 60):
        written = aura.step(z, base).written
        ages.append((written, int(aura.row_age.min())))
    assert all(age == 0 for written, age in ages if written)
    for (_, earlier), (written, later) in pairwise(ages):
        assert written or later == earlier + 1


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('ntm',), 'aura, always'),
        (('aura', '/nowhere.safetensors'), 'no file'),
        (('aura', None, 5), 'window must be 0'),
        (('kv', None, -1), 'window must be >= 0'),
        (('no.such.module:f',), 'module:attribute'),
    ],
)
def test_a_memory_that_cannot_be_loaded_is_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        load_memory(*arguments)
