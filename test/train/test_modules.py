# SPDX-License-Identifier: Apache-2.0
"""What the torch modules promise beyond being the NumPy cells: how the gate learns, schedules, the SSM's gradient."""

from dataclasses import replace

import numpy as np
import pytest
from close import assert_close

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.common.errors import ConfigError  # noqa: E402
from aura_ros.memory.schedules import Periodic  # noqa: E402
from aura_ros.train.modules import AuraModule, KvCacheModule, Rollout, ScheduledModule, Sizes, SsmModule  # noqa: E402
from aura_ros.train.modules.base import Probes  # noqa: E402
from aura_ros.train.modules.kv_cache import TRAINING_ENTRIES  # noqa: E402
from aura_ros.train.modules.ssm import Recurrence  # noqa: E402

pytestmark = pytest.mark.torch

TINY = Sizes(feature_dim=5, chunk_size=1, action_dim=3, code_dim=4, key_dim=3, value_dim=2, gate_width=4, head_width=8)


def one_write():
    """AURA that stores 1 under the one key there is, at half the rate, and whose gate scores everything 1/2."""
    module = AuraModule(replace(TINY, key_dim=1, value_dim=1))
    for name, bias in (('key', 1.0), ('query', 1.0), ('value', 1.0), ('rate', 0.0), ('gate.output', 0.0)):
        layer = module.get_submodule(name)
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, bias)
    return module


@pytest.mark.parametrize(('price', 'sign'), [(0.5, -1), (1.0, 1)])
def test_the_gate_learns_what_one_write_saves(price, sign):
    """Worked by hand.

    A write of strength a at step 0, none at step 1, and step 1 should read 1: it reads a/2, so L = (1 - a/2)^2, which
    is 1 without the write and 1/4 with it. The write gains 3/4. -dL/da = 1 - a/2 is 7/8 at a = 1/4 and 5/8 at 3/4,
    the two strengths that stand for all: their mean is 3/4 too.
    """
    module, x = one_write(), torch.randn(2, 2, 4)
    strengths = torch.tensor([[0.25, 0.0], [0.75, 0.0]], requires_grad=True)
    scan = module.scan(x, schedule=strengths)
    assert_close(scan.readout[:, 1, 0], [0.125, 0.375])
    torch.autograd.backward((scan.readout[:, 1] - 1).square().mean())
    # the loss is the mean of two steps that are asked, one in each sequence
    assert_close(-strengths.grad[:, 0] * 2, [0.875, 0.625])

    probes = Probes([strengths], torch.tensor([[True, False]] * 2), x, torch.ones(2, 2, 1))
    loss = module.gate_loss(Rollout(scan.readout, replace(scan, probes=probes)), price, 2)
    # |3/4 - price| = 1/4 is at stake either way, and a score of 1/2 is wrong by log 2 either way
    assert float(loss.detach()) == pytest.approx(0.25 * np.log(2), rel=1e-5)
    module.zero_grad()
    torch.autograd.backward(loss)
    assert float(module.gate.output.bias.grad) == pytest.approx(sign * 0.125, rel=1e-5)


def test_the_slope_of_the_loss_averages_to_what_the_write_saves():
    """E_a[-dL/da] = L(without) - L(with), with any head, later writes and later queries of every kind."""
    torch.manual_seed(1)
    module = AuraModule(TINY).double()
    nodes, weights = np.polynomial.legendre.leggauss(24)  # on -1..1
    strengths = torch.tensor([*(nodes + 1) / 2, 0.0, 1.0])
    # float64 numbers 0 and 1 for the other writes, one row for each strength of the write at step 2
    writes = torch.tensor([1.0, 0, 0, 1, 1, 0, 1, 0], dtype=torch.float64).repeat(len(strengths), 1)
    writes[:, 2] = strengths
    writes.requires_grad_()
    z, base, expert = (
        torch.randn(1, 8, *shape, dtype=torch.float64).expand(len(strengths), -1, *shape)
        for shape in ((5,), (1, 3), (1, 3))
    )
    losses = (module(z, base, schedule=writes).actions - expert).square().sum((1, 2, 3))
    (slopes,) = torch.autograd.grad(losses.sum(), writes)
    without, done = losses[-2:].tolist()
    saved = float(-slopes[:-2, 2] @ torch.from_numpy(weights / 2))
    assert abs(without - done) > 1e-3
    assert saved == pytest.approx(without - done, abs=1e-9)


