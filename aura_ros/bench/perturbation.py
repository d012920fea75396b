# SPDX-License-Identifier: Apache-2.0
"""Changes of the features of a backbone: more noise, another gain, and offsets that stay or drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.bench.streams import CLASS_CODE, FEATURE_DIM, KEY_CODE, StreamSetting
from aura_ros.common.errors import ConfigError


@dataclass(frozen=True)
class Perturbation:
    """A change of all features of a stream.

    Raises:
        ConfigError: a value is out of range.
    """

    noise: float = 1.0
    """Factor on the standard deviation of the noise of the codes, >= 1."""
    gain: float = 1.0
    """Factor on the features, > 0."""
    offset: float = 0.0
    """Constant offset of each feature, >= 0, with a random sign for each feature and stream."""
    walk: float = 0.0
    """Standard deviation of the offset of each feature at the last step of a random walk from 0, >= 0."""

    def __post_init__(self) -> None:
        _check('noise', self.noise, 1.0)
        _check('gain', self.gain, 1e-6)
        _check('offset', self.offset, 0.0)
        _check('walk', self.walk, 0.0)


@dataclass(frozen=True)
class Augmentation:
    """Largest changes of the training streams. Each lane has its own. The defaults change nothing.

    Raises:
        ConfigError: a value is out of range.
    """

    noise: float = 1.0
    """Largest factor on the noise of the codes, drawn uniformly from 1 on."""
    gain: float = 1.0
    """Largest factor on the features; its logarithm is drawn uniformly between that of 1 / gain and that of gain."""
    offset: float = 0.0
    """Largest constant offset of each feature, drawn uniformly from 0 on, with random signs."""

    def __post_init__(self) -> None:
        _check('noise', self.noise, 1.0)
        _check('gain', self.gain, 1.0)
        _check('offset', self.offset, 0.0)

    @property
    def changes(self) -> bool:
        """Whether training streams change."""
        return self != Augmentation()

    def draw(self, count: int, rng: np.random.Generator) -> Disturbance:
        """Draw the changes of `count` streams."""
        return Disturbance(
            rng.uniform(1.0, self.noise, count).astype(np.float32),
            (self.gain ** rng.uniform(-1.0, 1.0, count)).astype(np.float32),
            rng.uniform(0.0, self.offset, (count, 1)).astype(np.float32) * _signs(count, rng),
        )


@dataclass(frozen=True)
class Disturbance:
    """The changes of B streams."""

    noise: NDArray[np.float32]
    """Factors on the standard deviation of the noise of the codes, [B]."""
    gain: NDArray[np.float32]
    """Factors on the features, [B]."""
    offset: NDArray[np.float32]
    """Offsets of the features, [B, 64]."""

    def apply(self, z: NDArray[np.float32], setting: StreamSetting, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return features [B, T, 64] with more noise, then with gain and offset; `setting` is how they were drawn."""
        changed, codes = z.copy(), slice(KEY_CODE + CLASS_CODE)
        added = setting.code_noise * np.sqrt(np.maximum(self.noise**2 - 1.0, 0.0))
        if added.any():
            changed[..., codes] += added[:, None, None] * rng.standard_normal(changed[..., codes].shape, np.float32)
        return np.asarray(self.gain[:, None, None] * changed + self.offset[:, None], np.float32)

    def choose(self, which: NDArray[np.bool_], other: Disturbance) -> Disturbance:
        """Return the changes of `other` for the streams in `which`, bool [B], and these for the rest."""
        return Disturbance(
            np.where(which, other.noise, self.noise),
            np.where(which, other.gain, self.gain),
            np.where(which[:, None], other.offset, self.offset),
        )


def perturb(
    z: NDArray[np.float32], setting: StreamSetting, perturbation: Perturbation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return perturbed features.

    Args:
        z: features [B, T, 64].
        setting: how they were drawn.
        perturbation: the change.
        rng: source of all random numbers.
    """
    count, length = z.shape[:2]
    offset = np.float32(perturbation.offset) * _signs(count, rng)
    noise, gain = (np.full(count, value, np.float32) for value in (perturbation.noise, perturbation.gain))
    changed = Disturbance(noise, gain, offset).apply(z, setting, rng)
    if perturbation.walk:
        size = np.float32(perturbation.walk / np.sqrt(length))
        changed += size * rng.standard_normal(z.shape, np.float32).cumsum(1)
    return changed


def _signs(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.choice(np.array([-1.0, 1.0], np.float32), (count, FEATURE_DIM))


def _check(name: str, value: float, low: float) -> None:
    if not low <= value < np.inf:
        raise ConfigError(f'{name} must be finite and >= {low:g}, got {value}')
