# SPDX-License-Identifier: Apache-2.0
"""The quick synthetic benchmark, and the changes of the ablations."""

import json
from argparse import ArgumentTypeError

import pytest
from close import assert_close

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.bench.ablations import Endpoint, FewerGateInputs, Hebbian, StraightThrough, StraightThroughLearner  # noqa: E402
from aura_ros.bench.arguments import parse_augment, parse_rates  # noqa: E402
from aura_ros.bench.cli import main  # noqa: E402
from aura_ros.bench.perturbation import Augmentation  # noqa: E402
from aura_ros.bench.synthetic import LEARNING_RATES, training_budget, training_job, training_store  # noqa: E402
from aura_ros.bench.synthetic_report import compare, summarise  # noqa: E402
from aura_ros.bench.synthetic_training import Budget  # noqa: E402
from aura_ros.memory import load_memory  # noqa: E402
from aura_ros.train.learner import GateTraining, Optimisation  # noqa: E402
from aura_ros.train.modules import AuraModule, Sizes  # noqa: E402

SIZES = Sizes(6, 1, 3, code_dim=8, key_dim=4, value_dim=5, gate_width=7, head_width=9)


@pytest.mark.timeout(300)
def test_quick_run_ranks_the_memories(tmp_path):
    assert main(['synthetic', '--quick', '--output', str(tmp_path), '--jobs', '2']) == 0
    found = json.loads((tmp_path / 'synthetic-quick.json').read_text())
    row = {row['memory']: row for row in found['rows']}
    assert row['oracle']['over_oracle'] == 1.0
    assert row['oracle']['accuracy'] > row['random']['accuracy'] + 0.1
    assert row['aura']['accuracy'] > row['random']['accuracy'] + 0.1
    assert row['aura']['writes_per_step'] < 0.7 < row['always']['writes_per_step'] == 1.0
    assert row['aura']['fire_event'] > row['aura']['fire_distractor']
    assert row['aura']['state_bytes'] == 4224
    content = row['aura-content']
    assert content['accuracy'] > row['random']['accuracy'] + 0.1
    assert content['state_bytes'] == 4224
    assert {run['numpy_agrees'] for run in found['runs'] if run['memory'].startswith('aura')} == {1.0}
    assert (tmp_path / 'synthetic-quick.png').stat().st_size > 10_000
    assert load_memory('aura', str(tmp_path / 'synthetic-quick' / 'weights' / 'aura-0.safetensors')).state_bytes == 4224


@pytest.mark.timeout(300)
def test_quick_ablation_separates_the_write_rules(tmp_path):
    assert main(['ablate', '--cell', 'dense', '--quick', '--output', str(tmp_path), '--jobs', '2']) == 0
    rows = {row['memory']: row for row in json.loads((tmp_path / 'ablate-dense.json').read_text())['rows']}
    assert set(rows) == {'aura', 'hebbian'}
    assert rows['aura']['accuracy'] > rows['hebbian']['accuracy'], 'without the subtraction, a rebinding is ambiguous'
    assert (tmp_path / 'ablate-dense.md').read_text().count('\n') == 4


def run(memory, seed, accuracy, writes):
    return {
        'memory': memory,
        'seed': seed,
        'accuracy': accuracy,
        'writes_per_step': writes,
        'events_per_step': 0.1,
        'parameters': 1,
    }


def test_aura_is_compared_with_the_best_always_writer():
    runs = [run('aura', seed, 0.98, writes) for seed, writes in ((0, 0.1), (1, 0.125))]
    runs += [run('always', seed, 0.97, 1.0) for seed in (0, 1)] + [run('gru', seed, 0.3, 1.0) for seed in (0, 1)]
    comparison = compare(runs)
    assert comparison['best_always_writer'] == 'always'
    assert comparison['write_ratio'] == pytest.approx(9.0)
    assert comparison['accuracy_difference'] == pytest.approx(0.01)
    rows = {row['memory']: row for row in summarise(runs)}
    assert rows['aura']['over_oracle'] == pytest.approx(1.125)
    assert rows['always']['accuracy_high'] == pytest.approx(0.97)


def test_interval_of_a_share_ends_at_1():
    (row,) = summarise([run('always', 0, 0.9, 1.0), run('always', 1, 1.0, 1.0)])
    assert 0.0 <= row['accuracy_low'] < 0.95 < row['accuracy_high'] == 1.0


def test_hebbian_writes_add_up():
    torch.manual_seed(0)
    module = Hebbian(SIZES)
    x = torch.randn(2, 9, 8)
    scan = module.scan(x, schedule=torch.ones(2, 9))
    keys, queries, values, rates = module._project(x)
    W = torch.zeros(2, 5, 5)
    for t in range(9):
        W = W + (rates[:, t] * values[:, t])[..., None] * keys[:, t, None]
        assert_close(scan.readout[:, t], (W @ queries[:, t, :, None])[..., 0])
    assert_close(scan.state, W)


@pytest.mark.parametrize('inputs', [('code',), ('error',), ('surprise',)])
def test_gate_depends_only_on_its_inputs(inputs):
    torch.manual_seed(0)
    module, code, error = FewerGateInputs(SIZES, inputs), torch.randn(3, 8), torch.randn(3, 5)
    score = module._score(module._code_input(code), error)
    turned = error[:, torch.randperm(5)] * -1  # another error of the same norm
    moved = {
        'code': module._score(module._code_input(code + 1), error),
        'error': module._score(module._code_input(code), turned),
        'surprise': module._score(module._code_input(code), 2 * error),
    }
    assert torch.equal(score, moved['code']) != ('code' in inputs)
    assert torch.equal(score, moved['error']) != ('error' in inputs)
    assert torch.equal(score, moved['surprise']) != (inputs != ('code',))


def test_endpoint_probes_at_the_decision():
    gate = torch.tensor([[0.0, 1.0]])
    assert torch.equal(Endpoint(SIZES).strengths(gate), gate)
    assert not torch.equal(AuraModule(SIZES).strengths(gate), gate)


def test_straight_through_pays_for_expected_writes():
    torch.manual_seed(0)
    module = StraightThrough(SIZES)
    gate = GateTraining(price=50.0, open_until=0.0, price_full=1e-6)
    learner = StraightThroughLearner(module, Optimisation(20), gate)
    before = module.gate.output.bias.item()
    z, base = torch.randn(2, 9, 6), torch.zeros(2, 9, 1, 3)
    for _ in range(20):
        learner.step(z, base, lambda actions: actions.square().mean((-1, -2)), 18.0)
    assert module.gate.output.bias.item() < before


def test_learning_rates_and_changes_of_the_training_are_read():
    assert parse_rates('0.003, 6e-3,0.003') == (0.003, 0.006)
    for wrong in ('', '0', '-1', 'fast', 'nan', 'inf'):
        with pytest.raises(ArgumentTypeError, match='must be numbers > 0'):
            parse_rates(wrong)
    assert training_budget(False, parse_augment('noise=2, gain=1.3')).augmentation == Augmentation(noise=2.0, gain=1.3)
    assert training_budget(True) == Budget(steps=200, tests=16)


def test_row_of_another_learning_rate_is_made_again(tmp_path):
    store = training_store(tmp_path, 'quick', Budget())
    for rate, stored in ((LEARNING_RATES['gru'], True), (1.0, False)):
        store.add('gru-0', {'memory': 'gru', 'learning_rate': rate})
        assert training_job('quick', 'gru', 0, Budget(), store).key == 'gru-0'
        assert (store.get('gru-0') is not None) == stored
