# SPDX-License-Identifier: Apache-2.0
"""Hysteresis of binary grippers: a value near the middle of the range changes nothing."""

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionComponent, columns_of

# Share of the range around its middle within which a gripper keeps its last decision [1].
_BAND = 0.2


class GripLatch:
    """The last decision of each binary gripper: the lower or the upper end of its range. Not thread-safe."""

    def __init__(self) -> None:
        self._upper: dict[str, bool] = {}

    def decide(self, components: tuple[ActionComponent, ...], row: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return an action, float64 [A], whose binary grippers are at one end of their range.

        The first decision is the nearer end. A later value has to leave the band around the middle to change it.
        """
        found = row
        for component, columns in columns_of(components):
            if not component.binary or component.range is None:
                continue
            low, high = component.range
            share = (float(row[columns].mean()) - low) / (high - low)
            known = self._upper.get(component.name)
            limit = 0.5 if known is None else 0.5 - _BAND / 2 if known else 0.5 + _BAND / 2
            self._upper[component.name] = share > limit
            found = found.copy()
            found[columns] = high if self._upper[component.name] else low
        return found
