# SPDX-License-Identifier: Apache-2.0
"""Synthetic streams in which most steps need no write.

They follow the multi-binding associative memory of the papers, as far as it is published (eight classes, so chance is
0.125), and the event-sparse stream. Each step is one of five kinds:

    DISTRACTOR  a random key and class in a context that marks both as irrelevant; never queried
    BINDING     a key without a class gets one
    REBINDING   a bound key gets another class
    REPEAT      a valid binding is shown again
    QUERY       a bound key without a class; the answer is its current class

Observation z [64] = key code [32] | class code [16], zero in a query | context [8] | pure noise [8]. Codes are fixed
unit vectors, the same in training and evaluation. Noise is added to codes and context. Bindings and rebindings are the
events. A memory that cannot look ahead has to write each event and nothing else; the oracle does exactly this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError

CLASSES = 8
KEY_CODE, CLASS_CODE, CONTEXT, NOISE = 32, 16, 8, 8
FEATURE_DIM = KEY_CODE + CLASS_CODE + CONTEXT + NOISE
MOST_BINDINGS = 64
SPLITS = ('train', 'validation', 'evaluation', 'endurance', 'robustness')
PIECE = 8192
"""Steps that `pieces` draws at once."""


class Kind(IntEnum):
    """Kind of a step."""

    DISTRACTOR = 0
    BINDING = 1
    REBINDING = 2
    REPEAT = 3
    QUERY = 4


@dataclass(frozen=True)
class StreamSetting:
    """How streams are drawn. Shares are probabilities per step; the remaining steps are distractors.

    Raises:
        ConfigError: a value is out of range.
    """

    bindings: int
    """Number of keys, 1 to 64."""
    event: float
    """Share of bindings and rebindings; its inverse is the largest possible number of steps per write."""
    repeat: float
    """Share of repeats."""
    query: float
    """Share of queries."""
    code_noise: float = 0.05
    """Standard deviation of the noise on the codes, per component."""
    context_noise: float = 0.2
    """Standard deviation of the noise on the context, whose signal is 1."""
    train_length: int = 256
    """Steps of a training stream."""
    length: int = 512
    """Steps of an evaluation stream."""

    def __post_init__(self) -> None:
        if not 1 <= self.bindings <= MOST_BINDINGS:
            raise ConfigError(f'bindings must be 1..{MOST_BINDINGS}, got {self.bindings}')
        for name in ('event', 'repeat', 'query'):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigError(f'{name} must be a probability between 0 and 1, got {getattr(self, name)}')
        if self.event + self.repeat + self.query > 1.0:
            raise ConfigError(f'event + repeat + query must be at most 1, got {self.event + self.repeat + self.query}')


@dataclass(frozen=True)
class Streams:
    """B streams of T steps."""

    z: NDArray[np.float32]
    """Observations, float32 [B, T, 64]."""
    kind: NDArray[np.int64]
    """`Kind` of each step, int64 [B, T]."""
    key: NDArray[np.int64]
    """Index of the key, int64 [B, T]."""
    target: NDArray[np.int64]
    """Class to answer, int64 [B, T]; -1 at steps that are no query."""

    def __getitem__(self, which: slice) -> Streams:
        """Return a slice of the streams."""
        return Streams(self.z[which], self.kind[which], self.key[which], self.target[which])

    def steps(self, begin: int, end: int) -> Streams:
        """Return the steps from `begin` to before `end`, or to the last one if there are fewer."""
        part = slice(begin, end)
        return Streams(self.z[:, part], self.kind[:, part], self.key[:, part], self.target[:, part])

    @property
    def events(self) -> NDArray[np.bool_]:
        """The steps that the oracle writes, bool [B, T]."""
        return np.asarray((self.kind == Kind.BINDING) | (self.kind == Kind.REBINDING))


def codebook() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the codes of keys [64, 32] and classes [8, 16], constant unit vectors."""
    rng = np.random.default_rng(20260602)

    def unit(shape: tuple[int, int]) -> NDArray[np.float64]:
        drawn = rng.normal(size=shape)
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float64)

    return unit((MOST_BINDINGS, KEY_CODE)), unit((CLASSES, CLASS_CODE))


def generator(split: str, seed: int) -> np.random.Generator:
    """Return the random generator of a split; splits share no random numbers.

    Raises:
        ConfigError: the split is unknown.
    """
    if split not in SPLITS:
        raise ConfigError(f'split must be one of {", ".join(SPLITS)}, got {split!r}')
    return np.random.default_rng([SPLITS.index(split), seed])


