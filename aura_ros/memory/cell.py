# SPDX-License-Identifier: Apache-2.0
"""The recurrent part of a memory: it maps a code of the observation to a read-out for the action head.

Arrays
    x         float32 [code_dim], the encoder's code of the observation
    readout   float32 [readout_dim]
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import StateError
from aura_ros.memory.layers import Floats
from aura_ros.memory.schedules import WriteSchedule


@dataclass(frozen=True)
class Transition:
    """What one step did to a cell; gate, threshold, written, surprise and delta_norm as in `Decision`."""

    readout: Floats
    """Read-out after the write."""
    gate: float = 1.0
    threshold: float = 0.0
    written: bool = True
    surprise: float = 0.0
    delta_norm: float = 0.0
    before: Floats | None = None
    """Read-out without the write; None if nothing was written, or if the cell does not compute it."""


class Cell(ABC):
    """A cell of constant size. A cell that grows overrides the methods that use `carried`."""

    carried: tuple[NDArray[np.generic], ...] = ()
    """The arrays of the state, in the order of the export. They are changed in place."""

    @abstractmethod
    def step(self, x: Floats) -> Transition:
        """Apply one code, which is finite."""

    def try_out(self, x: Floats) -> None:
        """Use every layer, also those of a write, so that arrays that do not fit raise an exception."""
        self.step(x)

    def keep(self) -> tuple[Any, ...]:
        """Return what `undo` needs."""
        return tuple(array.copy() for array in self.carried)

    def undo(self, kept: tuple[Any, ...]) -> None:
        """Take back one step and a reset before it; `kept` is from `keep`."""
        for array, before in zip(self.carried, kept, strict=True):
            array[...] = before

    @property
    def nbytes(self) -> int:
        """Bytes of the carried arrays."""
        return sum(array.nbytes for array in self.carried)

    @property
    def layout(self) -> str:
        """Dtype and shape of each carried array in order, as '<f4[32,32] <f4[32]'; '*' for a length that grows."""
        return ' '.join(
            f'{array.dtype.newbyteorder("<").str}[{",".join(map(str, array.shape))}]' for array in self.carried
        )

    def reset(self) -> None:
        """Return to the empty state, which is zero by default."""
        for array in self.carried:
            array[...] = np.zeros((), array.dtype)

    def export(self) -> bytes:
        """Return the carried arrays in order, C order, little endian."""
        return b''.join(array.astype(array.dtype.newbyteorder('<')).tobytes() for array in self.carried)

    def restore(self, data: bytes) -> None:
        """Load a state from `export`.

        Raises:
            StateError: if the length is wrong or a value is not finite; the state is then unchanged.
        """
        if len(data) != self.nbytes:
            raise StateError(f'a state of {self.nbytes} bytes is expected, got {len(data)}')
        parts, offset = [], 0
        for array in self.carried:
            part = np.frombuffer(data, array.dtype.newbyteorder('<'), array.size, offset).reshape(array.shape)
            if not np.isfinite(part).all():
                raise StateError('the state has values that are not finite')
            parts.append(part)
            offset += array.nbytes
        for array, part in zip(self.carried, parts, strict=True):
            array[...] = part


class MatrixCell(Cell):
    """A cell of a matrix and a vector, and the schedule that decides when they are written."""

    def __init__(self, matrix: Floats, vector: Floats, schedule: WriteSchedule) -> None:
        self.matrix, self.vector, self._schedule = matrix, vector, schedule
        self.carried = (matrix, vector)
        self.row_age = np.zeros(len(matrix), np.uint64)
        """Steps since each row of the matrix last changed; for monitors, not part of the state."""

    def reset(self) -> None:
        """Return to the empty state and restart the schedule."""
        super().reset()
        self._schedule.reset()
        self.row_age[:] = 0

    def keep(self) -> tuple[Any, ...]:
        """Return the state and the row ages; see `Cell.keep`."""
        return (*super().keep(), self.row_age.copy())

    def undo(self, kept: tuple[Any, ...]) -> None:
        """Take back one step and a reset before it."""
        super().undo(kept[:-1])
        self.row_age[:] = kept[-1]
