# SPDX-License-Identifier: Apache-2.0
"""Bounded series over time: arrays of a fixed size that are read without being copied or unrolled."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.float64]


class Stamped(Protocol):
    """Something with a time."""

    @property
    def stamp_s(self) -> float:
        """When [s]."""
        ...


Item = TypeVar('Item', bound=Stamped)


class Ring:
    """The last `capacity` rows of a table with a column `t` that never decreases.

    Each row is stored twice, `capacity` apart, so that the newest rows are one slice wherever the ring has its seam.
    """

    def __init__(self, dtype: DTypeLike, capacity: int) -> None:
        """Make room for `capacity` rows of a structured dtype."""
        self._data = np.zeros(2 * capacity, dtype)
        self._capacity = capacity
        self._next = self._size = 0

    def __len__(self) -> int:
        """Rows held."""
        return self._size

    def append(self, row: tuple[Any, ...]) -> None:
        """Add a row; the oldest goes when there is no room."""
        place = self._next
        self._data[place] = row
        self._data[place + self._capacity] = self._data[place]
        self._next = (place + 1) % self._capacity
        self._size = min(self._size + 1, self._capacity)

    def rows(self, begin: float = -np.inf, end: float = np.inf) -> NDArray[Any]:
        """The rows with begin <= t <= end, oldest first: a view, good until the next `append`."""
        stop = self._next + self._capacity
        found = self._data[stop - self._size : stop]
        t = found['t']
        first = 0 if begin == -np.inf else bisect_left(t, begin)
        last = len(found) if end == np.inf else bisect_right(t, end)
        return found[first:last]

    def tail(self, count: int) -> NDArray[Any]:
        """The newest rows, at most `count`: a view, good until the next `append`."""
        stop = self._next + self._capacity
        return self._data[stop - min(count, self._size) : stop]

    @property
    def newest(self) -> float:
        """Time of the newest row, -inf when there is none."""
        return float(self._data['t'][self._next + self._capacity - 1]) if self._size else -np.inf

    def clear(self) -> None:
        """Forget all rows."""
        self._next = self._size = 0

    def copy(self) -> Ring:
        """A ring that stays as this one is now."""
        twin = Ring.__new__(Ring)
        twin.__dict__.update(self.__dict__, _data=self._data.copy())
        return twin


class Track(Generic[Item]):
    """The last `capacity` objects by their stamps, which never decrease; `at` and `until` take a binary search."""

    def __init__(self, capacity: int) -> None:
        """Make room for `capacity` objects."""
        self._capacity = capacity
        self._items: list[Item] = []

    def __len__(self) -> int:
        """Objects held."""
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        """Oldest first."""
        return iter(self._items)

    @property
    def newest(self) -> float:
        """Stamp of the newest object, -inf when there is none."""
        return self._items[-1].stamp_s if self._items else -np.inf

    @property
    def last(self) -> Item | None:
        """The newest object, None when there is none."""
        return self._items[-1] if self._items else None

    def append(self, item: Item) -> None:
        """Add an object that is not older than the newest; the oldest goes when there is no room."""
        self._items.append(item)
        if len(self._items) > self._capacity:
            # a move of pointers, a fraction of a microsecond for a thousand
            del self._items[0]

    def place(self, stamp_s: float) -> int:
        """How many objects are not later than `stamp_s`."""
        return bisect_right(self._items, stamp_s, key=lambda item: item.stamp_s)

    def at(self, stamp_s: float | None) -> Item | None:
        """The newest object that is not later; the oldest if all are; None when there is none."""
        if not self._items:
            return None
        if stamp_s is None:
            return self._items[-1]
        return self._items[max(0, self.place(stamp_s) - 1)]

    def until(self, stamp_s: float | None, count: int) -> list[Item]:
        """The newest `count` objects that are not later than `stamp_s`, oldest first; None and 0 for no bound."""
        stop = len(self._items) if stamp_s is None else self.place(stamp_s)
        return self._items[max(0, stop - count) if count else 0 : stop]

    def clear(self) -> None:
        """Forget all objects."""
        self._items.clear()

    def copy(self) -> Track[Item]:
        """A track that stays as this one is now; the objects are shared."""
        twin: Track[Item] = Track(self._capacity)
        twin._items = list(self._items)
        return twin


def slices(t: Floats, points: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Cut rows into about `points` slices of time; returns the first row of each, and how many rows each has.

    Slices begin at multiples of their length, a power of two: a curve that moves on does not flicker, and does not
    either while its span grows a little.

    Args:
        t: times, not decreasing, not empty.
        points: at least 1.
    """
    width = 2.0 ** np.ceil(np.log2(max((t[-1] - t[0]) / points, 1e-9)))
    of = np.floor(t / width)
    begins = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
    return begins, np.diff(np.r_[begins, len(t)])


def ends(t: Floats, points: int) -> NDArray[np.intp]:
    """Choose about `points` rows of what changes slowly: the first and last of each slice; 0 for all."""
    if points <= 0 or len(t) <= points:
        return np.arange(len(t))
    begins, lengths = slices(t, max(1, points // 2))
    return np.unique(np.concatenate((begins, begins + lengths - 1)))


def thin(t: Floats, values: NDArray[Any], keep: NDArray[np.bool_], points: int) -> NDArray[np.intp]:
    """Choose about `points` rows of a curve: the first, lowest and highest of each slice, and all of `keep`.

    Args:
        t: times, not decreasing.
        values: what is drawn, as long.
        keep: rows that must be drawn, as long.
        points: 0 for all.

    Returns:
        Indices, in their order.
    """
    if points <= 0 or len(t) <= points:
        return np.arange(len(t))
    begins, lengths = slices(t, max(1, points // 3))
    chosen, values = np.array(keep, np.bool_), np.ascontiguousarray(values)
    chosen[begins] = chosen[-1] = True
    of = np.repeat(begins, lengths)
    for extreme in (np.minimum, np.maximum):
        hits = np.flatnonzero(values == np.repeat(extreme.reduceat(values, begins), lengths))
        # the first of each slice: a plateau needs no more
        chosen[hits[np.r_[True, of[hits[1:]] != of[hits[:-1]]]]] = True
    return np.flatnonzero(chosen)
