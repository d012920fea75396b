# SPDX-License-Identifier: Apache-2.0
"""Comparison of floating-point results with a tolerance relative to the largest value."""

from typing import Any

import numpy as np

# float32 has 24 bits: the relative error of one operation is 6e-8, that of a sum of some hundred terms about 1e-6.
FLOAT32_RTOL = 1e-5


def assert_close(found: Any, expected: Any, rtol: float = FLOAT32_RTOL, what: str = '') -> None:
    """Fail where `found` differs from `expected` by more than `rtol` times the largest magnitude in `expected`.

    A tolerance relative to each value would be too strict, because a sum that cancels keeps the error of its terms.
    """
    wanted = _array(expected)
    size = float(np.abs(wanted).max(initial=0.0))
    np.testing.assert_allclose(_array(found), wanted, rtol=0.0, atol=rtol * size, err_msg=what)


def _array(values: Any) -> np.ndarray:
    """Convert an array, a torch tensor or a list of both to float64."""
    values = values.detach() if hasattr(values, 'detach') else values
    return np.asarray(values, np.float64)
