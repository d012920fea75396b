# SPDX-License-Identifier: Apache-2.0
"""Endurance walks: blocks and windows, stops, the weights that walk, and the command."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from rich.console import Console  # noqa: E402

from aura_ros.bench import endurance_walk, endurance_weights  # noqa: E402
from aura_ros.bench.cli import main  # noqa: E402
from aura_ros.bench.endurance_walk import SPLIT, Walk, run_walk, state_norm, until_chance, windows  # noqa: E402
from aura_ros.bench.endurance_weights import load_trained, trained  # noqa: E402
from aura_ros.bench.endurance_window import Course, Tally, Window  # noqa: E402
from aura_ros.bench.streams import PIECE, Kind, Streams, generator, pieces  # noqa: E402
from aura_ros.bench.synthetic import HARD, QUICK, shipped_weights  # noqa: E402
from aura_ros.bench.synthetic_training import Budget, make, no_action  # noqa: E402
from aura_ros.memory.weights import default_path  # noqa: E402
from aura_ros.train.modules import Rollout, ScheduledModule  # noqa: E402
from aura_ros.train.modules.base import every_step  # noqa: E402
from aura_ros.train.saving import save_memory  # noqa: E402

pytestmark = pytest.mark.torch
SHORT = Course(steps=1300, window=300, entries=1000, compared=400)


def walk_of(memory: str = 'aura', course: Course = SHORT, seed: int = 0, weights: Path | None = None) -> Walk:
    return Walk(memory, weights or shipped_weights(), HARD, seed, course)


def whole_stream(walk: Walk) -> Streams:
    parts = list(pieces(walk.setting, 1, walk.length, generator(SPLIT, walk.seed)))
    return Streams(*(np.concatenate([getattr(part, name) for part in parts], 1) for name in Streams.__annotations__))


# --- walks ---


@pytest.mark.parametrize(
    'memory', ['aura', 'always', 'periodic', 'oracle', 'gru', 'lstm', 'ssm', 'elmur', 'kv-window', 'kv', 'memoryless']
)
@torch.no_grad()
def test_walk_in_blocks_is_one_scan_over_the_whole(memory: str) -> None:
    torch.manual_seed(0)
    module = load_trained('aura', shipped_weights()) if memory == 'aura' else make(memory, 0.1).eval()
    walk = walk_of(memory)
    streams = whole_stream(walk)
    assert streams.kind.shape == (1, 1000 if memory == 'kv' else 1300)
    due = torch.from_numpy(streams.events).float() if memory == 'oracle' else None
    if isinstance(module, ScheduledModule):
        due = module.draw(*streams.kind.shape)
    whole = module(torch.from_numpy(streams.z), no_action(streams), schedule=due)
    written = whole.scan.written[0].numpy() > 0.5
    right = whole.actions[0, :, 0].argmax(-1).numpy() == streams.target[0]
    found = list(windows(module, walk))
    ends = [300, 600, 1000] if memory == 'kv' else [300, 600, 900, 1300]
    assert [window.end for window in found] == ends
    for begin, window in zip([0, *ends], found, strict=False):
        kind, part = streams.kind[0, begin : window.end], slice(begin, window.end)
        assert window.shown == tuple(np.bincount(kind, minlength=5).tolist())
        assert window.written == tuple(np.bincount(kind[written[part]], minlength=5).tolist())
        assert window.right == right[part].sum()
    assert found[-1].state_norm == pytest.approx(state_norm(whole.scan.state), rel=1e-3)


class Scripted:
    """Answers every query right before step `breaks`, and wrong after it. It carries the number of steps."""

    kind, parameter_count = 'aura', 7

    def __init__(self, streams: Streams, breaks: int) -> None:
        self.streams, self.breaks = streams, breaks

    def __call__(self, z: Any, base: Any, state: Any = None, asked: Any = None, schedule: Any = None) -> Rollout:
        done = 0 if state is None else int(state[0])
        steps = np.arange(done, done + z.shape[1])
        answers = (self.streams.target[0, steps] + (steps >= self.breaks)) % 8
        scores = torch.nn.functional.one_hot(torch.from_numpy(answers), 8).float()[None, :, None]
        return Rollout(scores[asked], every_step(z, z, torch.tensor([float(done + z.shape[1])])))


def scripted(monkeypatch: pytest.MonkeyPatch, walk: Walk, breaks: int) -> None:
    module = Scripted(whole_stream(walk), breaks)
    monkeypatch.setattr(endurance_walk, 'load_trained', lambda memory, path: module)
    monkeypatch.setattr(endurance_walk, 'step_by_step', lambda *_: {})


def test_broken_memory_stops_after_two_windows_at_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    walk = walk_of(course=Course(steps=20_000, window=1000))
    scripted(monkeypatch, walk, breaks=9000)
    steps: list[int] = []
    row = run_walk(walk, steps.append)
    assert row['steps'] == 11_000 and row['ended'] == 'chance' and steps == 11 * [1000]
    assert [window['accuracy'] for window in row['windows'][:9]] == 9 * [1.0]
    assert [window['accuracy'] for window in row['windows'][9:]] == [0.0, 0.0]
    assert row['windows'][-1]['state_norm'] == 11_000 and row['writes_per_step'] == 1.0


def test_sound_memory_reaches_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    walk = walk_of(course=Course(steps=20_500, window=1000))
    scripted(monkeypatch, walk, breaks=30_000)
    row = run_walk(walk)
    assert row['ended'] == '' and [window['end'] for window in row['windows']] == [*range(1000, 20_000, 1000), 20_500]
    assert {window['accuracy'] for window in row['windows']} == {1.0}


def test_memory_that_grows_stops_at_its_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    walk = walk_of('kv', Course(steps=9000, window=1000, entries=2500))
    scripted(monkeypatch, walk, breaks=9000)
    row = run_walk(walk)
    assert (row['steps'], row['ended'], len(row['windows'])) == (2500, 'entries', 2)


def window(right: int, queries: int = 100) -> Window:
    return Window(0, (0, 0, 0, 0, queries), (0, 0, 0, 0, 0), right, 0.0)


def test_only_windows_in_a_row_end_a_walk() -> None:
    chance, sound = window(12), window(90)
    endless = iter([chance, sound, chance, chance, sound])
    assert list(until_chance(endless)) == [chance, sound, chance, chance]
    assert next(endless) is sound, 'nothing is walked after the stop'
    assert not window(22).at_chance and window(18).at_chance


def test_figures_of_a_window() -> None:
    tally = Tally()
    kind = np.array([Kind.BINDING, Kind.REBINDING, Kind.DISTRACTOR, Kind.QUERY, Kind.REPEAT, Kind.QUERY])
    tally.add(kind, np.array([1, 0, 0, 1, 1, 0], bool), np.array([1, 1, 1, 0, 1, 1], bool))
    tally.add(np.array([Kind.REBINDING, Kind.DISTRACTOR]), np.array([1, 1], bool), np.zeros(2, bool))
    row = tally.window(58, 2.0).row()
    assert row == {
        'end': 58,
        'steps': 8,
        'queries': 2,
        'accuracy': 0.5,
        'accuracy_low': pytest.approx(0.09453, abs=1e-5),  # Wilson interval of 1 of 2
        'accuracy_high': pytest.approx(0.90547, abs=1e-5),
        'writes_per_step': 0.625,
        'fire_event': pytest.approx(2 / 3, abs=1e-6),
        'fire_distractor': 0.5,
        'fire_repeat': 1.0,
        'fire_query': 0.5,
        'state_norm': 2.0,
    }
    assert Tally().window(1, 0.0).fired(Kind.REPEAT) is None


def test_norm_of_a_state_counts_all_its_numbers() -> None:
    assert state_norm(None) == 0.0
    assert state_norm((torch.tensor([3.0]), [torch.tensor([[0.0, 4.0]])])) == pytest.approx(5.0)
    module = make('elmur', 0.1).eval()
    with torch.no_grad():
        state = module(torch.randn(1, 20, 64), torch.zeros(1, 20, 1, 8)).scan.state
    expected = torch.cat([state.memories.flatten(), state.open_segment.flatten()]).norm()
    assert state_norm(state) == pytest.approx(float(expected), rel=1e-5)


def test_longer_walk_needs_no_more_storage() -> None:
    def peak(steps: int) -> int:
        walk = walk_of('memoryless', Course(steps=steps, window=2000))
        module = make('memoryless', 0.0).eval()
        tracemalloc.start()
        for _ in windows(module, walk):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(10 * PIECE) < 1.2 * peak(3 * PIECE)


# --- the NumPy memory ---


@pytest.mark.parametrize('memory', ['aura', 'random', 'periodic', 'reconstruction', 'elmur', 'kv-window'])
def test_numpy_memory_agrees(memory: str, tmp_path: Path) -> None:
    weights = shipped_weights()
    if memory != 'aura':
        torch.manual_seed(0)
        weights = tmp_path / 'memory.safetensors'
        save_memory(make(memory, 0.1), weights, {})
    row = run_walk(walk_of(memory, weights=weights))
    assert row['numpy_steps'] == 400 and row['numpy_answers'] > 0.99
    assert row['numpy_writes'] is None if memory == 'random' else row['numpy_writes'] > 0.99
    assert row['state_bytes'] == {'elmur': 7240, 'kv-window': 16_384}.get(memory, 4224)


def test_module_that_differs_from_the_file_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_trained('aura', shipped_weights())
    module.gate.output.bias.data += 4.0
    monkeypatch.setattr(endurance_walk, 'load_trained', lambda memory, path: module)
    row = run_walk(walk_of())
    assert row['numpy_writes'] < 0.9


# --- weights ---


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The training tasks that are asked for; each writes weights whose card has a write rate of 0.07."""
    asked: list[Any] = []

    def run(jobs: Any, store: Any, console: Console, workers: int) -> dict[str, Any]:
        for job in jobs:
            task, path = job.arguments
            assert store.get(job.key) is None
            asked.append(task)
            card = {**store.settings, 'figures': {'validation_rate': 0.07}}
            save_memory(make(task.memory, task.write_rate), path, card)
            store.add(job.key, {})
        return {}

    monkeypatch.setattr(endurance_weights, 'run_jobs', run)
    return asked


