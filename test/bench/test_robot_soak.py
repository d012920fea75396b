# SPDX-License-Identifier: Apache-2.0
"""Soak records: robust trends, and checks that can fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.bench.robot.soak import Counters, SoakLimits, SoakRecord, Trend, to_json, trend, verdict, write_json
from aura_ros.common.errors import ConfigError

FLAT = Trend(first_mb=80.0, last_mb=80.1, slope_mb_per_h=0.5, samples=480, hours=0.13)
GOOD = SoakRecord(
    started='2026-01-01T00:00:00+00:00',
    wall_s=600.0,
    episode_s=500.0,
    wanted_command_hz=20.0,
    wanted_step_hz=5.0,
    limits=SoakLimits(),
    counters=Counters(
        commands=12_000, commands_in_episodes=10_000, held=10, steps=2510, steps_in_episodes=2500, episodes=20
    ),
    trends={'memory_node': FLAT},
    cpu={'memory_node': 0.07},
)


@given(st.floats(-50.0, 50.0), st.integers(100, 2000), st.integers(0, 1000))
def test_slope_is_robust_against_noise_and_outliers(slope_mb_per_h: float, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    times = np.arange(count, dtype=float) * 36.0  # long enough that the noise has no effect
    values = 100.0 + slope_mb_per_h * times / 3600.0 + random.normal(0.0, 0.01, count)
    values[random.choice(count, count // 20, replace=False)] += 500.0
    found = trend(list(times), list(values))
    assert found.slope_mb_per_h == pytest.approx(slope_mb_per_h, abs=0.2)
    assert found.growth_mb == pytest.approx(max(slope_mb_per_h * found.hours, found.last_mb - found.first_mb), abs=0.5)


def test_growth_during_the_warm_up_is_ignored() -> None:
    times = list(np.arange(100.0))
    values = [50.0 + time if time < 20.0 else 70.0 for time in times]
    found = trend(times, values)
    assert found.growth_mb == pytest.approx(0.0) and found.first_mb == 70.0


def test_jump_without_slope_counts_as_growth() -> None:
    found = trend(list(np.arange(100.0)), [70.0] * 85 + [90.0] * 15)
    assert found.slope_mb_per_h == pytest.approx(0.0) and found.growth_mb == 20.0


@pytest.mark.parametrize('count', [0, 1])
def test_too_few_samples_are_rejected(count: int) -> None:
    with pytest.raises(ConfigError, match='at least 2'):
        trend([0.0] * count, [1.0] * count)


def test_good_soak_passes() -> None:
    assert all(check.passed for check in verdict(GOOD))


@pytest.mark.parametrize(
    ('record', 'text'),
    [
        (replace(GOOD, problem='memory_node has ended'), 'memory_node has ended'),
        (replace(GOOD, trends={'kv': FLAT, 'vla': replace(FLAT, last_mb=91.0)}), 'largest 11.0 MB, vla'),
        (replace(GOOD, counters=replace(GOOD.counters, commands=11_000)), 'commands at 20 Hz within 5%: 18.33 Hz'),
        (replace(GOOD, counters=replace(GOOD.counters, steps_in_episodes=2700)), 'steps at 5 Hz within 5%: 5.40 Hz'),
        (replace(GOOD, counters=replace(GOOD.counters, lost_steps={'aura': 1, 'kv': 0})), '1 of 2510'),
        (replace(GOOD, counters=replace(GOOD.counters, held=600)), '6.00%'),
    ],
    ids=['ended', 'memory', 'commands', 'steps', 'lost', 'held'],
)
def test_each_check_can_fail(record: SoakRecord, text: str) -> None:
    (failed,) = [check for check in verdict(record) if not check.passed]
    assert text in failed.text


@pytest.mark.parametrize(
    'limits', [{'growth_mb': 0.0}, {'rate_tolerance': 2.0}, {'held_share': -0.1}], ids=['growth', 'rate', 'held']
)
def test_invalid_limits_are_rejected(limits: dict[str, float]) -> None:
    (name,) = limits
    with pytest.raises(ConfigError, match=name):
        SoakLimits(**limits)


def test_report_has_all_measurements(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'soak.json'
    write_json(GOOD, path)
    found = json.loads(path.read_text())
    assert found == json.loads(json.dumps(to_json(GOOD)))
    assert found['command_hz'] == 20.0 and found['step_hz'] == 5.0
    assert found['trends']['memory_node']['growth_mb'] == pytest.approx(0.1)
    assert {'versions', 'weight_hashes', 'verdict', 'counters', 'limits'} <= found.keys()


def test_error_names_the_option_of_an_unusable_report(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match='--report'):
        write_json(GOOD, tmp_path / 'file' / 'soak.json')
