# SPDX-License-Identifier: Apache-2.0
"""Changed features: their laws, the shipped weights on them, and the quick command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.bench.cli import main  # noqa: E402
from aura_ros.bench.perturbation import Augmentation, Perturbation, perturb  # noqa: E402
from aura_ros.bench.robustness_report import summarise  # noqa: E402
from aura_ros.bench.robustness_run import Evaluation, run_evaluation  # noqa: E402
from aura_ros.bench.streams import draw, generator  # noqa: E402
from aura_ros.bench.synthetic import HARD, shipped_weights  # noqa: E402
from aura_ros.common.errors import ConfigError  # noqa: E402

STREAMS = draw(HARD, 20, 200, generator('validation', 0))


def changed(**change: float) -> Any:
    """What a change adds to the features, [B, T, 64]."""
    return perturb(STREAMS.z, HARD, Perturbation(**change), generator('robustness', 0)) - STREAMS.z


def test_no_change_changes_nothing() -> None:
    assert not changed().any()


def test_noise_has_the_factor_on_the_codes_alone() -> None:
    added = changed(noise=3.0)
    assert np.hypot(added[..., :48].std(), HARD.code_noise) == pytest.approx(3 * HARD.code_noise, rel=0.01)
    assert not added[..., 48:].any()


def test_gain_is_a_factor_on_all_features() -> None:
    assert changed(gain=1.3) == pytest.approx(0.3 * STREAMS.z, abs=1e-5)


def test_offset_is_constant_in_a_stream_and_differs_between_streams() -> None:
    added = changed(offset=0.2)
    assert np.abs(added) == pytest.approx(0.2, abs=1e-5)
    assert added.std(1).max() < 1e-5 and added[:, 0].std(0).min() > 0.05


def test_walk_reaches_its_level_at_the_end() -> None:
    added = changed(walk=0.3)
    assert added[:, -1].std() == pytest.approx(0.3, rel=0.1)
    assert added[:, 49].std() == pytest.approx(0.15, rel=0.1), 'a quarter of the steps, half of the deviation'
    assert np.diff(added, axis=1).std() == pytest.approx(0.3 / np.sqrt(200), rel=0.05)


@pytest.mark.parametrize('wrong', [{'noise': 0.5}, {'gain': 0.0}, {'offset': -0.1}, {'walk': float('nan')}])
def test_changes_out_of_range_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Perturbation(**wrong)


def test_augmentation_draws_within_its_limits() -> None:
    found = Augmentation(noise=2.0, gain=1.5, offset=0.1).draw(500, np.random.default_rng(0))
    assert 1.0 <= found.noise.min() < 1.05 and 1.95 < found.noise.max() <= 2.0
    assert 1 / 1.5 <= found.gain.min() < 0.7 and 1.45 < found.gain.max() <= 1.5
    assert np.median(found.gain) == pytest.approx(1.0, abs=0.05)
    assert np.abs(found.offset).max() <= 0.1 and np.abs(found.offset).mean() == pytest.approx(0.05, abs=0.005)
    with pytest.raises(ConfigError, match='gain must be finite and >= 1, got 0'):
        Augmentation(gain=0.5)


def test_shipped_weights_lose_more_answers_to_more_noise() -> None:
    changes = {('noise', level): Perturbation(noise=level) for level in (1.0, 2.0, 4.0)}
    evaluation = Evaluation('aura', shipped_weights(), HARD, 0, 8)
    (one, two, four) = run_evaluation(evaluation, changes)['points']
    assert one['accuracy'] > 0.95 > two['accuracy'] > 0.85 > four['accuracy'] > 0.4
    assert one['fire_repeat'] < two['fire_repeat'] < four['fire_repeat'], 'repeats look new'
    assert run_evaluation(evaluation, changes)['points'][2] == four, 'the streams depend on the seed alone'


def test_table_has_means_over_seeds() -> None:
    def run(seed: int, accuracies: tuple[float, float]) -> dict[str, Any]:
        levels = zip((1.0, 4.0), accuracies, strict=True)
        points = [{'change': 'noise', 'level': level, 'accuracy': accuracy} for level, accuracy in levels]
        return {'memory': 'gru', 'seed': seed, 'points': points}

    one, four = summarise([run(0, (0.9, 0.4)), run(1, (0.7, 0.2))])
    assert (one['level'], one['accuracy'], one['accuracy_worst'], one['seeds']) == (1.0, pytest.approx(0.8), 0.7, 2)
    assert (four['level'], four['accuracy'], four['accuracy_worst']) == (4.0, pytest.approx(0.3), 0.2)
    assert 'fire_event' not in one


def test_given_weights_are_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('aura_ros.bench.robustness.QUICK_LEVELS', {'gain': (1.0, 1.3)})
    words = ['robustness', '--quick', '--weights', str(shipped_weights('content')), '--jobs', '1']
    assert main([*words, '--output', str(tmp_path)]) == 0
    name = 'robustness-hard-synthetic_hard_aura_content'
    rows = json.loads((tmp_path / f'{name}.json').read_text())['rows']
    assert [(row['memory'], row['change'], row['level']) for row in rows] == [
        ('aura-content', 'gain', 1.0),
        ('aura-content', 'gain', 1.3),
    ]
    assert min(row['accuracy'] for row in rows) > 0.98
    assert (tmp_path / f'{name}.md').read_text().count('\n') == 2 * 3 + 1
    assert (tmp_path / f'{name}.png').stat().st_size > 10_000


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--memory', 'aura'], 'memory needs weights'),
        (['--memories', 'unknown'], "--memories: there is no 'unknown'"),
        (['--augment', 'noise'], 'expected for example'),
        (['--augment', 'drift=2'], "--augment: there is no 'drift'"),
        (['--augment', 'noise=0.5'], 'noise must be finite and >= 1, got 0.5'),
        (['--weights', 'nowhere.safetensors'], 'nowhere.json'),
    ],
)
def test_unusable_arguments_are_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['robustness', *words, '--seeds', '0', '--output', str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


@pytest.mark.timeout(300)
def test_quick_run_trains_and_evaluates(tmp_path: Path) -> None:
    assert main(['robustness', '--quick', '--output', str(tmp_path), '--jobs', '2']) == 0
    found = json.loads((tmp_path / 'robustness-quick.json').read_text())
    rows = {(row['memory'], row['change'], row['level']): row for row in found['rows']}
    assert {memory for memory, _, _ in rows} == {'aura', 'oracle'} and len(rows) == 2 * 8
    for memory in ('aura', 'oracle'):
        assert rows[memory, 'noise', 1.0]['accuracy'] == rows[memory, 'walk', 0.0]['accuracy'] > 0.6
        assert rows[memory, 'offset', 0.3]['accuracy'] < rows[memory, 'offset', 0.0]['accuracy'] - 0.1
    unchanged, moved = (rows['oracle', 'offset', level]['writes_per_step'] for level in (0.0, 0.3))
    assert unchanged == moved < rows['aura', 'noise', 1.0]['writes_per_step'], 'the oracle is given the events'
