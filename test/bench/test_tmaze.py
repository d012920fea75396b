# SPDX-License-Identifier: Apache-2.0
"""The T-Mazes are what they are said to be, a walk is judged closed loop, and the small form ranks the memories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.bench.cli import main  # noqa: E402
from aura_ros.bench.tmaze import LEARNING_RATES, RATES  # noqa: E402
from aura_ros.bench.tmaze_env import CLUE, DOWN, FLAG, NOISE, RIGHT, UP, PassiveMaze, SelectiveMaze  # noqa: E402
from aura_ros.bench.tmaze_report import at_chance, summarise  # noqa: E402
from aura_ros.bench.tmaze_training import COURSES, VARIANTS, Task, episodes, make  # noqa: E402
from aura_ros.bench.tmaze_walk import Leg, arrivals, state_bytes, walk  # noqa: E402
from aura_ros.common.errors import ConfigError  # noqa: E402
from aura_ros.train.modules import Rollout  # noqa: E402
from aura_ros.train.modules.base import every_step  # noqa: E402

pytestmark = pytest.mark.torch


# --- the mazes ---


def test_passive_clue_is_seen_once_and_tells_the_turn() -> None:
    walk = PassiveMaze().start(10, (7,))
    corridor = np.concatenate([walk.go_on(3).z, walk.go_on(40).z], 1)
    end, turns = walk.junction()
    assert sorted(corridor[:, 0, CLUE]) == [-1] * 5 + [1] * 5
    assert not corridor[:, 1:, CLUE].any() and not corridor[..., [0, FLAG]].any()
    assert set(corridor[..., NOISE].ravel()) == {-1, 0, 1}
    assert end.shape == (10, 1, 4) and (end[..., FLAG] == 1).all() and not end[..., CLUE].any()
    assert np.array_equal(turns, np.where(corridor[:, 0, CLUE] > 0, UP, DOWN))


def test_passive_news_is_the_clue() -> None:
    walk = PassiveMaze().start(4, (7,))
    assert walk.go_on(5).news.sum(0).tolist() == [4, 0, 0, 0, 0]
    assert not walk.go_on(5).news.any()


def read_lamps(maze: SelectiveMaze, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour (-1 where dark) and side of each step, worked out from the observations alone."""
    lit = z[..., CLUE] != 0
    colour = (z[..., 4:] @ maze.colours().T).argmax(-1)
    return np.where(lit, colour, -1), z[..., CLUE]


def test_selective_junction_asks_for_the_last_side_of_a_colour_seen() -> None:
    maze = SelectiveMaze()
    walk = maze.start(30, (3,))
    stretches = [walk.go_on(25), walk.go_on(35)]
    end, turns = walk.junction()
    colour, side = read_lamps(maze, np.concatenate([stretch.z for stretch in stretches], 1))
    news = np.concatenate([stretch.news for stretch in stretches], 1)
    for i in range(30):
        held: dict[int, float] = {}
        for t in range(60):
            counts = 0 <= colour[i, t] < maze.asked
            assert news[i, t] == (counts and held.get(colour[i, t]) != side[i, t])
            if counts:
                held[colour[i, t]] = side[i, t]
        asked = int((end[i, 0, 4:] @ maze.colours().T).argmax())
        assert turns[i] == (UP if held[asked] > 0 else DOWN)
    assert (end[..., FLAG] == 1).all() and not end[..., CLUE].any()


def test_selective_has_overwriting_repeats_and_distractors() -> None:
    maze = SelectiveMaze()
    stretch = maze.start(200, (5,)).go_on(60)
    colour, _ = read_lamps(maze, stretch.z)
    counts, distracts = (colour >= 0) & (colour < maze.asked), colour >= maze.asked
    assert counts[:, 0].all()
    assert stretch.news.sum(1).mean() > maze.asked + 2, 'some colours are overwritten'
    assert (counts & ~stretch.news).mean() > 0.05, 'some lamps repeat what is known'
    assert distracts[:, 1:].mean() == pytest.approx(maze.distractor_rate, abs=0.02)
    assert len(np.unique(colour)) == 1 + maze.asked + maze.distractors
    assert not stretch.z[..., 4:][colour < 0].any(), 'dark steps show no colour'


def test_lamps_that_count_thin_out_and_distractors_do_not() -> None:
    maze = SelectiveMaze()
    walk = maze.start(100, (5,))
    walk.go_on(1000)
    colour, _ = read_lamps(maze, walk.go_on(1000).z)
    counts = ((colour >= 0) & (colour < maze.asked)).sum(1).mean()
    assert counts == pytest.approx(maze.lamp_span * np.log(2), abs=1.0)
    assert (colour >= maze.asked).mean() == pytest.approx(maze.distractor_rate, abs=0.02)


