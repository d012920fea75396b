# SPDX-License-Identifier: Apache-2.0
"""A task that is not learned yet is trained more often."""

from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from aura_ros.train.task_shares import TaskShares  # noqa: E402

TASKS = ('easy', 'hard', 'late')


def shares(by_error: float) -> TaskShares:
    """Return shares that have seen many batches in which hard has ten times the error of the others."""
    found = TaskShares(TASKS, by_error, np.random.default_rng(0))
    weight = torch.tensor([[1.0, 0.0], [0.25, 1.0], [0.0, 1.0]])
    for _ in range(500):
        watched = found.watch(lambda losses: losses, weight, TASKS)
        watched(torch.tensor([0.1, 0.25, 1.0, 0.1]))  # weighted losses of the four steps with a weight
        watched(torch.full((4,), 99.0))  # another run of the same batch does not count
    return found


def test_half_the_draws_follow_the_errors_and_the_others_are_even() -> None:
    drawn = Counter(shares(0.5).draw(TASKS, 12_000))
    wanted = {task: 0.5 * error / 1.2 + 0.5 / 3 for task, error in zip(TASKS, (0.1, 1.0, 0.1), strict=True)}
    assert {task: drawn[task] / 12_000 for task in TASKS} == pytest.approx(wanted, abs=0.02)


def test_only_the_named_tasks_are_drawn() -> None:
    assert Counter(shares(0.0).draw(('easy', 'late'), 4000)) == pytest.approx({'easy': 2000, 'late': 2000}, abs=200)
    assert set(shares(1.0).draw(('late',), 5)) == {'late'}


def test_a_task_without_a_step_that_counts_keeps_a_finite_error() -> None:
    found = TaskShares(TASKS, 1.0, np.random.default_rng(0))
    found.watch(lambda losses: losses, torch.zeros(3, 2), TASKS)(torch.zeros(0))
    assert set(found.draw(TASKS, 100)) == set(TASKS)
