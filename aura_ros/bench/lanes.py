# SPDX-License-Identifier: Apache-2.0
"""Training streams that go on. In use no memory is reset, so training has to meet used states."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aura_ros.bench.perturbation import Augmentation, scale
from aura_ros.bench.streams import Streams, StreamSetting, draw


class Lanes:
    """Parallel streams, cut in pieces of `train_length` steps. A piece begins with the bindings of the one before.

    Args:
        setting: how the streams are drawn.
        count: number of lanes, B.
        used: share of the pieces that go on; in the others the lane begins again, without bindings.
        rng: source of all random numbers.
        augmentation: what is drawn for a lane whenever it begins.
    """

    def __init__(
        self,
        setting: StreamSetting,
        count: int,
        used: float,
        rng: np.random.Generator,
        augmentation: Augmentation | None = None,
    ) -> None:
        self._setting, self._used, self._rng = setting, used, rng
        self._augmentation = augmentation or Augmentation()
        self._bindings = np.full((count, setting.bindings), -1)
        self._noise, self._gain = np.ones(count), np.ones(count)
        self._begun = False

    def next_piece(self) -> tuple[Streams, NDArray[np.bool_]]:
        """Return the next piece of all lanes, and which lanes go on, bool [B]."""
        going_on = (self._rng.random(len(self._bindings)) < self._used) & self._begun
        self._begun = True
        self._bindings[~going_on] = -1
        streams = draw(self._setting, len(self._bindings), self._setting.train_length, self._rng, self._bindings)
        return self._augmented(streams, ~going_on), going_on

    def _augmented(self, streams: Streams, begins: NDArray[np.bool_]) -> Streams:
        """Return the streams with the noise and the gain of their lanes, which are drawn for those that begin."""
        if not self._augmentation.changes:
            return streams
        count = int(begins.sum())
        self._noise[begins] = self._rng.uniform(1.0, self._augmentation.noise, count)
        self._gain[begins] = self._augmentation.gain ** self._rng.uniform(-1.0, 1.0, count)
        return replace(streams, z=scale(streams.z, self._setting, self._noise, self._gain, self._rng))
