# SPDX-License-Identifier: Apache-2.0
"""What a robot adds to the features of a backbone: more noise, another gain, and offsets that stay or drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.bench.streams import CLASS_CODE, CONTEXT, FEATURE_DIM, KEY_CODE, StreamSetting
from aura_ros.common.errors import ConfigError


@dataclass(frozen=True)
class Perturbation:
    """A change of all features of a stream.

    Raises:
        ConfigError: a value is out of range.
    """

    noise: float = 1.0
    """Factor on the standard deviation of all noise of the stream, >= 1."""
    gain: float = 1.0
    """Factor on the features, > 0."""
    offset: float = 0.0
    """Constant offset of each feature, with a random sign for each feature and stream."""
    walk: float = 0.0
    """Standard deviation of the offset of each feature after the last step of a random walk that begins at 0."""

    def __post_init__(self) -> None:
        for name, low in (('noise', 1.0), ('gain', 1e-6), ('offset', 0.0), ('walk', 0.0)):
            if not low <= getattr(self, name) < np.inf:
                raise ConfigError(f'{name} must be finite and >= {low:g}, got {getattr(self, name)}')


@dataclass(frozen=True)
class Augmentation:
    """Perturbations that training draws for each lane. The defaults change nothing.

    Raises:
        ConfigError: a value is out of range.
    """

    noise: float = 1.0
    """Largest factor on the noise; it is drawn uniformly from 1 on."""
    gain: float = 1.0
    """Largest factor on the features; its logarithm is drawn uniformly between that of 1 / gain and that of gain."""

    def __post_init__(self) -> None:
        for name in ('noise', 'gain'):
            if not 1.0 <= getattr(self, name) < np.inf:
                raise ConfigError(f'{name} of an augmentation must be finite and >= 1, got {getattr(self, name)}')

    @property
    def changes(self) -> bool:
        """Whether training streams change."""
        return self != Augmentation()


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
    changed = scale(z, setting, np.full(count, perturbation.noise), np.full(count, perturbation.gain), rng)
    signs = rng.choice(np.array([-1.0, 1.0], np.float32), (count, 1, FEATURE_DIM))
    changed += np.float32(perturbation.offset) * signs
    if perturbation.walk:
        moves = rng.standard_normal(z.shape, np.float32).cumsum(1)
        changed += np.float32(perturbation.walk / np.sqrt(length)) * moves
    return changed


def scale(
    z: NDArray[np.float32],
    setting: StreamSetting,
    noise: NDArray[np.float64],
    gain: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return features with `noise` [B] times the noise of the setting, and then with `gain` [B]."""
    extra = np.sqrt(np.maximum(noise * noise - 1.0, 0.0)).astype(np.float32)[:, None, None]
    added = z + extra * _deviations(setting) * rng.standard_normal(z.shape, np.float32) if extra.any() else z
    return np.asarray(gain.astype(np.float32)[:, None, None] * added)


def _deviations(setting: StreamSetting) -> NDArray[np.float32]:
    """Return the standard deviation of the noise of each feature, [64]."""
    found = np.ones(FEATURE_DIM, np.float32)
    found[: KEY_CODE + CLASS_CODE] = setting.code_noise
    found[KEY_CODE + CLASS_CODE :][:CONTEXT] = setting.context_noise
    return found
