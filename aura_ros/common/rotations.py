# SPDX-License-Identifier: Apache-2.0
"""Rotations in the forms of an action or state, and as matrices.

Forms
    axis_angle       float64 [3], rotation vector [rad]
    euler_xyz        float64 [3], angles about the fixed axes x, y, z, applied in this order [rad]
    quaternion_xyzw  float64 [4], any length but zero
    rot6d            float64 [6], first two columns of the matrix, one after the other; any two independent vectors
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.common.spec_fields import ROTATIONS

Floats = NDArray[np.float64]
# Below this length a vector has no direction.
_LEAST = 1e-9
# Below this angle its sine stands for it, to 1e-13 rad. OpenCV returns 0 below 1e-5.
_SMALL = 1e-4
# Above this cosine of the middle angle, the outer two Euler angles turn about one axis.
_LOCKED = 1.0 - 1e-9


def to_matrix(form: str, values: NDArray[np.floating]) -> Floats:
    """Return the matrix of a rotation, float64 [3, 3].

    Raises:
        InputError: the values are not finite, or define no rotation.
    """
    found = np.asarray(values, np.float64)
    if found.shape != (ROTATIONS[form],) or not np.isfinite(found).all():
        raise InputError(f'rotation = {found.tolist()}: must be {ROTATIONS[form]} finite numbers for {form}')
    if form == 'axis_angle':
        return _of_vector(found)
    if form == 'euler_xyz':
        x, y, z = (_of_vector(angle * axis) for angle, axis in zip(found, np.eye(3), strict=True))
        return np.asarray(z @ y @ x)
    if form == 'quaternion_xyzw':
        return _of_quaternion(found / _length(form, found))
    first = found[:3] / _length(form, found[:3])
    second = found[3:] - (found[3:] @ first) * first
    second = second / _length(form, second)
    return np.stack([first, second, np.cross(first, second)], axis=1)


def from_matrix(form: str, matrix: Floats) -> Floats:
    """Return a rotation matrix, float64 [3, 3], in another form. A rotation vector has an angle of at most pi."""
    if form == 'axis_angle':
        return _vector(matrix)
    if form == 'euler_xyz':
        return _euler(matrix)
    if form == 'quaternion_xyzw':
        vector = _vector(matrix)
        angle = float(np.linalg.norm(vector))
        # sin(a/2)/a tends to 1/2.
        share = 0.5 if angle < _LEAST else np.sin(angle / 2.0) / angle
        return np.append(vector * share, np.cos(angle / 2.0))
    return np.concatenate([matrix[:, 0], matrix[:, 1]])


def _length(form: str, values: Floats) -> float:
    length = float(np.linalg.norm(values))
    if length < _LEAST:
        raise InputError(f'rotation = {values.tolist()}: defines no {form}; must not be zero or parallel')
    return length


def _of_vector(vector: Floats) -> Floats:
    return np.asarray(cv2.Rodrigues(np.ascontiguousarray(vector).reshape(3, 1))[0], np.float64)


def _vector(matrix: Floats) -> Floats:
    turned = matrix - matrix.T
    small = np.array([turned[2, 1], turned[0, 2], turned[1, 0]]) / 2.0
    if np.trace(matrix) > 1.0 and float(np.linalg.norm(small)) < _SMALL:
        return small
    return np.asarray(cv2.Rodrigues(np.ascontiguousarray(matrix))[0], np.float64).reshape(3)


def _of_quaternion(unit: Floats) -> Floats:
    x, y, z, w = unit
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + 2.0 * w * cross + 2.0 * cross @ cross)


def _euler(matrix: Floats) -> Floats:
    sine = float(np.clip(-matrix[2, 0], -1.0, 1.0))
    if abs(sine) > _LOCKED:
        # Only one sum of the outer two angles is defined; z is set to 0.
        turn = np.arctan2(np.copysign(1.0, sine) * matrix[0, 1], matrix[1, 1])
        return np.array([turn, np.arcsin(sine), 0.0])
    x = np.arctan2(matrix[2, 1], matrix[2, 2])
    return np.array([x, np.arcsin(sine), np.arctan2(matrix[1, 0], matrix[0, 0])])
