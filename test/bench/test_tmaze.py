# SPDX-License-Identifier: Apache-2.0
"""The T-Mazes, closed-loop walks, the tables, and the quick command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.bench.cli import main  # noqa: E402
from aura_ros.bench.tmaze import LEARNING_RATE_GRID, LEARNING_RATES  # noqa: E402
from aura_ros.bench.tmaze_env import CLUE, DOWN, FLAG, NOISE, RIGHT, UP, PassiveMaze, SelectiveMaze  # noqa: E402
from aura_ros.bench.tmaze_report import at_chance, summarise  # noqa: E402
from aura_ros.bench.tmaze_training import CURRICULA, VARIANTS, Task, episodes, make  # noqa: E402
from aura_ros.bench.tmaze_walk import CorridorBatch, results, state_bytes, walk  # noqa: E402
from aura_ros.common.errors import ConfigError  # noqa: E402
from aura_ros.train.modules import Rollout  # noqa: E402
from aura_ros.train.modules.base import every_step  # noqa: E402

pytestmark = pytest.mark.torch


# --- the mazes ---


def test_passive_clue_is_shown_once_and_determines_the_turn() -> None:
    walk = PassiveMaze().start(10, (7,))
    corridor = np.concatenate([walk.advance(3).z, walk.advance(40).z], 1)
    end, turns = walk.junction()
    assert sorted(corridor[:, 0, CLUE]) == [-1] * 5 + [1] * 5
    assert not corridor[:, 1:, CLUE].any() and not corridor[..., [0, FLAG]].any()
    assert set(corridor[..., NOISE].ravel()) == {-1, 0, 1}
    assert end.shape == (10, 1, 4) and (end[..., FLAG] == 1).all() and not end[..., CLUE].any()
    assert np.array_equal(turns, np.where(corridor[:, 0, CLUE] > 0, UP, DOWN))


def test_passive_oracle_writes_the_clue() -> None:
    walk = PassiveMaze().start(4, (7,))
    assert walk.advance(5).oracle_writes.sum(0).tolist() == [4, 0, 0, 0, 0]
    assert not walk.advance(5).oracle_writes.any()


def read_lamps(maze: SelectiveMaze, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour (-1 where dark) and side of each step, from the observations alone."""
    lit = z[..., CLUE] != 0
    colour = (z[..., 4:] @ maze.colours().T).argmax(-1)
    return np.where(lit, colour, -1), z[..., CLUE]


def test_selective_junction_asks_for_the_last_side_of_a_colour() -> None:
    maze = SelectiveMaze()
    walk = maze.start(30, (3,))
    segments = [walk.advance(25), walk.advance(35)]
    end, turns = walk.junction()
    colour, side = read_lamps(maze, np.concatenate([segment.z for segment in segments], 1))
    oracle_writes = np.concatenate([segment.oracle_writes for segment in segments], 1)
    for i in range(30):
        sides: dict[int, float] = {}
        for t in range(60):
            counts = 0 <= colour[i, t] < maze.asked
            assert oracle_writes[i, t] == (counts and sides.get(colour[i, t]) != side[i, t])
            if counts:
                sides[colour[i, t]] = side[i, t]
        asked = int((end[i, 0, 4:] @ maze.colours().T).argmax())
        assert turns[i] == (UP if sides[asked] > 0 else DOWN)
    assert (end[..., FLAG] == 1).all() and not end[..., CLUE].any()


def test_selective_has_overwriting_repeats_and_distractors() -> None:
    maze = SelectiveMaze()
    segment = maze.start(200, (5,)).advance(60)
    colour, _ = read_lamps(maze, segment.z)
    counts, distracts = (colour >= 0) & (colour < maze.asked), colour >= maze.asked
    assert counts[:, 0].all()
    assert segment.oracle_writes.sum(1).mean() > maze.asked + 2, 'no colour is overwritten'
    assert (counts & ~segment.oracle_writes).mean() > 0.05, 'no lamp repeats a known side'
    assert distracts[:, 1:].mean() == pytest.approx(maze.distractor_rate, abs=0.02)
    assert len(np.unique(colour)) == 1 + maze.asked + maze.distractors
    assert not segment.z[..., 4:][colour < 0].any(), 'a dark step shows a colour'


def test_relevant_lamps_become_rarer_and_distractors_do_not() -> None:
    maze = SelectiveMaze()
    walk = maze.start(100, (5,))
    walk.advance(1000)
    colour, _ = read_lamps(maze, walk.advance(1000).z)
    counts = ((colour >= 0) & (colour < maze.asked)).sum(1).mean()
    assert counts == pytest.approx(maze.lamp_span * np.log(2), abs=1.0)
    assert (colour >= maze.asked).mean() == pytest.approx(maze.distractor_rate, abs=0.02)


@pytest.mark.parametrize('maze', [PassiveMaze(), SelectiveMaze()])
def test_junction_does_not_change_the_corridor(maze: Any) -> None:
    straight, looking = maze.start(5, (1, 2)), maze.start(5, (1, 2))
    for _ in range(3):
        first, second = straight.advance(20), looking.advance(20)
        assert np.array_equal(first.z, second.z) and np.array_equal(first.oracle_writes, second.oracle_writes)
        looking.junction()
    assert not np.array_equal(maze.start(5, (1, 3)).advance(20).z, maze.start(5, (1, 2)).advance(20).z)


@pytest.mark.parametrize('wrong', [{'asked': 0}, {'distractors': 0}, {'lamp_rate': -0.1}, {'distractor_rate': 0.8}])
def test_invalid_rates_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SelectiveMaze(**wrong)


