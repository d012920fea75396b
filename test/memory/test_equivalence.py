# SPDX-License-Identifier: Apache-2.0
"""The NumPy step that runs in the nodes is the torch module that was trained, and a KV-cache is plain attention."""

import numpy as np
import pytest
from close import assert_close

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.common.action_spec import ActionComponent, ActionSpec  # noqa: E402
from aura_ros.train.modules import (  # noqa: E402
    AuraModule,
    ContentAddressedModule,
    FastWeightModule,
    GruModule,
    KvCacheModule,
    LstmModule,
    MemorylessModule,
    ScheduledModule,
    Sizes,
    SsmModule,
)
from aura_ros.train.states import tensors  # noqa: E402

pytestmark = pytest.mark.torch

# The logit of the gate has weights of 3 and more here, which magnify what its inputs are off by.
GATE_RTOL = 1e-4
SMALL = Sizes(
    feature_dim=12, chunk_size=1, action_dim=3, code_dim=8, key_dim=5, value_dim=7, gate_width=6, head_width=16
)
DELTAS = ActionSpec(
    (
        ActionComponent('translation', 3, 'ee_position', 'delta', unit='m'),
        ActionComponent('rotation', 3, 'ee_rotation', 'delta', rotation='axis_angle', unit='rad'),
        ActionComponent('gripper', 1, 'gripper', 'absolute', range=(-1.0, 1.0), binary=True, closes='high'),
    ),
    chunk_size=4,
    n_action_steps=4,
    seconds_per_action=0.05,
)
SHAPES = [
    Sizes(),
    SMALL,
    Sizes(feature_dim=40, chunk_size=4, action_dim=7, code_dim=16, key_dim=16, value_dim=8, actions=DELTAS),
]
CONSTANT = {
    'aura': AuraModule,
    'always': FastWeightModule,
    'content': ContentAddressedModule,
    'content-modes': lambda sizes: ContentAddressedModule(sizes, modes=3),
    'content-last': lambda sizes: ContentAddressedModule(sizes, sees_last=True),
    'content-always': lambda sizes: ContentAddressedModule(sizes, 'always'),
    'random': lambda sizes: ScheduledModule(sizes, 'random', 0.3),
    'periodic': lambda sizes: ScheduledModule(sizes, 'periodic', 0.3),
    'gru': lambda sizes: GruModule(sizes, sizes.value_dim + 2),
    'lstm': lambda sizes: LstmModule(sizes, sizes.value_dim + 2),
    'ssm': lambda sizes: SsmModule(sizes, sizes.value_dim + 2),
    'memoryless': MemorylessModule,
}
GATED = ('aura', 'content', 'content-modes', 'content-last')
MODULES = {**CONSTANT, 'kv': KvCacheModule, 'kv-window': lambda sizes: KvCacheModule(sizes, window=9)}


def make(kind, sizes, seed):
    """A module with random weights and scales."""
    torch.manual_seed(seed)
    module = MODULES[kind](sizes).eval()
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)  # nothing stays the constant it begins as
    module.action_scale.uniform_(0.05, 0.5)
    module.feature_mean.normal_()
    module.feature_scale.uniform_(0.5, 2.0)
    if kind in GATED:
        # spread and centre the scores, so that the gate both opens and stays shut
        module.gate.output.weight.data.normal_(0, 3)
        scores = module(
            torch.randn(1, 150, sizes.feature_dim), torch.zeros(1, 150, sizes.chunk_size, sizes.action_dim)
        ).scan.scores
        module.gate.output.bias.data -= torch.logit(scores.clamp(1e-4, 1 - 1e-4)).median().detach()
    return module


def part_scores(module, z, base):
    """Move the bias of the gate until no score is so near 1/2 that rounding decides about a write."""
    for _ in range(50):
        with torch.no_grad():
            scores = module(torch.from_numpy(z)[None], torch.from_numpy(base)[None]).scan.scores
        if float((scores - 0.5).abs().min()) > 10 * GATE_RTOL:
            return
        module.gate.output.bias.data += 0.02
    pytest.fail('rounding, which differs by machine, decides about a write')


def parts(state):
    """The numbers of what a scan carries on."""
    return [part for part in tensors(state) if part.is_floating_point()]


