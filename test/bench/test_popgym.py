# SPDX-License-Identifier: Apache-2.0
"""POPGym: experts, episodes, cloning, the closed loop, the tables, and the quick command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aura_ros.bench.cli import main
from aura_ros.bench.popgym import DEFAULT_IDS, DEFAULT_MEMORIES, LEARNING_RATES, OTHER_MEMORIES
from aura_ros.bench.popgym_curriculum import Growth, GrowthRule
from aura_ros.bench.popgym_env import EVALUATE, TRAIN, VALIDATE, Episode, Game, demonstrations, episode_seed
from aura_ros.bench.popgym_experts import FAMILIES, IDS, family_of
from aura_ros.bench.popgym_report import compare, markdown, score, summarise


@pytest.fixture
def popgym() -> Any:
    return pytest.importorskip('popgym', reason='the extra popgym is not installed')


def follow(_: Any, advice: Any) -> Any:
    """The action of the expert."""
    return advice.action


# --- names and seeds ---


def test_default_ids_and_memories_are_known() -> None:
    assert len(DEFAULT_IDS) >= 15 and set(DEFAULT_IDS) <= set(IDS)
    assert {family_of(name) for name in DEFAULT_IDS} == set(FAMILIES.values())
    assert set(LEARNING_RATES) == {*DEFAULT_MEMORIES, *OTHER_MEMORIES}


def test_splits_and_training_seeds_share_no_episode() -> None:
    seen = [episode_seed(split, seed, index) for split in range(3) for seed in range(4) for index in (0, 1, 999_999)]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        (['--ids', 'Chess'], "--ids: there is no 'Chess'"),
        (['--memories', 'brain'], "--memories: there is no 'brain'"),
        (['--ids', ''], '--ids: no name is given'),
    ],
)
def test_unknown_names_are_refused(
    popgym: Any, words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('torch')
    assert main(['popgym', '--output', str(tmp_path), *words]) == 2
    assert expected in capsys.readouterr().err


def test_absence_of_popgym_is_one_line_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('aura_ros.bench.popgym.find_spec', lambda name: None)
    assert main(['popgym', '--output', str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert 'pip install "aura_ros[popgym]"' in error and error.count('\n') == 1


# --- experts ---

EXACT = ('RepeatFirst', 'RepeatPrevious', 'CountRecall', 'Autoencode')


@pytest.mark.parametrize('name', [name for name in DEFAULT_IDS if name.startswith(EXACT)])
def test_exact_experts_have_the_largest_return(popgym: Any, name: str) -> None:
    found = Game(name).play(episode_seed(VALIDATE, 0, 0), follow)
    assert found.total == pytest.approx(1.0)
    assert found.agrees.all() and found.counts.any()


@pytest.mark.parametrize(
    ('name', 'least'),
    [
        ('HigherLowerEasy', 0.3),
        ('ConcentrationEasy', 0.7),
        ('MultiarmedBanditEasy', 0.3),
        ('PositionOnlyCartPoleEasy', 0.99),
        ('PositionOnlyPendulumEasy', 0.7),
    ],
)
def test_other_experts_are_far_better_than_random_actions(popgym: Any, name: str, least: float) -> None:
    game = Game(name)
    draw = game.random_actions(0)
    seeds = [episode_seed(VALIDATE, 0, index) for index in range(10)]
    expert = np.mean([game.play(seed, follow).total for seed in seeds])
    random = np.mean([game.play(seed, lambda *_: draw()).total for seed in seeds])
    assert expert > least > random + 0.1


def test_expert_of_concentration_does_not_look_under_cards(popgym: Any) -> None:
    game = Game('ConcentrationEasy')
    turned: list[int] = []

    def choose(_: Any, advice: Any) -> int:
        turned.append(advice.action)
        return int(advice.action)

    first = game.play(1, choose)
    assert turned[:2] == [0, 1], 'the first cards are unknown'
    assert first.total < 1.0


# --- episodes ---


def test_episodes_can_be_repeated_and_hide_the_state(popgym: Any) -> None:
    first, again, other = (Game('CountRecallEasy').play(seed, follow) for seed in (5, 5, 6))
    assert np.array_equal(first.z, again.z) and not np.array_equal(first.z, other.z)
    assert first.z.shape == (51, 4) and (first.z.sum(1) == 2).all(), 'one card dealt, one asked for'
    assert first.targets.max() > 10


def test_previous_action_belongs_to_the_observation_of_a_bandit(popgym: Any) -> None:
    found = Game('MultiarmedBanditEasy').play(5, follow)
    assert np.array_equal(found.z[1:, 2:].argmax(1), found.targets[:-1])


def test_actions_of_a_pendulum_are_parts_of_the_largest_torque(popgym: Any) -> None:
    game = Game('PositionOnlyPendulumEasy')
    assert game.action(np.array([[0.25]], np.float32)) == pytest.approx(0.5)
    assert game.action(np.array([[9.0]], np.float32)) == pytest.approx(2.0)
    found = game.play(5, follow)
    assert found.targets.shape == (200, 1) and np.abs(found.targets).max() == pytest.approx(1.0)
    assert found.agrees.all()
    assert not game.play(5, lambda *_: np.zeros(1, np.float32)).agrees.all()


def test_demonstrations_have_noise_only_where_actions_matter(popgym: Any) -> None:
    assert all(episode.agrees.all() for episode in demonstrations('RepeatFirstEasy', TRAIN, 0, 2))
    noisy = np.concatenate([episode.agrees for episode in demonstrations('PositionOnlyCartPoleEasy', TRAIN, 0, 3)])
    assert 0.8 < noisy.mean() < 0.97, 'a fifth of the actions is random, and half of these are right by chance'


# --- training ---


def lesson(steps: int) -> Episode:
    z = np.arange(1, steps + 1, dtype=np.float32)[:, None]
    return Episode(z, np.arange(steps), np.ones(steps, bool), np.ones(steps, bool), 0.0)


def test_lessons_are_padded_and_cut() -> None:
    pytest.importorskip('torch')
    from aura_ros.bench.popgym_lessons import Lessons

    lessons, rng = Lessons.of([lesson(3), lesson(9)]), np.random.default_rng(0)
    whole = lessons.draw(20, 0, rng)
    assert set(whole.counts.sum(1).tolist()) == {3, 9} and (whole.z[whole.counts] > 0).all()
    cut = lessons.draw(50, 4, rng)
    assert cut.z.shape == (50, 4, 1) and set(cut.counts.sum(1).tolist()) == {3, 4}
    long = cut.z[cut.lengths == 4, :, 0]
    assert (long.diff(dim=1) == 1).all() and len(set(long[:, 0].tolist())) > 2, 'cuts start anywhere'
    assert (cut.targets[cut.counts] + 1 == cut.z[cut.counts][:, 0]).all()


def test_short_sequences_are_the_first_steps_of_their_episodes() -> None:
    pytest.importorskip('torch')
    from aura_ros.bench.popgym_lessons import Lessons

    lessons = Lessons.of([lesson(3), lesson(9)]).begin(4)
    assert lessons.z[..., 0].tolist() == [[1, 2, 3, 0], [1, 2, 3, 4]]
    assert lessons.counts.sum(1).tolist() == lessons.lengths.tolist() == [3, 4]


def lengths_of(losses: list[float]) -> list[int]:
    """Return the lengths of sequences from 12 to 51 steps for the losses of all steps; the first loss is 3."""
    growth, lengths = Growth(GrowthRule(), 12, 51, 3.0), []
    for step, loss in enumerate(losses):
        lengths.append(growth.length)
        growth.update(loss, (step + 1) / len(losses))
    return lengths


def test_sequences_grow_when_they_are_known() -> None:
    slow = [3.0] * 40 + [0.01] * 160
    lengths = lengths_of(slow)
    assert set(lengths[:40]) == {12}, 'nothing is known yet'
    begin = lengths.index(13)
    assert 40 < begin < 100, 'the loss of late falls within some steps'
    assert lengths[begin : begin + 10] == [*range(13, 23)]
    assert lengths[-1] == 51


def test_sequences_are_whole_before_the_gate_learns_whatever_is_known() -> None:
    pytest.importorskip('torch')
    from aura_ros.bench.popgym_training import Budget

    lengths = lengths_of([3.0] * 200)
    assert lengths == sorted(lengths) and lengths[:120] == [12] * 120
    assert set(lengths[int(200 * Budget().gate.learn_from) :]) == {51}


@pytest.mark.parametrize('name', [name for name in IDS if family_of(name).first_length])
def test_first_sequences_have_steps_to_learn_and_are_not_cut(popgym: Any, name: str) -> None:
    family = family_of(name)
    assert not family.crop, 'a cut sequence does not begin with its episode'
    assert Game(name).play(0, follow).counts[: family.first_length].all()


@pytest.mark.parametrize('memory', [*DEFAULT_MEMORIES, 'kv-window', 'memoryless'])
def test_memories_have_the_same_number_of_parameters(memory: str) -> None:
    pytest.importorskip('torch')
    from aura_ros.bench.popgym_training import SIZES, make

    sizes = replace(SIZES, feature_dim=13, action_dim=2)
    wanted = make('aura-content', sizes).parameter_count
    assert make(memory, sizes).parameter_count == pytest.approx(wanted, rel=0.03)


def test_items_of_near_keys_begin_without_fading() -> None:
    torch = pytest.importorskip('torch')
    from aura_ros.bench.popgym_lessons import Lessons
    from aura_ros.bench.popgym_training import SIZES, make, prepare

    torch.manual_seed(0)
    lessons = Lessons.of([replace(lesson(8), z=np.eye(8, dtype=np.float32))])
    module = make('always-content', replace(SIZES, feature_dim=8, action_dim=2))

    def near_rows_after(first: int, second: int) -> tuple[Any, Any]:
        """Return the state after one item, and after three writes of another."""
        with torch.no_grad():
            return tuple(
                module(lessons.z[:, steps], torch.zeros(1, len(steps), 1, 2)).scan.state[0, :, :-1]
                for steps in ([first], [first, *[second] * 3])
            )

    with torch.no_grad():
        keys = torch.nn.functional.normalize(module.key(torch.tanh(module.encoder(lessons.z[0]))), dim=-1)
    matches = keys @ keys.T
    pair = ((matches > 0.35) & (matches < 0.55)).nonzero()[0].tolist()
    row = int(near_rows_after(*pair)[0].norm(dim=-1).argmax())
    before, after = near_rows_after(*pair)
    assert after[row].norm() < 0.9 * before[row].norm()
    prepare(module, lessons, one_hot=True)
    before, after = near_rows_after(*pair)
    torch.testing.assert_close(after[row], before[row])


def test_continuous_observations_are_standardised() -> None:
    torch = pytest.importorskip('torch')
    from aura_ros.bench.popgym_lessons import Lessons
    from aura_ros.bench.popgym_training import SIZES, make, prepare

    module = make('gru', replace(SIZES, feature_dim=1, action_dim=2))
    prepare(module, Lessons.of([lesson(3), lesson(9)]), one_hot=False)
    seen = torch.tensor([1.0, 2.0, 3.0, *range(1, 10)])  # no step of the padding
    assert module.feature_mean.item() == pytest.approx(seen.mean().item())
    assert module.feature_scale.item() == pytest.approx(seen.std().item())


def test_memory_acts_by_itself_on_other_episodes(popgym: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A memory that learned nothing agrees by chance; its own actions decide the episode, not those of the expert."""
    pytest.importorskip('torch')
    from aura_ros.bench.popgym_training import Budget, Task, run_task

    budget = Budget(steps=2, batch=2, demonstrations=2, tests=3)
    seeds: list[int] = []
    play = Game.play
    monkeypatch.setattr(Game, 'play', lambda game, seed, choose: (seeds.append(seed), play(game, seed, choose))[1])
    row = run_task(Task('PositionOnlyCartPoleEasy', 'gru', budget, 1e-3, 0), tmp_path / 'gru.safetensors')
    trained = {episode_seed(TRAIN, 0, index) for index in range(2)}
    assert set(seeds) == trained | {episode_seed(EVALUATE, 0, index) for index in range(3)}
    assert row['expert_return'] == pytest.approx(1.0) and row['return'] < 0.9
    assert row['writes_per_step'] == 1.0 and row['state_bytes'] > 0


