# SPDX-License-Identifier: Apache-2.0
"""The items in the rows of W of a content-addressed memory. No Qt, no ROS.

The messages name neither the kind of a memory nor the row that a write took. Both follow from the states. The vector
of such a memory holds the order of the last writes. A row that was not written keeps its direction, because a fade only
makes it shorter.
"""

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.memory.content_addressed import ITEM_KEY_DIM, ROWS, WHOLE_KEY
from aura_ros.rqt.points import StatePoint, Thumbnail, WritePoint
from aura_ros.rqt.series import Track

NEAR_S = 0.25
"""Largest distance of the stamps of a thumbnail and its write; cameras other than the first differ a little [s]."""
# The cell keeps all entries of W in -1..1.
_MOST = 1.001
# A row that was only made shorter differs from its old direction by less than this share.
_TURN = 1e-4
# A shorter row has lost something; rounding alone loses less.
_SHORTER = 1.0 - 1e-6
# Newest write events and images that are searched.
_RECENT = 100
# A key of this length has lost nothing since it was written.
_UNTOUCHED = 0.9999


@dataclass(frozen=True, slots=True)
class LastWrite:
    """The last write of a row, as far as the states show it."""

    episode_id: str
    seq: int
    """Step of the episode; -1 for a step before the episode."""
    exact: bool
    """Whether `seq` is the step of the write; if not, the write was at this step or before."""
    stamp_s: float = math.nan
    """Time of that step [s, ROS clock]; NaN when unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """What one row of W holds."""

    row: int
    rank: int
    """Place in the order of the last writes, 1 for the newest."""
    key: NDArray[np.float32]
    """Says what the item is, float32 [16]."""
    value: NDArray[np.float32]
    """What is stored for the key, float32 [16], in -1..1."""
    write: LastWrite
    age_steps: int
    """Steps since the last write; -1 when it was in another episode."""
    image: Thumbnail | None
    """What the first camera saw at the last write, if it was received."""

    @property
    def strength(self) -> float:
        """Length of the key: 1 after the first write of an item, less after it has faded."""
        return float(np.linalg.norm(self.key))

    @property
    def fading(self) -> bool:
        """Whether the row holds remains only, which make room before whole items do."""
        return self.strength < WHOLE_KEY


@dataclass(frozen=True, slots=True, eq=False)
class _RowWrites:
    """The last writes of all rows in one state; None for an empty row."""

    stamp_s: float
    rows: tuple[LastWrite | None, ...]


def holds_items(point: StatePoint) -> bool | None:
    """Return whether the memory of a state is content-addressed; None for an empty state, which fits all memories."""
    weights, vector = point.weights, point.vector
    used = int(np.count_nonzero(vector))
    if not used:
        return False if weights.any() else None
    in_order = np.array_equal(np.sort(vector)[-used:], np.arange(ROWS - used + 1, ROWS + 1))
    # NaN fails the second comparison
    return bool(in_order and (np.abs(weights) <= _MOST).all() and not weights[vector == 0].any())


class ItemHistory:
    """Which write each row holds, state by state."""

    def __init__(self, capacity: int) -> None:
        """Keep the last `capacity` states."""
        self._states: Track[_RowWrites] = Track(capacity)
        self._images: tuple[Thumbnail, ...] = ()

    def copy(self) -> Self:
        """Return a copy that does not change."""
        twin = copy.copy(self)
        twin._states = self._states.copy()
        return twin

    def drop_from(self, stamp_s: float) -> None:
        """Drop everything at or after `stamp_s` [s, ROS clock]."""
        self._states.drop_from(stamp_s)
        self._images = tuple(image for image in self._images if image.stamp_s < stamp_s)

    def add(
        self,
        point: StatePoint,
        before: StatePoint | None,
        compared: tuple[NDArray[np.float32] | None, int],
        stamp_of: Callable[[int], float | None],
        writes: Track[WritePoint],
        thumbnails: Track[Thumbnail],
    ) -> None:
        """Add a state that is later than all others; a state of another kind of memory adds nothing.

        Args:
            point: the state.
            before: the state before it, None for the first.
            compared: W before the state, float32 [32, 32] or None when unknown, and its step; -1 for the begin of the
                episode.
            stamp_of: returns the time of a step after the state before [s, ROS clock], None when unknown.
            writes: write events.
            thumbnails: camera images at writes.
        """
        last = self._states.last
        follows = last is not None and before is not None and last.stamp_s == before.stamp_s
        kind = holds_items(point)
        if not (follows if kind is None else kind):
            return
        known = last.rows if last is not None and follows else (None,) * ROWS
        rows = _last_writes(point, compared, known)
        for row, write in enumerate(rows):
            if write is not None and write.exact and write is not known[row]:
                stamp_s = stamp_of(write.seq)
                rows[row] = write if stamp_s is None else replace(write, stamp_s=stamp_s)
        _confirm(rows, point, writes.until(None, _RECENT))
        self._states.append(_RowWrites(point.stamp_s, tuple(rows)))
        # An item may be older than all thumbnails of the history.
        recent = (*self._images, *thumbnails.until(None, _RECENT))
        self._images = tuple(image for write in rows if (image := _image_of(write, recent)) is not None)

    def items(self, point: StatePoint | None, thumbnails: Sequence[Thumbnail]) -> tuple[Item, ...] | None:
        """Return the items of a state, newest write first; None if its memory is of another kind.

        Args:
            point: a state of the history.
            thumbnails: camera images at writes, besides those that were kept for the items of the newest state.
        """
        found = None if point is None else self._states.at(point.stamp_s)
        if point is None or found is None or found.stamp_s != point.stamp_s:
            return None
        images = (*self._images, *thumbnails)
        made = []
        for rank, row in enumerate(_newest_first(point), 1):
            write = found.rows[row]
            assert write is not None, 'each row with an item has a last write'
            key, value = np.split(point.weights[row], [ITEM_KEY_DIM])
            here = write.episode_id == point.episode_id and write.seq >= 0
            steps = point.seq - write.seq if here else -1
            made.append(Item(row, rank, key, value, write, steps, _image_of(write, images)))
        return tuple(made)


def _newest_first(point: StatePoint) -> list[int]:
    """Return the rows that hold an item, the row that was written last first."""
    rows = np.argsort(-point.vector, kind='stable')[: np.count_nonzero(point.vector)]
    return [int(row) for row in rows]


def _key_lengths(point: StatePoint) -> NDArray[np.float32]:
    return np.asarray(np.linalg.norm(point.weights[:, :ITEM_KEY_DIM], axis=1), np.float32)


def _last_writes(
    point: StatePoint, compared: tuple[NDArray[np.float32] | None, int], known: Sequence[LastWrite | None]
) -> list[LastWrite | None]:
    """Return the last write of each row of a state; `known` are those of the state before."""
    before, since = compared
    changed_at = point.seq - point.row_age.astype(np.int64)
    kept = np.zeros(ROWS, bool) if before is None else _kept(before, point.weights)
    rows: list[LastWrite | None] = [None] * ROWS
    newer: set[int] = set()
    for row in _newest_first(point):
        at = int(changed_at[row])
        if kept[row] and known[row] is not None:
            rows[row] = known[row]
        else:
            # A write of a newer row may have shortened this one at its step.
            exact = before is not None and not kept[row] and at > since and at not in newer
            rows[row] = LastWrite(point.episode_id, max(at, -1), exact)
        newer.add(at)
    return rows


def _kept(before: NDArray[np.float32], now: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which rows still hold what they held: the same numbers, or all of them smaller by one factor."""
    # The state before may be that of another memory, and its numbers may have no finite square.
    before = np.nan_to_num(before).astype(np.float64)
    lengths = (before * before).sum(axis=1)
    share = (before * now).sum(axis=1) / np.where(lengths > 0, lengths, 1)
    turned = np.linalg.norm(now - share[:, None] * before, axis=1)
    shorter = (share > 0) & (share < _SHORTER) & (turned <= _TURN * np.linalg.norm(now, axis=1))
    return np.asarray((lengths > 0) & ((before == now).all(axis=1) | shorter))


