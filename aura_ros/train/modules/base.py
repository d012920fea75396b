# SPDX-License-Identifier: Apache-2.0
"""Encoder and action head that every memory shares, as torch modules; see `aura_ros.memory.recurrent`.

Shapes: B sequences of T steps, features z [B, T, D], base chunks [B, T, C, A], codes x [B, T, X], read-outs
[B, T, R]. Parameters have the names of the weights file, so a trained module needs no conversion.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.common.action_columns import GRIPPER_LOGIT, ActionColumns
from aura_ros.common.action_spec import ActionSpec
from aura_ros.memory.fast_weights import KEY_DIM, VALUE_DIM
from aura_ros.train.states import map_state


@dataclass(frozen=True)
class Sizes:
    """Dimensions of a memory. The defaults are those of the memories that ship for the embedded robot."""

    feature_dim: int = 288
    chunk_size: int = 8
    action_dim: int = 8
    code_dim: int = 64
    key_dim: int = KEY_DIM
    value_dim: int = VALUE_DIM
    gate_width: int = 48
    head_width: int = 256
    actions: ActionSpec | None = None
    """What the columns of an action mean; None: absolute joint targets. A size of the card does not include it."""


@dataclass(frozen=True)
class Probes:
    """Steps at which the worth of a write is measured; see `aura_ros.train.modules.gate`."""

    strengths: list[Tensor]
    """Strengths of the writes: a leaf tensor [B, t] per block of t steps, which collects the gradient of the loss."""
    probed: Tensor
    """Steps with a strength drawn from 0..1, bool [B, T]."""
    code: Tensor
    """Codes x, detached, [B, T, X]."""
    error: Tensor
    """Errors e before the write, detached, [B, T, V]."""


@dataclass(frozen=True)
class GateInputs:
    """What the gate saw at each step. The errors have no gradient."""

    code: Tensor
    """Codes x, [B, T, X]."""
    error: Tensor
    """Errors e before the write, [B, T, E]."""


@dataclass(frozen=True)
class Scan:
    """The result of a cell on a batch of code sequences."""

    readout: Tensor
    """Read-outs, [B, T, R]."""
    written: Tensor
    """1 at steps that wrote the state, else 0, [B, T]."""
    scores: Tensor
    """Probability of a write, [B, T]."""
    surprise: Tensor
    """|e| of fast weights, 0 for other memories, [B, T]."""
    state: Any
    """State after the last step, for the next scan: tensors with the batch first, in tuples and dataclasses."""
    probes: Probes | None = None
    """Training data of the gate of dense fast weights; None without probed steps."""
    gate_inputs: GateInputs | None = None
    """What the gate of content-addressed fast weights saw; None for other memories."""


@dataclass(frozen=True)
class Rollout:
    """Actions [B, T, C, A], or [N, C, A] for N asked steps, and the scan of the cell."""

    actions: Tensor
    scan: Scan


def every_step(x: Tensor, readout: Tensor, state: Any) -> Scan:
    """Return the scan of a cell that writes at every step."""
    ones = x.new_ones(x.shape[:2])
    return Scan(readout, ones, ones, 0 * ones, state)


class Head(nn.Module):
    """The action head, `aura_ros.memory.layers.ActionHead`."""

    def __init__(self, sizes: Sizes, readout_dim: int) -> None:
        super().__init__()
        chunk = sizes.chunk_size * sizes.action_dim
        self.features = nn.Linear(sizes.feature_dim + sizes.action_dim + chunk, sizes.head_width)
        self.modulation = nn.Linear(readout_dim, 2 * sizes.head_width)
        self.hidden = nn.Linear(sizes.head_width, sizes.head_width)
        self.output = nn.Linear(sizes.head_width, chunk + 1)
        nn.init.zeros_(self.output.bias)
        columns = ActionColumns.of(sizes.actions.components if sizes.actions else (), sizes.action_dim)
        self.plain, self.grips = columns.plain, bool(columns.binary.any())
        for name in ('moves', 'neutral', 'binary', 'low', 'span'):
            # Not saved: they follow from the spec.
            self.register_buffer(name, torch.from_numpy(getattr(columns, name)), persistent=False)

    def forward(self, u: Tensor, base: Tensor, readout: Tensor, scale: Tensor) -> Tensor:
        """Return chunks [..., C, A]; `scale` is the usual offset of each column, [A]."""
        first = base[..., :1, :]
        anchor = first if self.plain else torch.where(self.moves, self.neutral, first)
        motion = base - anchor
        seen = torch.cat([u, first[..., 0, :], (motion / scale).flatten(-2)], -1)
        gain, shift = self.modulation(readout).chunk(2, -1)
        answer = self.output(F.silu(self.hidden(F.silu(self.features(seen) * (1 + gain) + shift))))
        keep = 1 - torch.sigmoid(answer[..., -1:, None])
        change = answer[..., :-1].unflatten(-1, base.shape[-2:])
        chunk = anchor + keep * motion + change * scale
        return torch.where(self.binary, self._grip(base, keep, change), chunk) if self.grips else chunk

    def _grip(self, base: Tensor, keep: Tensor, change: Tensor) -> Tensor:
        """Return chunks as if all columns were binary grippers."""
        share = ((base - self.low) / self.span).clamp(0, 1)
        return self.low + self.span * torch.sigmoid(keep * GRIPPER_LOGIT * (2 * share - 1) + change)


class MemoryModule(nn.Module):
    """Encoder and head around the `scan` of a cell."""

    kind: str
    """Its name in `aura_ros.memory.kinds`."""
    readout_dim: int
    """Length of a read-out, R."""
    feature_mean: Tensor
    feature_scale: Tensor
    action_scale: Tensor

    def __init__(self, sizes: Sizes, readout_dim: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.readout_dim = readout_dim
        self.encoder = nn.Linear(sizes.feature_dim, sizes.code_dim)
        self.head = Head(sizes, readout_dim)
        self.register_buffer('feature_mean', torch.zeros(sizes.feature_dim))
        self.register_buffer('feature_scale', torch.ones(sizes.feature_dim))
        self.register_buffer('action_scale', torch.ones(sizes.action_dim))

    def scan(self, x: Tensor, state: Any = None, **options: Any) -> Scan:
        """Run the cell over codes.

        Args:
            x: codes [B, T, X].
            state: state of an earlier scan; None means empty.
            options: options of the cell, and `asked`, the steps whose read-outs are needed. A cell may ignore it.
        """
        raise NotImplementedError

    def forward(
        self, z: Tensor, base: Tensor, state: Any = None, asked: Tensor | None = None, **options: Any
    ) -> Rollout:
        """Run sequences.

        Args:
            z: features [B, T, D].
            base: base chunks [B, T, C, A].
            state: state of an earlier scan; None starts empty.
            asked: steps whose actions are returned, bool [B, T], as [N, C, A]; None returns all.
            options: options of `scan`.
        """
        u = ((z - self.feature_mean) / self.feature_scale).clamp(-5, 5)
        scan = self.scan(torch.tanh(self.encoder(u)), state, asked=asked, **options)
        seen = (u, base, scan.readout) if asked is None else (u[asked], base[asked], scan.readout[asked])
        return Rollout(self.head(*seen, self.action_scale), scan)

    def emptied(self, state: Any) -> Any:
        """Return an empty state of the same shapes as the state of a scan."""
        return map_state(torch.zeros_like, state)

    @property
    def parameter_count(self) -> int:
        """Number of trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters())