# --- tables ---


def run_of(name: str, memory: str, seed: int, total: float, error: float = 0.01) -> dict[str, Any]:
    return {
        'id': name,
        'memory': memory,
        'seed': seed,
        'parameters': 10,
        'state_bytes': 64,
        'steps': 5,
        'return': total,
        'return_error': error,
        'expert_return': 1.0,
        'random_return': -0.5,
        'agreement': 0.5,
        'writes_per_step': 0.25,
    }


def test_score_is_zero_for_random_actions_and_one_for_the_expert() -> None:
    assert [score(run_of('a', 'm', 0, total)) for total in (-0.5, 0.25, 1.0)] == [0.0, 0.5, 1.0]


def test_tables_have_means_over_seeds_and_over_shared_ids() -> None:
    runs = [
        run_of('a', 'one', 0, 0.9),
        run_of('a', 'one', 1, 1.0),
        run_of('a', 'two', 0, 0.4),
        run_of('b', 'one', 0, 0.50),
        run_of('b', 'two', 0, 0.51),
        run_of('c', 'one', 0, -0.5),
    ]
    table = summarise(runs)
    first = table[0]
    assert (first['seeds'], first['return']) == (2, pytest.approx(0.95))
    assert first['return_low'] < 0.9 < 1.0 < first['return_high'], 'two seeds have a wide interval'
    means = {row['memory']: row for row in compare(table)}
    assert {row['ids'] for row in means.values()} == {2}, 'not all memories have c'
    assert (means['one']['near_best'], means['two']['near_best']) == (2, 1), '0.50 is within the error of 0.51'
    assert means['one']['lowest_score'] == pytest.approx(1.0 / 1.5)
    text = markdown(table, list(means.values()))
    assert '| c | 1.00 | -0.50 | -0.50 (0.25) | - |' in text


def test_no_means_without_a_shared_id() -> None:
    assert compare(summarise([run_of('a', 'one', 0, 0.1), run_of('b', 'two', 0, 0.1)])) == []


# --- the command ---


def test_quick_command_writes_all_files_and_keeps_finished_runs(popgym: Any, tmp_path: Path) -> None:
    pytest.importorskip('torch')
    pytest.importorskip('matplotlib')
    command = ['popgym', '--quick', '--jobs', '1', '--output', str(tmp_path)]
    assert main(command) == 0
    for suffix in ('csv', 'json', 'md', 'png'):
        assert (tmp_path / f'popgym-quick.{suffix}').stat().st_size > 100
    rows = json.loads((tmp_path / 'popgym-quick.json').read_text())['rows']
    assert {(row['id'], row['memory']) for row in rows} == {
        (name, memory)
        for name in ('RepeatPreviousEasy', 'PositionOnlyPendulumEasy')
        for memory in ('aura-content', 'gru')
    }
    stored = (tmp_path / 'popgym-quick' / 'runs.jsonl').read_text()
    assert main(command) == 0 and (tmp_path / 'popgym-quick' / 'runs.jsonl').read_text() == stored
