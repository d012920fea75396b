# SPDX-License-Identifier: Apache-2.0
"""Rotations survive the way through a matrix, in every form, and mean the same in all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.common.errors import InputError
from aura_ros.common.rotations import from_matrix, to_matrix
from aura_ros.common.spec_fields import ROTATIONS

ANGLES = st.lists(st.floats(-1.8, 1.8), min_size=3, max_size=3)


@pytest.mark.parametrize('form', ROTATIONS)
@given(angles=ANGLES)
def test_each_form_is_the_same_rotation(form, angles):
    matrix = to_matrix('axis_angle', angles)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(to_matrix(form, from_matrix(form, matrix)), matrix, atol=1e-7)


@pytest.mark.parametrize('angle', [1e-3, 1.1e-4, 0.9e-4, 1e-5, 1e-7, 0.0])
def test_a_small_turn_is_not_lost(angle):
    vector = angle * np.array([0.6, -0.48, 0.64])
    matrix = to_matrix('axis_angle', vector)
    for form in ROTATIONS:
        again = to_matrix(form, from_matrix(form, matrix))
        np.testing.assert_allclose(from_matrix('axis_angle', again), vector, rtol=1e-6, atol=1e-15)


def test_a_quarter_turn_about_z_has_its_known_values():
    half = np.sqrt(0.5)
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    known = {
        'axis_angle': [0, 0, np.pi / 2],
        'euler_xyz': [0, 0, np.pi / 2],
        'quaternion_xyzw': [0, 0, half, half],
        'rot6d': [0, 1, 0, -1, 0, 0],
    }
    for form, values in known.items():
        np.testing.assert_allclose(from_matrix(form, quarter), values, atol=1e-12)
        np.testing.assert_allclose(to_matrix(form, np.array(values)), quarter, atol=1e-12)


def test_euler_angles_are_about_fixed_axes_in_the_order_x_y_z():
    x, y, z = (to_matrix('axis_angle', angle * axis) for angle, axis in zip((0.3, -0.5, 1.1), np.eye(3), strict=True))
    np.testing.assert_allclose(to_matrix('euler_xyz', np.array([0.3, -0.5, 1.1])), z @ y @ x, atol=1e-12)


@pytest.mark.parametrize('pitch', [np.pi / 2, -np.pi / 2])
def test_locked_euler_angles_are_still_the_rotation(pitch):
    matrix = to_matrix('euler_xyz', np.array([0.4, pitch, -0.7]))
    np.testing.assert_allclose(to_matrix('euler_xyz', from_matrix('euler_xyz', matrix)), matrix, atol=1e-6)


@pytest.mark.parametrize(
    ('form', 'values'),
    [
        ('axis_angle', [0.0, np.nan, 0.0]),
        ('axis_angle', [0.0, 0.0]),
        ('quaternion_xyzw', [0.0] * 4),
        ('rot6d', [1.0, 0.0, 0.0, 2.0, 0.0, 0.0]),
    ],
)
def test_what_is_no_rotation_is_refused(form, values):
    with pytest.raises(InputError, match='rotation = '):
        to_matrix(form, np.array(values))
