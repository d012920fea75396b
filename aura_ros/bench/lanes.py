# SPDX-License-Identifier: Apache-2.0
"""Training streams that go on. In use no memory is reset, so training has to meet used states."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aura_ros.bench.perturbation import Augmentation
from aura_ros.bench.streams import Streams, StreamSetting, draw


class Lanes:
    """Parallel streams, cut in pieces of `train_length` steps. A piece begins with the bindings of the one before.

    Args:
        setting: how the streams are drawn.
        count: number of lanes, B.
        rng: source of all random numbers.
        augmentation: what is drawn for a lane whenever it begins.
    """

    def __init__(
        self, setting: StreamSetting, count: int, rng: np.random.Generator, augmentation: Augmentation | None = None
    ) -> None:
        self._setting, self._rng = setting, rng
        self._augmentation = augmentation or Augmentation()
        self._bindings = np.full((count, setting.bindings), -1)
        self._disturbance = self._augmentation.draw(count, rng) if self._augmentation.changes else None
        self._begun = False

    def next_piece(self, used: float) -> tuple[Streams, NDArray[np.bool_]]:
        """Return the next piece of all lanes, and which lanes go on, bool [B].

        Args:
            used: share of the lanes that go on, 0..1; the others begin again, without bindings.
        """
        going_on = (self._rng.random(len(self._bindings)) < used) & self._begun
        self._begun = True
        self._bindings[~going_on] = -1
        streams = draw(self._setting, len(self._bindings), self._setting.train_length, self._rng, self._bindings)
        return self._disturbed(streams, ~going_on), going_on

    def _disturbed(self, streams: Streams, begins: NDArray[np.bool_]) -> Streams:
        """Return the streams with the changes of their lanes, which are drawn for those that begin."""
        if self._disturbance is None:
            return streams
        drawn = self._augmentation.draw(len(begins), self._rng)
        self._disturbance = self._disturbance.choose(begins, drawn)
        return replace(streams, z=self._disturbance.apply(streams.z, self._setting, self._rng))
