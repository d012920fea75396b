# SPDX-License-Identifier: Apache-2.0
"""The memories as torch modules, for training; the NumPy classes of aura_ros.memory are what runs.

Shapes: B sequences of T steps, features [B, T, D], base chunks [B, T, C, A]; state W [B, V, K], b [B, V].
Parameter names are those of the weights file, so that a trained module is saved as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.memory.fast_weights import KEY_DIM, VALUE_DIM


@dataclass(frozen=True)
class Sizes:
    """Dimensions of a memory; the defaults are what ships."""

    feature_dim: int = 256
    chunk_len: int = 8
    action_dim: int = 8
    code_dim: int = 64
    key_dim: int = KEY_DIM
    value_dim: int = VALUE_DIM
    gate_width: int = 48
    head_width: int = 256


@dataclass(frozen=True)
class Rollout:
    """What a memory did with a batch of sequences.

    actions: [B, T, C, A].
    gates: 0 or 1 with a straight-through gradient, [B, T].
    scores: probability of a write, [B, T].
    surprise: |e|, [B, T].
    state: W [B, V, K] and b [B, V] after the last step; None for a cache.
    """

    actions: Tensor
    gates: Tensor
    scores: Tensor
    surprise: Tensor
    state: tuple[Tensor, Tensor] | None = None


class Head(nn.Module):
    """The action head, `aura_ros.memory.layers.ActionHead`."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        chunk = sizes.chunk_len * sizes.action_dim
        self.features = nn.Linear(sizes.feature_dim + sizes.action_dim + chunk, sizes.head_width)
        self.modulation = nn.Linear(sizes.value_dim, 2 * sizes.head_width)
        self.hidden = nn.Linear(sizes.head_width, sizes.head_width)
        self.output = nn.Linear(sizes.head_width, chunk + 1)
        nn.init.zeros_(self.output.bias)

    def forward(self, u: Tensor, base: Tensor, readout: Tensor, scale: Tensor) -> Tensor:
        """Return chunks [..., C, A]; `scale` is the usual offset of each joint, [A]."""
        first = base[..., :1, :]
        motion = base - first
        seen = torch.cat([u, first[..., 0, :], (motion / scale).flatten(-2)], -1)
        gain, shift = self.modulation(readout).chunk(2, -1)
        answer = self.output(F.silu(self.hidden(F.silu(self.features(seen) * (1 + gain) + shift))))
        keep = 1 - torch.sigmoid(answer[..., -1:, None])
        return first + keep * motion + answer[..., :-1].unflatten(-1, base.shape[-2:]) * scale


