# SPDX-License-Identifier: Apache-2.0
"""Episodes of an expert as training data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aura_ros.bench.popgym_env import Episode


@dataclass(frozen=True)
class Lessons:
    """N episodes of the expert, padded to the longest of T steps."""

    z: Tensor
    """Observations, float [N, T, D]."""
    targets: Tensor
    """Actions of the expert, int64 [N, T] or float [N, T, A]."""
    counts: Tensor
    """Steps to learn, bool [N, T]; no step of the padding is learned."""
    lengths: Tensor
    """Steps of each episode, int64 [N]."""

    @classmethod
    def of(cls, episodes: Sequence[Episode]) -> 'Lessons':
        """Return the lessons of some episodes."""
        z, targets, counts = (
            torch.nn.utils.rnn.pad_sequence([torch.from_numpy(getattr(episode, part)) for episode in episodes], True)
            for part in ('z', 'targets', 'counts')
        )
        return cls(z, targets, counts, torch.tensor([len(episode.z) for episode in episodes]))

    def draw(self, batch: int, crop: int, rng: np.random.Generator) -> 'Lessons':
        """Return random episodes, each cut at random to `crop` steps if it is longer; 0 takes whole episodes."""
        chosen = torch.from_numpy(rng.integers(len(self.z), size=batch))
        lengths = self.lengths[chosen]
        steps = crop or int(lengths.max())
        spare = (lengths - steps).clamp(min=0).numpy()
        where = torch.from_numpy(rng.integers(spare + 1))[:, None] + torch.arange(steps)
        inside, where = where < lengths[:, None], where.clamp(max=self.z.shape[1] - 1)
        z, targets, counts = (part[chosen[:, None], where] for part in (self.z, self.targets, self.counts))
        return Lessons(z, targets, counts & inside, lengths.clamp(max=steps))

    def begin(self, steps: int) -> 'Lessons':
        """Return the first steps of each episode."""
        z, targets, counts = (part[:, :steps] for part in (self.z, self.targets, self.counts))
        return Lessons(z, targets, counts, self.lengths.clamp(max=steps))
