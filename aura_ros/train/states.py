# SPDX-License-Identifier: Apache-2.0
"""States of scans as nested tuples and dataclasses of tensors, with the batch as their first dimension."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def map_state(function: Callable[..., Tensor], *states: Any) -> Any:
    """Return a state of the same structure, whose tensors are `function` of those of the states.

    Args:
        function: takes one tensor of each state.
        states: states of one structure; None, the state of a memory without one, stays None.
    """
    first = states[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return function(*states)
    if is_dataclass(first):
        names = [field.name for field in fields(first)]
        parts = (map_state(function, *(getattr(state, name) for state in states)) for name in names)
        return replace(first, **dict(zip(names, parts, strict=True)))  # type: ignore[type-var]
    return tuple(map_state(function, *parts) for parts in zip(*states, strict=True))


def tensors(state: Any) -> Iterator[Tensor]:
    """Yield the tensors of a state."""
    if isinstance(state, Tensor):
        yield state
    elif is_dataclass(state):
        for field in fields(state):
            yield from tensors(getattr(state, field.name))
    elif state is not None:
        for part in state:
            yield from tensors(part)


def detached(state: Any) -> Any:
    """Return the state without its gradient."""
    return map_state(Tensor.detach, state)


def sequence_states(state: Any, count: int) -> list[Any]:
    """Return a copy of the state of each of the `count` sequences, with a batch of 1, without gradient."""
    return [map_state(lambda part, i=i: part[i : i + 1].detach().clone(), state) for i in range(count)]


def join_states(states: Sequence[Any]) -> Any:
    """Return the states as one batch. Tensors with fewer stored steps get zeros before them."""

    def join(*parts: Tensor) -> Tensor:
        if parts[0].dim() > 1:
            most = max(part.shape[1] for part in parts)
            parts = tuple(
                F.pad(part, (*[0] * (2 * part.dim() - 4), most - part.shape[1], 0)) if part.shape[1] < most else part
                for part in parts
            )
        return torch.cat(parts)

    return map_state(join, *states)


def choose_states(first: Tensor, state: Any, other: Any) -> Any:
    """Return `state` for the sequences where `first`, bool [B], is true, and `other` for those where it is not."""
    return map_state(lambda one, two: torch.where(first.view(-1, *[1] * (one.dim() - 1)), one, two), state, other)
