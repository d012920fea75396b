# SPDX-License-Identifier: Apache-2.0
"""No memory: the base action passes through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import StateError
from aura_ros.memory.protocol import Decision, check_step

Floats = NDArray[np.float32]


class NoMemory:
    """The frozen VLA alone, behind the same protocol."""

    name = 'none'
    memory_hash = ''
    backbone_hash = ''
    state_bytes = 0
    state_layout = ''

    def __init__(self, feature_dim: int, chunk: tuple[int, int]) -> None:
        self.feature_dim, self._chunk = feature_dim, chunk
        self.writes = 0

    def reset(self) -> None:
        """Nothing to forget."""

    def step(self, z: Floats, base_action: Floats) -> Decision:
        """Return the base action; see `Memory.step`."""
        check_step(z, base_action, self.feature_dim, self._chunk)
        return Decision(base_action, 0.0, 1.0, False, 0.0, 0.0, 0.0)

    def export(self) -> bytes:
        """Nothing."""
        return b''

    def restore(self, data: bytes) -> None:
        """Take nothing; see `Memory.restore`."""
        if data:
            raise StateError(f'no memory has no state, got {len(data)} bytes')