@pytest.mark.parametrize('maze', [PassiveMaze(), SelectiveMaze()])
def test_looking_at_a_junction_changes_no_corridor(maze: Any) -> None:
    straight, looking = maze.start(5, (1, 2)), maze.start(5, (1, 2))
    for _ in range(3):
        first, second = straight.go_on(20), looking.go_on(20)
        assert np.array_equal(first.z, second.z) and np.array_equal(first.news, second.news)
        looking.junction()
    assert not np.array_equal(maze.start(5, (1, 3)).go_on(20).z, maze.start(5, (1, 2)).go_on(20).z)


@pytest.mark.parametrize('wrong', [{'asked': 0}, {'distractors': 0}, {'lamp_rate': -0.1}, {'distractor_rate': 0.8}])
def test_rates_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SelectiveMaze(**wrong)


def test_the_oracle_walks_right_and_then_turns() -> None:
    seen = episodes(PassiveMaze(), 6, 12, (4,))
    assert seen.z.shape == (6, 13, 4) and seen.news.sum(1).tolist() == [1.0] * 6
    assert (seen.actions[:, :-1] == RIGHT).all()
    assert torch.equal(seen.actions[:, -1] == UP, seen.z[:, 0, CLUE] > 0)


# --- walks ---


class Puppet:
    """Knows the clue of the passive maze, counts its steps, and stumbles at one of them."""

    kind = 'always'

    def __init__(self, stumble: int = -1) -> None:
        self.stumble, self.seen = stumble, []

    def __call__(self, z: Any, base: Any, state: Any = None, schedule: Any = None) -> Rollout:
        clue, done = (z[:, 0, CLUE], 0) if state is None else state
        steps = torch.arange(done, done + z.shape[1])
        action = torch.where(z[..., FLAG] > 0, torch.where(clue > 0, UP, DOWN)[:, None], RIGHT)
        action[:, steps == self.stumble] = UP
        self.seen.append((done, bool(z[0, -1, FLAG])))
        scores = torch.nn.functional.one_hot(action, 4).float()
        return Rollout(scores[:, :, None], every_step(z, z, (clue, done + z.shape[1])))


def task(maze: str = 'passive', memory: str = 'always') -> Task:
    return Task(maze, memory, COURSES[maze], 1e-3, 0)


def test_one_walk_serves_all_lengths() -> None:
    puppet = Puppet()
    found = list(walk(puppet, task(), Leg(6, (9, 30, 1500)), 0))
    assert [(arrival.length, arrival.solved, arrival.corridors) for arrival in found] == [
        (9, 6, 6),
        (30, 6, 6),
        (1500, 6, 6),
    ]
    # a junction is shown to the state after exactly that many steps, and is not part of what follows
    assert [done for done, junction in puppet.seen if junction] == [9, 30, 1500]
    assert [done for done, junction in puppet.seen if not junction] == [0, 9, 30, 1030]
    assert [(arrival.writes, arrival.news) for arrival in found] == [(9, 1), (30, 1), (1500, 1)]


def test_one_wrong_step_ends_the_episode() -> None:
    found = list(walk(Puppet(stumble=20), task(), Leg(6, (19, 21, 90)), 0))
    assert [(end.solved, end.straight, end.turned) for end in found] == [(6, 6, 6), (0, 0, 6), (0, 0, 6)]


def test_later_legs_are_for_those_who_are_not_at_chance() -> None:
    legs = (Leg(10, (30,)), Leg(6, (40, 50)))
    assert [arrival.length for arrival in arrivals(Puppet(), task(), legs, 100)] == [30, 40, 50]
    assert [arrival.length for arrival in arrivals(Puppet(stumble=9), task(), legs, 100)] == [30]
    assert [arrival.length for arrival in arrivals(Puppet(stumble=35), task(), legs, 100)] == [30, 40]


def test_a_memory_that_grows_is_not_walked_further_than_it_can_pay_for() -> None:
    legs = (Leg(10, (30, 60)), Leg(6, (90,)))
    assert [arrival.length for arrival in arrivals(Puppet(), task(memory='kv'), legs, 50)] == [30]


def test_the_oracle_is_told_where_something_new_is_seen() -> None:
    module = make(task('selective', 'oracle')).eval()
    (arrival,) = walk(module, task('selective', 'oracle'), Leg(20, (60,)), 0)
    assert arrival.writes == pytest.approx(arrival.news) and arrival.news > 4


