# SPDX-License-Identifier: Apache-2.0
"""No memory: the base action passes through."""

from aura_ros.common.errors import StateError
from aura_ros.memory.layers import Floats
from aura_ros.memory.protocol import Decision, Memory


class NoMemory(Memory):
    """The frozen VLA alone, behind the same protocol."""

    name = 'none'
    memory_hash = ''
    backbone_hash = ''
    state_bytes = 0
    state_layout = ''

    def __init__(self, feature_dim: int, chunk_shape: tuple[int, int]) -> None:
        self.feature_dim, self.chunk_shape = feature_dim, chunk_shape
        self.writes = 0

    def reset(self) -> None:
        """Do nothing: there is no state."""

    def step(self, z: Floats, base_action: Floats) -> Decision:
        """Return the base action; see `Memory.step`."""
        return Decision(base_action, 0.0, 1.0, False, 0.0, 0.0, 0.0)

    def export(self) -> bytes:
        """Return b''."""
        return b''

    def restore(self, data: bytes) -> None:
        """Accept an empty state only; see `Memory.restore`."""
        if data:
            raise StateError(f"the memory 'none' has no state, got {len(data)} bytes")
