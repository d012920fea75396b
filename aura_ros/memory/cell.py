# SPDX-License-Identifier: Apache-2.0
"""The recurrent part of a memory: a code of the observation in, a read-out for the action head out.

Arrays
    x         float32 [code_dim], the encoder's code of the observation
    readout   float32 [readout_dim]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import StateError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Transition:
    """What one step did to a cell; gate, threshold, written, surprise and delta_norm as in `Decision`.

    readout: after the write.
    before: the read-out had nothing been written; None where nothing was, or where the cell cannot tell.
    """

    readout: Floats
    gate: float = 1.0
    threshold: float = 0.0
    written: bool = True
    surprise: float = 0.0
    delta_norm: float = 0.0
    before: Floats | None = None


class Cell(ABC):
    """A cell of constant size: `carried` lists its arrays, and all bookkeeping follows from that list.

    Arrays are changed in place, so that the list stays true. A cell that grows overrides what it must.
    """

    carried: tuple[NDArray[np.generic], ...] = ()

    @abstractmethod
    def step(self, x: Floats) -> Transition:
        """Take one code; the caller has checked that it is finite."""

    def keep(self) -> tuple[Any, ...]:
        """What `undo` needs to take the next step back."""
        return tuple(array.copy() for array in self.carried)

    def undo(self, kept: tuple[Any, ...]) -> None:
        """Take back the one step since `keep`."""
        for array, before in zip(self.carried, kept, strict=True):
            array[...] = before

    @property
    def nbytes(self) -> int:
        """Bytes carried, measured from the arrays."""
        return sum(array.nbytes for array in self.carried)

    @property
    def layout(self) -> str:
        """Dtype and shape of each carried array in order, as '<f4[32,32] <f4[32]'; a length that grows is '*'."""
        return ' '.join(
            f'{array.dtype.newbyteorder("<").str}[{",".join(map(str, array.shape))}]' for array in self.carried
        )

    def reset(self) -> None:
        """Back to the empty state: zero, unless the cell says otherwise."""
        for array in self.carried:
            array[...] = np.zeros((), array.dtype)

    def export(self) -> bytes:
        """The carried arrays in order, C order, little endian."""
        return b''.join(array.astype(array.dtype.newbyteorder('<')).tobytes() for array in self.carried)

    def restore(self, data: bytes) -> None:
        """Take what `export` gave.

        Raises:
            StateError: if the length is wrong or a number is not finite; the state is then unchanged.

        """
        if len(data) != self.nbytes:
            raise StateError(f'a state of {self.nbytes} bytes is expected, got {len(data)}')
        parts, offset = [], 0
        for array in self.carried:
            part = np.frombuffer(data, array.dtype.newbyteorder('<'), array.size, offset).reshape(array.shape)
            if not np.isfinite(part).all():
                raise StateError('the state holds values that are not finite')
            parts.append(part)
            offset += array.nbytes
        for array, part in zip(self.carried, parts, strict=True):
            array[...] = part
