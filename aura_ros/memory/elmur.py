# SPDX-License-Identifier: Apache-2.0
"""ELMUR (arXiv 2510.07151): layers with a memory each, which is written once per segment of steps.

Time is divided into segments of L steps. In every layer the tokens of a segment attend to its earlier tokens, then read
the layer's M slots. At the end of the segment one slot is rewritten from the tokens:

    h = AddNorm(x + SelfAttention(x))         causal, with Transformer-XL's relative positions
    h = AddNorm(h + CrossAttention(h, m))     mem2tok, the read; logits biased by E[t - p]
    h = AddNorm(h + FFN(h))                   goes to the next layer
    u = AddNorm(m + CrossAttention(m, h))     tok2mem, the write; logits biased by E[p - t]
    n = AddNorm(u + FFN(u))
    m_j <- alpha n_j + (1 - alpha) m_j,  p_j <- t

where p are the anchors, the steps at which the slots were last written. The slot j is the first empty one, with
alpha = 1, or else the least recently written one, with alpha = lambda. All layers write at the same steps, so they
share their anchors. Only n_j is computed, because the other candidates are not used.

This implementation differs from the released code in three ways:

* The released code encodes the whole segment again at every step. Here the keys, values and outputs of its tokens are
  carried, which gives the same numbers. They count as state.
* FFN is a plain MLP instead of a mixture of experts. The paper's ablation finds no difference (1.00 +- .00 for both).
* The initial memory is one draw from N(0, sigma^2) that is stored with the weights. The paper draws it at every reset;
  a robot must not depend on chance, and a replay must give the same bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError
from aura_ros.memory.cell import Cell, Transition
from aura_ros.memory.layers import Floats, Linear, Weights, silu, softmax
from aura_ros.memory.recurrent import RecurrentMemory
from aura_ros.memory.weights import MemoryWeights

EMPTY = -1
"""Anchor of a slot that was never written."""

MAX_SEGMENT = 4096
"""Most steps of a segment: its tokens are carried."""

NORM_EPSILON = 1e-5
"""Keeps a layer normalisation finite."""


def choose_slot(anchors: Sequence[int] | NDArray[np.int64], blend: float) -> tuple[int, float]:
    """Return the slot to write and alpha: the first empty slot and 1, else the least recently written and `blend`."""
    slot = min(range(len(anchors)), key=anchors.__getitem__)  # EMPTY is less than every step
    return slot, 1.0 if anchors[slot] == EMPTY else blend


def sinusoids(length: int, width: int) -> Floats:
    """Return Transformer-XL's code of the distances 0..length - 1, float32 [length, width], width even."""
    rates = 10_000.0 ** (-np.arange(0, width, 2) / width)
    angles = np.arange(length)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


@dataclass(frozen=True)
class _Norm:
    """Layer normalisation of a sum."""

    weight: Floats
    bias: Floats

    @classmethod
    def of(cls, weights: Weights, name: str) -> Self:
        return cls(weights[f'{name}.weight'], weights[f'{name}.bias'])

    def __call__(self, x: Floats) -> Floats:
        count = np.float32(len(x))
        centred = x - x.sum() / count
        deviation = np.sqrt(centred @ centred / count + np.float32(NORM_EPSILON))
        return np.asarray(centred / deviation * self.weight + self.bias, dtype=np.float32)


@dataclass(frozen=True)
class _Mlp:
    """The FFN of one track."""

    inner: Linear
    outer: Linear

    @classmethod
    def of(cls, weights: Weights, name: str) -> Self:
        return cls(Linear.of(weights, f'{name}.inner'), Linear.of(weights, f'{name}.outer'))

    def __call__(self, x: Floats) -> Floats:
        return self.outer(silu(self.inner(x)))


