# SPDX-License-Identifier: Apache-2.0
"""Every memory at AURA's size: the bytes it carries, and a state that is exported and restored."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.common.errors import StateError  # noqa: E402
from aura_ros.memory import MemorySession, Step, StepRefused  # noqa: E402
from aura_ros.train.matching import build_module  # noqa: E402
from aura_ros.train.modules import Sizes  # noqa: E402

pytestmark = pytest.mark.torch

SYNTHETIC = Sizes(64, 1, 8, 64, 32, 32, 32, 64)
STATE_BYTES = {
    'aura': 4224,
    'aura-content': 4224,
    'reconstruction': 4224,
    'always': 4224,
    'random': 4224,
    'periodic': 4224,
    'gru': 4 * 32,
    'lstm': 4 * 2 * 27,
    'ssm': 4 * 36 * 32,
    'memoryless': 0,
}
"""float32: W and b; h; h and c; channels of 32 numbers."""


@pytest.fixture
def memory(request, deploy):
    """The memory of the kind that the test asks for, with random weights."""
    torch.manual_seed(0)
    options = {'budget': 0.25} if request.param in ('random', 'periodic') else {}
    if request.param == 'aura-content':
        return deploy(build_module('aura', SYNTHETIC, addressing='content'))
    return deploy(build_module(request.param, SYNTHETIC, **options))


def run(memory, steps):
    """The actions of some steps, as bytes."""
    return [memory.step(z, base).action.tobytes() for z, base in zip(*steps, strict=True)]


@pytest.mark.parametrize('memory', STATE_BYTES, indirect=True)
def test_the_state_keeps_its_size(memory, stream, request):
    sizes = {memory.state_bytes, len(memory.export())}
    for z, base in zip(*stream(SYNTHETIC, 200), strict=True):
        memory.step(z, base)
        sizes |= {memory.state_bytes, len(memory.export())}
    assert sizes == {STATE_BYTES[request.node.callspec.params['memory']]}


@pytest.mark.parametrize('memory', [*STATE_BYTES, 'kv'], indirect=True)
def test_a_reset_empties_the_memory(memory, stream):
    steps = stream(SYNTHETIC, 40)
    empty, first = memory.export(), run(memory, steps)
    assert memory.export() != empty or memory.name == 'memoryless'
    memory.reset()
    assert (memory.export(), memory.writes) == (empty, 0)
    assert run(memory, steps) == first


@pytest.mark.parametrize('memory', sorted({*STATE_BYTES, 'kv'} - {'memoryless'}), indirect=True)
@pytest.mark.filterwarnings('ignore:invalid value')
def test_a_step_whose_action_is_infinite_is_undone(memory, stream):
    session = MemorySession(memory)
    for seq, (z, base) in enumerate(zip(*stream(SYNTHETIC, 10), strict=True)):
        session.apply(Step('e', seq, 1 + seq, z, base, 0.05))
    before = memory.export()
    memory._head.output.bias[0] = np.inf
    for episode, seq in (('e', 10), ('new', 0)):
        with pytest.raises(StepRefused, match='not finite; the step was undone'):
            session.apply(Step(episode, seq, 11, np.ones(64, np.float32), np.zeros((1, 8), np.float32), 0.05))
        assert memory.export() == before


# the clock of a schedule is not part of the state
@pytest.mark.parametrize('memory', sorted({*STATE_BYTES, 'kv'} - {'random', 'periodic'}), indirect=True)
def test_a_restored_state_continues(memory, stream):
    run(memory, stream(SYNTHETIC, 40))
    state = memory.export()
    expected = run(memory, stream(SYNTHETIC, 20, seed=1))
    memory.reset()
    memory.restore(state)
    assert memory.export() == state
    assert run(memory, stream(SYNTHETIC, 20, seed=1)) == expected


@pytest.mark.parametrize('memory', ['random', 'periodic'], indirect=True)
def test_the_state_behind_a_schedule_is_restored(memory, stream):
    run(memory, stream(SYNTHETIC, 40))
    state = memory.export()
    memory.reset()
    memory.restore(state)
    assert memory.export() == state


SPOILT = {
    'long': lambda state: state + bytes(4),
    'short': lambda state: state[:-4],
    'nan': lambda state: state[:-8] + np.array(['nan'], np.float32).tobytes() + state[-4:],
    'inf': lambda state: np.array(['inf'], np.float32).tobytes() + state[4:],
}


@pytest.mark.parametrize(
    ('memory', 'spoil'),
    [(kind, spoil) for kind in [*STATE_BYTES, 'kv'] for spoil in (SPOILT if kind != 'memoryless' else ['long'])],
    indirect=['memory'],
)
def test_a_bad_state_is_refused_and_changes_nothing(memory, spoil, stream):
    run(memory, stream(SYNTHETIC, 40))
    before = memory.export()
    with pytest.raises(StateError):
        memory.restore(SPOILT[spoil](before))
    assert memory.export() == before


@pytest.mark.parametrize('memory', ['gru', 'lstm', 'ssm'], indirect=True)
def test_the_change_of_a_dense_state_is_reported(memory, stream):
    for z, base in zip(*stream(SYNTHETIC, 5), strict=True):
        before = np.frombuffer(memory.export(), '<f4')
        decision = memory.step(z, base)
        change = np.linalg.norm(np.frombuffer(memory.export(), '<f4') - before)
        assert decision.written
        assert decision.delta_norm == pytest.approx(change, rel=1e-4) and change > 0


@pytest.mark.parametrize('memory', ['memoryless'], indirect=True)
def test_without_a_memory_only_the_current_step_counts(memory, stream):
    z, base = stream(SYNTHETIC, 30)
    alone = memory.step(z[-1], base[-1]).action
    run(memory, (z[:-1], base[:-1]))
    np.testing.assert_array_equal(memory.step(z[-1], base[-1]).action, alone)
    assert memory.writes == 0


@pytest.mark.parametrize('memory', ['random', 'periodic'], indirect=True)
def test_a_schedule_keeps_to_the_budget_in_its_weights(memory, stream):
    run(memory, stream(SYNTHETIC, 400))
    assert memory.writes == pytest.approx(100, abs=0 if memory.name == 'periodic' else 25)
