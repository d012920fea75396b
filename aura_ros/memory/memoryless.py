# SPDX-License-Identifier: Apache-2.0
"""The rival that remembers nothing: encoder and action head alone, trained as long as the others."""

from __future__ import annotations

from aura_ros.memory.cell import Cell, Floats, Transition


class MemorylessCell(Cell):
    """Zero bytes; the read-out is the code of this very step."""

    def step(self, x: Floats) -> Transition:
        """Hand the code through."""
        return Transition(x, gate=0.0, threshold=1.0, written=False)
