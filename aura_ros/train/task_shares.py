# SPDX-License-Identifier: Apache-2.0
"""How often each task is trained: a task that is not learned yet, more often."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

_KEPT = 0.98
"""Share of the known error of a task that stays when a batch has the task."""


class TaskShares:
    """Draws tasks, and follows their action errors.

    Args:
        tasks: names of the tasks.
        by_error: share of the draws that are in proportion to the errors, 0..1; the others are even.
        rng: random numbers.
    """

    def __init__(self, tasks: Sequence[str], by_error: float, rng: np.random.Generator) -> None:
        self._by_error, self._rng = by_error, rng
        self._errors = dict.fromkeys(tasks, 1.0)

    @property
    def errors(self) -> Mapping[str, float]:
        """The action error of each task, a moving average."""
        return self._errors

    def draw(self, tasks: Sequence[str], size: int) -> list[str]:
        """Return `size` of the tasks, in random order."""
        errors = np.array([self._errors[task] for task in tasks])
        shares = self._by_error * errors / errors.sum() + (1 - self._by_error) / len(tasks)
        return [tasks[number] for number in self._rng.choice(len(tasks), size=size, p=shares)]

    def watch(
        self, losses_of: Callable[[Tensor], Tensor], weight: Tensor, tasks: Sequence[str]
    ) -> Callable[[Tensor], Tensor]:
        """Return `losses_of`, whose first call also updates the errors.

        Args:
            losses_of: the weighted loss of each step with a weight, [N].
            weight: weights of the steps of a batch, [B, T].
            tasks: task of each sequence.
        """
        calls = 0

        def watched(actions: Tensor) -> Tensor:
            nonlocal calls
            losses = losses_of(actions)
            if not calls:
                self._add(losses.detach(), weight, tasks)
            calls += 1
            return losses

        return watched

    def _add(self, losses: Tensor, weight: Tensor, tasks: Sequence[str]) -> None:
        sums = losses.new_zeros(len(weight)).index_add(0, (weight > 0).nonzero()[:, 0], losses)
        means = (sums / weight.sum(1).clamp(min=1e-6)).tolist()
        for task in set(tasks):
            mean = float(np.mean([error for error, of in zip(means, tasks, strict=True) if of == task]))
            self._errors[task] = _KEPT * self._errors[task] + (1 - _KEPT) * mean
