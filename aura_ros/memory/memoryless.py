# SPDX-License-Identifier: Apache-2.0
"""The baseline without a memory: encoder and action head alone, trained as long as the others."""

from aura_ros.memory.cell import Cell, Transition
from aura_ros.memory.layers import Floats


class MemorylessCell(Cell):
    """Carries zero bytes; the read-out is the code of the current step."""

    def step(self, x: Floats) -> Transition:
        """Return the code."""
        return Transition(x, gate=0.0, threshold=1.0, written=False)