def test_a_probed_rollout_is_the_one_of_its_strengths():
    torch.manual_seed(0)
    module = AuraModule(TINY)
    z, base = torch.randn(3, 300, 5), torch.randn(3, 300, 1, 3)
    rollout = module(z, base, probe=0.3)
    probes = rollout.scan.probes
    strengths = torch.cat(probes.strengths, 1).detach()
    assert 0.2 < float(probes.probed.float().mean()) < 0.4
    assert set(strengths[~probes.probed].tolist()) <= {0.0, 1.0}
    assert 0.4 < float(strengths[probes.probed].mean()) < 0.6
    assert_close(module(z, base, schedule=strengths).actions, rollout.actions)
    torch.autograd.backward(rollout.actions.square().mean())
    gradient = torch.cat([block.grad for block in probes.strengths], 1)
    assert (gradient[probes.probed] != 0).all()


@pytest.mark.parametrize('rate', [0.07, 0.25, 0.6, 1.0])
def test_a_periodic_schedule_is_the_policy_and_in_training_begins_anywhere(rate):
    module = ScheduledModule(TINY, 'periodic', rate).eval()
    budget = float(module.budget)
    policy = Periodic(budget)
    zero = np.zeros(1, np.float32)
    expected = [policy(zero, zero, 0.0) for _ in range(300)]
    assert module.draw(2, 300).tolist() == [expected, expected]
    assert module.draw(1, 77, first=223)[0].tolist() == expected[223:]
    drawn = module.train().draw(400, 300, torch.Generator().manual_seed(0)).numpy()
    for row in drawn:
        assert set(np.diff(np.flatnonzero(row))) <= {int(1 / budget), int(np.ceil(1 / budget))}
    np.testing.assert_allclose(drawn.mean(0), budget, atol=0.11)  # no step is likelier than another


def test_a_random_schedule_keeps_the_budget_and_its_generator_repeats_it():
    module = ScheduledModule(TINY, 'random', 0.2)
    drawn = [module.draw(50, 400, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert float(drawn[0].mean()) == pytest.approx(0.2, abs=0.01)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_a_schedule_is_drawn_if_none_is_given_but_not_in_the_middle():
    module = ScheduledModule(TINY, 'periodic', 0.25).eval()
    x = torch.randn(2, 12, 4)
    scan = module.scan(x)
    assert scan.written.tolist() == [[1.0, 0, 0, 0] * 3] * 2
    with pytest.raises(ConfigError, match='schedule must be given'):
        module.scan(x, scan.state)


@pytest.mark.parametrize(
    ('kind', 'budget', 'message'),
    [
        ('hourly', 0.1, 'kind must be random or periodic'),
        ('random', 1.5, r'budget must be 0\.\.1'),
        ('periodic', float('nan'), r'budget must be 0\.\.1'),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(kind, budget, message):
    with pytest.raises(ConfigError, match=message):
        ScheduledModule(TINY, kind, budget)


@pytest.mark.parametrize('steps', [1, 6])
def test_the_gradient_of_the_recurrence_is_that_of_its_values(steps):
    torch.manual_seed(0)
    a = torch.rand(steps, 2, 3, dtype=torch.float64, requires_grad=True)
    w, B, C, start = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((steps, 2, 3), (steps, 2, 4), (steps, 2, 4), (2, 3, 4))
    )
    assert torch.autograd.gradcheck(Recurrence.apply, (a, w, B, C, start))


def test_no_duration_is_too_short_or_too_long_for_the_ssm():
    torch.manual_seed(0)
    module = SsmModule(TINY, 6)
    torch.nn.init.normal_(module.dt.weight, std=200.0)
    x = torch.tanh(torch.randn(2, 512, 4)).requires_grad_()
    scan = module.scan(x)
    torch.autograd.backward(scan.readout.square().mean())
    assert torch.isfinite(scan.readout).all()
    cell = [parameter for name, parameter in module.named_parameters() if not name.startswith(('encoder', 'head'))]
    assert len(cell) == 10  # four layers, A_log and skip
    for tensor in (x, *cell):
        assert torch.isfinite(tensor.grad).all()
    # |u B| / A is at most what a step can leave behind, however many came before
    bound = (module.input(x)[..., None] * module.B(x)[..., None, :]).abs().amax((0, 1)) / module.A_log.exp()[:, None]
    assert (scan.state.abs() <= bound * 1.001).all()


def test_kv_cache_keeps_its_newest_steps_in_training():
    module, x = KvCacheModule(TINY).train(), torch.randn(1, TRAINING_ENTRIES + 30, 4)
    state = module.scan(x).state
    assert state.keys.shape[1] == TRAINING_ENTRIES
    assert torch.equal(state.keys[:, -1], module.scan(x[:, -1:]).state.keys[:, 0])
    assert module.eval().scan(x).state.keys.shape[1] == TRAINING_ENTRIES + 30
