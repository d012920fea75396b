# SPDX-License-Identifier: Apache-2.0
"""Results as files: values as JSON types, and files that are replaced atomically."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

import numpy as np

from aura_ros.common.errors import ConfigError
from aura_ros.common.limits import FILE_RATIO, PARTS_BYTES
from aura_ros.common.text_files import loading


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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; it replaces `path` if the block ends without an exception.

    A reader sees the old file or the new one, never a part. Several programs may write one file; the last one wins.
    """
    part = path.with_name(f'.{path.name}.{uuid4().hex[:8]}.part')
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically."""
    with replacing(path) as part:
        part.write_text(text, encoding='utf-8')


@contextmanager
def open_arrays(path: Path) -> Iterator[Mapping[str, Any]]:
    """Open an .npz file of plain arrays; an array is read when it is used.

    Raises:
        ConfigError: the file cannot be read, or unpacks to too much; also for an exception while it is open.
    """
    with loading(str(path)):
        with ZipFile(path) as packed:
            unpacked = sum(one.file_size for one in packed.infolist())
        limit = max(PARTS_BYTES, FILE_RATIO * path.stat().st_size)
        if unpacked > limit:
            raise ConfigError(f'{path}: unpacks to {unpacked:,} bytes: must be at most {limit:,} for its size')
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays


def replace_arrays(path: Path, arrays: Mapping[str, Any], compress: bool = False) -> None:
    """Write an .npz file of plain arrays atomically."""
    with replacing(path) as part, part.open('wb') as file:
        (np.savez_compressed if compress else np.savez)(file, **arrays)
