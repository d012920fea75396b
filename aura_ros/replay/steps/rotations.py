# SPDX-License-Identifier: Apache-2.0
"""Rotation vectors of recorded poses, by the rule of the live switch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aura_ros.control.poses import nearest_rotation
from aura_ros.replay.steps.message_values import ROTATION_COLUMNS


class Rotations:
    """Replaces the rotation vector of each pose by the equal one that a policy can propose. One thread.

    A quaternion has two rotation vectors. With the limits of a robot file the one nearest to their middle is meant;
    without them the one nearest to the pose before, so that the values do not jump.
    """

    def __init__(self, middle: Sequence[float]) -> None:
        """Use the `middle` of the limits [rad], () without limits."""
        self._middle = np.array(middle, np.float64) if middle else None
        self._last: NDArray[np.float64] | None = None

    def nearest(self, names: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of one action, [rows, names], with such a rotation vector if the names have one."""
        if not set(ROTATION_COLUMNS) <= set(names):
            return values
        columns = [names.index(name) for name in ROTATION_COLUMNS]
        found = values.copy()
        for row in found:
            middle = self._last if self._middle is None else self._middle
            if middle is not None:
                row[columns] = nearest_rotation(row[columns], middle)
            self._last = row[columns]
        return found
