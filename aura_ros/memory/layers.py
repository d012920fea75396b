# SPDX-License-Identifier: Apache-2.0
"""The layers that a memory step needs, in NumPy float32."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_columns import GRIPPER_LOGIT, ActionColumns
from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import ConfigError

Floats = NDArray[np.float32]
Weights = Mapping[str, Floats]


def sigmoid(x: float) -> float:
    """Return the logistic function; does not overflow."""
    return float(1.0 / (1.0 + np.exp(-np.clip(x, -60.0, 60.0))))


def logistic(x: Floats) -> Floats:
    """Return the `sigmoid` of each element."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -60.0, 60.0))), dtype=np.float32)


def softplus(x: Floats) -> Floats:
    """Return log(1 + exp(x)); does not overflow."""
    return np.asarray(np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))), dtype=np.float32)


def silu(x: Floats) -> Floats:
    """Return x * sigmoid(x)."""
    return np.asarray(x / (1.0 + np.exp(-np.clip(x, -60.0, 60.0))), dtype=np.float32)


def softmax(logits: Floats, axis: int = 0) -> Floats:
    """Return the softmax along an axis; does not overflow."""
    weights = np.exp(logits - logits.max(axis, keepdims=True))
    return np.asarray(weights / weights.sum(axis, keepdims=True), dtype=np.float32)


def unit(x: Floats) -> Floats:
    """Return x / |x|; zero stays zero."""
    return np.asarray(x / max(float(np.sqrt(x @ x)), 1e-6), dtype=np.float32)


@dataclass(frozen=True)
class Linear:
    """y = W x + b, W float32 [out, in], b float32 [out]."""

    weight: Floats
    bias: Floats

    @classmethod
    def of(cls, weights: Weights, name: str) -> Self:
        """Use the arrays `name.weight` and `name.bias`.

        Raises:
            ConfigError: if their shapes are not [out, in] and [out].
        """
        weight, bias = weights[f'{name}.weight'], weights[f'{name}.bias']
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            shapes = f'{name}.weight has shape {weight.shape} and {name}.bias {bias.shape}'
            raise ConfigError(f'{shapes}: must be (out, in) and (out,)')
        return cls(weight, bias)

    def __call__(self, x: Floats) -> Floats:
        """Return y, float32 [out]."""
        return np.asarray(self.weight @ x + self.bias, dtype=np.float32)


@dataclass(frozen=True)
class Encoder:
    """z [feature_dim] -> standardized features u [feature_dim] and a code x [code_dim]."""

    mean: Floats
    scale: Floats
    linear: Linear

    @classmethod
    def of(cls, weights: Weights) -> Self:
        """Use the encoder's arrays.

        Raises:
            ConfigError: if their shapes do not fit.
        """
        mean, scale, linear = weights['feature_mean'], weights['feature_scale'], Linear.of(weights, 'encoder')
        if not mean.shape == scale.shape == linear.weight.shape[1:]:
            shapes = f'{mean.shape}, {scale.shape} and {linear.weight.shape}'
            raise ConfigError(f'feature_mean, feature_scale and encoder.weight have shapes {shapes}: must fit')
        return cls(mean, scale, linear)

    def __call__(self, z: Floats) -> tuple[Floats, Floats]:
        """Return u and x; u is clipped to +-5, so that no single outlier dominates."""
        u = np.asarray(np.clip((z - self.mean) / self.scale, -5.0, 5.0), dtype=np.float32)
        return u, np.asarray(np.tanh(self.linear(u)), dtype=np.float32)


@dataclass(frozen=True)
class ActionHead:
    """Maps features, read-out and base action to the policy's chunk.

    The read-out modulates a linear map of the features (FiLM): choosing one of several objects is a product of "which",
    the memory, and "where", the scene. The output scales the base motion and adds an offset, in units of `action_scale`
    per column:

        action = anchor + (1 - override) (base - anchor) + offset

    The anchor of a target is base[0]. That of a motion (delta or velocity) is its neutral value, so that an override
    stops the base motion and does not repeat it. A binary gripper is scaled and shifted as a logit, and stays within
    its range.
    """

    features: Linear
    modulation: Linear
    hidden: Linear
    output: Linear
    action_scale: Floats
    columns: ActionColumns

    @classmethod
    def of(cls, weights: Weights, components: tuple[ActionComponent, ...] = ()) -> Self:
        """Use the head's arrays; `components` give the meaning of the columns, () is absolute joint targets."""
        parts = ('features', 'modulation', 'hidden', 'output')
        scale = weights['action_scale']
        columns = ActionColumns.of(components, len(scale))
        return cls(**{name: Linear.of(weights, f'head.{name}') for name in parts}, action_scale=scale, columns=columns)

    def prepare(self, u: Floats, base_action: Floats) -> Floats:
        """Return the part that does not depend on the memory, float32 [width]."""
        motion = (base_action - self._anchor(base_action)) / self.action_scale
        return self.features(np.concatenate([u, base_action[0], motion.ravel()]))

    def __call__(self, prepared: Floats, readout: Floats, base_action: Floats) -> Floats:
        """Return the chunk, float32 [chunk_size, action_dim]."""
        scale, shift = np.split(self.modulation(readout), 2)
        answer = self.output(silu(self.hidden(silu(prepared * (1.0 + scale) + shift))))
        keep = np.float32(1.0 - sigmoid(float(answer[-1])))
        change = answer[:-1].reshape(base_action.shape)
        anchor = self._anchor(base_action)
        chunk = anchor + keep * (base_action - anchor) + change * self.action_scale
        if self.columns.binary.any():
            chunk = np.where(self.columns.binary, self._grip(base_action, keep, change), chunk)
        return np.asarray(chunk, dtype=np.float32)

    def _anchor(self, base_action: Floats) -> Floats:
        if self.columns.plain:
            return base_action[:1]
        return np.where(self.columns.moves, self.columns.neutral, base_action[:1])

    def _grip(self, base_action: Floats, keep: np.float32, change: Floats) -> Floats:
        """Return the chunk as if all columns were binary grippers."""
        low, span = self.columns.low, self.columns.span
        share = np.clip((base_action - low) / span, 0.0, 1.0)
        logit = np.float32(GRIPPER_LOGIT) * (2.0 * share - 1.0)
        return low + span * logistic(keep * logit + change)