def test_oracle_walks_right_and_then_turns() -> None:
    seen = episodes(PassiveMaze(), 6, 12, (4,))
    assert seen.z.shape == (6, 13, 4) and seen.oracle_writes.sum(1).tolist() == [1.0] * 6
    assert (seen.actions[:, :-1] == RIGHT).all()
    assert torch.equal(seen.actions[:, -1] == UP, seen.z[:, 0, CLUE] > 0)


# --- walks ---


class ScriptedModule:
    """Solves the passive maze, with a wrong action at step `stumble`."""

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
    return Task(maze, memory, CURRICULA[maze], 1e-3, 0)


def test_one_walk_tests_all_lengths() -> None:
    scripted = ScriptedModule()
    found = list(walk(scripted, task(), CorridorBatch(6, (9, 30, 1500)), 0))
    assert [(result.length, result.solved, result.corridors) for result in found] == [
        (9, 6, 6),
        (30, 6, 6),
        (1500, 6, 6),
    ]
    # The junction is shown after exactly these steps and does not advance the walk.
    assert [done for done, junction in scripted.seen if junction] == [9, 30, 1500]
    assert [done for done, junction in scripted.seen if not junction] == [0, 9, 30, 1030]
    assert [(result.writes, result.oracle_writes) for result in found] == [(9, 1), (30, 1), (1500, 1)]


def test_one_wrong_step_ends_the_episode() -> None:
    found = list(walk(ScriptedModule(stumble=20), task(), CorridorBatch(6, (19, 21, 90)), 0))
    assert [(end.solved, end.straight, end.turned) for end in found] == [(6, 6, 6), (0, 0, 6), (0, 0, 6)]


def test_memory_at_chance_gets_no_later_batch() -> None:
    batches = (CorridorBatch(10, (30,)), CorridorBatch(6, (40, 50)))
    assert [result.length for result in results(ScriptedModule(), task(), batches, 100)] == [30, 40, 50]
    assert [result.length for result in results(ScriptedModule(stumble=9), task(), batches, 100)] == [30]
    assert [result.length for result in results(ScriptedModule(stumble=35), task(), batches, 100)] == [30, 40]


def test_growing_memory_stops_at_its_longest_corridor() -> None:
    batches = (CorridorBatch(10, (30, 60)), CorridorBatch(6, (90,)))
    assert [result.length for result in results(ScriptedModule(), task(memory='kv'), batches, 50)] == [30]


def test_oracle_writes_every_new_cue() -> None:
    module = make(task('selective', 'oracle')).eval()
    (result,) = walk(module, task('selective', 'oracle'), CorridorBatch(20, (60,)), 0)
    assert result.writes == pytest.approx(result.oracle_writes) and result.oracle_writes > 4


def test_memories_have_the_size_of_aura_and_a_learning_rate_of_the_grid() -> None:
    for maze, rates in LEARNING_RATES.items():
        target = make(task(maze, 'aura')).parameter_count
        for memory, rate in rates.items():
            assert rate in LEARNING_RATE_GRID
            module = make(Task(maze, memory, CURRICULA[maze], rate, 0, 0.1))
            if memory == 'elmur-wide':
                assert 5 * target < module.parameter_count < 15 * target
            else:
                assert module.parameter_count == pytest.approx(target, rel=0.03)
        assert set(VARIANTS) < set(rates)


def test_state_bytes_are_measured_on_the_numpy_memory() -> None:
    assert state_bytes(make(task(memory='aura')), 32) == 4224
    assert state_bytes(make(task(memory='kv')), 32) == 32 * 256
    assert state_bytes(make(task(memory='kv-window')), 32) == 16 * 256
    assert state_bytes(make(task(memory='memoryless')), 32) == 0


# --- tables ---


def run(memory: str, seed: int, *reached: tuple[int, int, int], per_step: int = 0) -> dict[str, Any]:
    return {
        'maze': 'passive',
        'memory': memory,
        'seed': seed,
        'parameters': 1,
        'state_bytes': 8,
        'bytes_per_step': per_step,
        'results': [
            {'length': length, 'corridors': corridors, 'solved': solved, 'writes': 2.0, 'oracle_writes': 1.0}
            for length, corridors, solved in reached
        ],
    }


def test_seeds_that_stop_at_chance_count_as_half() -> None:
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
    assert ('kv', 90) not in rows, 'it stopped above chance, so success is unknown'
    assert rows['kv', 9]['state_bytes'] == 36


def test_chance_is_decided_by_the_interval() -> None:
    assert at_chance(59, 100) and not at_chance(61, 100)
    assert at_chance(14, 20) and not at_chance(15, 20)
    assert at_chance(0, 20)


# --- the command ---


@pytest.mark.timeout(300)
def test_quick_run_ranks_the_memories(tmp_path: Path) -> None:
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


def test_longest_is_checked_only_for_the_chosen_mazes(tmp_path: Path) -> None:
    words = ['--mazes', 'passive', '--memories', 'memoryless', '--longest', '9', '--seeds', '0', '--jobs', '1']
    assert main(['tmaze', *words, '--output', str(tmp_path)]) == 0
    assert [row['length'] for row in json.loads((tmp_path / 'tmaze.json').read_text())['rows']] == [9]


def test_invalid_arguments_are_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['tmaze', '--mazes', 'round', '--output', str(tmp_path)]) == 2
    assert 'mazes' in capsys.readouterr().err
    assert main(['tmaze', '--longest', '5', '--output', str(tmp_path)]) == 2
    assert 'longest' in capsys.readouterr().err
    assert main(['tmaze', '--longest', '9', '--mazes', 'selective', '--output', str(tmp_path)]) == 2
    assert '--longest 9: must be >= 30 steps for selective' in capsys.readouterr().err
    assert main(['tmaze', '--memories', 'random', '--output', str(tmp_path)]) == 2
    assert 'aura' in capsys.readouterr().err
