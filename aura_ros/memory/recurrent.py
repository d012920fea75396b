# SPDX-License-Identifier: Apache-2.0
"""Encoder, cell, action head: the one way from a VLA step to an action that every memory shares."""

from __future__ import annotations

import math
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.memory.cell import Cell, Transition
from aura_ros.memory.layers import ActionHead, Encoder
from aura_ros.memory.protocol import Decision, check_step
from aura_ros.memory.weights import MemoryWeights

Floats = NDArray[np.float32]
CellType = TypeVar('CellType', bound=Cell)


class RecurrentMemory(Generic[CellType]):
    """A `Memory` made of trained weights and a cell.

    cell: what is carried from step to step, for monitors and tests.
    """

    def __init__(self, name: str, weights: MemoryWeights, cell: CellType) -> None:
        self.name, self.cell = name, cell
        self.feature_dim, self.memory_hash = weights.feature_dim, weights.sha256
        self.backbone_hash = weights.backbone_hash
        self._chunk = (weights.chunk_size, weights.action_dim)
        self._encode, self._head = Encoder.of(weights.arrays), ActionHead.of(weights.arrays)
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
        """Forget everything."""
        self.cell.reset()
        self.writes = 0

    def step(self, z: Floats, base_action: Floats) -> Decision:
        """Apply one step; see `Memory.step`."""
        check_step(z, base_action, self.feature_dim, self._chunk)
        u, x = self._encode(z)
        kept = self.cell.keep()
        done = self.cell.step(x)
        prepared = self._head.prepare(u, base_action)
        action = self._head(prepared, done.readout, base_action)
        if problem := _not_finite(done, action):
            self.cell.undo(kept)
            raise InputError(f'{problem} of the memory is not finite: the step was taken back')
        change = 0.0
        if done.before is not None:
            change = float(np.abs(action - self._head(prepared, done.before, base_action)).max())
        self.writes += done.written
        return Decision(action, done.gate, done.threshold, done.written, done.surprise, change, done.delta_norm)

    def export(self) -> bytes:
        """The cell's state."""
        return self.cell.export()

    def restore(self, data: bytes) -> None:
        """Take what `export` gave; see `Memory.restore`."""
        self.cell.restore(data)


def _not_finite(done: Transition, action: Floats) -> str:
    """Name what may neither be published nor kept, '' when all is well."""
    for name, value in (('gate', done.gate), ('surprise', done.surprise), ('change', done.delta_norm)):
        if not math.isfinite(value):
            return name
    if not np.isfinite(done.readout).all():
        return 'read-out'
    return '' if np.isfinite(action).all() else 'action'
