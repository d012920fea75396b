# SPDX-License-Identifier: Apache-2.0
"""Checks weights when they are loaded: their sizes against the card, and all layers with one trial of a memory."""

from pathlib import Path

import numpy as np

from aura_ros.common.errors import ConfigError
from aura_ros.common.text_files import loading
from aura_ros.memory.kinds import build_memory
from aura_ros.memory.recurrent import RecurrentMemory
from aura_ros.memory.weights import MemoryWeights

_SIZED = {
    'feature_dim': 'feature_mean',
    'action_dim': 'action_scale',
    'code_dim': 'encoder.bias',
    'key_dim': 'key.bias',
    'value_dim': 'value.bias',
    'gate_width': 'gate.hidden.bias',
    'head_width': 'head.hidden.bias',
}
"""A size of the card: an array that has this length, if the memory has the array."""


def check_weights(kind: str, weights: MemoryWeights, path: str | Path | None = None) -> None:
    """Build a memory of these weights, use all its layers, and drop it.

    Args:
        kind: a key of `KINDS`.
        weights: for that memory.
        path: of the weights, for the text of an error; None: those of the package.

    Raises:
        ConfigError: if an array is missing, does not have the size of the card, or does not fit the others.
    """
    where = f'weights {path} of the {kind} memory' if path else f'weights of the {kind} memory'
    with loading(where):
        try:
            _check_sizes(weights)
            memory = build_memory(kind, weights)
            if isinstance(memory, RecurrentMemory):
                with np.errstate(all='ignore'):
                    memory.try_out()
        except KeyError as error:
            raise ConfigError(f'{where}: there is no array {error}; train them with `aura train memory`') from error
        except ConfigError as error:
            raise ConfigError(f'{where}: {error}') from error
        except ValueError as error:  # NumPy names the shapes
            raise ConfigError(f'{where}: the arrays do not fit together: {error}') from error


def _check_sizes(weights: MemoryWeights) -> None:
    sizes, arrays = weights.card.get('sizes', {}), weights.arrays
    if not isinstance(sizes, dict):
        raise ConfigError(f"'sizes' of the card is {type(sizes).__name__}: must be an object")
    for size, name in _SIZED.items():
        if size in sizes and name in arrays and arrays[name].shape != (sizes[size],):
            raise ConfigError(f'{name} has shape {arrays[name].shape}: the card has {size} {sizes[size]!r}')
    outputs, expected = len(arrays['head.output.bias']), weights.chunk_size * weights.action_dim + 1
    if outputs != expected or weights.chunk_size < 1:
        raise ConfigError(f'head.output.bias has {outputs} values: must be chunk_size x {weights.action_dim} + 1')
    spec = weights.action_spec
    if spec is not None and (spec.chunk_size, spec.dims) != (weights.chunk_size, weights.action_dim):
        raise ConfigError(
            f'action_spec of the card has chunks of {spec.chunk_size} x {spec.dims}: must be {weights.chunk_size} x '
            f'{weights.action_dim}, the sizes of the arrays'
        )
    if 'chunk_size' in sizes and sizes['chunk_size'] != weights.chunk_size:
        raise ConfigError(f'chunk_size is {weights.chunk_size}: the card has {sizes["chunk_size"]!r}')
