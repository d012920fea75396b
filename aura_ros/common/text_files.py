# SPDX-License-Identifier: Apache-2.0
"""Loaders at the edge: text and JSON of limited size, and one sentence for every exception."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aura_ros.common.errors import AuraError, ConfigError
from aura_ros.common.limits import TEXT_BYTES
from aura_ros.common.text import printable

_QUOTED = 200


@contextmanager
def loading(name: str, error: type[AuraError] = ConfigError) -> Iterator[None]:
    """Turn any exception of a loader into one sentence of type `error` that begins with `name`, the file or field.

    The traceback goes to the debug log. An AuraError keeps its text. The ImportError of a missing extra passes.
    """
    try:
        yield
    except ImportError:
        raise
    except AuraError as known:
        if isinstance(known, error):
            raise
        raise error(str(known)) from known
    except Exception as cause:
        logging.getLogger(__name__).debug('%s cannot be read', name, exc_info=True)
        raise error(f'{name}: cannot be read: {reason(cause)}') from cause


def reason(error: Exception) -> str:
    """Return one short line about an exception, without control characters."""
    if isinstance(error, RecursionError):
        return 'it is nested too deeply'
    if isinstance(error, MemoryError):
        return 'it needs more memory than there is'
    text = error.strerror if isinstance(error, OSError) and error.strerror else f'{type(error).__name__}: {error}'
    return printable(' '.join(text.split()), _QUOTED)


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the content of a file.

    Raises:
        ConfigError: the file is missing, no file, or has more than `limit` bytes.
    """
    with loading(str(path)):
        if path.exists() and not path.is_file():
            raise ConfigError(f'{path}: is not a file')
        with path.open('rb') as file:
            if os.fstat(file.fileno()).st_size <= limit and len(data := file.read(limit + 1)) <= limit:
                return data
        raise ConfigError(f'{path}: is larger than {limit:,} bytes')


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        ConfigError: the file is missing, no file, too large or not UTF-8.
    """
    data = read_bytes(path, TEXT_BYTES)
    try:
        return data.decode('utf-8')
    except UnicodeDecodeError as error:
        raise ConfigError(f'{path}: is not UTF-8 text: {reason(error)}') from error


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, for example the card of weights.

    Raises:
        ConfigError: the file cannot be read, or holds no JSON object.
    """
    text = read_text(path)
    with loading(str(path)):
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ConfigError(f'{path}: holds {type(found).__name__}: must be a JSON object')
        return found
