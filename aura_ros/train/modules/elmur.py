# SPDX-License-Identifier: Apache-2.0
"""ELMUR as a torch module. `aura_ros.memory.elmur` describes it, and `elmur_layer` computes a layer.

With `detach_memory` the gradient stops between segments, as the paper's sg() does. Then no loss trains what a layer
writes: the loss of a segment depends on its own tokens and on a constant memory. So tok2mem and its FFN keep their
initial values, and only the read is learned. Without it, the gradient runs through the memory across all segments of a
scan.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.common.errors import ConfigError
from aura_ros.memory.elmur import EMPTY
from aura_ros.train.modules.base import MemoryModule, Scan, Sizes
from aura_ros.train.modules.elmur_layer import Dropout, ElmurLayer, Plan


@dataclass(frozen=True)
class ElmurOptions:
    """Shape and training of ELMUR. The defaults are its authors' values for T-Maze, except FFN and dropout."""

    layers: int = 2
    """Number of layers, each with its own memory."""
    width: int = 128
    """Width of tokens and slots, even and a multiple of `heads`."""
    heads: int = 2
    """Attention heads."""
    slots: int = 2
    """Slots per layer."""
    segment: int = 10
    """Steps between two writes."""
    blend: float = 0.79
    """Lambda, the share of the new value when a slot is overwritten, 0..1."""
    init_sigma: float = 0.001
    """Standard deviation of the initial memory of an episode."""
    detach_memory: bool = False
    """Stop the gradient between segments, as the paper does."""
    max_offset: int | None = None
    """D_max: the bias distinguishes offsets from an anchor below this number [steps]. None means the paper's 1024,
    or less if no anchor gets that old: with one write per segment, each slot is renewed after slots * segment steps.
    """
    ffn_width: int = 256
    """Hidden units of the MLPs."""
    dropout: Dropout = field(default_factory=Dropout)
    """Dropout in training, none by default, because streams that are drawn for every step cannot be memorised. Noise
    also teaches a memory to hold longer than in its training: the authors' T-Maze has 0.10, 0.17 and 0.01.
    """

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: naming what is out of range.
        """
        for name in ('layers', 'width', 'heads', 'slots', 'segment', 'max_offset', 'ffn_width'):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f'{name} must be >= 1, got {value}')
        if self.width % self.heads or self.width % 2:
            raise ConfigError(f'width must be even and a multiple of heads = {self.heads}, got {self.width}')
        if not 0.0 <= self.blend <= 1.0:
            raise ConfigError(f'blend must be 0..1, got {self.blend}')
        if not self.init_sigma >= 0.0:
            raise ConfigError(f'init_sigma must be >= 0, got {self.init_sigma}')

    @property
    def distinct_offsets(self) -> int:
        """D_max, with the default for None."""
        return min(1024, self.slots * self.segment + 1) if self.max_offset is None else self.max_offset


@dataclass(frozen=True)
class ElmurState:
    """State at the end of a scan. The sequences of a batch may be at different steps."""

    memories: Tensor
    """Slots, [B, layers, M, d]."""
    anchors: Tensor
    """Step of the last write of each slot, or EMPTY, int64 [B, M]."""
    position: Tensor
    """Number of steps so far, int64 [B]."""
    open_segment: Tensor
    """Codes of the incomplete segment, which the next scan encodes again, then zeros, [B, L - 1, X]."""


class ElmurModule(MemoryModule):
    """ELMUR. The read-out is the token track of the last layer, [B, T, width].

    Args:
        sizes: dimensions that all memories share.
        options: options of ELMUR.
    """

    kind = 'elmur'
    initial: Tensor

    def __init__(self, sizes: Sizes, options: ElmurOptions | None = None) -> None:
        options = options or ElmurOptions()
        super().__init__(sizes, options.width)
        self.options = options
        self.project = nn.Linear(sizes.code_dim, options.width)
        shape = (options.width, options.heads, options.segment, options.distinct_offsets, options.ffn_width)
        self.layers = nn.ModuleList(ElmurLayer(*shape, options.dropout) for _ in range(options.layers))
        # values that the shapes of the arrays do not show
        for name in ('heads', 'segment', 'blend'):
            self.register_buffer(name, torch.tensor([float(getattr(options, name))]))
        self.register_buffer('initial', options.init_sigma * torch.randn(options.layers, options.slots, options.width))

    def scan(self, x: Tensor, state: ElmurState | None = None, **options: Any) -> Scan:
        """Run codes [B, T, X] of any length. Two scans in a row give the result of one long scan.

        Args:
            x: codes.
            state: state of the previous scan.
            options: none.
        """
        state, length = state or self._empty(x), self.options.segment
        held, steps = state.position % length, x.shape[1]
        count = held + steps
        codes = _joined(state.open_segment, held, x)
        segments = -(-codes.shape[1] // length)
        # causal attention hides what follows the last step of a sequence from the tokens before it
        h = F.pad(self.project(codes), (0, 0, 0, segments * length - codes.shape[1])).unflatten(1, (segments, length))
        plan, anchors = self._plan(state.position - held, segments, count // length, state.anchors)
        memories = []
        for layer, memory in zip(self.layers, state.memories.unbind(1), strict=True):
            h, memory = layer(h, memory, plan, self.options.detach_memory)
            memories.append(memory)
        left = count % length
        kept = _cut(codes, count - left, length - 1) * (torch.arange(length - 1) < left[:, None])[..., None]
        new = ElmurState(torch.stack(memories, 1), anchors, state.position + steps, kept)
        passed = state.position[:, None] + torch.arange(1, steps + 1)
        written = (passed % length == 0).to(x.dtype)
        return Scan(_cut(h.flatten(1, 2), held, steps), written, written, torch.zeros_like(written), new)

    def emptied(self, state: ElmurState) -> ElmurState:
        """Return an empty state of the same shapes."""
        return self._empty(state.open_segment)

    def _empty(self, x: Tensor) -> ElmurState:
        """Return the state of sequences that begin, for codes or open segments [B, T, X]."""
        count = len(x)
        return ElmurState(
            self.initial.expand(count, -1, -1, -1),
            torch.full((count, self.options.slots), EMPTY),
            torch.zeros(count, dtype=torch.int64),
            x.new_zeros(count, self.options.segment - 1, x.shape[-1]),
        )

    def _plan(self, begin: Tensor, segments: int, whole: Tensor, anchors: Tensor) -> tuple[Plan, Tensor]:
        """Return the writes from the steps `begin` on, and the anchors after them; the first `whole` segments write."""
        shared = all(bool((part == part[:1]).all()) for part in (begin, whole, anchors))
        latest, begin, whole = (part[:1] if shared else part for part in (anchors, begin, whole))
        ages, slots, alphas = [], [], []
        for segment in range(segments):
            start = begin + segment * self.options.segment
            slot = latest.argmin(1)  # EMPTY is less than every step
            chosen, writes = F.one_hot(slot, latest.shape[1]).bool(), segment < whole
            alpha = torch.where((latest == EMPTY).gather(1, slot[:, None])[:, 0], 1.0, self.options.blend)
            ages.append(start[:, None] - latest)
            slots.append(slot)
            alphas.append(alpha * writes)
            latest = torch.where(chosen & writes[:, None], start[:, None] + self.options.segment - 1, latest)
        plan = Plan(torch.stack(ages, 1), torch.stack(slots, 1), torch.stack(alphas, 1), int(whole.max()))
        return plan, latest.expand_as(anchors)


def _joined(before: Tensor, held: Tensor, x: Tensor) -> Tensor:
    """Return the `held` first steps of `before` and then x of each sequence, [B, max(held) + T, X]; the rest is x."""
    most = int(held.max())
    if bool((held == most).all()):
        return torch.cat([before[:, :most], x], 1)
    place = torch.arange(most + x.shape[1]).expand(len(x), -1)
    source = torch.where(place < held[:, None], place, (place - held[:, None]).clamp(max=x.shape[1] - 1) + most)
    both = torch.cat([before[:, :most], x], 1)
    return both.gather(1, source[..., None].expand(-1, -1, x.shape[-1]))


def _cut(x: Tensor, begin: Tensor, count: int) -> Tensor:
    """Return `count` steps of each sequence from its step `begin` on; steps behind the end repeat the last one."""
    place = begin[:, None] + torch.arange(count)
    return x.gather(1, place.clamp(max=x.shape[1] - 1)[..., None].expand(-1, -1, x.shape[-1]))