def test_missing_weights_are_trained_and_kept(jobs: list[Any], tmp_path: Path) -> None:
    def ask(*memories: str, budget: Budget | None = None) -> list[tuple[str, int, float]]:
        jobs.clear()
        found = trained('quick', memories, (0, 1), budget or Budget(), tmp_path, Console(quiet=True), 1)
        assert all(path.is_file() for path in found.values()) and len(found) == 2 * len(memories)
        assert all(task.setting == QUICK and task.learning_rate > 0 for task in jobs)
        return [(task.memory, task.seed, task.write_rate) for task in jobs]

    rates = [('random', 0, 0.07), ('random', 1, 0.07)]
    assert ask('random') == [('aura', 0, 0.0), ('aura', 1, 0.0), *rates], 'random has the write rate of aura'
    assert ask('random', 'aura') == []
    (tmp_path / 'synthetic-quick' / 'weights' / 'random-0.safetensors').unlink()
    assert ask('random') == rates[:1], 'the stored run has lost its weights'
    assert ask('aura', budget=Budget(steps=7)) == [('aura', 0, 0.0), ('aura', 1, 0.0)], 'weights of another budget'


def test_gated_memory_may_have_sizes_of_its_own(tmp_path: Path) -> None:
    card_file = shipped_weights().with_suffix('.json')
    sizes = replace(make('aura', 0.0).sizes, gate_width=9)
    own = tmp_path / 'own.safetensors'
    save_memory(endurance_weights.build_rival('aura', sizes, {}, 0.0), own, {})
    assert load_trained('aura', own).gate.hidden.out_features == 9
    assert json.loads(card_file.read_text())['sizes']['gate_width'] != 9


