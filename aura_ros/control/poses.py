# SPDX-License-Identifier: Apache-2.0
"""Rotation vectors: axis times angle [rad], with one convention for commands and measurements."""

import math

import numpy as np
from numpy.typing import NDArray

_NO_TURN = 1e-9


def nearest_rotation(vector: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation vector of the same rotation that is nearest to `middle`, float64 [3] [rad].

    A turn by an angle a is also one by a - 2 pi. A tool that points down is turned by about pi. There a small change
    flips the sign of the shorter vector. The limits of the robot file select one of the two.
    """
    angle = math.hypot(*vector)
    if angle < _NO_TURN:
        return vector
    other = vector * (1.0 - 2.0 * math.pi / angle)
    return min(vector, other, key=lambda found: math.dist(found, middle))
