# SPDX-License-Identifier: Apache-2.0
"""Content-addressed fast weights as a torch module; see `aura_ros.memory.content_addressed.ContentAddressedCell`."""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.memory.content_addressed import ITEM_KEY_DIM, ITEM_VALUE_DIM, ROWS
from aura_ros.train.modules.base import GateInputs, Scan, Sizes
from aura_ros.train.modules.gate import Gated

_AHEAD = 32
"""Steps of all sequences that are looked at together where no gradient is needed. Between two writes nothing changes,
so they are computed at once.
"""


_EMPTY = -1e4
"""Match of an empty row. Its share of a read-out is 0, as with minus infinity, but its gradient is finite."""


class _Codes(NamedTuple):
    """What the cell needs of each step. All [B, T, ...]."""

    x: Tensor
    """Codes."""
    keys: Tensor
    """Keys of unit length."""
    queries: Tensor
    """Queries of unit length."""
    values: Tensor
    """The part of the values that the code decides."""
    rates: Tensor
    """Rates of writes to known items, 0..1, [B, T]."""

    def cut(self, start: int, end: int) -> '_Codes':
        """Return some of the steps."""
        return _Codes(*(part[:, start:end] for part in self))

    def steps(self) -> 'list[_Codes]':
        """Return each step. The gradient of one split is a single concatenation, that of T cuts is T large arrays."""
        return [_Codes(*parts) for parts in zip(*(part.split(1, 1) for part in self), strict=True)]


