# SPDX-License-Identifier: Apache-2.0
"""The KV-cache as a torch module; see `aura_ros.memory.kv_cache.KvCache`."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.train.modules.base import MemoryModule, Scan, Sizes, every_step

TRAINING_ENTRIES = 1024
"""Newest steps that a state keeps in training without a window, so that a long stream does not need ever more time."""


@dataclass(frozen=True)
class KvState:
    """Stored steps, oldest first. Sequences with fewer steps have places without one before them."""

    keys: Tensor
    """Keys, [B, S, K]."""
    values: Tensor
    """Values, [B, S, V]."""
    present: Tensor
    """Places with a step, bool [B, S]."""


class KvCacheModule(MemoryModule):
    """One attention head over all past steps.

    Args:
        sizes: dimensions.
        window: largest number of past steps; 0 means all. It is not part of the weights.
    """

    kind = 'kv'

    def __init__(self, sizes: Sizes, window: int = 0) -> None:
        super().__init__(sizes, sizes.value_dim)
        self.window = window
        self.key = nn.Linear(sizes.code_dim, sizes.key_dim)
        self.value = nn.Linear(sizes.code_dim, sizes.value_dim)
        self.query = nn.Linear(sizes.code_dim, sizes.key_dim)
        self.log_sharpness = nn.Parameter(torch.full((1,), 2.0))
        self.log_slope = nn.Parameter(torch.full((1,), -3.0))

    def scan(self, x: Tensor, state: KvState | None = None, **options: Any) -> Scan:
        """Attend to past steps."""
        k, v = F.normalize(self.key(x), dim=-1), self.value(x)
        q = F.normalize(self.query(x), dim=-1)
        present = torch.ones(x.shape[:2], dtype=torch.bool)
        if state is not None:
            k, v = torch.cat([state.keys, k], 1), torch.cat([state.values, v], 1)
            present = torch.cat([state.present, present], 1)
        line = torch.arange(k.shape[1], dtype=x.dtype)
        age = line[-x.shape[1] :, None] - line
        unseen = (age < 0) | ((age >= self.window) if self.window else False) | ~present[:, None]
        logits = self.log_sharpness.exp() * (q @ k.mT) - self.log_slope.exp() * age
        readout = torch.softmax(logits.masked_fill(unseen, -torch.inf), -1) @ v
        most = self.window or (TRAINING_ENTRIES if self.training else k.shape[1])
        kept = slice(-min(most, int(present.sum(1).max())), None)
        return every_step(x, readout, KvState(k[:, kept], v[:, kept], present[:, kept]))
