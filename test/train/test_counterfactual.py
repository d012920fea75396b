# SPDX-License-Identifier: Apache-2.0
"""What a write is worth: measured by a second run, and learned by the gate alone."""

import pytest
from close import assert_close

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.train.counterfactual import Sequences, draw_steps, gains_of_writes, gate_loss, taught_loss  # noqa: E402
from aura_ros.train.learner import GateTraining, Learner, Optimisation  # noqa: E402
from aura_ros.train.modules import ContentAddressedModule, Sizes  # noqa: E402
from aura_ros.train.teacher import teacher_of  # noqa: E402

pytestmark = pytest.mark.torch

TINY = Sizes(feature_dim=5, chunk_size=1, action_dim=3, code_dim=6, gate_width=4, head_width=8)
BATCH, STEPS = 3, 12


def losses_of(actions):
    return actions.square().mean((-1, -2))


@pytest.fixture
def model():
    torch.manual_seed(0)
    found = ContentAddressedModule(TINY).eval()
    found.gate.output.weight.data.normal_(0, 5)
    found.gate.output.bias.data.zero_()
    return found


@pytest.fixture(params=['all', 'some'])
def sequences(request, model):
    torch.manual_seed(1)
    z, base = torch.randn(BATCH, STEPS, 5), torch.randn(BATCH, STEPS, 1, 3)
    with torch.no_grad():
        state = model(z, base).scan.state
    return Sequences(z, base, state, None if request.param == 'all' else torch.rand(BATCH, STEPS) < 0.6)


def run(model, sequences, schedule=None):
    with torch.no_grad():
        return model(sequences.z, sequences.base, sequences.state, asked=sequences.asked, schedule=schedule)


def test_the_gain_is_the_difference_of_two_runs(model, sequences):
    rollout = run(model, sequences)
    written = rollout.scan.written
    assert 0 < float(written.mean()) < 1, 'both kinds of decision'
    steps = torch.arange(STEPS)[:, None].expand(-1, BATCH)
    gains = gains_of_writes(model, sequences, rollout, losses_of, steps)
    for sequence in range(BATCH):
        for step in range(STEPS):
            loss = {}
            for write in (0.0, 1.0):
                schedule = written.clone()
                schedule[sequence, step] = write
                asked = sequences.asked
                alone = Sequences(sequences.z, sequences.base, sequences.state, None)
                errors = losses_of(run(model, alone, schedule).actions)[sequence]
                loss[write] = float((errors if asked is None else errors[asked[sequence]]).sum())
            assert float(gains[step, sequence]) == pytest.approx(loss[0.0] - loss[1.0], abs=1e-4)
    assert float(gains.abs().max()) > 1e-2, 'some write matters'


def test_a_step_in_doubt_is_drawn_more_often_and_any_step_now_and_then():
    torch.manual_seed(0)
    scores = torch.zeros(1, 50)
    scores[0, 7] = 0.5
    drawn = draw_steps(scores, 20_000)[:, 0]
    counts = torch.bincount(drawn, minlength=50)
    assert counts.min() > 0
    assert int(counts[7]) == pytest.approx(20_000 * (0.25 / 0.299 + 1 / 50) / 2, rel=0.1)


def test_a_third_of_the_measured_steps_are_writes_of_the_teacher():
    teacher = torch.zeros(2, 50)
    teacher[0, [3, 40]] = 1
    drawn = draw_steps(torch.full((2, 50), 0.5), 20_000, teacher)
    counts = torch.bincount(drawn[:, 0], minlength=50)
    assert int(counts[3]) == pytest.approx(20_000 * (1 / 2 + 2 / 50) / 3, rel=0.1)
    without = torch.bincount(drawn[:, 1], minlength=50)
    assert without.max() == pytest.approx(20_000 / 50, rel=0.3), 'a sequence in which the teacher writes nothing'


@pytest.mark.parametrize(('price', 'sign'), [(1e3, 1), (-1e3, -1)])
def test_the_price_of_a_write_moves_the_gate_and_nothing_else(model, sequences, price, sign):
    rollout = model(sequences.z, sequences.base, sequences.state, asked=sequences.asked)
    steps = draw_steps(rollout.scan.scores, 4)
    gains = gains_of_writes(model, sequences, rollout, losses_of, steps)
    gate_loss(model, rollout, steps, gains - price).backward()
    assert sign * model.gate.output.bias.grad.item() > 0, 'descent must close a gate whose writes cost too much'
    moved = {
        name for name, parameter in model.named_parameters() if parameter.grad is not None and parameter.grad.any()
    }
    assert {name.split('.')[0] for name in moved} == {'gate'}


