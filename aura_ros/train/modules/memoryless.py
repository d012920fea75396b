# SPDX-License-Identifier: Apache-2.0
"""No memory as a torch module; see `aura_ros.memory.memoryless`."""

from typing import Any

from torch import Tensor

from aura_ros.train.modules.base import MemoryModule, Scan, Sizes


class MemorylessModule(MemoryModule):
    """Encoder and head. The read-out is the code."""

    kind = 'memoryless'

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes, sizes.code_dim)

    def scan(self, x: Tensor, state: Any = None, **options: Any) -> Scan:
        """Return the codes as read-outs. There is no state."""
        never = x.new_zeros(x.shape[:2])
        return Scan(x, never, never, never, None)
