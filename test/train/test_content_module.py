# SPDX-License-Identifier: Apache-2.0
"""Content-addressed fast weights as a torch module: gradients through writes, and what a scan may leave out."""

import pytest

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.train.learner import GateTraining, Learner, Optimisation  # noqa: E402
from aura_ros.train.modules import ContentAddressedModule, Sizes  # noqa: E402
from aura_ros.train.saving import load_module, modes_of, save_memory  # noqa: E402

SIZES = Sizes(6, 1, 3, code_dim=8, gate_width=7, head_width=9)


@pytest.fixture(params=[1, 3])
def module(request):
    torch.manual_seed(0)
    return ContentAddressedModule(SIZES, modes=request.param).double()


@pytest.fixture
def codes():
    return torch.randn(3, 20, SIZES.code_dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def schedule_of(codes):
    return (torch.rand(codes.shape[:2], generator=torch.Generator().manual_seed(2)) < 0.4).to(codes.dtype)


@pytest.mark.parametrize('name', ['key.weight', 'value.weight', 'feedback.weight', 'rate.bias', 'query.weight'])
def test_gradients_are_those_of_finite_differences(module, codes, name):
    schedule, parameter = schedule_of(codes), module.get_parameter(name)
    weights = torch.randn(3, 20, 32, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def loss():
        return (module.scan(codes, schedule=schedule).readout * weights).sum()

    direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(loss(), parameter)
    step = 1e-6 * direction
    with torch.no_grad():
        parameter += step
        above = loss()
        parameter -= 2 * step
        below = loss()
    slope = float(above - below) / 2e-6
    assert abs(slope) > 1e-3, 'the loss depends on the parameter'
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-4)


def test_only_the_asked_steps_are_read(module, codes):
    asked = torch.rand(codes.shape[:2], generator=torch.Generator().manual_seed(5)) < 0.3
    full, some = module.scan(codes), module.scan(codes, asked=asked, compare=False)
    torch.testing.assert_close(some.readout[asked], full.readout[asked])
    assert not some.readout[~asked].any()
    torch.testing.assert_close(some.state, full.state)
    assert some.gate_inputs is None
    assert full.surprise.min() > 0
    assert not some.surprise.any()


def test_two_scans_in_a_row_are_one(module, codes):
    module.eval()
    whole = module.scan(codes)
    first = module.scan(codes[:, :7])
    second = module.scan(codes[:, 7:], first.state)
    assert 0 < whole.written.mean() <= 1
    torch.testing.assert_close(torch.cat([first.readout, second.readout], 1), whole.readout)
    torch.testing.assert_close(second.state, whole.state)


def test_a_kind_without_a_gate_learns_by_writing_every_step():
    torch.manual_seed(0)
    module = ContentAddressedModule(SIZES, 'always')
    learner = Learner(module, Optimisation(steps=2), GateTraining(open_until=0.5, learn_from=0.0, open_share=0.3))
    z, base, before = torch.randn(2, 5, 6), torch.zeros(2, 5, 1, 3), module.value.weight.clone()
    for _ in range(2):
        _, written = learner.step(z, base, lambda actions: actions.square().mean((-1, -2)), 10.0)
        assert written == 1.0
    assert not torch.equal(module.value.weight, before)


@pytest.mark.parametrize('modes', [1, 3])
def test_the_number_of_maps_is_read_from_a_weights_file(tmp_path, modes):
    path = tmp_path / 'aura.safetensors'
    save_memory(ContentAddressedModule(SIZES, modes=modes), path, {'backbone_sha256': 'ab'})
    assert modes_of('aura', path) == modes
    load_module(ContentAddressedModule(SIZES, modes=modes), path, 'ab')


def test_a_step_chooses_the_map_of_the_stored_value():
    """One map keeps the stored value and the other one reverses it; the sign of the first code chooses."""
    module = ContentAddressedModule(SIZES, 'always', modes=2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.key.bias[0] = module.query.bias[0] = 1.0
        module.value.weight[0, 1] = 1.0
        module.feedback.weight.copy_(torch.cat([torch.eye(16), -torch.eye(16)]))
        module.mode.weight[0, 0] = 100.0
        module.rate.bias.fill_(100.0)
        module.log_sharpness.fill_(5.0)
    x = torch.zeros(1, 4, SIZES.code_dim)
    x[0, :, 0] = torch.tensor([1.0, 1.0, -1.0, 1.0])
    x[0, 0, 1] = 0.5  # the first step brings the value
    values = module.scan(x).readout[0, :, 16]
    assert (values > 0.2).tolist() == [True, True, False, False]
    assert (values < -0.2).tolist() == [False, False, True, True]
