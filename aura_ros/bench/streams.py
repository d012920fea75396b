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
SPLITS = ('train', 'validation', 'evaluation')


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


def draw(setting: StreamSetting, count: int, length: int, rng: np.random.Generator) -> Streams:
    """Return `count` streams of `length` steps."""
    kind, key, value, target = _bind(setting, count, length, rng)
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


def _bind(setting: StreamSetting, count: int, length: int, rng: np.random.Generator) -> tuple[NDArray[Any], ...]:
    """Return kind, key, class and answer of every step, int64 [count, length]."""
    current = np.full((count, setting.bindings), -1)
    rows = np.arange(count)
    shares = np.cumsum([setting.event, setting.repeat, setting.query])
    sort = np.searchsorted(shares, rng.random((count, length)), side='right')  # 0 event, 1 repeat, 2 query, 3 rest
    key = rng.integers(setting.bindings, size=(count, length))
    value = rng.integers(CLASSES, size=(count, length))
    other = rng.integers(1, CLASSES, size=(count, length))
    kind = np.full((count, length), int(Kind.DISTRACTOR))
    target = np.full((count, length), -1)
    for t in range(length):
        bound = current >= 0
        recalls = ((sort[:, t] == 1) | (sort[:, t] == 2)) & bound.any(1)
        key[recalls, t] = (bound * rng.random(bound.shape)).argmax(1)[recalls]
        now = current[rows, key[:, t]]
        event = sort[:, t] == 0
        kind[event, t] = np.where(now[event] < 0, Kind.BINDING, Kind.REBINDING)
        value[:, t] = np.where(event & (now >= 0), (now + other[:, t]) % CLASSES, value[:, t])
        current[rows[event], key[event, t]] = value[event, t]
        repeat, query = recalls & (sort[:, t] == 1), recalls & (sort[:, t] == 2)
        kind[repeat, t], kind[query, t] = Kind.REPEAT, Kind.QUERY
        value[repeat, t] = now[repeat]
        target[query, t] = now[query]
    return kind, key, value, target
