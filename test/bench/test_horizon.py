# SPDX-License-Identifier: Apache-2.0
"""The horizon benchmark: bytes are checked exactly, times only for presence."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

pytest.importorskip('torch')
pytest.importorskip('matplotlib')

from aura_ros.bench import cli
from aura_ros.bench.horizon import ratios
from aura_ros.bench.horizon_run import (
    NAMES,
    HorizonSetting,
    TimedMemory,
    checkpoints,
    episode_lengths,
    make_memory,
    run_alone,
    run_together,
    work,
)

pytestmark = pytest.mark.torch

SMALL = HorizonSetting(steps=300, compared=100, window=4, repeats=2, repeated=10)


@pytest.mark.parametrize(
    ('last', 'expected'), [(1, [1]), (10, [1, 2, 5, 10]), (30, [1, 2, 5, 10, 20, 30]), (100_000, None)]
)
def test_checkpoints_end_at_the_last_step(last: int, expected: list[int] | None) -> None:
    found = checkpoints(last)
    assert found == expected if expected else (len(found), found[-1]) == (16, 100_000)


def test_bytes_at_every_checkpoint() -> None:
    done: list[int] = []
    found = run_together(['aura', 'kv', 'kv-window', 'gru', 'none'], SMALL, done.append)
    size = {(row['memory'], row['steps']): row['bytes'] for row in found['rows']}
    for steps in (1, 2, 5, 10, 20, 50, 100):
        assert size['aura', steps] == 4224
        assert size['kv', steps] == 256 * steps
        assert size['kv-window', steps] == 256 * min(steps, 16)
        assert size['none', steps] == 0
        assert size['gru', steps] == size['gru', 1] > 0
    assert sum(done) == sum(work(['aura', 'kv', 'kv-window', 'gru', 'none'], 0, end) for end in episode_lengths(SMALL))


def test_first_steps_are_timed_in_every_episode_without_overlap() -> None:
    rows = run_together(['aura'], SMALL, lambda amount: None)['rows']
    # episodes of 10 and of 100 steps; half the steps up to a checkpoint, at most 4
    assert {row['steps']: row['samples'] for row in rows} == {1: 2, 2: 2, 5: 4, 10: 8, 20: 4, 50: 4, 100: 4}
    assert all(0 < row['median_us'] <= row['p95_us'] for row in rows)


def test_run_alone_starts_its_rows_at_the_end_of_the_shared_run() -> None:
    rows = run_alone('ssm', SMALL)['rows']
    assert [row['steps'] for row in rows] == [100, 200, 300]
    assert len({row['bytes'] for row in rows}) == 1


@pytest.mark.parametrize(('name', 'written'), [('aura', True), ('aura-silent', False), ('none', False)])
def test_gate_is_kept_open_or_closed(name: str, written: bool) -> None:
    timed = TimedMemory(name, SMALL)
    timed.advance(20)
    assert timed.memory.writes == (20 if written else 0)


@pytest.mark.parametrize('name', NAMES)
def test_state_bytes_is_the_size_of_the_export(name: str) -> None:
    memory = make_memory(name, SMALL)
    assert memory.state_bytes == len(memory.export())


def test_ratio_of_the_paper_follows_from_256_bytes_per_step() -> None:
    rows = [
        {'memory': name, 'steps': 100_000, 'run': 'together', 'bytes': size, 'median_us': time}
        for name, size, time in (('kv', 25_600_000, 600.0), ('aura', 4224, 60.0))
    ]
    facts = ratios(rows, 100_000)
    assert facts['bytes_ratio'] == pytest.approx(6060.6, abs=0.1) and facts['time_ratio'] == 10.0
    assert ratios(rows[:1], 100_000) == {}


def test_command_writes_its_table_and_reuses_stored_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ['horizon', '--quick', '--steps', '200', '--memories', 'aura,kv', '--output', str(tmp_path)]
    assert cli.main(command) == 0
    with (tmp_path / 'horizon.csv').open(encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert {row['memory'] for row in rows} == {'aura', 'kv'}
    assert (tmp_path / 'horizon.png').stat().st_size > 10_000
    first = json.loads((tmp_path / 'horizon.json').read_text(encoding='utf-8'))
    assert first['bytes_ratio'] == pytest.approx(256 * 200 / 4224)
    assert cli.main(command) == 0
    assert json.loads((tmp_path / 'horizon.json').read_text(encoding='utf-8'))['rows'] == first['rows']
    assert '12.1x the bytes' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('words', 'expected'),
    [(['--memories', 'aura,ntm'], "there is no 'ntm'"), (['--steps', '0'], "'0': must be an integer >= 1")],
)
def test_invalid_arguments_are_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert cli.main(['horizon', '--output', str(tmp_path), *words]) == 2
    assert expected in capsys.readouterr().err
