# SPDX-License-Identifier: Apache-2.0
"""Encoder, cell and action head: how every memory of the family gets from a VLA step to an action."""

from typing import Any, Generic, TypeVar

import numpy as np

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import ConfigError
from aura_ros.memory.cell import Cell
from aura_ros.memory.layers import ActionHead, Encoder, Floats
from aura_ros.memory.protocol import Decision
from aura_ros.memory.weights import MemoryWeights

CellType = TypeVar('CellType', bound=Cell)


class RecurrentMemory(Generic[CellType]):
    """A `Memory` made of trained weights and a cell."""

    def __init__(self, name: str, weights: MemoryWeights, cell: CellType) -> None:
        self.name = name
        self.cell = cell
        """What is carried from step to step; public for monitors and tests."""
        self.feature_dim, self.memory_hash = weights.feature_dim, weights.sha256
        self.chunk_shape = (weights.chunk_size, weights.action_dim)
        self.backbone_hash = weights.backbone_hash
        self.components: tuple[ActionComponent, ...] | None = weights.components
        self._encode, self._head = Encoder.of(weights.arrays), ActionHead.of(weights.arrays, weights.components)
        self.writes = 0

    @property
    def state_bytes(self) -> int:
        """Bytes of the arrays that are carried."""
        return self.cell.nbytes

    @property
    def state_layout(self) -> str:
        """Dtype and shape of the arrays that are carried; see `Memory.state_layout`."""
        return self.cell.layout

    def reset(self) -> None:
        """Return to the empty state."""
        self.cell.reset()
        self.writes = 0

    def step(self, z: Floats, base_action: Floats) -> Decision:
        """Apply one step; see `Memory.step`."""
        u, x = self._encode(z)
        done = self.cell.step(x)
        prepared = self._head.prepare(u, base_action)
        action = self._head(prepared, done.readout, base_action)
        change = 0.0
        if done.before is not None:
            change = float(np.abs(action - self._head(prepared, done.before, base_action)).max())
        self.writes += done.written
        return Decision(action, done.gate, done.threshold, done.written, done.surprise, change, done.delta_norm)

    def try_out(self) -> None:
        """Use every layer once; the state is arbitrary afterwards.

        Raises:
            ConfigError: if an action has a wrong shape or is not finite.
            Exception: of NumPy, if arrays do not fit.
        """
        base = np.zeros(self.chunk_shape, np.float32)
        action = self.step(np.zeros(self.feature_dim, np.float32), base).action
        if action.shape != base.shape or not np.isfinite(action).all():
            raise ConfigError(f'the trial action has shape {action.shape}: must be {base.shape} and finite')
        self.cell.try_out(self._encode(np.zeros(self.feature_dim, np.float32))[1])

    def export(self) -> bytes:
        """Return the cell's state."""
        return self.cell.export()

    def restore(self, data: bytes) -> None:
        """Load a state from `export`; see `Memory.restore`."""
        self.cell.restore(data)

    def keep(self) -> Any:
        """Return what `undo` needs."""
        return self.writes, self.cell.keep()

    def undo(self, kept: Any) -> None:
        """Take back one step and a reset before it; see `Memory.undo`."""
        self.writes, cell = kept
        self.cell.undo(cell)
