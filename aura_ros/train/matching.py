# SPDX-License-Identifier: Apache-2.0
"""Rivals of the same size: each memory of the family with as many trained numbers as AURA-Mem has.

Encoder and head are as wide as AURA's. What is fitted is the width of the cell where it has one of its own (GRU,
LSTM, SSM), the width of the MLPs of ELMUR, else that of the code: the fast weights without a gate spend on a wider
code what the gate would cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from aura_ros.common.errors import ConfigError
from aura_ros.train.modules import (
    AuraModule,
    ElmurModule,
    ElmurOptions,
    FastWeightModule,
    GruModule,
    KvCacheModule,
    LstmModule,
    MemorylessModule,
    MemoryModule,
    ScheduledModule,
    Sizes,
    SsmModule,
)

TOLERANCE = 0.03
"""Largest difference to the target that counts as matched, relative."""
WIDEST = 1 << 16


def _coded(module: Callable[..., MemoryModule]) -> Callable[..., MemoryModule]:
    """Of a module without a width of its own, one whose width is that of the code."""
    return lambda sizes, width, **options: module(replace(sizes, code_dim=width), **options)


def _elmur(sizes: Sizes, hidden: int, /, **options: Any) -> ElmurModule:
    """ELMUR with slots 16 wide unless the options say otherwise: what a slot holds is not to hang on the target."""
    return ElmurModule(sizes, ElmurOptions(ffn_width=hidden, **{'width': 16, **options}))


RIVALS: dict[str, Callable[..., MemoryModule]] = {
    'always': _coded(FastWeightModule),
    'random': _coded(lambda sizes, **options: ScheduledModule(sizes, 'random', **options)),
    'periodic': _coded(lambda sizes, **options: ScheduledModule(sizes, 'periodic', **options)),
    'kv': _coded(KvCacheModule),
    'memoryless': _coded(MemorylessModule),
    'gru': GruModule,
    'lstm': LstmModule,
    'ssm': SsmModule,
    'elmur': _elmur,
}
"""Makers that take (sizes, width, **options)."""


def match_width(make: Callable[[int], MemoryModule], target: int) -> int:
    """The width whose number of parameters is nearest to a target.

    Args:
        make: a module of a width >= 1; wider ones must have more parameters.
        target: parameters wanted.

    Raises:
        ConfigError: if the target lies above what 65,536 gives.

    """

    def count(width: int) -> int:
        with torch.device('meta'):  # counted, not filled: no random numbers are drawn
            return make(width).parameter_count

    above = 1
    while count(above) < target:
        above *= 2
        if above > WIDEST:
            raise ConfigError(f'target must be a number of parameters that a width <= {WIDEST} reaches, got {target}')
    below = above // 2
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (middle, above) if count(middle) < target else (below, middle)
    return below if below and target - count(below) < count(above) - target else above


def build_module(kind: str, sizes: Sizes, target: int | None = None, **options: Any) -> MemoryModule:
    """Make a memory of the family to train.

    Args:
        kind: a key of `RIVALS`, or 'aura' or 'reconstruction', which have exactly `sizes`.
        sizes: of AURA-Mem; see above for what of it is fitted.
        target: parameters wanted; None takes those of AURA-Mem of these sizes.
        options: for the module: `budget` of random and periodic, `window` of kv, the fields of `ElmurOptions`
            but `ffn_width` of elmur.

    Raises:
        ConfigError: if the kind is unknown or no width comes within 3 % of the target.

    """
    with torch.device('meta'):
        wanted = AuraModule(sizes).parameter_count if target is None else target
    module: MemoryModule
    if kind in ('aura', 'reconstruction'):
        module = AuraModule(sizes)
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
