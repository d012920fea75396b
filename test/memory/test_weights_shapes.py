# SPDX-License-Identifier: Apache-2.0
"""Weights whose arrays do not fit are refused when they are loaded; each wrong step is refused when it is applied."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from aura_ros.bench.synthetic import shipped_weights
from aura_ros.common.errors import ConfigError
from aura_ros.memory import MemorySession, Step, StepRefused, check_weights, load_memory
from aura_ros.memory.weights import load_weights

pytestmark = pytest.mark.fault('F31')
KINDS = ('aura', 'kv', 'content')


def load(kind):
    return load_weights('aura', str(shipped_weights('content'))) if kind == 'content' else load_weights(kind)


def saved(folder, kind, arrays, card):
    path = folder / 'changed.safetensors'
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    path.with_suffix('.json').write_bytes(card if isinstance(card, bytes) else json.dumps(card).encode())
    return str(path)


def changes(array):
    """The array in every wrong shape, by name."""
    yield 'shorter', array[:-1]
    yield 'longer', np.concatenate([array, array[-1:]])
    yield 'scalar', array.reshape(-1)[0]
    yield 'extra axis', array[None]
    if array.ndim == 2:
        yield 'narrower', array[:, :-1]
        if array.shape[0] != array.shape[1]:
            yield 'transposed', array.T


@pytest.mark.parametrize('kind', KINDS)
def test_any_array_of_a_wrong_shape_is_refused(measured, kind):
    weights, refused = load(kind), 0
    name_of = 'aura' if kind == 'content' else kind
    single = {'fade', 'log_key_scale', 'log_sharpness', 'log_slope', 'threshold'}  # only their first value is used
    for name, array in weights.arrays.items():
        for change, wrong in changes(array):
            if name in single and change in ('longer', 'extra axis'):
                continue
            changed = replace(weights, arrays={**weights.arrays, name: wrong})
            with pytest.raises(ConfigError, match=f'of the {name_of} memory') as refusal:
                check_weights(name_of, changed)
                pytest.fail(f'{name} {change}')
            assert '\n' not in str(refusal.value), (name, change)
            refused += 1
    measured(f'{kind}: {refused} wrong shapes of {len(weights.arrays)} arrays, each refused when loaded')


@pytest.mark.parametrize('kind', KINDS)
def test_a_missing_array_is_named(kind):
    weights = load(kind)
    for name in weights.arrays:
        arrays = {other: array for other, array in weights.arrays.items() if other != name}
        with pytest.raises(ConfigError, match=f"no array '{name}'"):
            check_weights('aura' if kind == 'content' else kind, replace(weights, arrays=arrays))


@pytest.mark.parametrize('size', ['feature_dim', 'chunk_size', 'action_dim', 'code_dim', 'key_dim', 'head_width'])
@pytest.mark.parametrize('value', [7, '256', None])
def test_sizes_other_than_those_of_the_card_are_refused(tmp_path, size, value):
    weights = load_weights('aura')
    card = {**weights.card, 'sizes': {**weights.card['sizes'], size: value}}
    with pytest.raises(ConfigError, match=f'the card has.*{value}'):
        load_memory('aura', saved(tmp_path, 'aura', weights.arrays, card))


@pytest.mark.parametrize(
    'card', [b'[]', b'null', b'"\xe9"', b'{', b'[' * 100_000, b'{"memory": "aura", "sizes": [1]}', b'']
)
def test_a_card_that_is_no_card_is_refused(tmp_path, card):
    with pytest.raises(ConfigError):
        load_memory('aura', saved(tmp_path, 'aura', load_weights('aura').arrays, card))


def step(memory, seq):
    features, base = np.zeros(memory.feature_dim, np.float32), np.zeros(memory.chunk_shape, np.float32)
    return Step('e', seq, 1 + abs(seq) % 2**40, features, base, 0.1)


@pytest.mark.parametrize('seq', [-1, 2**63, 2**64 - 1])
def test_a_number_that_no_file_can_keep_is_refused(seq):
    session = MemorySession(load_memory('aura'))
    with pytest.raises(StepRefused, match=r'seq must be 0\.\.2\^63 - 1'):
        session.apply(step(session.memory, seq))
    assert (session.order.seq, session.order.episode_id) == (-1, '')
    session.apply(step(session.memory, 2**63 - 1))


@pytest.mark.parametrize('call', ['keep', 'step'])
@pytest.mark.parametrize('error', [KeyError('k'), MemoryError(), RecursionError(), TypeError('a\nb')])
def test_any_exception_of_a_memory_refuses_the_step(monkeypatch, call, error):
    session = MemorySession(load_memory('aura'))
    session.apply(step(session.memory, 0))
    before = session.memory.export(), session.memory.writes

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(session.memory, call, fail)
        with pytest.raises(StepRefused, match='the memory raised') as refusal:
            session.apply(step(session.memory, 1))
    assert refusal.value.kind == 'rejected' and '\n' not in str(refusal.value)
    assert (session.memory.export(), session.memory.writes) == before
    session.apply(step(session.memory, 1))
