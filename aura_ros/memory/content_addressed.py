# SPDX-License-Identifier: Apache-2.0
"""Content-addressed fast weights: a matrix whose rows are found by what they hold.

Each row of W holds one item: a key k [16], which says what the item is, and its value v [16]. W is float32 [32, 32],
and `order` float32 [32] holds the order of the last writes: 0 for an empty row, and the higher, the later the row was
written. Together they take (32 * 32 + 32) * 4 = 4,224 bytes.

    a(k) = softmax(beta k_1 . k, ..., beta k_32 . k, beta theta)    address; its last entry says "not stored"
    r(k) = a(k) W                                                   read-out, without that entry
    e    = (k, v) - r(k)                                            error before a write; its norm is the surprise
    W_i <- W_i + rate ((k, v) - W_i)                                write: the delta rule for a one-hot address i
    W_j <- (1 - clip((k_j . k - phi) / 0.6 + 1/2, 0, 1)) W_j        other rows lose what they hold of the same item

Row i is the one that matches k best. If none matches better than theta, the write replaces another row: an empty one;
else one that has lost more than a quarter of its key, the shortest key first; else the one whose last write is the
oldest. A row whose key becomes shorter than 0.2 is emptied. A write does not change items whose keys match less than
phi - 0.3, so they do not fade.
The value v = tanh(V x + sum_m p_m M_m r_v) sees the value r_v that is stored for k, so an item can count or queue. The
step chooses among the maps M_m by p = softmax(P x), because adding to a queue changes it in another way than taking
from it; with one map, p is 1. Weights with a map L add L v_last inside the tanh, where v_last is the value that was
written last, in whatever row. So a queue goes on where different steps have different keys. Reading by content follows
the Neural Turing Machine (arXiv 1410.5401), and the choice of the row follows arXiv 1605.06065.

All entries of W stay in -1..1, whatever is written.
"""

import numpy as np

from aura_ros.common.errors import ConfigError
from aura_ros.memory.cell import MatrixCell, Transition
from aura_ros.memory.layers import Floats, Linear, Weights, sigmoid, softmax, unit
from aura_ros.memory.schedules import WriteSchedule

ROWS = 32
ITEM_KEY_DIM = 16
ITEM_VALUE_DIM = 16
FADE_WIDTH = 0.6
"""Matches between which the share that another row loses goes from 0 to 1; their middle is learned."""
LEAST_KEY = 0.2
"""A row with a shorter key is emptied."""
WHOLE_KEY = 0.75
"""A row with a shorter key holds what is left of an item, and makes room before whole items do."""


def _maps(weights: Weights, width: int) -> tuple[Floats, Linear | None]:
    """Return the maps of a stored value, [maps, V, V], and the layer that chooses among several of them.

    Raises:
        ConfigError: if the shapes do not fit.
    """
    feedback = weights['feedback.weight']
    count = len(feedback) // width
    if feedback.shape != (count * width, width):
        raise ConfigError(f'feedback.weight has shape {feedback.shape}: must be a multiple of {width} x {width}')
    mode = Linear.of(weights, 'mode') if count != 1 else None
    if mode is not None and len(mode.bias) != count:
        raise ConfigError(f'mode.bias has {len(mode.bias)} values: feedback.weight has {count} maps')
    return feedback.reshape(count, width, width), mode


