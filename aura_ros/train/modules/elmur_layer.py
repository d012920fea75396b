# SPDX-License-Identifier: Apache-2.0
"""One layer of ELMUR over a batch of segments; see `aura_ros.memory.elmur` for the equations.

Only the parts that depend on the memory run segment by segment. Self-attention does not depend on it and runs for all
segments at once. The slots change one at a time, so the layer stores their keys and values for the read, and renews one
slot per segment. It multiplies the maps of keys and queries, and of values and outputs, once per scan:

    logit  q.k = x W_q^T W_k m = x (S m)        value  W_o W_v m = V m        S and V [heads, width, width]

This saves four projections of the tokens. It pays while slots times heads is not far above the width. Attention is
linear except for the softmax, so the result is the same.

Shapes: B sequences, S segments of L steps, width d, H heads, M slots.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.memory.elmur import NORM_EPSILON, sinusoids


@dataclass(frozen=True)
class Dropout:
    """Shares of values that training sets to zero."""

    branch: float = 0.0
    """Share of the additions to a residual stream, and of the hidden units of an MLP."""
    attention: float = 0.0
    """Share of the attention weights."""
    memory: float = 0.0
    """Share of the new value of a slot."""


@dataclass(frozen=True)
class Plan:
    """When the slots are written. It is the same for every layer. P is 1 if all sequences share it, else B."""

    ages: Tensor
    """Steps from the anchor of each slot to the first token of each segment, at least 1, int64 [P, S, M]."""
    slots: Tensor
    """Slot that each segment writes, int64 [P, S]."""
    alphas: Tensor
    """Share of the new value in the slot, [P, S]; 0 for an incomplete segment."""
    writes: int
    """Number of first segments that are whole in at least one sequence."""


class Mlp(nn.Module):
    """The FFN of one track."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self._dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., d] to [..., d]."""
        hidden = F.silu(F.linear(x, self.inner.weight, self.inner.bias))
        return F.linear(drop(hidden, self._dropout, self.training), self.outer.weight, self.outer.bias)