class MemoryModule(nn.Module):
    """What both memories share: encoder, key, value, query and head."""

    feature_mean: Tensor
    feature_scale: Tensor
    action_scale: Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = nn.Linear(sizes.feature_dim, sizes.code_dim)
        self.key = nn.Linear(sizes.code_dim, sizes.key_dim)
        self.value = nn.Linear(sizes.code_dim, sizes.value_dim)
        self.query = nn.Linear(sizes.code_dim, sizes.key_dim)
        self.head = Head(sizes)
        self.register_buffer('feature_mean', torch.zeros(sizes.feature_dim))
        self.register_buffer('feature_scale', torch.ones(sizes.feature_dim))
        self.register_buffer('action_scale', torch.ones(sizes.action_dim))

    def encode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return standardised features u and code x."""
        u = ((z - self.feature_mean) / self.feature_scale).clamp(-5, 5)
        return u, torch.tanh(self.encoder(u))

    def act(self, u: Tensor, base: Tensor, readout: Tensor) -> Tensor:
        """Return chunks [B, T, C, A]."""
        chunks: Tensor = self.head(u, base, readout, self.action_scale)
        return chunks


class AuraModule(MemoryModule):
    """Gated fast weights; see `aura_ros.memory.aura.AuraMemory`."""

    def __init__(self, sizes: Sizes = Sizes()) -> None:
        super().__init__(sizes)
        self.rate = nn.Linear(sizes.code_dim, 1)
        nn.init.constant_(self.rate.bias, 2.0)
        self.gate = nn.Module()
        self.gate.hidden = nn.Linear(sizes.code_dim + sizes.value_dim + 1, sizes.gate_width)
        self.gate.output = nn.Linear(sizes.gate_width, 1)
        nn.init.constant_(self.gate.output.bias, 1.0)  # begin open: a memory that never writes learns nothing
        self.log_key_scale = nn.Parameter(torch.full((1,), 1.0))

    def forward(self, z: Tensor, base: Tensor, temperature: float = 0.0, forced: Tensor | None = None,
                initial: tuple[Tensor, Tensor] | None = None) -> Rollout:
        """Run sequences from an empty state.

        Args:
            z: features [B, T, D].
            base: base chunks [B, T, C, A].
            temperature: of the sampled gate in training; 0 takes the deployed gate, score > 0.5.
            forced: gates to use instead, [B, T], 0 or 1.
            initial: W [B, V, K] and b [B, V] to begin with.

        """
        u, x = self.encode(z)
        scale = self.log_key_scale.exp()
        k, q = (F.normalize(layer(x), dim=-1) * scale for layer in (self.key, self.query))
        v, rate = self.value(x), torch.sigmoid(self.rate(x))
        seen = F.linear(x, self.gate.hidden.weight[:, :x.shape[-1]], self.gate.hidden.bias)
        W, b = initial or (z.new_zeros(len(z), self.sizes.value_dim, self.sizes.key_dim),
                           z.new_zeros(len(z), self.sizes.value_dim))
        steps = []
        for t in range(z.shape[1]):
            error = v[:, t] - (W @ k[:, t, :, None])[..., 0] - b
            surprise = error.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
            logit = self._score(seen[:, t], error, surprise)
            gate = _open(logit, temperature) if forced is None else forced[:, t, None]
            step = gate * rate[:, t] * error / (scale * scale + 1)
            W = W + step[..., None] * k[:, t, None]
            b = b + step
            readout = (W @ q[:, t, :, None])[..., 0] + b
            steps.append((readout, gate[:, 0], torch.sigmoid(logit)[:, 0], surprise[:, 0]))
        readout, gates, scores, surprises = (torch.stack(column, 1) for column in zip(*steps, strict=True))
        return Rollout(self.act(u, base, readout), gates, scores, surprises, (W, b))

    def _score(self, seen: Tensor, error: Tensor, surprise: Tensor) -> Tensor:
        weight = self.gate.hidden.weight[:, self.sizes.code_dim:]
        return self.gate.output(F.silu(seen + F.linear(torch.cat([error, surprise], -1), weight)))


def _open(logit: Tensor, temperature: float) -> Tensor:
    """A gate that is 0 or 1 and passes the gradient of its relaxed sample (straight-through, binary concrete)."""
    if temperature == 0:
        return (logit > 0).to(logit.dtype)
    uniform = torch.rand_like(logit).clamp(1e-6, 1 - 1e-6)
    soft = torch.sigmoid((logit + uniform.log() - (-uniform).log1p()) / temperature)
    return (soft > 0.5).to(logit.dtype) + soft - soft.detach()


class KvCacheModule(MemoryModule):
    """Attention over all past steps; see `aura_ros.memory.kv_cache.KvCacheMemory`."""

    def __init__(self, sizes: Sizes = Sizes()) -> None:
        super().__init__(sizes)
        self.log_sharpness = nn.Parameter(torch.full((1,), 2.0))
        self.log_slope = nn.Parameter(torch.full((1,), -3.0))

    def forward(self, z: Tensor, base: Tensor, temperature: float = 0.0) -> Rollout:
        """Run sequences from an empty cache; `temperature` is not used."""
        u, x = self.encode(z)
        k, q = (F.normalize(layer(x), dim=-1) for layer in (self.key, self.query))
        line = torch.arange(z.shape[1], dtype=z.dtype)
        age = line[:, None] - line
        logits = self.log_sharpness.exp() * (q @ k.mT) - self.log_slope.exp() * age
        readout = torch.softmax(logits.masked_fill(age < 0, -torch.inf), -1) @ self.value(x)
        ones = z.new_ones(z.shape[:2])
        return Rollout(self.act(u, base, readout), ones, ones, 0 * ones)
