# SPDX-License-Identifier: Apache-2.0
"""Rotation vectors: axis times angle [rad], with one convention for commands and measurements."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError

_NO_TURN = 1e-9
# Below these a quaternion has no direction, and a rotation no axis.
_LEAST = 1e-12


def rotation_vector(quaternion: Sequence[float]) -> NDArray[np.float64]:
    """Return the rotation vector of a quaternion (x, y, z, w), float64 [3] [rad].

    It is the shorter of the two that a quaternion has, with an angle of at most pi.

    Raises:
        InputError: a value is not finite, or the quaternion has no direction.
    """
    values = np.array(quaternion, np.float64)
    norm = float(np.linalg.norm(values))
    if not np.isfinite(values).all() or not norm > _LEAST:
        raise InputError(f'has an unusable orientation: the quaternion {values.tolist()} must be finite and not zero')
    axis, w = values[:3] / norm, values[3] / norm
    axis, w = (-axis, -w) if w < 0.0 else (axis, w)
    sine = float(np.linalg.norm(axis))
    share = 2.0 if sine < _LEAST else 2.0 * math.atan2(sine, w) / sine
    return np.asarray(axis * share)


def nearest_rotation(vector: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation vector of the same rotation that is nearest to `middle`, float64 [3] [rad].

    A turn by an angle a is also one by a - 2 pi. A tool that points down is turned by about pi. There a small change
    flips the sign of the shorter vector, so a caller needs a vector to compare with.
    """
    angle = math.hypot(*vector)
    # The limiter refuses values that are not finite.
    if not _NO_TURN <= angle < math.inf:
        return vector
    axis = vector / angle
    turns = round((angle - float(axis @ middle)) / (2.0 * math.pi))
    return np.asarray(vector - axis * (2.0 * math.pi * turns))