def test_a_training_from_an_empty_state_has_finite_weights_and_writes_at_random_first():
    torch.manual_seed(0)
    model = ContentAddressedModule(TINY)
    gate = GateTraining(open_until=0.5, open_share=0.3, learn_from=0.0)
    learner = Learner(model, Optimisation(steps=10, learning_rate=0.01), gate)
    z, base = torch.randn(8, 40, 5), torch.randn(8, 40, 1, 3)
    shares = [learner.step(z, base, losses_of, 320.0)[1] for _ in range(10)]
    assert max(abs(share - 0.3) for share in shares[:5]) < 0.1
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def test_a_gate_learns_which_of_two_items_is_asked_for():
    """Two kinds of item, equally often; only the value of the first one is asked for later."""
    torch.manual_seed(0)
    model = ContentAddressedModule(Sizes(feature_dim=6, chunk_size=1, action_dim=2, code_dim=16, head_width=16))
    learner = Learner(
        model, Optimisation(steps=300, learning_rate=0.01), GateTraining(0.1, 0.4, open_share=0.5, learn_from=0.0)
    )

    def draw(count):
        z = torch.zeros(count, 24, 6)
        kind, value = torch.randint(3, (count, 24)), torch.randint(2, (count, 24))
        z.scatter_(2, kind[..., None], 1.0)
        z[..., 3] = torch.where(kind < 2, 2.0 * value - 1, 0.0)
        wanted, held = torch.full((count, 24), -1), torch.full((count,), -1)
        for t in range(24):
            held = torch.where(kind[:, t] == 0, value[:, t], held)
            wanted[:, t] = torch.where(kind[:, t] == 2, held, -1)
        return z, kind, wanted

    for _ in range(300):
        z, kind, wanted = draw(16)
        asked = wanted >= 0
        classes = wanted[asked]
        learner.step(
            z,
            torch.zeros(16, 24, 1, 2),
            lambda actions, classes=classes: torch.nn.functional.cross_entropy(
                actions[:, 0], classes, reduction='none'
            ),
            float(asked.sum()),
            asked=asked,
        )
    model.eval()
    z, kind, wanted = draw(64)
    with torch.no_grad():
        rollout = model(z, torch.zeros(64, 24, 1, 2))
    answers = rollout.actions[:, :, 0].argmax(-1)
    assert float((answers == wanted)[wanted >= 0].float().mean()) > 0.95
    written = rollout.scan.written
    assert float(written[kind > 0].mean()) < 0.1, 'an item that nothing asks for, and a query, are not written'
    assert float(written.mean()) < 0.3
    assert_close(rollout.scan.readout.shape, (64, 24, 32))


def test_a_focus_weighs_each_step_by_how_wrong_its_score_is(model, sequences):
    torch.manual_seed(2)
    rollout = model(sequences.z, sequences.base, sequences.state)
    teacher = teacher_of(torch.randint(0, 3, (BATCH, STEPS)), late=0.0)
    inputs, due = rollout.scan.gate_inputs, teacher.due(rollout.scan.written)
    score = torch.sigmoid(model.gate_logit(inputs.code, inputs.error))
    right = torch.where(due > 0, score, 1 - score)
    for focus in (0.0, 2.0):
        expected = (-((1 - right) ** focus) * right.log()).mean()
        assert_close(taught_loss(model, rollout, teacher, focus), expected)


def test_a_focus_has_a_finite_gradient_at_a_certain_gate(model, sequences):
    model.gate.output.bias.data.fill_(200.0)
    rollout = model(sequences.z, sequences.base, sequences.state)
    teacher = teacher_of(torch.arange(1, BATCH * STEPS + 1).view(BATCH, STEPS), late=0.0)
    for focus in (0.0, 2.0):
        model.zero_grad()
        taught_loss(model, rollout, teacher, focus).backward(retain_graph=True)
        assert all(torch.isfinite(part.grad).all() for part in model.gate.parameters() if part.grad is not None)