def test_every_memory_has_the_size_of_aura_and_a_learning_rate_of_the_grid() -> None:
    for maze, rates in LEARNING_RATES.items():
        target = make(task(maze, 'aura')).parameter_count
        for memory, rate in rates.items():
            assert rate in RATES
            module = make(Task(maze, memory, COURSES[maze], rate, 0, 0.1))
            if memory == 'elmur-wide':
                assert 5 * target < module.parameter_count < 15 * target
            else:
                assert module.parameter_count == pytest.approx(target, rel=0.03)
        assert set(VARIANTS) < set(rates)


def test_bytes_are_those_of_the_memory_that_runs() -> None:
    assert state_bytes(make(task(memory='aura')), 32) == 4224
    assert state_bytes(make(task(memory='kv')), 32) == 32 * 256
    assert state_bytes(make(task(memory='kv-window')), 32) == 16 * 256
    assert state_bytes(make(task(memory='memoryless')), 32) == 0


# --- tables ---


def run(memory: str, seed: int, *arrived: tuple[int, int, int], per_step: int = 0) -> dict[str, Any]:
    return {
        'maze': 'passive',
        'memory': memory,
        'seed': seed,
        'parameters': 1,
        'state_bytes': 8,
        'bytes_per_step': per_step,
        'arrivals': [
            {'length': length, 'corridors': corridors, 'solved': solved, 'writes': 2.0, 'news': 1.0}
            for length, corridors, solved in arrived
        ],
    }


def test_seeds_are_pooled_and_those_stopped_at_chance_count_as_half() -> None:
    runs = [
        run('aura', 0, (9, 100, 100), (90, 20, 20)),
        run('aura', 1, (9, 100, 52)),
        run('gru', 0, (9, 100, 50)),
        run('gru', 1, (9, 100, 50)),
        run('kv', 0, (9, 100, 100), per_step=4),
        run('kv', 1, (9, 100, 100), per_step=4),
    ]
    rows = {(row['memory'], row['length']): row for row in summarise(runs)}
    near, far = rows['aura', 9], rows['aura', 90]
    assert (near['solved'], near['corridors'], near['lowest'], near['stopped']) == (152, 200, 0.52, 0)
    assert near['low'] < 0.76 < near['high']
    assert (far['solved'], far['corridors'], far['lowest'], far['stopped']) == (30, 40, 0.5, 1)
    assert far['writes'] == 2.0
    assert (rows['gru', 90]['stopped'], rows['gru', 90]['success'], rows['gru', 90]['writes']) == (2, 0.5, None)
    assert ('kv', 90) not in rows, 'it was not at chance, only too dear: nothing is known'
    assert rows['kv', 9]['state_bytes'] == 36


def test_chance_is_told_by_the_interval() -> None:
    assert at_chance(59, 100) and not at_chance(61, 100)
    assert at_chance(14, 20) and not at_chance(15, 20)
    assert at_chance(0, 20)


# --- the command ---


@pytest.mark.timeout(300)
def test_quick_form_ranks_the_memories(tmp_path: Path) -> None:
    assert main(['tmaze', '--quick', '--output', str(tmp_path), '--jobs', '2']) == 0
    found = json.loads((tmp_path / 'tmaze-quick.json').read_text())
    success = {(row['maze'], row['memory']): row['success'] for row in found['rows'] if row['length'] == 90}
    for maze in ('passive', 'selective'):
        assert success[maze, 'memoryless'] < 0.65
        assert success[maze, 'aura'] > success[maze, 'memoryless'] + 0.15
    aura = next(row for row in found['rows'] if (row['maze'], row['memory'], row['length']) == ('passive', 'aura', 90))
    assert aura['writes'] < 45 and aura['state_bytes'] == 4224
    assert (tmp_path / 'tmaze-quick.md').read_text().count('| aura |') == 2
    assert (tmp_path / 'tmaze-quick.png').stat().st_size > 10_000


def test_a_maze_that_is_not_asked_for_sets_no_limit(tmp_path: Path) -> None:
    words = ['--mazes', 'passive', '--memories', 'memoryless', '--longest', '9', '--seeds', '0', '--jobs', '1']
    assert main(['tmaze', *words, '--output', str(tmp_path)]) == 0
    assert [row['length'] for row in json.loads((tmp_path / 'tmaze.json').read_text())['rows']] == [9]


def test_what_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['tmaze', '--mazes', 'round', '--output', str(tmp_path)]) == 2
    assert 'mazes' in capsys.readouterr().err
    assert main(['tmaze', '--longest', '5', '--output', str(tmp_path)]) == 2
    assert 'longest' in capsys.readouterr().err
    assert main(['tmaze', '--longest', '9', '--mazes', 'selective', '--output', str(tmp_path)]) == 2
    assert 'longest must be >= 30 steps for selective, got 9' in capsys.readouterr().err
    assert main(['tmaze', '--memories', 'random', '--output', str(tmp_path)]) == 2
    assert 'aura' in capsys.readouterr().err
