# SPDX-License-Identifier: Apache-2.0
"""ELMUR as a torch module; see `aura_ros.memory.elmur` for what it is and `elmur_layer` for how it is computed.

With `detach_memory` the gradient stops between segments, the paper's sg(). Nothing then teaches a layer what to write:
the loss of a segment depends on its own tokens and on a memory that counts as given, so tok2mem and the FFN behind
it keep their first values and only the read is learned. Without it the gradient runs through the memory across all
segments of a scan.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.common.errors import ConfigError
from aura_ros.memory.elmur import EMPTY, choose_slot
from aura_ros.train.modules.base import MemoryModule, Scan, Sizes
from aura_ros.train.modules.elmur_layer import Dropout, ElmurLayer, Plan


@dataclass(frozen=True)
class ElmurOptions:
    """Shape and training of ELMUR; the defaults are what its authors released for T-Maze, but for FFN and dropout."""

    layers: int = 2
    """Layers, each with its own memory."""
    width: int = 128
    """Of tokens and slots, even and a multiple of `heads`."""
    heads: int = 2
    """Attention heads."""
    slots: int = 2
    """Per layer."""
    segment: int = 10
    """Steps between two writes."""
    blend: float = 0.79
    """Lambda, the share of the new in a slot that is overwritten, 0..1."""
    init_sigma: float = 0.001
    """Standard deviation of the memory an episode begins with."""
    detach_memory: bool = True
    """Stop the gradient between segments, as the paper does."""
    max_offset: int | None = None
    """D_max; the bias tells apart offsets from an anchor below this [steps]. None takes the paper's 1024, or less where
    no anchor gets that old: one write per segment renews each slot after slots * segment steps.
    """
    ffn_width: int = 256
    """Hidden units of the MLPs."""
    dropout: Dropout = field(default_factory=Dropout)
    """In training; none by default, since streams drawn anew for every step cannot be learned by heart. Noise also
    teaches a memory to hold longer than it was trained for: the authors' T-Maze has 0.10, 0.17 and 0.01.
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
    def told_apart(self) -> int:
        """D_max, worked out where it was left open."""
        return min(1024, self.slots * self.segment + 1) if self.max_offset is None else self.max_offset


@dataclass(frozen=True)
class ElmurState:
    """Where a scan ended."""

    memories: Tensor
    """[layers, B, M, d]."""
    anchors: tuple[int, ...]
    """Step at which each slot was last written, or EMPTY; Python integers, exact at any length."""
    position: int
    """Steps taken."""
    open_segment: Tensor
    """Codes of the segment that is not complete, encoded again by the next scan, [B, 0..L - 1, X]."""


class ElmurModule(MemoryModule):
    """ELMUR; the read-out is the token track of the last layer, [B, T, width].

    Args:
        sizes: dimensions of what all memories share.
        options: of ELMUR itself.

    """

    kind = 'elmur'
    initial: Tensor

    def __init__(self, sizes: Sizes, options: ElmurOptions | None = None) -> None:
        options = options or ElmurOptions()
        super().__init__(sizes, options.width)
        self.options = options
        self.project = nn.Linear(sizes.code_dim, options.width)
        self.layers = nn.ModuleList(
            ElmurLayer(
                options.width, options.heads, options.segment, options.told_apart, options.ffn_width, options.dropout
            )
            for _ in range(options.layers)
        )
        # what the arrays do not show by their shapes
        for name in ('heads', 'segment', 'blend'):
            self.register_buffer(name, torch.tensor([float(getattr(options, name))]))
        self.register_buffer('initial', options.init_sigma * torch.randn(options.layers, options.slots, options.width))

    def scan(self, x: Tensor, state: ElmurState | None = None, **options: Any) -> Scan:
        """Run codes [B, T, X] of any length; a scan cut anywhere gives what one scan gives.

        Args:
            x: codes.
            state: of the scan before.
            options: none.

        """
        state = state or self._empty(x)
        codes, length = torch.cat([state.open_segment, x], 1), self.options.segment
        begin, held = state.position - state.open_segment.shape[1], codes.shape[1]
        segments = -(-held // length)
        # causal attention keeps what is filled up at the end from the tokens before it
        h = F.pad(self.project(codes), (0, 0, 0, segments * length - held)).unflatten(1, (segments, length))
        plan, anchors = self._plan(begin, segments, held // length, state.anchors)
        memories = []
        for layer, memory in zip(self.layers, state.memories, strict=True):
            h, memory = layer(h, memory, plan, self.options.detach_memory)
            memories.append(memory)
        kept = held // length * length
        new = ElmurState(torch.stack(memories), anchors, begin + held, codes[:, kept:])
        steps = torch.arange(state.position + 1, new.position + 1)
        written = (steps % length == 0).to(x.dtype).expand(x.shape[:2])
        return Scan(h.flatten(1, 2)[:, held - x.shape[1] : held], written, written, torch.zeros_like(written), new)

    def _empty(self, x: Tensor) -> ElmurState:
        memories = self.initial[:, None].expand(-1, len(x), -1, -1)
        return ElmurState(memories, (EMPTY,) * self.options.slots, 0, x[:, :0])

    def _plan(self, begin: int, segments: int, whole: int, anchors: tuple[int, ...]) -> tuple[Plan, tuple[int, ...]]:
        """What is written from step `begin` on, and the anchors afterwards."""
        ages, writes, latest = [], [], list(anchors)
        for segment in range(segments):
            start = begin + segment * self.options.segment
            ages.append([start - anchor for anchor in latest])
            if segment < whole:
                writes.append(choose_slot(latest, self.options.blend))
                latest[writes[-1][0]] = start + self.options.segment - 1
        return Plan(torch.tensor(ages), writes), tuple(latest)
