# SPDX-License-Identifier: Apache-2.0
"""Content-addressed fast weights as a torch module; see `aura_ros.memory.content_addressed.ContentAddressedCell`."""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.memory.content_addressed import FADE_WIDTH, ITEM_KEY_DIM, ITEM_VALUE_DIM, LEAST_KEY, ROWS, WHOLE_KEY
from aura_ros.train.modules.base import GateInputs, Scan, Sizes
from aura_ros.train.modules.gate import Gated

_BLOCK = 256
"""Steps of a sequence whose states are kept at once."""

_AHEAD = 16
"""Steps of a sequence that are searched at once for its next write. Before it nothing changes."""

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
    modes: Tensor
    """Shares of the maps of a stored value, [B, T, M]."""
    rates: Tensor
    """Rates of writes to known items, 0..1, [B, T, 1]."""

    def cut(self, start: int, end: int) -> '_Codes':
        """Return some of the steps."""
        return _Codes(*(part[:, start:end] for part in self))

    def at(self, steps: Tensor) -> '_Codes':
        """Return the steps [B, t] of each sequence, [B, t, ...]. A number after the last step means the last one."""
        steps = steps.clamp(max=self.x.shape[1] - 1)
        sequences = torch.arange(len(steps))[:, None]
        return _Codes(*(part[sequences, steps] for part in self))


class _State(NamedTuple):
    """States of B sequences, [B, ...], or of their steps, [B, T, ...]."""

    W: Tensor
    """One item in each row, [B, rows, K + V]."""
    order: Tensor
    """The order of the last writes, 0 for an empty row, [B, rows]."""

    def at(self, turns: Tensor, sequences: Tensor) -> '_State':
        """Return the states of sequences after turns, whose number is the first axis."""
        return _State(*(part[turns, sequences] for part in self))


