# SPDX-License-Identifier: Apache-2.0
"""The memory modules that a benchmark compares, and how those that decide no writes get theirs."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from aura_ros.train.matching import build_module
from aura_ros.train.modules import AuraModule, MemoryModule, ScheduledModule, Sizes
from aura_ros.train.modules.reconstruction import ReconstructionModule

Variants = Mapping[str, tuple[str, dict[str, Any]]]
"""Memories that are a kind with options, by name."""


def build_rival(memory: str, sizes: Sizes, variants: Variants, write_rate: float) -> MemoryModule:
    """Return an untrained module with the number of parameters of an AURA-Mem of `sizes`.

    Args:
        memory: a kind, a key of `variants`, 'reconstruction', or 'oracle'.
        sizes: dimensions of AURA-Mem.
        variants: memories of the benchmark that are a kind with options.
        write_rate: writes per step of 'random' and 'periodic'.
    """
    if memory == 'reconstruction':
        return ReconstructionModule(sizes)
    kind, options = variants.get(memory, (memory, {}))
    if kind in ('random', 'periodic'):
        options = {'budget': write_rate}
    return build_module('always' if kind == 'oracle' else kind, sizes, **options)


def write_schedule(module: MemoryModule, memory: str, oracle_writes: Tensor) -> Tensor | None:
    """Return which steps are written, [B, T], or None if the memory decides itself.

    Args:
        module: the module of `memory`.
        memory: its name; an oracle writes where `oracle_writes` says.
        oracle_writes: 1 where the oracle writes, float [B, T].
    """
    if memory.startswith('oracle'):
        return oracle_writes
    return module.draw(*oracle_writes.shape) if isinstance(module, ScheduledModule) else None


def match_write_rate(module: AuraModule, write_rate: float, measure: Callable[[], float]) -> None:
    """Shift the bias of the gate until `measure`, the writes per step, is `write_rate`; a higher bias writes more."""
    bias = module.gate.output.bias.data
    start, low, high = bias.clone(), -30.0, 30.0
    for _ in range(16):
        middle = (low + high) / 2
        bias.copy_(start + middle)
        low, high = (middle, high) if measure() < write_rate else (low, middle)