@pytest.mark.parametrize('seed', [0, 1, 2])
@pytest.mark.parametrize('sizes', SHAPES, ids=lambda sizes: f'{sizes.feature_dim}-{sizes.value_dim}x{sizes.key_dim}')
@pytest.mark.parametrize('kind', MODULES)
def test_numpy_step_equals_torch_module(kind, sizes, seed, deploy, stream):
    module = make(kind, sizes, seed)
    z, base = stream(sizes, 150, seed)
    if kind in GATED:
        part_scores(module, z, base)
    memory = deploy(module)
    decisions = [memory.step(features, chunk) for features, chunk in zip(z, base, strict=True)]
    written = np.array([decision.written for decision in decisions])
    # what is drawn at random cannot be drawn twice; all others decide for themselves
    schedule = torch.from_numpy(written[None].astype(np.float32)) if kind == 'random' else None
    with torch.no_grad():
        rollout = module(torch.from_numpy(z)[None], torch.from_numpy(base)[None], schedule=schedule)

    if kind in GATED:
        assert_close([decision.gate for decision in decisions], rollout.scan.scores[0], GATE_RTOL)
    np.testing.assert_array_equal(written, rollout.scan.written[0].numpy() > 0.5)
    if kind in (*GATED, 'random', 'periodic'):
        assert 0 < written.mean() < 1, 'with and without a write, or only half is compared'
    assert_close([decision.surprise for decision in decisions], rollout.scan.surprise[0])
    assert_close([decision.action for decision in decisions], rollout.actions[0])


@pytest.mark.parametrize('kind', CONSTANT)
def test_ten_thousand_steps_do_not_drift_apart(kind, deploy, stream):
    module = make(kind, SMALL, 0)
    memory = deploy(module)
    z, base = stream(SMALL, 10_000)
    decisions = [memory.step(features, chunk) for features, chunk in zip(z, base, strict=True)]
    # the decisions of the one for both: a score of exactly 1/2 may round to either side
    schedule = torch.tensor([[float(decision.written) for decision in decisions]])
    with torch.inference_mode():
        rollout = module(torch.from_numpy(z)[None], torch.from_numpy(base)[None], schedule=schedule)
    assert_close([decision.action for decision in decisions], rollout.actions[0])
    held = memory.cell.carried
    if isinstance(module, FastWeightModule | ContentAddressedModule):
        held = (np.column_stack(held),)
    expected = parts(rollout.scan.state)
    assert len(held) == len(expected)
    for array, tensor in zip(held, expected, strict=True):
        assert_close(array, tensor.reshape(array.shape))


@pytest.mark.parametrize('cut', [1, 60, 130])
@pytest.mark.parametrize('kind', MODULES)
def test_a_scan_in_two_parts_is_one_scan(kind, cut):
    module = make(kind, SMALL, 3)
    x = torch.tanh(torch.randn(2, 140, SMALL.code_dim))
    schedule = (torch.rand(2, 140) < 0.5).float() if kind in ('random', 'periodic') else None
    first, second = (None, None) if schedule is None else (schedule[:, :cut], schedule[:, cut:])
    with torch.no_grad():
        whole = module.scan(x, schedule=schedule)
        before = module.scan(x[:, :cut], schedule=first)
        after = module.scan(x[:, cut:], before.state, schedule=second)
    for name in ('readout', 'written', 'scores', 'surprise'):
        joined = torch.cat([getattr(before, name), getattr(after, name)], 1)
        assert_close(joined, getattr(whole, name), what=name)
    for part, other in zip(parts(after.state), parts(whole.state), strict=True):
        assert_close(part, other)


def attention(module, x):
    """Softmax attention over the steps that are kept, in float64, one number after the other: [T, V]."""
    weights = {name: tensor.detach().numpy().astype(np.float64) for name, tensor in module.state_dict().items()}

    def project(name):
        return x.astype(np.float64) @ weights[f'{name}.weight'].T + weights[f'{name}.bias']

    keys, values, queries = project('key'), project('value'), project('query')
    sharpness, slope = np.exp(weights['log_sharpness'][0]), np.exp(weights['log_slope'][0])
    readouts = []
    for t in range(len(x)):
        kept = range(max(0, t + 1 - module.window) if module.window else 0, t + 1)
        logits = [
            sharpness * (keys[s] @ queries[t]) / np.linalg.norm(keys[s]) / np.linalg.norm(queries[t]) - slope * (t - s)
            for s in kept
        ]
        shares = np.exp(logits) / np.exp(logits).sum()
        readouts.append(sum(share * values[s] for share, s in zip(shares, kept, strict=True)))
    return np.array(readouts)


@pytest.mark.parametrize('window', [0, 1, 9, 1000])
@pytest.mark.parametrize('seed', [0, 1])
def test_kv_cache_is_plain_attention(window, seed, deploy):
    torch.manual_seed(seed)
    module = KvCacheModule(SMALL, window).eval()
    x = np.tanh(np.random.default_rng(seed).normal(size=(200, SMALL.code_dim))).astype(np.float32)
    expected = attention(module, x)
    cell = deploy(module).cell
    assert_close([cell.step(code).readout for code in x], expected)
    with torch.no_grad():
        assert_close(module.scan(torch.from_numpy(x)[None]).readout[0], expected)
