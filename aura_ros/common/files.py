# SPDX-License-Identifier: Apache-2.0
"""Results as files: values as JSON has them, and text that replaces a file atomically."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Return a value as JSON types: dataclasses become objects, NumPy numbers become numbers, non-finite become null.

    Raises:
        TypeError: the value has no JSON form.

    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, Sequence):
        return [plain(part) for part in value]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f'{type(value).__name__} has no JSON form: {value!r}')


def replace_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically: a reader sees the old text or the new one."""
    temporary = path.with_name(path.name + '.new')
    temporary.write_text(text, encoding='utf-8')
    temporary.replace(path)
