# SPDX-License-Identifier: Apache-2.0
"""The NumPy step that runs in the nodes is the torch module that was trained."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.memory.aura import AuraMemory  # noqa: E402
from aura_ros.memory.kv_cache import KvCacheMemory  # noqa: E402
from aura_ros.memory.weights import MemoryWeights  # noqa: E402
from aura_ros.train.memory_model import AuraModule, KvCacheModule, Sizes  # noqa: E402

SHAPES = [Sizes(), Sizes(feature_dim=12, chunk_len=1, action_dim=3, code_dim=8, key_dim=5, value_dim=7,
                         gate_width=6, head_width=16),
          Sizes(feature_dim=40, chunk_len=4, action_dim=7, code_dim=16, key_dim=16, value_dim=8)]


def make(kind, sizes, seed):
    """A random module and the NumPy memory with the same weights."""
    torch.manual_seed(seed)
    module = {'aura': AuraModule, 'kv': KvCacheModule}[kind](sizes).eval()
    module.action_scale.uniform_(0.05, 0.5)
    module.feature_mean.normal_()
    if kind == 'aura':
        # centre the scores, so that the gate both opens and stays shut
        module.gate.output.weight.data.normal_(0, 3)
        z, base = (torch.from_numpy(part)[None] for part in stream(sizes, 150, seed))
        module.gate.output.bias.data -= torch.logit(module(z, base).scores.clamp(1e-4, 1 - 1e-4)).median().detach()
    arrays = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    weights = MemoryWeights(arrays, {'memory': kind}, '00' * 32)
    return module, AuraMemory(weights) if kind == 'aura' else KvCacheMemory(weights)


def stream(sizes, length, seed):
    """Random features and base chunks."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(length, sizes.feature_dim)).astype(np.float32),
            rng.normal(size=(length, sizes.chunk_len, sizes.action_dim)).astype(np.float32))


@pytest.mark.parametrize('seed', [0, 1, 2])
@pytest.mark.parametrize('sizes', SHAPES, ids=lambda sizes: f'{sizes.feature_dim}-{sizes.value_dim}x{sizes.key_dim}')
@pytest.mark.parametrize('kind', ['aura', 'kv'])
def test_numpy_step_equals_torch_module(kind, sizes, seed):
    module, memory = make(kind, sizes, seed)
    z, base = stream(sizes, 150, seed)
    with torch.no_grad():
        rollout = module(torch.from_numpy(z)[None], torch.from_numpy(base)[None])
    decisions = [memory.step(features, chunk) for features, chunk in zip(z, base, strict=True)]

    written = np.array([decision.written for decision in decisions])
    assert np.array_equal(written, rollout.gates[0].numpy() > 0.5)
    if kind == 'aura':
        assert 0 < written.mean() < 1, 'the random gate must both open and stay shut, or nothing is compared'
        np.testing.assert_allclose([decision.gate for decision in decisions], rollout.scores[0], atol=1e-5)
        np.testing.assert_allclose([decision.surprise for decision in decisions], rollout.surprise[0], atol=1e-4)
    np.testing.assert_allclose([decision.action for decision in decisions], rollout.actions[0], atol=2e-5)


def test_ten_thousand_steps_do_not_drift_apart():
    module, memory = make('aura', SHAPES[1], 0)
    z, base = stream(SHAPES[1], 10_000, 0)
    decisions = [memory.step(features, chunk) for features, chunk in zip(z, base, strict=True)]
    forced = torch.tensor([[float(decision.written) for decision in decisions]])
    with torch.inference_mode():
        rollout = module(torch.from_numpy(z)[None], torch.from_numpy(base)[None], forced=forced)
    np.testing.assert_allclose(memory.fast_weights, rollout.state[0][0], atol=1e-4)
    np.testing.assert_allclose(memory.vector, rollout.state[1][0], atol=1e-4)
    np.testing.assert_allclose(decisions[-1].action, rollout.actions[0, -1], atol=1e-4)
