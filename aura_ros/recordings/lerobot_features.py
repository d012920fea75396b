# SPDX-License-Identifier: Apache-2.0
"""The features of a LeRobot dataset: which are read, and as what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from aura_ros.common.limits import VECTOR_VALUES

FRAME_COLUMNS = ('timestamp', 'frame_index', 'episode_index', 'index', 'task_index')
"""Columns that number the frames and measure nothing."""

# Beginnings of the dtypes of numbers.
_NUMERIC = ('float', 'int', 'uint', 'bool')


@dataclass(frozen=True)
class Feature:
    """One measured vector or one camera."""

    name: str
    """Name in meta/info.json."""
    video: bool
    """Whether the frames are in an mp4 file."""
    image: bool
    """Whether the frames are compressed images in the table."""
    columns: tuple[str, ...]
    """Names of the values; '0', '1', ... if the dataset has none."""


def why_unread(name: str, about: Mapping[str, Any]) -> str:
    """Return why a feature of meta/info.json has no topic, '' if it has one or only numbers the frames."""
    kind, shape = str(about['dtype']), about['shape']
    if kind in ('video', 'image') or name in FRAME_COLUMNS:
        return ''
    if not kind.startswith(_NUMERIC):
        return f'its dtype is {kind}: vectors of numbers, images and videos are read'
    if not 0 < prod(shape) <= VECTOR_VALUES:
        return f'it has {prod(shape):,} values: vectors of 1 to {VECTOR_VALUES:,} values are read'
    if sum(size != 1 for size in shape) > 1:
        return f'its shape is {list(shape)}: vectors are read, and no arrays of {len(shape)} dimensions'
    return ''


def read_feature(name: str, about: Mapping[str, Any]) -> Feature:
    """Return a feature that `why_unread` accepts."""
    kind = about['dtype']
    if kind in ('video', 'image'):
        return Feature(name, kind == 'video', kind == 'image', ())
    names, size = tuple(_flat(about.get('names'))), prod(about['shape'])
    return Feature(name, False, False, names if len(names) == size else tuple(map(str, range(size))))


def _flat(names: Any) -> Iterator[str]:
    """Names from any nesting of the versions: a list, a list of lists, or a list for each kind of motor."""
    if isinstance(names, str):
        yield names
    elif isinstance(names, Mapping):
        for part in names.values():
            yield from _flat(part)
    elif isinstance(names, list):
        for part in names:
            yield from _flat(part)