# --- the command ---


WALK = ['endurance', '--weights', str(shipped_weights()), '--steps', '900', '--window', '300', '--jobs', '1']


def test_given_weights_walk_and_finished_walks_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[int] = []

    def counted(walk: Walk, progress: Any = None) -> dict[str, Any]:
        walked.append(walk.seed)
        if walk.seed == 1 and len(walked) == 2:
            raise KeyboardInterrupt
        return run_walk(walk)

    monkeypatch.setattr(endurance_walk, 'run_walk', counted)
    words = [*WALK, '--output', str(tmp_path)]
    assert main([*words, '--seeds', '0']) == 0
    assert main([*words, '--seeds', '0,1']) == 130
    assert main([*words, '--seeds', '0,1']) == 0 and walked == [0, 1, 1]
    name = 'endurance-hard-synthetic_hard_aura'
    found = json.loads((tmp_path / f'{name}.json').read_text())
    (row,) = found['rows']
    assert (row['memory'], row['seeds'], row['steps'], row['stopped']) == ('aura', 2, 900, 0)
    assert row['first'] > 0.9 and row['numpy_writes'] > 0.99 and 'middle' not in row
    assert len((tmp_path / f'{name}-windows.csv').read_text().splitlines()) == 1 + 2 * 3
    assert main([*words, '--seeds', '0', '--fresh']) == 0 and walked == [0, 1, 1, 0]


