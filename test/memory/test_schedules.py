# SPDX-License-Identifier: Apache-2.0
"""Schedules of writes: their rates, their evenness, and that a reset begins them again."""

import numpy as np
import pytest

from aura_ros.common.errors import ConfigError
from aura_ros.memory.schedules import Always, Periodic, Random

CODE, ERROR = np.zeros(4, np.float32), np.zeros(2, np.float32)


def writes(schedule, steps=100):
    """Whether each step is written."""
    return [schedule(CODE, ERROR, 0.0) > schedule.threshold for _ in range(steps)]


def test_always_writes():
    assert all(writes(Always()))


@pytest.mark.parametrize('rate', [0.0, 0.1, 0.37, 1.0])
def test_random_writes_as_often_as_asked_and_never_by_the_clock(rate):
    drawn = writes(Random(rate), 20_000)
    assert np.mean(drawn) == pytest.approx(rate, abs=0.015)
    gaps = np.diff(np.flatnonzero(drawn))
    assert rate in (0.0, 1.0) or gaps.std() > 0.5 / rate * np.sqrt(1 - rate)  # 1/rate sqrt(1 - rate) if geometric


@pytest.mark.parametrize('rate', [0.0, 0.1, 0.25, 0.37, 0.9, 1.0])
def test_periodic_writes_as_often_as_asked_and_as_evenly_as_steps_allow(rate):
    due = writes(Periodic(rate), 1000)
    assert sum(due) == np.ceil(1000 * rate)
    assert due[0] == (rate > 0)
    gaps = np.diff(np.flatnonzero(due))
    assert set(gaps) <= ({int(1 / rate), int(np.ceil(1 / rate))} if rate else set())


@pytest.mark.parametrize('schedule', [Random(0.3), Periodic(0.3)], ids=lambda schedule: type(schedule).__name__)
def test_a_reset_begins_the_same_writes_again(schedule):
    first = writes(schedule)
    schedule.reset()
    assert writes(schedule) == first
    assert 0 < sum(first) < len(first)


def test_seeds_give_other_writes():
    assert writes(Random(0.3, seed=1)) != writes(Random(0.3, seed=2))


@pytest.mark.parametrize('schedule', [Random, Periodic])
@pytest.mark.parametrize('rate', [-0.1, 1.01, float('nan')])
def test_a_rate_outside_0_to_1_is_refused(schedule, rate):
    with pytest.raises(ConfigError, match=r'rate must be 0\.\.1'):
        schedule(rate)