def _confirm(rows: list[LastWrite | None], point: StatePoint, events: Iterable[WritePoint]) -> None:
    """Make writes exact in place, and add their times, where a write event names their step."""
    stamps = {(event.episode_id, event.seq): event.stamp_s for event in events}
    claims = Counter((write.episode_id, write.seq) for write in rows if write is not None)
    lengths = _key_lengths(point)
    for row, write in enumerate(rows):
        if write is None or (write.exact and math.isfinite(write.stamp_s)):
            continue
        step = write.episode_id, write.seq
        # A write changes the rows of other items too, so a row that may have faded at this step proves nothing.
        whole = lengths[row] >= _UNTOUCHED and claims[step] == 1
        if step in stamps and (write.exact or whole):
            rows[row] = replace(write, exact=True, stamp_s=stamps[step])


def image_at(stamp_s: float, images: Sequence[Thumbnail]) -> Thumbnail | None:
    """Return the camera image of a write at `stamp_s`; None if it is not among `images`, or if the time is NaN."""
    nearest = min(images, key=lambda image: abs(image.stamp_s - stamp_s), default=None)
    return nearest if nearest is not None and abs(nearest.stamp_s - stamp_s) <= NEAR_S else None


def _image_of(write: LastWrite | None, images: Sequence[Thumbnail]) -> Thumbnail | None:
    return image_at(write.stamp_s, images) if write is not None and write.exact else None