class _SelfAttention:
    """Causal attention of one token over those of its segment."""

    def __init__(self, weights: Weights, name: str, heads: int, segment: int) -> None:
        parts = [weights[f'{name}.{part}.weight'] for part in ('query', 'key', 'value')]
        self._project, self._output = np.concatenate(parts), Linear.of(weights, f'{name}.output')
        width = len(self._output.bias)
        self._heads, self._scale = heads, np.float32((width // heads) ** -0.5)
        self._content, self._position = weights[f'{name}.content_bias'], weights[f'{name}.position_bias']
        distances = sinusoids(segment, width) @ weights[f'{name}.position.weight'].T
        # newest last, like the keys: the last `n` rows belong to `n` keys
        self._distances = np.ascontiguousarray(distances[::-1].reshape(segment, heads, -1).swapaxes(0, 1))

    def __call__(self, x: Floats, place: int, keys: Floats, values: Floats) -> Floats:
        """Attend at `place` of the segment; adds this token to keys and values [heads, segment, head width]."""
        query, key, value = (self._project @ x).reshape(3, self._heads, -1)
        keys[:, place], values[:, place] = key, value
        content = keys[:, : place + 1] @ (query + self._content)[..., None]
        position = self._distances[:, -place - 1 :] @ (query + self._position)[..., None]
        shares = softmax((content + position)[..., 0] * self._scale, 1)
        return self._output((shares[:, None] @ values[:, : place + 1]).ravel())


class _CrossAttention:
    """Attention of one vector over rows. The query and the sum are projected instead of the rows, which is cheaper."""

    def __init__(self, weights: Weights, name: str, heads: int) -> None:
        self._query, key, value = (weights[f'{name}.{part}.weight'] for part in ('query', 'key', 'value'))
        self._output, width = Linear.of(weights, f'{name}.output'), len(key)
        self._key, self._value = key.reshape(heads, -1, width), value.reshape(heads, -1, width)
        self._scale = np.float32((width // heads) ** -0.5)

    def __call__(self, x: Floats, rows: Floats, bias: Floats) -> Floats:
        """x [width], rows [N, width], bias [N, heads]."""
        heads = len(self._key)
        query = (self._query @ x * self._scale).reshape(heads, 1, -1) @ self._key
        shares = softmax(np.asarray(rows @ query[:, 0].T + bias, dtype=np.float32), 0)
        value = self._value @ (shares.T @ rows)[..., None]
        return self._output(value.ravel())


class _Layer:
    """Token track and memory track of one layer."""

    def __init__(self, weights: Weights, name: str, heads: int, segment: int) -> None:
        self._attend = _SelfAttention(weights, f'{name}.attend', heads, segment)
        self._read, self._write = (_CrossAttention(weights, f'{name}.{part}', heads) for part in ('read', 'write'))
        self._token_mlp, self._memory_mlp = (_Mlp.of(weights, f'{name}.{part}_mlp') for part in ('token', 'memory'))
        self._norms = {
            part: _Norm.of(weights, f'{name}.{part}_norm') for part in ('attend', 'read', 'token', 'write', 'memory')
        }
        self._table = weights[f'{name}.offsets']
        self._reach = len(self._table) // 2

    def token(
        self, x: Floats, place: int, keys: Floats, values: Floats, memory: Floats, ages: NDArray[np.int64]
    ) -> Floats:
        """Return the output at `place` of the segment; ages [slots]: steps from each anchor to now, at least 1."""
        h = self._norms['attend'](x + self._attend(x, place, keys, values))
        h = self._norms['read'](h + self._read(h, memory, self._table[self._reach + np.minimum(ages, self._reach)]))
        return self._norms['token'](h + self._token_mlp(h))

    def candidate(self, slot: Floats, tokens: Floats, ages: NDArray[np.int64]) -> Floats:
        """Return the new content of a slot; ages [segment]: steps from its anchor to each token, at least 1."""
        bias = self._table[self._reach - np.minimum(ages, self._reach)]
        u = self._norms['write'](slot + self._write(slot, tokens, bias))
        return self._norms['memory'](u + self._memory_mlp(u))


class ElmurCell(Cell):
    """ELMUR's layers.

    memories: float32 [layers, slots, width].
    anchors: step at which each slot was last written, or EMPTY, int64 [slots].
    """

    def __init__(self, weights: Weights) -> None:
        self._initial = weights['initial']
        layers, slots, width = self._initial.shape
        heads, self._segment = int(weights['heads'][0]), int(weights['segment'][0])
        if not (1 <= self._segment <= MAX_SEGMENT and heads >= 1 and width % heads == 0):
            sizes = f'segment {self._segment}, heads {heads} and width {width}'
            raise ConfigError(f'{sizes}: must be 1..{MAX_SEGMENT}, >= 1 and a multiple of heads')
        self._blend = float(weights['blend'][0])
        self._project = Linear.of(weights, 'project')
        self._layers = [_Layer(weights, f'layers.{i}', heads, self._segment) for i in range(layers)]
        self.memories = self._initial.copy()
        self.anchors = np.full(slots, EMPTY, np.int64)
        self._position = np.zeros(1, np.int64)
        self._keys, self._values = np.zeros((2, layers, heads, self._segment, width // heads), np.float32)
        self._tokens = np.zeros((layers, self._segment, width), np.float32)
        self.carried = (self.memories, self.anchors, self._position, self._keys, self._values, self._tokens)

    def reset(self) -> None:
        """Return to the initial memory."""
        super().reset()
        self.memories[...] = self._initial
        self.anchors[:] = EMPTY

    def try_out(self, x: Floats) -> None:
        """Step through one segment, at the end of which the slots are written."""
        for _ in range(self._segment):
            self.step(x)

    def step(self, x: Floats) -> Transition:
        """Apply one code; at the end of a segment write one slot of every layer."""
        now = int(self._position[0])
        place = now % self._segment
        h = self._project(x)
        for layer, keys, values, memory, tokens in zip(
            self._layers, self._keys, self._values, self.memories, self._tokens, strict=True
        ):
            h = layer.token(h, place, keys, values, memory, now - self.anchors)
            tokens[place] = h
        self._position += 1
        if place < self._segment - 1:
            return Transition(h, 0.0, 0.5, False)
        return Transition(h, 1.0, 0.5, True, delta_norm=self._write(now))

    def _write(self, now: int) -> float:
        """Write after the segment that ends at `now`; return the norm of the change."""
        slot, alpha = choose_slot(self.anchors, self._blend)
        ages = np.arange(now - self._segment + 1, now + 1) - self.anchors[slot]
        before = self.memories[:, slot].copy()
        for layer, memory, tokens in zip(self._layers, self.memories, self._tokens, strict=True):
            memory[slot] = alpha * layer.candidate(memory[slot], tokens, ages) + (1.0 - alpha) * memory[slot]
        self.anchors[slot] = now
        return float(np.linalg.norm(self.memories[:, slot] - before))


class ElmurMemory(RecurrentMemory[ElmurCell]):
    """ELMUR behind the memory protocol.

    `state_bytes` includes anchors and the open segment; the paper counts the slots alone.
    """

    def __init__(self, weights: MemoryWeights) -> None:
        super().__init__('elmur', weights, ElmurCell(weights.arrays))
