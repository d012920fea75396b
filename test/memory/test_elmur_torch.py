# SPDX-License-Identifier: Apache-2.0
"""ELMUR as it is trained: equal to the NumPy step, independent of how a sequence is cut, and which parts learn."""

import pytest
from close import assert_close

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.common.errors import ConfigError  # noqa: E402
from aura_ros.train.modules import ElmurModule, ElmurOptions, Sizes  # noqa: E402
from aura_ros.train.modules.elmur_layer import Dropout  # noqa: E402

pytestmark = pytest.mark.torch

SMALL = Sizes(feature_dim=12, chunk_size=1, action_dim=3, code_dim=8, head_width=16)
SHAPES = {
    'released': ElmurOptions(),
    'many slots': ElmurOptions(layers=1, width=16, heads=4, slots=9, segment=3, blend=0.4, init_sigma=1.0),
    'clamped offsets': ElmurOptions(
        layers=3, width=12, heads=3, slots=4, segment=7, blend=0.2, max_offset=5, ffn_width=5
    ),
    'a segment of one step': ElmurOptions(width=8, heads=1, slots=1, segment=1, blend=0.1),
}


def make(options, seed=0):
    """A module with random numbers in place of its initial zeros and ones."""
    torch.manual_seed(seed)
    module = ElmurModule(SMALL, options).eval()
    with torch.no_grad():
        for name, parameter in module.layers.named_parameters():
            if parameter.dim() == 1 or 'offsets' in name or name.endswith('_bias'):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def draw(batch, steps, seed=1):
    """Random codes [B, T, X]."""
    return torch.tanh(torch.randn(batch, steps, SMALL.code_dim, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize('seed', [0, 1])
@pytest.mark.parametrize('options', SHAPES.values(), ids=SHAPES)
def test_numpy_step_equals_torch_module(options, seed, deploy, stream):
    module = make(options, seed)
    memory = deploy(module)
    z, base = stream(SMALL, 150, seed)
    decisions = [memory.step(features, chunk) for features, chunk in zip(z, base, strict=True)]
    with torch.no_grad():
        rollout = module(torch.from_numpy(z)[None], torch.from_numpy(base)[None])
    written = [decision.written for decision in decisions]
    assert written == (rollout.scan.written[0] == 1).tolist()
    assert sum(written) == memory.writes == 150 // options.segment
    assert_close([decision.action for decision in decisions], rollout.actions[0])
    assert_close(memory.cell.memories, rollout.scan.state.memories[0])


def test_ten_thousand_steps_do_not_drift_apart(deploy, stream):
    module = make(ElmurOptions(width=16, slots=5, segment=6, blend=0.5))
    memory = deploy(module)
    z, base = stream(SMALL, 10_000)
    decisions = [memory.step(features, chunk) for features, chunk in zip(z, base, strict=True)]
    with torch.inference_mode():
        rollout = module(torch.from_numpy(z)[None], torch.from_numpy(base)[None])
    state = rollout.scan.state
    assert_close([decision.action for decision in decisions], rollout.actions[0])
    assert_close(memory.cell.memories, state.memories[0])
    assert memory.cell.anchors.tolist() == state.anchors[0].tolist()
    assert int(state.anchors.max()) == 9_995 and int(state.position) == 10_000


@pytest.mark.parametrize(
    'options', [SHAPES['many slots'], ElmurOptions(width=8, slots=2, segment=5, blend=0.5)], ids=['L=3', 'L=5']
)
def test_a_scan_cut_anywhere_is_one_scan(options):
    module, x = make(options), draw(2, 23)
    with torch.no_grad():
        whole = module.scan(x)
        for cut in range(1, 23):
            before = module.scan(x[:, :cut])
            after = module.scan(x[:, cut:], before.state)
            for name in ('readout', 'written'):
                joined = torch.cat([getattr(before, name), getattr(after, name)], 1)
                assert_close(joined, getattr(whole, name), what=name)
            for name in ('anchors', 'position', 'open_segment'):
                assert torch.equal(getattr(after.state, name), getattr(whole.state, name)), name
            assert_close(after.state.memories, whole.state.memories)


def test_time_counts_exactly_whatever_its_length():
    module, x = make(SHAPES['clamped offsets']), draw(2, 60)
    with torch.no_grad():
        state = module.scan(x).state
        shift = 28 * 10**12
        late = type(state)(state.memories, state.anchors + shift, state.position + shift, state.open_segment)
        assert torch.equal(module.scan(x, state).readout, module.scan(x, late).readout)


def gradients(detach, segments=2):
    """Largest gradient of each parameter from the loss of the last of a few segments."""
    module = make(ElmurOptions(width=8, slots=2, segment=5, init_sigma=0.5, detach_memory=detach))
    readout = module.scan(draw(3, 5 * segments)).readout
    (readout[:, -5:] * torch.randn_like(readout[:, -5:])).sum().backward()
    return {
        name: 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
        for name, parameter in module.layers.named_parameters()
    }


WRITING = ('write', 'memory_mlp', 'memory_norm')


def test_detached_memory_gives_the_write_no_gradient_at_all():
    found = gradients(detach=True, segments=3)
    for name, gradient in found.items():
        assert (gradient == 0) == any(part in name for part in WRITING), name


@pytest.mark.parametrize('segments', [2, 3])
def test_memory_that_is_not_detached_teaches_the_write(segments):
    assert min(gradients(detach=False, segments=segments).values()) > 0


@pytest.mark.parametrize('detach', [True, False])
def test_the_gradient_reaches_the_first_segment_only_without_detachment(detach):
    module = make(ElmurOptions(width=8, slots=3, segment=5, init_sigma=0.5, detach_memory=detach))
    x = draw(2, 20).requires_grad_()
    module.scan(x).readout[:, -1].square().mul(torch.arange(8)).sum().backward()
    reached = (x.grad.abs().amax((0, 2)) > 0).tolist()
    assert reached == [not detach] * 15 + [True] * 5


def test_the_gradient_passes_from_scan_to_scan():
    module = make(ElmurOptions(width=8, slots=2, segment=5, init_sigma=0.5, detach_memory=False))
    found = []
    for cut in (20, 7):
        module.zero_grad()
        x = draw(2, 20).requires_grad_()
        first = module.scan(x[:, :cut])
        last = first if cut == 20 else module.scan(x[:, cut:], first.state)
        last.readout[:, -3:].square().mul(torch.arange(8)).sum().backward()
        found.append([x.grad, *(parameter.grad.clone() for parameter in module.layers.parameters())])
    for one, other in zip(*found, strict=True):
        assert_close(one, other, 1e-4)  # the chain through a softmax magnifies what its inputs are off by


@pytest.mark.parametrize(
    'dropout', [Dropout(branch=0.3), Dropout(attention=0.3), Dropout(memory=0.3)], ids=['branch', 'attention', 'memory']
)
def test_dropout_is_for_training_alone(dropout):
    module, x = make(ElmurOptions(width=8, segment=5, init_sigma=0.5, dropout=dropout)), draw(2, 20)
    without = make(ElmurOptions(width=8, segment=5, init_sigma=0.5))
    with torch.no_grad():
        assert torch.equal(module.scan(x).readout, without.scan(x).readout)
        module.train()
        assert not torch.equal(module.scan(x).readout, module.scan(x).readout)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'slots': 0}, 'slots must be >= 1, got 0'),
        ({'width': 10, 'heads': 4}, 'multiple of heads = 4, got 10'),
        ({'width': 9, 'heads': 3}, 'width must be even'),
        ({'blend': 1.1}, r'blend must be 0\.\.1, got 1\.1'),
        ({'init_sigma': float('nan')}, 'init_sigma must be >= 0'),
        ({'max_offset': 0}, 'max_offset must be >= 1'),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        ElmurOptions(**options)


def test_no_offset_exceeds_what_the_table_is_made_for():
    options = ElmurOptions(width=8, slots=3, segment=4, blend=0.5)
    wider = ElmurOptions(width=8, slots=3, segment=4, blend=0.5, max_offset=50)
    torch.manual_seed(0)
    module, other, x = make(options), ElmurModule(SMALL, wider).eval(), draw(2, 60)
    weights = module.state_dict()
    for name, table in weights.items():
        if name.endswith('offsets'):
            weights[name] = torch.nn.functional.pad(table, (0, 0, 50 - 13, 50 - 13), value=9.0)
    other.load_state_dict(weights)
    with torch.no_grad():
        assert_close(module.scan(x).readout, other.scan(x).readout)
