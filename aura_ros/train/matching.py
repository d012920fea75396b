# SPDX-License-Identifier: Apache-2.0
"""Rivals of the same size: every memory with as many trained parameters as AURA-Mem.

Encoder and head have the widths of AURA's. The fitted width is that of the cell (GRU, LSTM, SSM), of the MLPs (ELMUR),
or else of the code. So the fast weights without a gate use the parameters of the gate for a wider code.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from aura_ros.common.errors import ConfigError
from aura_ros.train import modules

TOLERANCE = 0.03
"""Largest relative difference from the target."""
WIDEST = 1 << 16


def _coded(module: Callable[..., modules.MemoryModule]) -> Callable[..., modules.MemoryModule]:
    """Return a maker whose width is that of the code, for modules without a width of their own."""
    return lambda sizes, width, **options: module(replace(sizes, code_dim=width), **options)


def _elmur(sizes: modules.Sizes, hidden: int, /, **options: Any) -> modules.ElmurModule:
    """Make ELMUR with slots of width 16 by default, so that the capacity of a slot does not depend on the target."""
    return modules.ElmurModule(sizes, modules.ElmurOptions(ffn_width=hidden, **{'width': 16, **options}))


RIVALS: dict[str, Callable[..., modules.MemoryModule]] = {
    'always': _coded(modules.FastWeightModule),
    'random': _coded(lambda sizes, **options: modules.ScheduledModule(sizes, 'random', **options)),
    'periodic': _coded(lambda sizes, **options: modules.ScheduledModule(sizes, 'periodic', **options)),
    'kv': _coded(modules.KvCacheModule),
    'memoryless': _coded(modules.MemorylessModule),
    'gru': modules.GruModule,
    'lstm': modules.LstmModule,
    'ssm': modules.SsmModule,
    'elmur': _elmur,
}
"""Makers that take (sizes, width, **options)."""


def match_width(make: Callable[[int], modules.MemoryModule], target: int) -> int:
    """Return the width whose number of parameters is closest to a target.

    Args:
        make: makes a module of a width >= 1; the number of parameters must grow with the width.
        target: wanted number of parameters.

    Raises:
        ConfigError: if even the width 65,536 has fewer parameters.
    """

    def count(width: int) -> int:
        with torch.device('meta'):  # counts parameters without drawing random numbers
            return make(width).parameter_count

    above = 1
    while count(above) < target:
        above *= 2
        if above > WIDEST:
            raise ConfigError(
                f'target is {target} parameters, and no width <= {WIDEST} reaches it: choose a smaller target'
            )
    below = above // 2
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (middle, above) if count(middle) < target else (below, middle)
    return below if below and target - count(below) < count(above) - target else above


def build_module(kind: str, sizes: modules.Sizes, target: int | None = None, **options: Any) -> modules.MemoryModule:
    """Make a memory for training.

    Args:
        kind: a key of `RIVALS`, or 'aura' or 'reconstruction', which have exactly `sizes`, as has content addressing.
        sizes: sizes of AURA-Mem; the module docstring says which one is fitted.
        target: wanted number of parameters; None means that of AURA-Mem with these sizes.
        options: options of the module: `addressing` (aura, always: 'dense' or 'content'), with content also `modes`,
            `budget` (random, periodic), `window` (kv), fields of `ElmurOptions` except `ffn_width` (elmur).

    Raises:
        ConfigError: if the kind is unknown or no width comes within 3 % of the target.
    """
    if options.pop('addressing', 'dense') == 'content':
        return modules.ContentAddressedModule(sizes, kind, **options)
    with torch.device('meta'):
        wanted = modules.AuraModule(sizes).parameter_count if target is None else target
    module: modules.MemoryModule
    if kind in ('aura', 'reconstruction'):
        module = modules.AuraModule(sizes)
        module.kind = kind
    elif kind in RIVALS:
        make = RIVALS[kind]
        module = make(sizes, match_width(lambda width: make(sizes, width, **options), wanted), **options)
    else:
        raise ConfigError(f'kind must be one of aura, reconstruction, {", ".join(RIVALS)}, got {kind!r}')
    if abs(module.parameter_count - wanted) > TOLERANCE * wanted:
        raise ConfigError(
            f'target must be within {TOLERANCE:.0%} of what {kind} can have, got {wanted} parameters '
            f'where the nearest is {module.parameter_count}: change the target or the sizes'
        )
    return module
