# SPDX-License-Identifier: Apache-2.0
"""AURA-Mem (arXiv 2606.02775): gated fast weights of 4,224 bytes beside a frozen VLA, one step at a time."""

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError
from aura_ros.memory.content_addressed import ContentAddressedCell
from aura_ros.memory.fast_weights import FastWeightCell
from aura_ros.memory.gate import THRESHOLD, Gate
from aura_ros.memory.layers import Floats
from aura_ros.memory.recurrent import RecurrentMemory
from aura_ros.memory.schedules import WriteSchedule
from aura_ros.memory.weights import MemoryWeights

_CELLS: dict[str, type[FastWeightCell] | type[ContentAddressedCell]] = {
    'dense': FastWeightCell,
    'content': ContentAddressedCell,
}


class FastWeightMemory(RecurrentMemory[FastWeightCell | ContentAddressedCell]):
    """Fast weights behind a write schedule: learned in AURA-Mem, fixed in its baselines.

    The card of the weights names its cell.

    Raises:
        ConfigError: the card names another addressing than dense or content.
    """

    def __init__(self, name: str, weights: MemoryWeights, schedule: WriteSchedule) -> None:
        if weights.addressing not in _CELLS:
            raise ConfigError(f"addressing of the {name} memory is '{weights.addressing}': must be dense or content")
        super().__init__(name, weights, _CELLS[weights.addressing](weights.arrays, schedule))

    @property
    def fast_weights(self) -> Floats:
        """W, a read-only view, float32 [32, 32]; see the cell for what a row is."""
        return _read_only(self.cell.matrix)

    @property
    def vector(self) -> Floats:
        """The second array of the state, a read-only view, float32 [32]."""
        return _read_only(self.cell.vector)

    @property
    def row_age(self) -> NDArray[np.uint64]:
        """Steps since each row of W last changed, uint64 [32]."""
        return self.cell.row_age


class AuraMemory(FastWeightMemory):
    """Fast weights that are written when a learned gate opens."""

    def __init__(self, weights: MemoryWeights, threshold: float = THRESHOLD) -> None:
        super().__init__('aura', weights, Gate(weights.arrays, threshold))


def _read_only(array: Floats) -> Floats:
    view = array.view()
    view.setflags(write=False)
    return view