def test_changed_weights_walk_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[int] = []

    def made(walk: Walk, progress: Any) -> dict[str, Any]:
        walked.append(walk.seed)
        return run_walk(walk)

    monkeypatch.setattr(endurance_walk, 'run_walk', made)
    words = ['endurance', '--weights', str(tmp_path / 'own.safetensors'), '--settings', 'easy', '--steps', '300']
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        save_memory(make('gru', 0.0), tmp_path / 'own.safetensors', {})
        assert main([*words, '--seeds', '0', '--jobs', '1', '--output', str(tmp_path)]) == 0
    assert walked == [0, 0], 'the same weights are not walked twice'


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--memory', 'aura'], 'memory needs weights'),
        (['--memories', 'unknown'], "--memories: there is no 'unknown'"),
        (['--weights', 'nowhere.safetensors'], 'nowhere.json'),
        (['--weights', str(default_path('aura'))], 'choose with --settings'),
        (['--weights', str(default_path('aura')), '--settings', 'hard'], 'feature_dim, chunk_size, action_dim'),
        (['--weights', str(shipped_weights()), '--memory', 'gru'], "is for 'aura'"),
        ([*WALK[1:], '--window', '2'], 'window = 2: no query'),
    ],
)
def test_unusable_arguments_are_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['endurance', *words, '--seeds', '0', '--output', str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


@pytest.mark.parametrize('wrong', [{'steps': 0}, {'window': 0}, {'entries': 0}, {'compared': PIECE + 1}])
def test_course_is_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(endurance_walk.ConfigError, match=next(iter(wrong))):
        Course(**wrong)


@pytest.mark.timeout(600)
def test_quick_run_walks_to_the_end(tmp_path: Path) -> None:
    words = ['endurance', '--quick', '--output', str(tmp_path), '--jobs', '2']
    assert main(words) == 0
    weights = tmp_path / 'synthetic-quick' / 'weights'
    made = {path.name: path.stat().st_mtime_ns for path in weights.glob('*.safetensors')}
    assert set(made) == {'aura-0.safetensors', 'always-0.safetensors', 'random-0.safetensors', 'kv-0.safetensors'}
    found = json.loads((tmp_path / 'endurance-quick.json').read_text())
    row = SimpleNamespace(**{row['memory']: row for row in found['rows']})
    assert row.aura['first'] > row.random['first'] + 0.1 and row.aura['steps'] == 4000
    assert row.aura['fire_event'] > row.aura['fire_distractor'] and row.aura['state_bytes'] == 4224
    assert row.kv['grown'] and row.kv['steps'] == 2000 and row.kv['state_bytes'] == 2000 * 256
    assert row.always['writes_per_step'] == 1.0 and row.always['numpy_answers'] > 0.99
    assert (tmp_path / 'endurance-quick.md').read_text().count('\n') == 2 + 4
    assert (tmp_path / 'endurance-quick.png').stat().st_size > 10_000
    assert main(words) == 0
    assert made == {path.name: path.stat().st_mtime_ns for path in weights.glob('*.safetensors')}, 'trained again'
