# SPDX-License-Identifier: Apache-2.0
"""Bounded series over time. Reading a range returns a view, without a copy."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.float64]


class Stamped(Protocol):
    """An object with a time [s]."""

    @property
    def stamp_s(self) -> float: ...


Item = TypeVar('Item', bound=Stamped)


class Ring:
    """The last `capacity` rows of a table with a column `t` that never decreases.

    Each row is stored twice, `capacity` apart. The newest rows are therefore always one contiguous slice.
    """

    def __init__(self, dtype: DTypeLike, capacity: int) -> None:
        """Allocate room for `capacity` rows of a structured dtype."""
        self._data = np.zeros(2 * capacity, dtype)
        self._capacity = capacity
        self._next = self._size = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._size

    def append(self, row: tuple[Any, ...]) -> None:
        """Add a row; a full ring drops its oldest row."""
        place = self._next
        self._data[place] = row
        self._data[place + self._capacity] = self._data[place]
        self._next = (place + 1) % self._capacity
        self._size = min(self._size + 1, self._capacity)

    def rows(self, begin: float = -np.inf, end: float = np.inf) -> NDArray[Any]:
        """Return the rows with begin <= t <= end, oldest first: a view, valid until the next `append`."""
        stop = self._next + self._capacity
        found = self._data[stop - self._size : stop]
        t = found['t']
        first = 0 if begin == -np.inf else bisect_left(t, begin)
        last = len(found) if end == np.inf else bisect_right(t, end)
        return found[first:last]

    def tail(self, count: int) -> NDArray[Any]:
        """Return the newest rows, at most `count`: a view, valid until the next `append`."""
        stop = self._next + self._capacity
        return self._data[stop - min(count, self._size) : stop]

    def drop_from(self, begin: float) -> None:
        """Drop the rows with t >= begin."""
        dropped = len(self.rows(begin))
        self._next = (self._next - dropped) % self._capacity
        self._size -= dropped

    @property
    def newest(self) -> float:
        """Time of the newest row, -inf if there is none."""
        return float(self._data['t'][self._next + self._capacity - 1]) if self._size else -np.inf

    def copy(self) -> Ring:
        """Return a copy that does not change."""
        twin = Ring.__new__(Ring)
        twin.__dict__.update(self.__dict__, _data=self._data.copy())
        return twin


class Track(Generic[Item]):
    """The last `capacity` objects, whose stamps never decrease. `at` and `until` use a binary search."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: list[Item] = []

    @property
    def newest(self) -> float:
        """Stamp of the newest object, -inf if there is none."""
        return self._items[-1].stamp_s if self._items else -np.inf

    @property
    def last(self) -> Item | None:
        """The newest object, None if there is none."""
        return self._items[-1] if self._items else None

    def append(self, item: Item) -> None:
        """Add an object that is not older than the newest; a full track drops its oldest object."""
        self._items.append(item)
        if len(self._items) > self._capacity:
            # Moves pointers only: a fraction of a microsecond for a thousand.
            del self._items[0]

    def drop_from(self, begin: float) -> None:
        """Drop the objects whose stamp is `begin` or later."""
        del self._items[bisect_left(self._items, begin, key=lambda item: item.stamp_s) :]

    def _count_until(self, stamp_s: float) -> int:
        """Return the number of objects that are not later than `stamp_s`."""
        return bisect_right(self._items, stamp_s, key=lambda item: item.stamp_s)

    def at(self, stamp_s: float | None) -> Item | None:
        """Return the newest object that is not later than `stamp_s`, or the oldest if all are later; None if empty."""
        if not self._items:
            return None
        if stamp_s is None:
            return self._items[-1]
        return self._items[max(0, self._count_until(stamp_s) - 1)]

    def first_from(self, stamp_s: float) -> Item | None:
        """Return the oldest object that is not earlier than `stamp_s`; None if there is none."""
        place = bisect_left(self._items, stamp_s, key=lambda item: item.stamp_s)
        return self._items[place] if place < len(self._items) else None

    def until(self, stamp_s: float | None, count: int) -> list[Item]:
        """Return the newest `count` objects that are not later than `stamp_s`, oldest first; None and 0: no bound."""
        stop = len(self._items) if stamp_s is None else self._count_until(stamp_s)
        return self._items[max(0, stop - count) if count else 0 : stop]

    def copy(self) -> Track[Item]:
        """Return a copy that does not change; the objects are shared."""
        twin: Track[Item] = Track(self._capacity)
        twin._items = list(self._items)
        return twin


def slices(t: Floats, points: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Cut rows into about `points` slices of time; return the first row and the number of rows of each slice.

    Slices begin at multiples of their length, which is a power of two. Therefore a curve does not flicker while it
    moves on or while its span grows a little.

    Args:
        t: times, not decreasing, not empty.
        points: number of slices, at least 1.
    """
    width = 2.0 ** np.ceil(np.log2(max((t[-1] - t[0]) / points, 1e-9)))
    of = np.floor(t / width)
    begins = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
    return begins, np.diff(np.r_[begins, len(t)])


def ends(t: Floats, points: int) -> NDArray[np.intp]:
    """Return indices of about `points` rows, for a slow curve: the first and last row of each slice; 0 for all."""
    if points <= 0 or len(t) <= points:
        return np.arange(len(t))
    begins, lengths = slices(t, max(1, points // 2))
    return np.unique(np.concatenate((begins, begins + lengths - 1)))


def thin(t: Floats, values: NDArray[Any], keep: NDArray[np.bool_], points: int) -> NDArray[np.intp]:
    """Return indices of about `points` rows: the first, lowest and highest of each slice, and all of `keep`.

    Args:
        t: times, not decreasing.
        values: values of the curve, as long as `t`.
        keep: rows that must be drawn, as long as `t`.
        points: number of rows; 0 for all.
    """
    if points <= 0 or len(t) <= points:
        return np.arange(len(t))
    begins, lengths = slices(t, max(1, points // 3))
    chosen, values = np.array(keep, np.bool_), np.ascontiguousarray(values)
    chosen[begins] = chosen[-1] = True
    of = np.repeat(begins, lengths)
    for extreme in (np.fmin, np.fmax):  # a value that is not a number is no extreme
        hits = np.flatnonzero(values == np.repeat(extreme.reduceat(values, begins), lengths))
        # Only the first extreme of each slice, because a plateau needs no more.
        chosen[hits[np.diff(of[hits], prepend=-1) != 0]] = True
    return np.flatnonzero(chosen)