class SelfAttention(nn.Module):
    """Causal attention within each segment, with Transformer-XL's relative positions (arXiv 1901.02860)."""

    sines: Tensor
    future: Tensor

    def __init__(self, width: int, heads: int, segment: int, dropout: float) -> None:
        super().__init__()
        self._heads, self._dropout = heads, dropout
        self.query, self.key, self.value, self.position = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.output = nn.Linear(width, width)
        self.content_bias = nn.Parameter(torch.zeros(heads, width // heads))
        self.position_bias = nn.Parameter(torch.zeros(heads, width // heads))
        # largest distance first, see `_align`
        self.register_buffer('sines', torch.from_numpy(sinusoids(segment, width)).flip(0), persistent=False)
        self.register_buffer('future', torch.full((segment, segment), -torch.inf).triu(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within segments [..., L, d]."""
        scale = (x.shape[-1] // self._heads) ** -0.5
        query = self._split(F.linear(x, scale * self.query.weight, scale * self.content_bias.flatten()))
        key, value = self._split(self.key(x)), self._split(self.value(x))
        # [keys, queries]: a softmax over columns is much faster with few keys
        logits = key @ query.mT + (self._position(x, scale) + self.future).mT
        shares = drop(torch.softmax(logits, -2), self._dropout, self.training)
        return self.output((shares.mT @ value).transpose(-2, -3).flatten(-2))

    def _position(self, x: Tensor, scale: float) -> Tensor:
        """Return the logits' part that depends on distance, (q + position_bias) r [..., H, L, L], as one map of x."""
        distances = self._split(self.position(self.sines)) * scale
        to_distances = distances @ self.query.weight.unflatten(0, (self._heads, -1))
        bias = (distances * self.position_bias[:, None]).sum(-1)
        logits = F.linear(x, to_distances.flatten(0, 1), bias.flatten())
        return _align(logits.unflatten(-1, (self._heads, -1)).transpose(-2, -3))

    def _split(self, x: Tensor) -> Tensor:
        """Map [..., L, d] to [..., H, L, d / H]."""
        return x.unflatten(-1, (self._heads, -1)).transpose(-2, -3)


class CrossAttention(nn.Module):
    """Weights of an attention between tokens and slots."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.output = nn.Linear(width, width)

    def products(self) -> tuple[Tensor, Tensor]:
        """Return S = W_q^T W_k / sqrt(d / H) and V = W_o W_v of each head, [H, d, d]."""
        query, key, value = (
            layer.weight.unflatten(0, (self._heads, -1)) for layer in (self.query, self.key, self.value)
        )
        output = self.output.weight.unflatten(1, (self._heads, -1)).transpose(0, 1)
        return query.mT @ key * query.shape[1] ** -0.5, output @ value


class ElmurLayer(nn.Module):
    """Token track and memory track.

    Args:
        width: d.
        heads: H.
        segment: L.
        max_offset: offsets of anchors are clamped below this number.
        hidden: hidden units of the MLPs.
        dropout: dropout in training.
    """

    def __init__(self, width: int, heads: int, segment: int, max_offset: int, hidden: int, dropout: Dropout) -> None:
        super().__init__()
        self._dropout = dropout
        self.attend = SelfAttention(width, heads, segment, dropout.attention)
        self.read, self.write = CrossAttention(width, heads), CrossAttention(width, heads)
        self.token_mlp, self.memory_mlp = (Mlp(width, hidden, dropout.branch) for _ in range(2))
        self.attend_norm, self.read_norm, self.token_norm, self.write_norm, self.memory_norm = (
            nn.LayerNorm(width, NORM_EPSILON) for _ in range(5)
        )
        for name, parameter in self.named_parameters():
            if name.endswith('weight') and parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith('bias'):
                nn.init.zeros_(parameter)
        # E[offset] at row offset + max_offset - 1; zero, so that an offset outside the training has no effect
        self.offsets = nn.Parameter(torch.zeros(2 * max_offset - 1, heads))

    def forward(self, x: Tensor, memory: Tensor, plan: Plan, detach: bool) -> tuple[Tensor, Tensor]:
        """Run segments one after another.

        Args:
            x: tokens [B, S, L, d].
            memory: slots before the first segment [B, M, d].
            plan: when the slots are written.
            detach: stops the gradient through the memory between segments.

        Returns:
            tokens for the next layer [B, S, L, d]; slots after the last whole segment [B, M, d].
        """
        h = self._add(self.attend_norm, x, self.attend(x))
        read_bias, write_bias = self._biases(plan, x.shape[2])
        mixing, valuing = self.read.products()
        to_rows = torch.cat([mixing.flatten(0, 1), valuing.flatten(0, 1)])
        # inputs of the read for each slot: S m and V m, [2, B, M, H, d]
        rows = F.linear(memory, to_rows).unflatten(-1, (2, len(mixing), -1)).movedim(2, 0).contiguous()
        write_maps, learning = self._write_maps(), torch.is_grad_enabled() and not detach
        chosen = F.one_hot(plan.slots, memory.shape[1]).bool()[..., None]
        tokens = []
        for segment, tokens_in in enumerate(h.unbind(1)):
            tokens.append(self._read(tokens_in, rows, read_bias[:, segment]))
            if segment == plan.writes:
                break
            own, alpha = chosen[:, segment], plan.alphas[:, segment, None]
            with torch.set_grad_enabled(learning):
                slot = (memory * own).sum(1)
                slot = slot.lerp(self._candidate(slot, tokens[-1], write_bias[:, segment], write_maps), alpha)
                memory = torch.where(own, slot[:, None], memory)
            renewed = F.linear(slot, to_rows).unflatten(-1, (2, len(mixing), -1)).transpose(0, 1)
            rows = torch.where(own[..., None], renewed[:, :, None], rows)
        return torch.stack(tokens, 1), memory

    def _biases(self, plan: Plan, length: int) -> tuple[Tensor, Tensor]:
        """Return E[t - p] for the reads [P, S, M * H, L], and E[p - t] for the writes [P, S, L, H]."""
        reach, steps = len(self.offsets) // 2, torch.arange(length)
        # [P, S, L, M]; anchors lie before the segment
        offsets = (plan.ages[:, :, None] + steps[:, None]).clamp(max=reach)
        read = F.embedding(reach + offsets, self.offsets).flatten(-2).mT
        of_slot = offsets.gather(3, plan.slots[..., None, None].expand(-1, -1, length, 1))[..., 0]
        return read, F.embedding(reach - of_slot, self.offsets)

    def _write_maps(self) -> tuple[Tensor, Tensor]:
        """Return the maps from a slot to S^T m of each head [H * d, d], and from mixed tokens to outputs [d, H * d]."""
        mixing, valuing = self.write.products()
        return mixing.mT.flatten(0, 1), valuing.transpose(0, 1).flatten(1)

    def _read(self, h: Tensor, rows: Tensor, bias: Tensor) -> Tensor:
        """Apply mem2tok and FFN to h [B, L, d], with bias [P, M * H, L]."""
        keys, values = rows.flatten(2, 3)
        logits = torch.baddbmm(bias, keys, h.mT).unflatten(1, (rows.shape[2], -1))
        shares = drop(torch.softmax(logits, 1), self._dropout.attention, self.training).flatten(1, 2).mT
        h = self._add(self.read_norm, h, torch.baddbmm(self.read.output.bias, shares, values))
        return self._add(self.token_norm, h, self.token_mlp(h))

    def _candidate(self, slot: Tensor, tokens: Tensor, bias: Tensor, maps: tuple[Tensor, Tensor]) -> Tensor:
        """Apply tok2mem and FFN to the written slot [B, d], with tokens [B, L, d] and bias [P, L, H]."""
        query = F.linear(slot, maps[0]).unflatten(-1, (bias.shape[-1], -1))
        shares = torch.softmax(torch.baddbmm(bias, tokens, query.mT), 1)
        mixed = torch.bmm(drop(shares, self._dropout.attention, self.training).mT, tokens).flatten(1)
        u = self._add(self.write_norm, slot, F.linear(mixed, maps[1], self.write.output.bias))
        candidate = self._add(self.memory_norm, u, self.memory_mlp(u))
        return drop(candidate, self._dropout.memory, self.training)

    def _add(self, norm: nn.LayerNorm, x: Tensor, branch: Tensor) -> Tensor:
        """Add a branch, and normalise after that (post-norm)."""
        summed = x + drop(branch, self._dropout.branch, self.training)
        return F.layer_norm(summed, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def drop(x: Tensor, share: float, training: bool) -> Tensor:
    """Apply dropout, at no cost for a share of 0."""
    return F.dropout(x, share) if share and training else x


def _align(x: Tensor) -> Tensor:
    """Turn columns by distance, largest first, into columns by key. Values of future keys are undefined."""
    length = x.shape[-1]
    return F.pad(x, (1, 0)).flatten(-2)[..., length:].unflatten(-1, (length, length))