def pieces(
    setting: StreamSetting, count: int, length: int, rng: np.random.Generator, piece: int = PIECE
) -> Iterator[Streams]:
    """Yield `count` streams of `length` steps in pieces, which carry the bindings.

    A piece has `piece` steps, and the last one has the rest. Shorter streams are the beginning of longer ones.
    """
    bindings = np.full((count, setting.bindings), -1)
    for begin in range(0, length, piece):
        yield draw(setting, count, piece, rng, bindings).steps(0, length - begin)


def draw(
    setting: StreamSetting, count: int, length: int, rng: np.random.Generator, bindings: NDArray[np.int64] | None = None
) -> Streams:
    """Return `count` streams of `length` steps.

    Args:
        setting: how they are drawn.
        count: number of streams.
        length: number of steps.
        rng: source of all random numbers.
        bindings: class of each key before the first step, -1 without one, int64 [count, keys]. It is replaced in place
            by the classes after the last step. None starts without classes.
    """
    if bindings is None:
        bindings = np.full((count, setting.bindings), -1)
    kind, key, value, target = _bind(setting, length, rng, bindings)
    keys, classes = codebook()
    z = np.zeros((count, length, FEATURE_DIM), np.float32)
    shown, context = KEY_CODE + CLASS_CODE, slice(KEY_CODE + CLASS_CODE, KEY_CODE + CLASS_CODE + CONTEXT)
    z[..., :KEY_CODE] = keys[key]
    z[..., KEY_CODE:shown] = np.where((kind == Kind.QUERY)[..., None], 0.0, classes[value])
    z[..., shown] = (kind != Kind.QUERY) & (kind != Kind.DISTRACTOR)
    z[..., shown + 1] = kind == Kind.QUERY
    z[..., shown + 2] = kind == Kind.DISTRACTOR
    z[..., :shown] += setting.code_noise * rng.standard_normal((count, length, shown), np.float32)
    z[..., context] += setting.context_noise * rng.standard_normal((count, length, CONTEXT), np.float32)
    z[..., context.stop :] = rng.standard_normal((count, length, NOISE), np.float32)
    return Streams(z, kind, key, target)


def _bind(
    setting: StreamSetting, length: int, rng: np.random.Generator, bindings: NDArray[np.int64]
) -> tuple[NDArray[Any], ...]:
    """Return kind, key, class and answer of every step, int64 [count, length]. `bindings` as in `draw`."""
    count = len(bindings)
    shares = np.cumsum([setting.event, setting.repeat, setting.query])
    sort = np.searchsorted(shares, rng.random((count, length)), side='right')  # 0 event, 1 repeat, 2 query, 3 rest
    key = rng.integers(setting.bindings, size=(count, length))
    value = rng.integers(CLASSES, size=(count, length))
    other = rng.integers(1, CLASSES, size=(count, length))
    order = rng.random((length, count, setting.bindings)).transpose(1, 0, 2)
    before, after = _classes(sort == 0, key, value, other, bindings)
    bound = before >= 0
    recalls = ((sort == 1) | (sort == 2)) & bound.any(-1)
    key = np.where(recalls, (bound * order).argmax(-1), key)
    known, shown = (np.take_along_axis(part, key[..., None], -1)[..., 0].astype(np.int64) for part in (before, after))
    chosen = [sort == 0, recalls & (sort == 1), recalls & (sort == 2)]
    kind = np.select(chosen, [np.where(known < 0, Kind.BINDING, Kind.REBINDING), Kind.REPEAT, Kind.QUERY])
    bindings[...] = after[:, -1]
    return kind, key, np.select(chosen[:2], [shown, known], value), np.where(chosen[2], known, -1)


def _classes(
    events: NDArray[np.bool_],
    key: NDArray[np.int64],
    value: NDArray[np.int64],
    other: NDArray[np.int64],
    bindings: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the class of each key before and after each step, -1 without one, int32 [count, length, keys].

    An event gives its `value` to a key without a class, and adds `other` to the class of another key, modulo CLASSES.
    """
    own = events[..., None] & (key[..., None] == np.arange(bindings.shape[1]))
    start = bindings[:, None] >= 0
    bound = np.concatenate([start, start | np.logical_or.accumulate(own, 1)], 1)
    step = np.where(bound[:, :-1], *(part.astype(np.int32)[..., None] for part in (other, value)))
    moved = np.concatenate([np.maximum(bindings, 0, dtype=np.int32)[:, None], own * step], 1).cumsum(1, np.int32)
    classes = np.where(bound, moved % CLASSES, -1).astype(np.int32)
    return classes[:, :-1], classes[:, 1:]
