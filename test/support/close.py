# SPDX-License-Identifier: Apache-2.0
"""Compares what two libraries, or two ways through one, compute: a tolerance that follows the size of the numbers."""

from typing import Any

import numpy as np

# float32 keeps 24 bits, so one operation is off by 6e-8 of its size; a sum of some hundred terms by about 1e-6.
FLOAT32_RTOL = 1e-5


def assert_close(found: Any, expected: Any, rtol: float = FLOAT32_RTOL, what: str = '') -> None:
    """Fail where `found` is off by more than `rtol` of the largest magnitude in `expected`.

    The largest magnitude, not each number's own: a sum that cancels to zero keeps the error of its terms.
    """
    wanted = _array(expected)
    size = float(np.abs(wanted).max(initial=0.0))
    np.testing.assert_allclose(_array(found), wanted, rtol=0.0, atol=rtol * size, err_msg=what)


def _array(values: Any) -> np.ndarray:
    """Arrays, torch tensors and lists of both, as float64."""
    values = values.detach() if hasattr(values, 'detach') else values
    return np.asarray(values, np.float64)
