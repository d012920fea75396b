# SPDX-License-Identifier: Apache-2.0
"""The columns of an action as arrays: which are motions, what their rest is, and which grippers are binary."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionComponent, columns_of

GRIPPER_LOGIT = 4.0
"""Logit of a binary gripper at the upper end of its range; at the lower end it is the negative."""


@dataclass(frozen=True, eq=False)
class ActionColumns:
    """Properties of the columns of an action, for the action head."""

    moves: NDArray[np.bool_]
    """Columns that are motions, whose rest is `neutral`, and not targets; bool [A]."""
    neutral: NDArray[np.float32]
    """The motion that moves nothing, float32 [A]; 0 in the other columns."""
    binary: NDArray[np.bool_]
    """Columns of grippers that only open and close; bool [A]."""
    low: NDArray[np.float32]
    """Lower value of a binary gripper, float32 [A]; 0 in the other columns."""
    span: NDArray[np.float32]
    """Upper minus lower value of a binary gripper, float32 [A]; 1 in the other columns."""

    @classmethod
    def of(cls, components: tuple[ActionComponent, ...], dims: int) -> Self:
        """Return the columns of `components`; without components, `dims` absolute joint targets."""
        moves, binary = np.zeros(dims, np.bool_), np.zeros(dims, np.bool_)
        neutral, low, span = np.zeros(dims, np.float32), np.zeros(dims, np.float32), np.ones(dims, np.float32)
        for component, columns in columns_of(components):
            moves[columns] = component.moves
            binary[columns] = component.binary
            if component.moves:
                neutral[columns] = component.neutral
            if component.binary and component.range is not None:
                low[columns], span[columns] = component.range[0], component.range[1] - component.range[0]
        return cls(moves, neutral, binary, low, span)

    @property
    def plain(self) -> bool:
        """Whether all columns are targets."""
        return not (self.moves.any() or self.binary.any())
