# SPDX-License-Identifier: Apache-2.0
"""What is remembered: AURA-Mem, ELMUR, the KV-cache baseline and their rivals; NumPy only, no ROS, no torch."""

from __future__ import annotations

from aura_ros.common.errors import ConfigError
from aura_ros.common.loading import load_factory
from aura_ros.memory.aura import AuraMemory
from aura_ros.memory.kinds import KINDS, build_memory
from aura_ros.memory.kv_cache import KvCacheMemory
from aura_ros.memory.none import NoMemory
from aura_ros.memory.protocol import Decision, Memory
from aura_ros.memory.weights import load_weights

__all__ = ['KINDS', 'AuraMemory', 'Decision', 'KvCacheMemory', 'Memory', 'NoMemory', 'build_memory', 'load_memory']


def load_memory(kind: str, path: str | None = None, window: int = 0) -> Memory:
    """Make a memory with trained weights.

    Args:
        kind: one of `KINDS`, or 'module:factory' for one of your own; the factory takes (path, window).
        path: a .safetensors file with its card; None takes what the package ships (aura and kv).
        window: most steps a KV-cache keeps; 0 keeps all. Other memories need 0.

    Raises:
        ConfigError: if the kind is unknown or the weights cannot be used.

    """
    if ':' in kind:
        memory: Memory = load_factory(kind)(path, window)
        return memory
    if kind not in KINDS:
        raise ConfigError(f'memory must be one of {", ".join(KINDS)} or module:factory, got {kind!r}')
    if window and kind != 'kv':
        raise ConfigError(f'window must be 0 for the {kind} memory (only a KV-cache has one), got {window}')
    # what passes the base action through still has to know the shapes of a step
    weights = load_weights('aura' if kind == 'none' else kind, path)
    return build_memory(kind, weights, window)
