# SPDX-License-Identifier: Apache-2.0
"""Rows, checks, JSON and plot of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from aura_ros.bench.robot.figure import pick_episode
from aura_ros.bench.robot.records import RunRecord, acceptance, summarise
from aura_ros.bench.robot.report import to_json, write_report
from aura_ros.common.errors import ConfigError

Make = Callable[..., RunRecord]


def test_row_has_the_values_of_the_driving_memory(make_run: Make) -> None:
    rows = {(row.task, row.policy): row for row in map(summarise, make_run().episodes)}
    base, aura, kv = (rows['recall', policy] for policy in ('base', 'aura', 'kv'))
    assert base.writes is None and base.state_bytes is None and base.p50_us is None
    assert aura.rounds == 12 and aura.state_bytes == 4224
    assert aura.writes == 12 and aura.writes_per_round == 1.0
    assert kv.writes is not None and kv.state_bytes == 256 * kv.writes
    assert aura.p50_us is not None and aura.p95_us is not None and aura.p50_us < aura.p95_us
    assert aura.interval[0] < aura.rate <= aura.interval[1]


def test_short_runs_decide_only_the_state_size(make_run: Make) -> None:
    checks = acceptance([summarise(episode) for episode in make_run().episodes])
    decided = [check for check in checks if check.passed is not None]
    assert [check.text for check in decided] == ['recall: AURA state 4224 B = 4,224 B']
    long = acceptance([summarise(episode) for episode in make_run(60).episodes])
    assert len(long) == 6 and all(check.passed is not None for check in long)
    ratio = next(check for check in long if 'writes KV / AURA' in check.text)
    assert ratio.passed


def test_run_without_recall_has_only_the_other_checks(make_run: Make) -> None:
    rows = [summarise(e) for e in make_run().episodes if e.task == 'visible']
    assert [check.text[:7] for check in acceptance(rows)] == ['visible']
    assert acceptance([]) == ()


def test_json_has_settings_and_results(make_run: Make) -> None:
    run = make_run()
    found = json.loads(json.dumps(to_json(run), allow_nan=False))
    assert found['versions'] == {'aura_ros': '0.1.0'}
    assert found['weight_hashes']['aura'] == 'ab' * 32
    episode = found['episodes'][1]
    assert (episode['seed'], episode['split'], episode['policy']) == (0, 'evaluation', 'aura')
    assert [outcome['round'] for outcome in episode['outcomes']] == list(range(12))
    assert all(outcome['cue'] in ('red', 'green', 'blue') for outcome in episode['outcomes'])
    assert len(episode['aura_write_steps']) == 12
    assert episode['missing_steps'] == {'aura': 0, 'kv': 0}
    assert len(episode['step_values']['kv']) == episode['steps']
    assert 'step_values' not in found['episodes'][0]


@pytest.mark.parametrize('rounds', [1, 12, 40])
def test_plot_is_drawn(make_run: Make, tmp_path: Path, rounds: int) -> None:
    json_path, png_path = write_report(make_run(rounds), tmp_path / 'new' / 'folder')
    assert json.loads(json_path.read_text())['format'] == 1
    assert png_path is not None and json_path.parent == png_path.parent
    plot = cv2.imread(str(png_path))
    assert plot is not None and plot.shape[1] > 1200 and plot.std() > 10.0


def test_no_plot_without_an_episode_of_aura(make_run: Make, tmp_path: Path) -> None:
    run = make_run(2, policies=('base', 'kv'))
    assert write_report(run, tmp_path)[1] is None
    assert pick_episode(()) is None
    empty = replace(run, episodes=())
    assert to_json(empty)['summary'] == []


def test_recall_is_preferred_for_the_plot(make_run: Make) -> None:
    episodes = make_run(2).episodes
    picked = pick_episode(tuple(reversed(episodes)))
    assert picked is not None and (picked.task, picked.policy) == ('recall', 'aura')
    visible = pick_episode([e for e in episodes if e.task == 'visible'])
    assert visible is not None and visible.task == 'visible'


def test_error_names_an_unusable_folder(make_run: Make, tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='report_dir'):
        write_report(make_run(1), tmp_path / 'file')