class ContentAddressedModule(Gated):
    """Content-addressed fast weights behind a gate, or written at every step.

    Args:
        sizes: dimensions; `key_dim` and `value_dim` are always 16.
        kind: 'aura' with a gate; another kind writes at every step or on a schedule.
    """

    def __init__(self, sizes: Sizes, kind: str = 'aura') -> None:
        super().__init__(replace(sizes, key_dim=ITEM_KEY_DIM, value_dim=ITEM_VALUE_DIM), ITEM_KEY_DIM + ITEM_VALUE_DIM)
        self.kind = kind
        self.key = nn.Linear(sizes.code_dim, ITEM_KEY_DIM)
        self.query = nn.Linear(sizes.code_dim, ITEM_KEY_DIM)
        self.query.load_state_dict(self.key.state_dict())  # so that a query finds what was written under its key
        self.value = nn.Linear(sizes.code_dim, ITEM_VALUE_DIM)
        self.feedback = nn.Linear(ITEM_VALUE_DIM, ITEM_VALUE_DIM, bias=False)
        self.rate = nn.Linear(sizes.code_dim, 1)
        nn.init.constant_(self.rate.bias, 2.0)
        self.log_sharpness = nn.Parameter(torch.tensor([math.log(10.0)]))
        self.threshold = nn.Parameter(torch.tensor([0.6]))
        if kind == 'aura':
            self.add_gate(ITEM_KEY_DIM + ITEM_VALUE_DIM)

    def scan(self, x: Tensor, state: Tensor | None = None, schedule: Tensor | None = None, **options: Any) -> Scan:
        """Write and read.

        Args:
            x: codes [B, T, X].
            state: W with the order as its last column, [B, rows, K + V + 1].
            schedule: which steps to write instead of the gate's decision, 0 or 1, [B, T].
            options: none.
        """
        if state is None:
            state = x.new_zeros(len(x), ROWS, ITEM_KEY_DIM + ITEM_VALUE_DIM + 1)
        W, order, codes = state[..., :-1], state[..., -1].detach(), self._codes(x)
        ahead = 1 if torch.is_grad_enabled() else max(1, _AHEAD // len(x))
        steps = codes.steps() if ahead == 1 else []
        columns, start = [], 0
        while start < x.shape[1]:
            block = steps[start] if ahead == 1 else codes.cut(start, start + ahead)
            item, error, matches = self._compare(W, order, block)
            logit, gate = self._decide(block.x, error, None if schedule is None else schedule[:, start : start + ahead])
            quiet = _quiet(gate) if ahead > 1 else 0
            if quiet:
                readout = self._read(W, self._matches(W, order, block.queries[:, :quiet]))
                columns.append((readout, error[:, :quiet], logit[:, :quiet], gate[:, :quiet]))
            if quiet < gate.shape[1]:
                one = slice(quiet, quiet + 1)
                W, order = self._write(W, order, item[:, quiet], matches[:, quiet], block.rates[:, quiet], gate[:, one])
                readout = self._read(W, self._matches(W, order, block.queries[:, one]))
                columns.append((readout, error[:, one], logit[:, one], gate[:, one]))
            start += min(quiet + 1, gate.shape[1])
        readout, error, logit, gate = (torch.cat(column, 1) for column in zip(*columns, strict=True))
        inputs, state = GateInputs(x.detach(), error.detach()), torch.cat([W, order[..., None]], -1)
        return Scan(readout, gate, torch.sigmoid(logit), inputs.error.norm(dim=-1), state, gate_inputs=inputs)

    def _codes(self, x: Tensor) -> _Codes:
        keys, queries = (F.normalize(layer(x), dim=-1) for layer in (self.key, self.query))
        return _Codes(x, keys, queries, self.value(x), torch.sigmoid(self.rate(x))[..., 0])

    def _matches(self, W: Tensor, order: Tensor, keys: Tensor) -> Tensor:
        """Return k_i . k for each row, [B, T, rows]; `_EMPTY` for an empty one."""
        products = keys @ W[..., :ITEM_KEY_DIM].mT
        return products.masked_fill((order == 0)[:, None], _EMPTY)

    def _read(self, W: Tensor, matches: Tensor) -> Tensor:
        """Return the read-outs for the matches of keys, [B, T, K + V]."""
        against = torch.cat([matches, self.threshold.expand(*matches.shape[:2], 1)], -1)
        return torch.softmax(self.log_sharpness.exp() * against, -1)[..., :-1] @ W

    def _compare(self, W: Tensor, order: Tensor, block: _Codes) -> tuple[Tensor, Tensor, Tensor]:
        """Return items [B, T, K + V] to write, their errors, and the matches of their keys [B, T, rows]."""
        matches = self._matches(W, order, block.keys)
        stored = self._read(W, matches)
        values = torch.tanh(block.values + self.feedback(stored[..., ITEM_KEY_DIM:]))
        item = torch.cat([block.keys, values], -1)
        return item, item - stored, matches

    @torch.no_grad()
    def _decide(self, x: Tensor, error: Tensor, schedule: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the logits and the gates, 0 or 1, both [B, T]."""
        if schedule is not None or self.kind != 'aura':
            always = torch.full_like(x[..., 0], torch.inf)
            return always, torch.ones_like(always) if schedule is None else schedule
        logit = self.gate_logit(x, error)
        return logit, (logit > 0).to(logit.dtype)

    def _write(
        self, W: Tensor, order: Tensor, item: Tensor, matches: Tensor, rate: Tensor, gate: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Write one step of each sequence where its gate, [B, 1], is 1; return W and the order after it.

        Training empties no rows: until keys of different items differ, it would leave a single item.
        """
        with torch.no_grad():
            best = matches.max(-1)
            known = best.values > self.threshold
            row = F.one_hot(torch.where(known, best.indices, order.argmin(-1)), ROWS).to(W.dtype)
            if not self.training:
                older = (matches > self.threshold).to(W.dtype) * (1 - row) * gate
                W, order = W * (1 - older)[..., None], _without(order, older)
            position = (order * row).sum(-1, keepdim=True)
            later = torch.where(row > 0, float(ROWS), order - (order > position).to(order.dtype))
            order = torch.where(gate > 0, later, order)
        share = torch.where(known, rate, 1.0)[:, None] * gate
        change = share * (item - (row[:, None] @ W)[:, 0])
        return W + row[..., None] * change[:, None], order


def _without(order: Tensor, emptied: Tensor) -> Tensor:
    """Return the order [B, rows] without some rows, and without a gap; `emptied` is 1 for these."""
    above = ((order[..., None, :] > order[..., None]).to(order.dtype) @ emptied[..., None])[..., 0]
    return torch.where((emptied > 0) | (order == 0), 0.0, order + above)


def _quiet(gate: Tensor) -> int:
    """Return how many of the first steps write in no sequence."""
    opens = (gate > 0).any(0).nonzero()
    return int(opens[0]) if len(opens) else gate.shape[1]
