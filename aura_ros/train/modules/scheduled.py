# SPDX-License-Identifier: Apache-2.0
"""Fast weights that are written at random or periodic steps, within a budget; see `aura_ros.memory.schedules`."""

from typing import Any

import torch
from torch import Tensor

from aura_ros.common.errors import ConfigError
from aura_ros.train.modules.base import Scan, Sizes
from aura_ros.train.modules.fast_weights import FastWeightModule


class ScheduledModule(FastWeightModule):
    """Fast weights with a budget of writes, and without a gate.

    Args:
        sizes: dimensions.
        kind: 'random' or 'periodic'.
        budget: writes per step, 0..1; it is a buffer, so that the weights file contains it.

    Raises:
        ConfigError: if the kind is another or the budget outside 0..1.
    """

    budget: Tensor

    def __init__(self, sizes: Sizes, kind: str, budget: float) -> None:
        if kind not in ('random', 'periodic'):
            raise ConfigError(f'kind must be random or periodic, got {kind!r}')
        if not 0.0 <= budget <= 1.0:
            raise ConfigError(f'budget must be 0..1 writes per step, got {budget}')
        super().__init__(sizes)
        self.kind = kind
        self.register_buffer('budget', torch.tensor([budget]))

    def draw(self, batch: int, steps: int, generator: torch.Generator | None = None, first: int = 0) -> Tensor:
        """Draw the writes of `batch` sequences from step `first` on, [B, T] of 0 and 1.

        In training, each periodic schedule starts at a random phase, because a fixed phase could be learned.
        """
        rate = float(self.budget)
        if self.kind == 'random':
            due = torch.rand(batch, steps, generator=generator, dtype=torch.float64) < rate
        else:
            phase = torch.zeros(batch, 1, dtype=torch.float64)
            if self.training:
                phase.uniform_(generator=generator)
            line = torch.arange(first, first + steps, dtype=torch.float64)
            due = torch.ceil((line + 1) * rate + phase) > torch.ceil(line * rate + phase)
        return due.to(self.budget.dtype)

    def scan(
        self, x: Tensor, state: Tensor | None = None, schedule: Tensor | None = None, probe: float = 0.0, **options: Any
    ) -> Scan:
        """Write on `schedule`, or on a schedule from `draw` if there is none.

        Raises:
            ConfigError: if there is a `state` but no schedule, because the phase of its schedule is unknown.
        """
        if schedule is None:
            if state is not None:
                raise ConfigError('schedule must be given together with a state: draw one schedule and cut it')
            schedule = self.draw(*x.shape[:2])
        return super().scan(x, state, schedule, probe, **options)