class ContentAddressedModule(Gated):
    """Content-addressed fast weights behind a gate, or written at every step.

    Args:
        sizes: dimensions; `key_dim` and `value_dim` are always 16.
        kind: 'aura' with a gate; another kind writes at every step or on a schedule.
        modes: number of maps of a stored value that a step chooses from, at least 1.
        sees_last: whether a value also sees the value that was written last, in any row.
    """

    def __init__(self, sizes: Sizes, kind: str = 'aura', modes: int = 1, sees_last: bool = False) -> None:
        super().__init__(replace(sizes, key_dim=ITEM_KEY_DIM, value_dim=ITEM_VALUE_DIM), ITEM_KEY_DIM + ITEM_VALUE_DIM)
        self.kind = kind
        self.key = nn.Linear(sizes.code_dim, ITEM_KEY_DIM)
        self.query = nn.Linear(sizes.code_dim, ITEM_KEY_DIM)
        self.query.load_state_dict(self.key.state_dict())  # so that a query finds what was written under its key
        self.value = nn.Linear(sizes.code_dim, ITEM_VALUE_DIM)
        self.feedback = nn.Linear(ITEM_VALUE_DIM, modes * ITEM_VALUE_DIM, bias=False)
        self.mode = nn.Linear(sizes.code_dim, modes) if modes > 1 else None
        self.last = nn.Linear(ITEM_VALUE_DIM, ITEM_VALUE_DIM, bias=False) if sees_last else None
        self.rate = nn.Linear(sizes.code_dim, 1)
        nn.init.constant_(self.rate.bias, 2.0)
        self.log_sharpness = nn.Parameter(torch.tensor([math.log(10.0)]))
        self.threshold = nn.Parameter(torch.tensor([0.6]))
        self.fade = nn.Parameter(torch.tensor([0.6]))
        if kind == 'aura':
            self.add_gate(ITEM_KEY_DIM + ITEM_VALUE_DIM)

    def scan(
        self,
        x: Tensor,
        state: Tensor | None = None,
        schedule: Tensor | None = None,
        asked: Tensor | None = None,
        compare: bool = True,
        **options: Any,
    ) -> Scan:
        """Write and read.

        Args:
            x: codes [B, T, X].
            state: W with the order as its last column, [B, rows, K + V + 1].
            schedule: which steps to write instead of the gate's decision, 0 or 1, [B, T].
            asked: steps whose read-outs are needed, bool [B, T]; the others are 0. None means all.
            compare: whether scores, surprise and inputs of the gate are needed; if not, they are 0, 0 and None.
            options: none.
        """
        if state is None:
            state = x.new_zeros(len(x), ROWS, ITEM_KEY_DIM + ITEM_VALUE_DIM + 1)
        if schedule is None and not self.has_gate:
            schedule = torch.ones_like(x[..., 0])
        if asked is None:
            asked = torch.ones_like(x[..., 0], dtype=torch.bool)
        held, codes, columns = _State(state[..., :-1], state[..., -1].detach()), self._codes(x), []
        for start in range(0, x.shape[1], _BLOCK):
            part, end = codes.cut(start, start + _BLOCK), start + _BLOCK
            states, turns = self._write_block(held, part, None if schedule is None else schedule[:, start:end])
            readout = self._read_block(states, turns, part.queries, asked[:, start:end])
            columns.append((readout, turns > 0, *(self._compare_block(states, turns, part) if compare else ())))
            held = _State(states.W[-1], states.order[-1])
        readout, written, *rest = (torch.cat(column, 1) for column in zip(*columns, strict=True))
        after, written = torch.cat([held.W, held.order[..., None]], -1), written.to(x.dtype)
        if not compare:
            return Scan(readout, written, 0 * written, 0 * written, after)
        error, logit = rest
        inputs = GateInputs(x, error)
        return Scan(readout, written, torch.sigmoid(logit), error.norm(dim=-1), after, gate_inputs=inputs)

    def _write_block(self, held: _State, codes: _Codes, schedule: Tensor | None) -> tuple[_State, Tensor]:
        """Return the states after each turn, [turns + 1, B, ...], and the turn in which each step writes, int [B, T].

        Sequences write at different steps. In a turn, each goes to its next write, so a block of many steps takes only
        about as many turns as the sequence with most writes has. A step without a write has turn 0.
        """
        batch, length = codes.x.shape[:2]
        states, turns = [held], torch.zeros(batch, length, dtype=torch.long)
        here, sequences = torch.zeros(batch, dtype=torch.long), torch.arange(batch)
        following = None if schedule is None else _following(schedule)
        while bool((here < length).any()):
            there, found = self._next_write(states[-1], codes, here) if following is None else _look_up(following, here)
            if bool(found.any()):
                states.append(self._write(states[-1], codes.at(there[:, None]), found))
                turns[sequences[found], there[found]] = len(states) - 1
            here = there + 1
        return _State(*(torch.stack(parts) for parts in zip(*states, strict=True))), turns

    def _read_block(self, states: _State, turns: Tensor, queries: Tensor, asked: Tensor) -> Tensor:
        """Return the read-outs of the asked steps after their writes, [B, T, K + V]."""
        sequences = asked.nonzero()[:, 0]
        known = states.at(turns.cummax(1).values[asked], sequences)
        found = self._read(known, self._matches(known, queries[asked]))
        return found.new_zeros(*asked.shape, found.shape[-1]).index_put((asked,), found)

    @torch.no_grad()
    def _compare_block(self, states: _State, turns: Tensor, codes: _Codes) -> tuple[Tensor, Tensor]:
        """Return the errors [B, T, K + V] and the logits [B, T] of all steps before their writes."""
        before = F.pad(turns.cummax(1).values[:, :-1], (1, 0))
        _, error, _ = self._compare(states.at(before, torch.arange(len(turns))[:, None]), codes)
        return error, self._logit(codes.x, error)

    def addresses(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and queries of unit length, [B, T, K], for codes [B, T, X]."""
        keys, queries = (F.normalize(layer(x), dim=-1) for layer in (self.key, self.query))
        return keys, queries

    def _codes(self, x: Tensor) -> _Codes:
        keys, queries = self.addresses(x)
        modes = torch.ones_like(x[..., :1]) if self.mode is None else torch.softmax(self.mode(x), -1)
        return _Codes(x, keys, queries, self.value(x), modes, torch.sigmoid(self.rate(x)))

    def _matches(self, held: _State, keys: Tensor) -> Tensor:
        """Return k_i . k for each row of the states of steps, [B, T, rows]; `_EMPTY` for an empty one."""
        products = (held.W[..., :ITEM_KEY_DIM] @ keys[..., None])[..., 0]
        return products.masked_fill(held.order == 0, _EMPTY)

    def _read(self, held: _State, matches: Tensor) -> Tensor:
        """Return the read-outs for the matches of keys, [B, T, K + V]."""
        against = torch.cat([matches, self.threshold.expand(*matches.shape[:-1], 1)], -1)
        shares = torch.softmax(self.log_sharpness.exp() * against, -1)[..., :-1]
        return (shares[..., None, :] @ held.W)[..., 0, :]

    def _compare(self, held: _State, codes: _Codes) -> tuple[Tensor, Tensor, Tensor]:
        """Return items [B, T, K + V] to write, their errors, and the matches of their keys [B, T, rows]."""
        matches = self._matches(held, codes.keys)
        stored = self._read(held, matches)
        seen = self.feedback(stored[..., ITEM_KEY_DIM:]).unflatten(-1, (-1, ITEM_VALUE_DIM))
        sees = codes.values + (codes.modes[..., None, :] @ seen)[..., 0, :]
        if self.last is not None:
            sees = sees + self.last(_latest(held)[..., ITEM_KEY_DIM:])
        values = torch.tanh(sees)
        item = torch.cat([codes.keys, values], -1)
        return item, item - stored, matches

    @torch.no_grad()
    def _next_write(self, held: _State, codes: _Codes, here: Tensor) -> tuple[Tensor, Tensor]:
        """Return the step of the next write of each sequence from `here`, and whether it was found, both [B].

        Where it was not found, the step is the last one of the search.
        """
        steps = here[:, None] + torch.arange(_AHEAD)
        near = codes.at(steps)
        _, error, _ = self._compare(_State(*(part[:, None] for part in held)), near)
        opens = (self._logit(near.x, error) > 0) & (steps < codes.x.shape[1])
        found = opens.any(1)
        return here + torch.where(found, opens.int().argmax(1), _AHEAD - 1), found

    @torch.no_grad()
    def _logit(self, x: Tensor, error: Tensor) -> Tensor:
        """Return the logits of writes, [B, T]; infinite without a gate."""
        return self.gate_logit(x, error) if self.has_gate else torch.full_like(x[..., 0], torch.inf)

    def _write(self, held: _State, codes: _Codes, found: Tensor) -> _State:
        """Write one step, [B, 1, ...], of each sequence that is found, [B], and return the state after it."""
        W, order = held
        item, _, matches = (part[:, 0] for part in self._compare(_State(W[:, None], order[:, None]), codes))
        with torch.no_grad():
            best = matches.max(-1)
            known = best.values > self.threshold
            row = F.one_hot(torch.where(known, best.indices, self._free_row(W, order)), ROWS).to(W.dtype)
        lost = self._lost(W, matches) * (1 - row) * found[:, None]
        with torch.no_grad():
            order = _without(order, (lost == 1).to(order.dtype))
            position = (order * row).sum(-1, keepdim=True)
            later = torch.where(row > 0, float(ROWS), order - (order > position).to(order.dtype))
            order = torch.where(found[:, None], later, order)
        W = W * (1 - lost)[..., None]
        share = torch.where(known[:, None], codes.rates[:, 0], 1.0) * found[:, None]
        change = share * (item - (row[:, None] @ W)[:, 0])
        return _State(W + row[..., None] * change[:, None], order)

    def _free_row(self, W: Tensor, order: Tensor) -> Tensor:
        """Return the row for a new item, int [B]: what is left of an item first, then the oldest write."""
        lengths = W[..., :ITEM_KEY_DIM].norm(dim=-1)
        return torch.where(lengths < WHOLE_KEY, lengths - 1, order).argmin(-1)

    def _lost(self, W: Tensor, matches: Tensor) -> Tensor:
        """Return the share that each row loses if a write with these matches is not its own, [B, rows].

        The gradient of these shares brings keys of one item together, and separates those of different items.
        """
        share = ((matches - self.fade) / FADE_WIDTH + 0.5).clamp(0, 1)
        short = (W[..., :ITEM_KEY_DIM].norm(dim=-1) * (1 - share) < LEAST_KEY) & (matches > _EMPTY)
        return torch.where(short, share - share.detach() + 1, share)


def _latest(held: _State) -> Tensor:
    """Return the item that was written last, [B, T, K + V]; zero for an empty state."""
    row = held.order.argmax(-1)[..., None, None].expand(*held.order.shape[:-1], 1, held.W.shape[-1])
    return held.W.gather(-2, row)[..., 0, :]


def _without(order: Tensor, emptied: Tensor) -> Tensor:
    """Return the order [B, rows] without some rows, and without a gap; `emptied` is 1 for these."""
    above = ((order[..., None, :] > order[..., None]).to(order.dtype) @ emptied[..., None])[..., 0]
    return torch.where((emptied > 0) | (order == 0), 0.0, order + above)


def _following(schedule: Tensor) -> Tensor:
    """Return the first scheduled step from each step on, or the number of steps, int [B, T]."""
    length = schedule.shape[1]
    own = torch.where(schedule > 0, torch.arange(length), length)
    return own.flip(1).cummin(1).values.flip(1)


def _look_up(following: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
    """Return the next scheduled step of each sequence from `here`, and whether there is one, both [B]."""
    length = following.shape[1]
    there = following.gather(1, here.clamp(max=length - 1)[:, None])[:, 0].masked_fill(here >= length, length)
    return there, there < length