class ContentAddressedCell(MatrixCell):
    """Content-addressed fast weights and the schedule that decides when they are written.

    Attributes:
        matrix: W, one item in each row, its key first.
        vector: the order of the last writes: 0 for an empty row, `ROWS` for the row that was written last.
    """

    def __init__(self, weights: Weights, schedule: WriteSchedule) -> None:
        self._key, self._query, self._value, self._rate = (
            Linear.of(weights, name) for name in ('key', 'query', 'value', 'rate')
        )
        self._feedback, self._mode = _maps(weights, len(self._value.bias))
        self._last = weights.get('last.weight')
        self._sharpness = np.float32(np.exp(weights['log_sharpness'][0]))
        self._threshold = np.float32(weights['threshold'][0])
        self._fade_from = np.float32(weights['fade'][0] - FADE_WIDTH / 2)
        self._key_dim = len(self._key.bias)
        width = self._key_dim + len(self._value.bias)
        super().__init__(np.zeros((ROWS, width), np.float32), np.zeros(ROWS, np.float32), schedule)

    def try_out(self, x: Floats) -> None:
        """Step and write, whatever the schedule decides."""
        self.step(x)
        self._write(0, self._item(x, unit(self._key(x)), self.matrix[0]), sigmoid(float(self._rate(x)[0])))

    def step(self, x: Floats) -> Transition:
        """Compare with the stored item, write if the schedule opens, and read."""
        key, query = unit(self._key(x)), unit(self._query(x))
        matches = self._matches(key)
        stored = self._read(matches)
        item = self._item(x, key, stored)
        error = item - stored
        surprise = float(np.sqrt(error @ error))
        score, threshold = self._schedule(x, error, surprise), self._schedule.threshold
        self.row_age += np.uint64(1)
        before = self._read(self._matches(query))
        if score <= threshold:
            return Transition(before, score, threshold, False, surprise)
        row, rate = int(matches.argmax()), sigmoid(float(self._rate(x)[0]))
        if matches[row] <= self._threshold:
            row, rate = self._free_row(), 1.0
        norm = float(np.hypot(self._fade(row, matches), self._write(row, item, rate)))
        return Transition(self._read(self._matches(query)), score, threshold, True, surprise, norm, before)

    def _matches(self, key: Floats) -> Floats:
        """Return k_i . k for each row, -inf for an empty one, [rows]."""
        products = self.matrix[:, : self._key_dim] @ key
        return np.where(self.vector > 0, products, np.float32(-np.inf))

    def _read(self, matches: Floats) -> Floats:
        """Return the read-out for the matches of a key, [32]; zero if no row matches."""
        top = max(float(matches.max()), float(self._threshold))
        shares = np.exp(self._sharpness * (matches - np.float32(top)))
        total = shares.sum() + np.exp(self._sharpness * (self._threshold - np.float32(top)))
        return np.asarray((shares / total) @ self.matrix, dtype=np.float32)

    def _item(self, x: Floats, key: Floats, stored: Floats) -> Floats:
        """Return what a write stores: the key and the value that sees the stored one, [32]."""
        seen = self._feedback @ stored[self._key_dim :]
        seen = seen[0] if self._mode is None else softmax(self._mode(x)) @ seen
        if self._last is not None:
            seen = seen + self._last @ self.matrix[self.vector.argmax(), self._key_dim :]
        return np.concatenate([key, np.tanh(self._value(x) + seen)])

    def _key_lengths(self) -> Floats:
        return np.asarray(np.linalg.norm(self.matrix[:, : self._key_dim], axis=1))

    def _free_row(self) -> int:
        """Return the row for a new item."""
        lengths = self._key_lengths()
        places = np.where(lengths < WHOLE_KEY, lengths - 1, self.vector)
        return int(places.argmin())

    def _fade(self, row: int, matches: Floats) -> float:
        """Take older values of an item from the rows besides its own; return the norm of the change."""
        shares = np.clip((matches - self._fade_from) / np.float32(FADE_WIDTH), 0, 1)
        shares[self._key_lengths() * (1 - shares) < LEAST_KEY] = 1
        shares[row] = 0
        changed = np.flatnonzero((shares > 0) & (self.vector > 0))
        change = shares[changed, None] * self.matrix[changed]
        self.matrix[changed] -= change
        self.row_age[changed] = 0
        for emptied in changed[shares[changed] == 1]:
            # the others keep their order, without a gap
            self.vector[(self.vector > 0) & (self.vector < self.vector[emptied])] += 1
            self.vector[emptied] = 0
        return float(np.linalg.norm(change))

    def _write(self, row: int, item: Floats, rate: float) -> float:
        """Move a row towards an item and make it the last in the order; return the norm of the change."""
        change = np.float32(rate) * (item - self.matrix[row])
        self.matrix[row] += change
        self.vector[self.vector > self.vector[row]] -= 1
        self.vector[row] = ROWS
        self.row_age[row] = 0
        return float(np.linalg.norm(change))
